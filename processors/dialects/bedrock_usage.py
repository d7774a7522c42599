"""What Bedrock's two APIs share: the model in the path, usage, errors.

Sources: Amazon Bedrock API reference, "TokenUsage", "CacheDetail", "Converse", "InvokeModel"; user guide, "Prompt caching" and "Inference
profiles" (read 2026-11-24, checked against botocore 1.44.8's service model). `inputTokens` is only what was neither read from nor written
to the cache, so the three are added up. `totalTokens` is the sum of all or, from some models, without the cached.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from processors.dialects.answer import object_of
from processors.dialects.dialect import Events
from processors.dialects.eventstream import FAILED
from processors.dialects.reading import Problem, part, problem_of
from processors.usage import Usage, UsageRefused, count

METRICS = "amazon-bedrock-invocationMetrics"
"""Bedrock's own counts, in the last chunk of an invocation's stream."""

NAMING = frozenset({"foundation-model", "inference-profile"})
"""Resources whose id is a model's, as the price list has it."""
ROUTERS = frozenset({"prompt-router", "default-prompt-router"})
"""These choose a model for each call, and the answer tells which."""


def model_in(path: str) -> str | None:
    """The model's id out of `/model/ID/converse`, percent-decoded; None when only the answer knows."""
    return model_named(unquote(path.partition("/model/")[2].rpartition("/")[0]))


def model_named(identifier: str) -> str | None:
    """An id as it is, or what an ARN says of it.

    A profile of one's own, a provisioned or a custom model hide what they are made of: they are named by their kind and id.
    """
    parts = identifier.split(":", 5)
    if parts[0] != "arn" or len(parts) < 6:
        return identifier or None
    kind, _, name = parts[5].partition("/")
    if parts[2] != "bedrock":
        return f"{parts[2]} {kind}"
    if kind in ROUTERS:
        return None
    return name if kind in NAMING else f"{kind}/{name.rpartition('/')[2]}"


def token_usage(usage: object) -> Usage | None:
    """Of the Converse API, and of Nova, which has longer names for the cache. None when nothing was reported; raises UsageRefused."""
    if not isinstance(usage, dict):
        if usage is not None:
            raise UsageRefused("usage is no object")
        return None
    reported = usage.get
    found = _added_up(
        count(reported("inputTokens"), "inputTokens"),
        count(reported("outputTokens"), "outputTokens"),
        read=_either(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        write=_either(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
        by_duration=reported("cacheDetails"),
    )
    total = count(reported("totalTokens"), "totalTokens")
    if found is not None and total is not None and total not in _totals(found):
        raise UsageRefused("totalTokens contradict their parts")
    return found


def metrics_usage(metrics: object) -> Usage | None:
    """Of an invocation's metrics. None when nothing was reported; raises UsageRefused."""
    return _added_up(
        count(part(metrics, "inputTokenCount"), "inputTokenCount"),
        count(part(metrics, "outputTokenCount"), "outputTokenCount"),
        read=count(part(metrics, "cacheReadInputTokenCount"), "cacheReadInputTokenCount"),
        write=count(part(metrics, "cacheWriteInputTokenCount"), "cacheWriteInputTokenCount"),
    )


def _either(usage: dict[str, Any], name: str, longer: str) -> int | None:
    return count(usage.get(longer) if usage.get(name) is None else usage[name], name)


def _added_up(fresh: int | None, output: int | None, *, read: int | None, write: int | None, by_duration: object = None) -> Usage | None:
    if fresh is None and output is None:
        return None
    if fresh is None or output is None:
        raise UsageRefused("usage names only one side of the call")
    return Usage(
        input=fresh + (read or 0) + (write or 0),
        output=output,
        cache_read=read,
        cache_write=write,
        cache_write_5m=_written(by_duration, "5m"),
        cache_write_1h=_written(by_duration, "1h"),
    )


def _written(details: object, duration: str) -> int | None:
    """Cache writes that are kept so long."""
    if not isinstance(details, list):
        return None
    counts = [count(part(detail, "inputTokens"), "cacheDetails") for detail in details if part(detail, "ttl") == duration]
    return sum(filter(None, counts)) if counts else None


def _totals(usage: Usage) -> tuple[int, int]:
    whole = usage.input + usage.output
    return whole, whole - (usage.cache_read or 0) - (usage.cache_write or 0)


def failure_in(events: Events) -> dict[str, Any] | None:
    """The exception that ended a stream, in the shape that an answer's error has."""
    for event in reversed(events):
        if event.event.startswith(FAILED):
            said = object_of(event.data) or {}
            return {"__type": event.event.removeprefix(FAILED), "message": said.get("message") or said.get("originalMessage")}
    return None


def problem_in(said: Mapping[str, object]) -> Problem | None:
    """An error has a `message`, and names its kind in `__type` or only in a header (`x-amzn-errortype`), which nobody keeps."""
    message, kind = said.get("message") or said.get("Message"), said.get("__type")
    if isinstance(kind, str) and kind:
        return problem_of({"type": kind.rpartition("#")[2].partition(":")[0], "message": message})
    return problem_of(message) if isinstance(message, str) else None
