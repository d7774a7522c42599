"""Usage as Google reports it: `usageMetadata`, in camel case.

Sources: Gemini API reference, "UsageMetadata"; Vertex AI reference, "GenerateContentResponse", `UsageMetadata` and `TrafficType` (read
2026-11-26). Thoughts and the prompts of tools stand beside the candidates and the prompt, and are billed as output and as input. What
was read from a cache is a part of the prompt. Counts of zero are left out.
"""

from typing import Any

from processors.dialects.reading import PriceContext, part
from processors.usage import Usage, UsageRefused, count

TIERS = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority", "FLEX": "flex", "PRIORITY": "priority"}
"""Traffic types (Vertex) and service tiers (Gemini API) with a price of their own."""

TRAFFIC = "extra_properties"
"""Where Vertex tells a call's traffic in an answer of OpenAI's shape."""

PROVISIONED = "provisioned throughput is paid by its term, not by the token"

IMAGES = ("IMAGE", "DOCUMENT")
"""Pages of a document are seen, and billed, as images."""


def usage_of(reported: object, *, web_searches: int | None = None) -> Usage | None:
    """None when nothing was reported; raises UsageRefused."""
    if not isinstance(reported, dict):
        if reported is not None:
            raise UsageRefused("usageMetadata is no object")
        return None
    whole = _whole(reported)
    if whole is None:
        return None
    prompt, answer = whole
    inputs = [reported.get("promptTokensDetails"), reported.get("toolUsePromptTokensDetails")]
    outputs = [reported.get("candidatesTokensDetails")]
    return Usage(
        input=prompt,
        output=answer,
        cache_read=count(reported.get("cachedContentTokenCount"), "cachedContentTokenCount"),
        reasoning=count(reported.get("thoughtsTokenCount"), "thoughtsTokenCount"),
        audio_input=of_kind(inputs, "AUDIO"),
        audio_output=of_kind(outputs, "AUDIO"),
        audio_cache_read=of_kind([reported.get("cacheTokensDetails")], "AUDIO"),
        image_input=of_kind(inputs, *IMAGES),
        image_output=of_kind(outputs, *IMAGES),
        video_input=of_kind(inputs, "VIDEO"),
        video_output=of_kind(outputs, "VIDEO"),
        web_searches=web_searches,
    )


def _whole(reported: dict[str, Any]) -> tuple[int, int] | None:
    """All of the prompt and all of the answer. None when neither was counted."""
    prompt, candidates, thoughts, tools, total = (
        count(reported.get(name), name)
        for name in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount")
    )
    if prompt is None and candidates is None:
        if thoughts is None and tools is None and total is None:
            return None
        raise UsageRefused("usageMetadata names neither prompt nor candidates")
    beside = (thoughts or 0) + (tools or 0)
    if prompt is None or candidates is None:
        if total is None:
            raise UsageRefused("usageMetadata names only one side of the call")
        missing = total - beside - (prompt or 0) - (candidates or 0)
        prompt, candidates = (missing, candidates or 0) if prompt is None else (prompt, missing)
    _check_total(total, prompt + candidates + beside, thoughts or 0)
    if prompt < 0 or candidates < 0:
        raise UsageRefused("totalTokenCount contradicts its parts")
    return prompt + (tools or 0), candidates + (thoughts or 0)


def _check_total(total: int | None, parts: int, thoughts: int) -> None:
    """The reference says that thoughts are not in the total; answers have them there."""
    if total is not None and total not in {parts, parts - thoughts}:
        raise UsageRefused("totalTokenCount contradicts its parts")


def of_kind(lists: list[object], *kinds: str) -> int | None:
    """Tokens of these modalities; None when nothing was told by modality."""
    told = [items for items in lists if isinstance(items, list)]
    if not told:
        return None
    return sum(count(part(item, "tokenCount"), "tokenCount") or 0 for items in told for item in items if part(item, "modality") in kinds)


def context_of(reported: object) -> PriceContext:
    for name in ("trafficType", "serviceTier"):
        said = part(reported, name)
        tier = TIERS.get(said.upper().removeprefix("SERVICE_TIER_")) if isinstance(said, str) else None
        if tier is not None:
            return (("service_tier", tier),)
    return ()


def traffic_in(usage: object) -> object:
    """What Vertex says of it in an answer of OpenAI's shape, under the name that it has in `usageMetadata`."""
    if not isinstance(usage, dict) or TRAFFIC not in usage:
        return None
    return {"trafficType": part(part(usage[TRAFFIC], "google"), "traffic_type")}


def is_provisioned(reported: object) -> bool:
    return part(reported, "trafficType") == "PROVISIONED_THROUGHPUT"
