"""Anthropic messages.

Sources: Anthropic API reference, "Messages"; "Streaming messages"; "Prompt caching", section on usage fields; "Service tiers";
"Compaction"; "Data residency" (read 2026-11-24, checked against the types of the `anthropic` package 2.10). `input_tokens` is only what
was neither read from nor written to the cache, so the three are added up. In a stream `message_start` reports usage and `message_delta`
reports it again, cumulative: it replaces and never adds.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.accumulate import Text, finished
from processors.dialects.answer import UNREADABLE, Answer, last_object, object_of, word_in
from processors.dialects.arrays import items_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.google_paths import ANTHROPIC, COUNT_TOKENS, model_in
from processors.dialects.reading import PriceContext, Problem, Reading, part, problem_of, word
from processors.usage import Usage, UsageRefused, count, or_refused


class Outline(Struct):
    """A message's top-level fields, of any kind."""

    type: Any = None
    model: Any = None
    usage: Any = None
    stop_reason: Any = None
    error: Any = None


class Event(Struct):
    """`message_start` has a message; `message_delta` has a delta and usage; `error` an error."""

    message: Any = None
    delta: Any = None
    usage: Any = None
    error: Any = None


PRIORITY = "the priority tier has a price of its own, agreed with the provider"
CODE = "code execution is billed by the hour beyond what is free, and no answer tells how long it took"
"""Anthropic docs, "Code execution tool", "Usage and pricing" (read 2026-11-24)."""
SEVERAL_MODELS = "several models took part, each with a price of its own"

_outline = msgspec.json.Decoder(Outline)
_event = msgspec.json.Decoder(Event)


def claims(path: str) -> bool:
    """OpenAI's threads have messages too. On Vertex the model stands in the path."""
    if ANTHROPIC in path:
        return path.endswith((":rawPredict", ":streamRawPredict")) and not path.endswith(COUNT_TOKENS)
    return path.endswith("/messages") and "/threads/" not in path


def of_json(answer: Answer) -> Reading:
    outline = _outline.decode(answer.text) if answer.tail is None else _of_pieces(answer)
    return _reading(outline)


def _of_pieces(answer: Answer) -> Outline:
    tail = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    return Outline(
        model=word_in(answer.text[:4096], "model") or word_in(tail, "model", last=True),
        usage=last_object(tail[-2 * 65_536 :], "usage"),
        stop_reason=word_in(tail, "stop_reason", last=True),
    )


def _reading(outline: Outline) -> Reading:
    usage, refused = or_refused(usage_of, outline.usage)
    return Reading(
        usage=usage,
        model=word(outline.model),
        finish_reason=word(outline.stop_reason),
        problem=_problem(outline),
        context=_context(outline.usage),
        unpriced=_unpriced(outline),
        refused=refused,
    )


def usage_of(usage: object) -> Usage | None:
    """None when nothing was reported; raises UsageRefused. The compaction of a context is billed too, and left out of the counts."""
    whole, iterations = _counts_of(usage), part(usage, "iterations")
    if whole is None or not isinstance(iterations, list):
        return whole
    for compaction in iterations:
        more = _counts_of(compaction) if part(compaction, "type") == "compaction" else None
        whole = whole if more is None else whole.plus(more)
    return whole


def _counts_of(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        if usage is not None:
            raise UsageRefused("usage is no object")
        return None
    reported = usage.get
    fresh, output = count(reported("input_tokens"), "input_tokens"), count(reported("output_tokens"), "output_tokens")
    if fresh is None and output is None:
        return None
    if fresh is None or output is None:
        raise UsageRefused("usage names only one side of the call")
    read = count(reported("cache_read_input_tokens"), "cache_read_input_tokens")
    write, five_minutes, one_hour = _cache_writes(usage)
    return Usage(
        input=fresh + (read or 0) + (write or 0),
        output=output,
        cache_read=read,
        cache_write=write,
        cache_write_5m=five_minutes,
        cache_write_1h=one_hour,
        reasoning=count(part(reported("output_tokens_details"), "thinking_tokens"), "thinking_tokens"),
        web_searches=count(part(reported("server_tool_use"), "web_search_requests"), "web_search_requests"),
    )


def _cache_writes(usage: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    """All writes, those for five minutes, those for an hour. Older API versions report only the first."""
    whole, split = count(usage.get("cache_creation_input_tokens"), "cache_creation_input_tokens"), usage.get("cache_creation")
    if split is None:
        return whole, None, None
    five_minutes = count(part(split, "ephemeral_5m_input_tokens"), "ephemeral_5m_input_tokens")
    one_hour = count(part(split, "ephemeral_1h_input_tokens"), "ephemeral_1h_input_tokens")
    if whole is None and (five_minutes is not None or one_hour is not None):
        whole = (five_minutes or 0) + (one_hour or 0)
    return whole, five_minutes, one_hour


def _context(usage: object) -> PriceContext:
    """Inference anywhere is the rule; only what is kept in the United States has another price."""
    found = {
        "processing": ("batch", part(usage, "service_tier") == "batch"),
        "speed": ("fast", part(usage, "speed") == "fast"),
        "inference_geo": ("us", part(usage, "inference_geo") == "us"),
    }
    return tuple((name, value) for name, (value, applies) in found.items() if applies)


def _unpriced(outline: Outline) -> str | None:
    """Priority is capacity that was committed to. An advisor, or a model that stood in for another, has tokens of its own in the list."""
    if part(outline.usage, "service_tier") == "priority":
        return PRIORITY
    if part(part(outline.usage, "server_tool_use"), "code_execution_requests"):
        return CODE
    iterations = part(outline.usage, "iterations")
    others = {word(part(each, "model")) for each in iterations} - {None, word(outline.model)} if isinstance(iterations, list) else ()
    return SEVERAL_MODELS if others else None


def _problem(outline: Outline) -> Problem | None:
    return problem_of(outline.error) if outline.error is not None else None


def of_stream(events: Events) -> Reading:
    """Nearly all events are pieces of content, which have nothing that is looked for; the name of their kind stands in front."""
    merged = Outline(usage={})
    for event in events:
        if b'"content_block_delta"' in event.data[:64]:
            continue
        try:
            _merge(merged, _event.decode(event.data))
        except UNREADABLE:
            continue
    return _reading(merged)


def _merge(merged: Outline, event: Event) -> None:
    merged.model = part(event.message, "model") or merged.model
    merged.stop_reason = part(event.delta, "stop_reason") or part(event.message, "stop_reason") or merged.stop_reason
    merged.error = event.error if event.error is not None else merged.error
    for usage in (part(event.message, "usage"), event.usage):
        if isinstance(usage, dict):
            _merge_usage(merged.usage, usage)
        elif usage is not None:
            merged.usage |= {"input_tokens": ()}  # no count: refused when it is read, unless a later event reports better


def _merge_usage(known: dict[str, Any], later: dict[str, Any]) -> None:
    """Counts only grow; compatible servers that end with a zero for what they counted at the start take nothing back."""
    for name, value in later.items():
        before = known.get(name)
        if value is not None and not (type(value) is int and type(before) is int and value < before):
            known[name] = value


def message_of(events: Events) -> Message | None:
    message: Message = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        said = object_of(event.data)
        if said is None:
            continue
        match said.get("type"):
            case "message_start" if isinstance(start := said.get("message"), dict):
                message |= start
            case "content_block_start" | "content_block_delta" | "content_block_stop" if isinstance(index := said.get("index"), int):
                _add_block(blocks, index, said)
            case "message_delta":
                _add_delta(message, said)
            case "error":
                message["error"] = said.get("error")
    if not message and not blocks:
        return None
    given = message.get("content")
    return message | {"content": [_finished(blocks[index]) for index in sorted(blocks)] or (given if isinstance(given, list) else [])}


def _add_delta(message: Message, said: dict[str, Any]) -> None:
    delta, usage = said.get("delta"), said.get("usage")
    if isinstance(delta, dict):
        message |= delta
    if isinstance(usage, dict):
        known = message.get("usage")
        message["usage"] = dict(known) if isinstance(known, dict) else {}
        _merge_usage(message["usage"], usage)


TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json", "signature_delta": "signature"}


def _add_block(blocks: dict[int, dict[str, Any]], index: int, said: dict[str, Any]) -> None:
    start, delta = said.get("content_block"), said.get("delta")
    if isinstance(start, dict):
        blocks[index] = dict(start)
    if not isinstance(delta, dict):
        return
    block = blocks.setdefault(index, {})
    name = TEXTS.get(str(delta.get("type")))
    if name is not None:
        _append(block, name, delta.get(name))
    elif delta.get("type") == "citations_delta":
        known = block.get("citations")
        block["citations"] = [*(known if isinstance(known, list) else []), delta.get("citation")]


def _append(block: dict[str, Any], name: str, text: object) -> None:
    if not isinstance(text, str):
        return
    known = block.get(name)
    if isinstance(known, Text):
        known.parts.append(text)
    else:
        block[name] = Text((known if isinstance(known, str) else "") + text)


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    """A tool's input arrives as pieces of JSON text; where it was cut the text is kept as it is."""
    pieces = block.pop("partial_json", None)
    done: dict[str, Any] = finished(block)
    if isinstance(pieces, Text):
        text = "".join(pieces.parts)
        value = object_of(text.encode("utf-8", "replace")) if text else {}
        done["input"] = text if value is None else value
    return done


DIALECT = Dialect(
    name="anthropic.messages",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    message_of=message_of,
    pieces=items_of,  # of an error, on Vertex
    model_in=model_in,
)
