"""Amazon Bedrock's Converse API: one shape for the models of all who sell there.

Sources: Amazon Bedrock API reference, "Converse", "ConverseStream" and the types they name (read 2026-11-24, checked against botocore
1.44.8's service model). The answer does not name its model: the path does, or the trace of a prompt router. A stream comes as binary
frames; its last event, `metadata`, has the usage. Reasoning is billed as output and not told apart.
"""

import base64
import binascii
from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.accumulate import Text, finished
from processors.dialects.answer import UNREADABLE, Answer, last_object, object_of, word_in
from processors.dialects.bedrock_usage import failure_in, model_in, model_named, problem_in, token_usage
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.reading import PriceContext, Reading, part, word
from processors.usage import or_refused

TIERS = frozenset({"flex", "priority", "reserved"})
"""Service tiers that have a price of their own."""
TELLING = frozenset({"messageStop", "metadata"})
"""Events that say something beside the content."""


class Outline(Struct):
    """An answer's top-level fields, of any kind. `metadata` has some of them, `messageStop` one."""

    usage: Any = None
    stopReason: Any = None  # noqa: N815
    trace: Any = None
    serviceTier: Any = None  # noqa: N815
    performanceConfig: Any = None  # noqa: N815
    message: Any = None
    Message: Any = None
    kind: Any = msgspec.field(default=None, name="__type")


_outline = msgspec.json.Decoder(Outline)


def claims(path: str) -> bool:
    return "/model/" in path and path.endswith(("/converse", "/converse-stream"))


def of_json(answer: Answer) -> Reading:
    return reading_of(_outline.decode(answer.text) if answer.tail is None else _of_pieces(answer))


def _of_pieces(answer: Answer) -> Outline:
    tail = (answer.text + (answer.tail or "") if answer.adjoins else answer.tail or "")[-2 * 65_536 :]
    return Outline(
        usage=last_object(tail, "usage"),
        stopReason=word_in(tail, "stopReason", last=True),
        serviceTier=last_object(tail, "serviceTier"),
        performanceConfig=last_object(tail, "performanceConfig"),
    )


def of_stream(events: Events) -> Reading:
    merged = Outline()
    for event in events:
        if event.event in TELLING:
            _merge(merged, event.data)
    failure = failure_in(events)
    if failure is not None:
        merged.kind, merged.message = failure["__type"], failure["message"]
    return reading_of(merged)


def _merge(merged: Outline, data: bytes) -> None:
    try:
        said = _outline.decode(data)
    except UNREADABLE:
        return
    for name in ("usage", "stopReason", "trace", "serviceTier", "performanceConfig"):
        value = getattr(said, name)
        if value is not None:
            setattr(merged, name, value)


def reading_of(outline: Outline) -> Reading:
    usage, refused = or_refused(token_usage, outline.usage)
    return Reading(
        usage=usage,
        model=_routed_to(outline.trace),
        finish_reason=word(outline.stopReason),
        problem=problem_in({"__type": outline.kind, "message": outline.message, "Message": outline.Message}),
        context=_context(outline),
        refused=refused,
    )


def _routed_to(trace: object) -> str | None:
    """The model that a prompt router chose."""
    chosen = word(part(part(trace, "promptRouter"), "invokedModelId"))
    return None if chosen is None else word(model_named(chosen))


def _context(outline: Outline) -> PriceContext:
    tier, latency = part(outline.serviceTier, "type"), part(outline.performanceConfig, "latency")
    own = (("service_tier", tier),) if isinstance(tier, str) and tier in TIERS else ()
    return own + ((("latency", "optimized"),) if latency == "optimized" else ())


def message_of(events: Events) -> Message | None:
    message: Message = {}
    role: object = None
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        said = object_of(event.data)
        if said is None:
            continue
        match event.event:
            case "messageStart":
                role = said.get("role")
            case "contentBlockStart" | "contentBlockDelta" if isinstance(index := said.get("contentBlockIndex"), int):
                _add_block(blocks.setdefault(index, {}), said)
            case "messageStop" | "metadata":
                message |= {name: value for name, value in said.items() if name != "p"}
    if role is not None or blocks:
        content = [_finished(blocks[index]) for index in sorted(blocks)]
        message = {"output": {"message": {"role": role or "assistant", "content": content}}} | message
    return (message | (failure_in(events) or {})) or None


def _add_block(block: dict[str, Any], said: dict[str, Any]) -> None:
    """The start and the deltas of a block have one field, named after its kind."""
    for kind, value in _fields(said.get("start")):
        if isinstance(value, dict):
            block[kind] = dict(value)
    for kind, value in _fields(said.get("delta")):
        match kind:
            case "text":
                _append(block, "text", value)
            case "toolUse":
                _append(_inner(block, kind), "input", part(value, "input"))
            case "reasoningContent":
                for name in ("text", "signature", "redactedContent"):
                    _append(_inner(block, kind), name, part(value, name))
            case "image":
                _append(_inner(block, kind), "bytes", part(part(value, "source"), "bytes"))
            case "citation":
                _extend(block, "citations", [value])
            case "toolResult":
                _extend(_inner(block, kind), "content", value)


def _fields(union: object) -> list[tuple[str, Any]]:
    return list(union.items()) if isinstance(union, dict) else []


def _inner(block: dict[str, Any], kind: str) -> dict[str, Any]:
    known = block.get(kind)
    if not isinstance(known, dict):
        known = block[kind] = {}
    return known


def _append(block: dict[str, Any], name: str, text: object) -> None:
    if not isinstance(text, str):
        return
    known = block.get(name)
    if isinstance(known, Text):
        known.parts.append(text)
    else:
        block[name] = Text(text)


def _extend(block: dict[str, Any], name: str, items: object) -> None:
    known = block.get(name)
    if not isinstance(known, list):
        known = block[name] = []
    known.extend(items if isinstance(items, list) else [])


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    """The block as the answer of one piece has it. A tool's input arrives as pieces of JSON text; where it was cut it stays text."""
    tool, reasoning, image = block.get("toolUse"), block.get("reasoningContent"), block.get("image")
    if isinstance(tool, dict):
        text = finished(tool.get("input"))
        value = object_of(text.encode("utf-8", "replace")) if isinstance(text, str) and text else {}
        return {"toolUse": tool | {"input": text if value is None else value}}
    if isinstance(reasoning, dict):
        redacted = _bytes_joined(reasoning.pop("redactedContent", None))
        return {"reasoningContent": {"reasoningText": finished(reasoning)} if redacted is None else {"redactedContent": redacted}}
    if isinstance(image, dict):
        return {"image": {"format": image.get("format"), "source": {"bytes": _bytes_joined(image.get("bytes"))}}}
    if "citations" in block:
        return {"citationsContent": {"content": [{"text": finished(block.get("text", ""))}], "citations": block["citations"]}}
    done: dict[str, Any] = finished(block)
    return done


def _bytes_joined(text: object) -> str | None:
    """Each piece is base64 of its own."""
    if not isinstance(text, Text):
        return None
    try:
        return base64.b64encode(b"".join([base64.b64decode(piece) for piece in text.parts])).decode()
    except (binascii.Error, ValueError):
        return "".join(text.parts)


DIALECT = Dialect(
    name="bedrock.converse",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    message_of=message_of,
    model_in=model_in,
    billed_by_path=True,
)
