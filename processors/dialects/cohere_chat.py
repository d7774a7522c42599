"""Cohere chat, version 2.

Sources: Cohere API reference, "Chat" and "Chat with Streaming"; "A guide to streaming responses". No answer names its
model. A stream's parts come as `content-delta` and the like, its usage in the `message-end` that closes it.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.accumulate import add, finished
from processors.dialects.answer import Answer, last_object, object_of, word_in
from processors.dialects.cohere_usage import reading_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.reading import Reading, part, word

PROVIDERS = frozenset({"cohere"})


class Outline(Struct):
    """Of an answer in one piece. `message` is the answer's, or says what went wrong."""

    usage: Any = None
    finish_reason: Any = None
    message: Any = None


_outline = msgspec.json.Decoder(Outline)


def claims(path: str) -> bool:
    return path.endswith("/v2/chat")


def of_json(answer: Answer) -> Reading:
    outline = _outline.decode(answer.text) if answer.tail is None else _of_pieces(answer)
    return reading_of(outline.usage, finish_reason=word(outline.finish_reason), message=outline.message)


def _of_pieces(answer: Answer) -> Outline:
    whole = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    reason = word_in(whole, "finish_reason", last=True) or word_in(answer.text[:4096], "finish_reason")
    return Outline(usage=last_object(whole, "usage"), finish_reason=reason)


def of_stream(events: Events) -> Reading:
    """The last of each; a stream has one `message-end`, unless somebody put two together."""
    usage, reason, message = None, None, None
    for event in events:
        data = event.data
        if b'"content-delta"' in data[:64] or (b"message-end" not in data and b'"message":"' not in data and b'"message": "' not in data):
            continue
        ended = object_of(data) or {}
        delta = ended.get("delta")
        message = _error_of(ended) or message
        if ended.get("type") == "message-end":
            usage = part(delta, "usage") or usage
            reason = word(part(delta, "finish_reason")) or reason
    return reading_of(usage, finish_reason=reason, message=message)


def _error_of(event: dict[str, Any]) -> object:
    """Bare, or in the delta of the last event."""
    bare = event.get("message")
    return bare if isinstance(bare, str) else part(event.get("delta"), "error")


def message_of(events: Events) -> Message | None:
    whole: Message = {}
    message: dict[str, Any] = {"role": "assistant"}
    listed: dict[str, dict[int, dict[str, Any]]] = {}
    for event in events:
        told = object_of(event.data)
        if told is not None:
            _merge(whole, message, listed, told)
    if not whole and not listed and len(message) == 1:
        return None
    for name, items in listed.items():
        message[name] = [items[index] for index in sorted(items)]
    return whole | {"message": finished(message)}


def _merge(whole: Message, message: dict[str, Any], listed: dict[str, dict[int, dict[str, Any]]], told: dict[str, Any]) -> None:
    delta = told.get("delta")
    whole |= {name: value for name, value in (("id", told.get("id")),) if isinstance(value, str)}
    if told.get("type") == "message-end" and isinstance(delta, dict):
        whole |= {name: value for name, value in delta.items() if value is not None}
        return
    parts = part(delta, "message")
    if told.get("type") == "message-start" or not isinstance(parts, dict):
        return
    index = told.get("index")
    for name, value in parts.items():
        if isinstance(value, dict):
            add(listed.setdefault(name, {}).setdefault(index if isinstance(index, int) else 0, {}), value)
        elif isinstance(value, str):
            add(message, {name: value})


DIALECT = Dialect(name="cohere.chat", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of, providers=PROVIDERS)
