"""Usage as OpenAI and those who answer in its shape report it.

Sources: OpenAI API reference, "The chat completion object", `usage`; "The response object", `usage`; "Create embeddings" (read
2026-11-24, checked against the types of the `openai` package 3.54). Deviations are noted where they are handled.
"""

from processors.dialects.perplexity_usage import SIGNS, is_perplexity, perplexity_usage
from processors.dialects.reading import PriceContext, part
from processors.usage import Usage, UsageRefused, count

TIERS = frozenset({"flex", "priority", "fast"})
"""Service tiers that have a price of their own. Others are billed as usual, and stay out of the memo of prices."""


def chat_usage(usage: object) -> Usage | None:
    """Chat completions, completions and embeddings. None when nothing was reported; raises UsageRefused."""
    if not isinstance(usage, dict):
        _check_absent(usage)
        return None
    plain = UNCOMMON.isdisjoint(usage)
    if not plain and is_perplexity(usage):
        return perplexity_usage(usage)
    reported = usage.get
    prompt, completion = count(reported("prompt_tokens"), "prompt_tokens"), count(reported("completion_tokens"), "completion_tokens")
    inside, outside = reported("prompt_tokens_details"), reported("completion_tokens_details")
    cached = part(inside, "cached_tokens")
    if not plain:
        _check_misses(usage, prompt)
        cached = _elsewhere(usage) if cached is None else cached
    return _whole(
        prompt,
        completion,
        total=count(reported("total_tokens"), "total_tokens"),
        cache_read=count(cached, "cached_tokens"),
        cache_write=count(part(inside, "cache_write_tokens"), "cache_write_tokens"),
        reasoning=count(part(outside, "reasoning_tokens"), "reasoning_tokens"),
        audio_input=count(part(inside, "audio_tokens"), "prompt audio_tokens"),
        audio_output=count(part(outside, "audio_tokens"), "completion audio_tokens"),
    )


CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cached_prompt_text_tokens")
"""DeepSeek, Moonshot and Together, Mistral, xAI's first API: beside the prompt's count, as a part of it all the same."""


UNCOMMON = frozenset({*SIGNS, *CACHED, "prompt_cache_miss_tokens"})
"""Fields that not everybody has: most answers are done with after one look for them all."""


def _elsewhere(usage: dict[str, object]) -> object:
    for name in CACHED:
        if name in usage and usage[name] is not None:
            return usage[name]
    return None


def _check_misses(usage: dict[str, object], prompt: int | None) -> None:
    """DeepSeek counts the rest of the prompt too."""
    if "prompt_cache_miss_tokens" not in usage:
        return
    missed = count(usage.get("prompt_cache_miss_tokens"), "prompt_cache_miss_tokens")
    hit = count(usage.get("prompt_cache_hit_tokens"), "prompt_cache_hit_tokens")
    if missed is not None and hit is not None and prompt is not None and missed + hit != prompt:
        raise UsageRefused("cache hits and misses contradict the prompt")


def with_thoughts(usage: object) -> object:
    """Gemini in OpenAI's shape leaves its thoughts out of `completion_tokens`, bills them, and has them in `total_tokens`."""
    if not isinstance(usage, dict) or part(usage.get("completion_tokens_details"), "reasoning_tokens") is not None:
        return usage
    prompt, completion, total = (usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if not (isinstance(prompt, int) and isinstance(completion, int) and isinstance(total, int)):
        return usage
    thoughts = total - prompt - completion
    if thoughts <= 0:
        return usage
    return usage | {"completion_tokens": completion + thoughts, "completion_tokens_details": {"reasoning_tokens": thoughts}}


def responses_usage(usage: object, *, web_searches: int | None = None, file_searches: int | None = None) -> Usage | None:
    """The Responses API. None when nothing was reported; raises UsageRefused."""
    if not isinstance(usage, dict):
        _check_absent(usage)
        return None
    reported = usage.get
    inside, outside = reported("input_tokens_details"), reported("output_tokens_details")
    return _whole(
        count(reported("input_tokens"), "input_tokens"),
        count(reported("output_tokens"), "output_tokens"),
        total=count(reported("total_tokens"), "total_tokens"),
        cache_read=count(part(inside, "cached_tokens"), "cached_tokens"),
        cache_write=count(part(inside, "cache_write_tokens"), "cache_write_tokens"),
        reasoning=count(part(outside, "reasoning_tokens"), "reasoning_tokens"),
        audio_input=count(part(inside, "audio_tokens"), "input audio_tokens"),
        audio_output=count(part(outside, "audio_tokens"), "output audio_tokens"),
        web_searches=web_searches,
        file_searches=file_searches,
    )


def images_usage(usage: object) -> Usage | None:
    """Images. None when nothing was reported; raises UsageRefused. Without details of the output it is images, and nothing else."""
    if not isinstance(usage, dict):
        _check_absent(usage)
        return None
    inside, outside = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    output = count(usage.get("output_tokens"), "output_tokens")
    return _whole(
        count(usage.get("input_tokens"), "input_tokens"),
        output,
        total=count(usage.get("total_tokens"), "total_tokens"),
        cache_read=count(part(inside, "cached_tokens"), "cached_tokens"),
        image_input=count(part(inside, "image_tokens"), "input image_tokens"),
        image_output=output if outside is None else count(part(outside, "image_tokens"), "output image_tokens"),
    )


def embeddings_usage(usage: object) -> Usage | None:
    """An embedding has no answer to count. None when nothing was reported; raises UsageRefused."""
    if not isinstance(usage, dict):
        _check_absent(usage)
        return None
    prompt, total = count(usage.get("prompt_tokens"), "prompt_tokens"), count(usage.get("total_tokens"), "total_tokens")
    completion = count(usage.get("completion_tokens"), "completion_tokens")
    if prompt is None and total is None:
        return None
    return _whole(total if prompt is None else prompt, completion or 0, total=total)


def _check_absent(usage: object) -> None:
    if usage is not None:
        raise UsageRefused("usage is no object")


def _whole(
    prompt: int | None,
    completion: int | None,
    *,
    total: int | None,
    cache_read: int | None = None,
    cache_write: int | None = None,
    reasoning: int | None = None,
    audio_input: int | None = None,
    audio_output: int | None = None,
    image_input: int | None = None,
    image_output: int | None = None,
    web_searches: int | None = None,
    file_searches: int | None = None,
) -> Usage | None:
    if prompt is None and completion is None and total is None:
        return None
    prompt, completion = _both(prompt, completion, total)
    if total is not None and total != prompt + completion:
        if total != prompt + completion + (reasoning or 0):
            raise UsageRefused("total_tokens contradict their parts")
        completion = total - prompt  # xAI counts reasoning beside the completion, and bills both
    return Usage(
        input=prompt,
        output=completion,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=reasoning,
        audio_input=audio_input,
        audio_output=audio_output,
        image_input=image_input,
        image_output=image_output,
        web_searches=web_searches,
        file_searches=file_searches,
    )


def _both(prompt: int | None, completion: int | None, total: int | None) -> tuple[int, int]:
    if prompt is not None and completion is not None:
        return prompt, completion
    if total is None or (prompt is None and completion is None):
        raise UsageRefused("usage names only one side of the call")
    known = prompt if prompt is not None else completion or 0
    if total < known:
        raise UsageRefused("total_tokens contradict their parts")
    return (known, total - known) if prompt is not None else (total - known, known)


def context_of(service_tier: object) -> PriceContext:
    return (("service_tier", service_tier),) if isinstance(service_tier, str) and service_tier in TIERS else ()
