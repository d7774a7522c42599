"""A body as a dialect sees it: text that is one JSON value, or a stream of events; whole, or head and tail.

Whether an answer is a stream is decided by what it is: providers answer a request for a stream with a plain JSON error, and some send
events under another content type.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.events import Body
from eventlog.eventstream import CONTENT_TYPE, EventStreamDecoder, begins_framed
from processors.dialects.eventstream import event_of
from processors.dialects.sse import ServerSentEvent, SSEDecoder

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""All that decoding foreign JSON may raise."""

TRIES = 8
"""How often a field is looked for in a cut body; a hostile one would have us look for ever."""

SLICE = 256 << 10

BLANK = "\ufeff \t\r\n"

SOUND_AND_SIGHT = ("audio/", "image/", "video/")
"""Bytes that may begin as anything."""

EVENT_FIELDS = ("data:", "event:", ":", "id:", "retry:")


class Answer(Struct, frozen=True):
    """`tail` is set when the middle of the body is gone."""

    text: str
    streamed: bool
    tail: str | None = None
    adjoins: bool = False
    """The tail begins where the text ends: nothing is missing between them."""
    framed: tuple[ServerSentEvent, ...] | None = None
    """The events of a binary stream, which has no text."""
    damage: str | None = None
    """What is wrong with the frames of a binary stream."""


def answer_of(body: Body) -> Answer | None:
    """None when there is nothing to read. Raises ValueError when it is there and cannot be read."""
    if body.undecodable is not None:
        raise ValueError(f"{'not kept' if body.base64 is None else 'content encoding'}: {body.undecodable[:200]}")
    text = body.text
    if text is None or (text[:1] != "{" and _is_framed(body)):
        data = _bytes_of(body)
        if begins_framed(data) or (_is_framed(body) and data[:1] not in {b"", b"{", b"["}):
            return _framed(data, body)
        text = data.decode("utf-8", "replace")
    if not text:
        return None
    return Answer(text, _is_stream(text, body.content_type), *_rest(body, text))


def _is_framed(body: Body) -> bool:
    return (body.content_type or "").lower().startswith(CONTENT_TYPE)


def _bytes_of(body: Body) -> bytes:
    if body.base64 is None:
        return (body.text or "").encode("utf-8", "replace")
    try:
        return base64.b64decode(body.base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the body is no base64") from error


def _framed(data: bytes, body: Body) -> Answer:
    """Only the head is kept of a binary body that is too long. Where frames are missing the message would read as whole."""
    decoder = EventStreamDecoder()
    frames = [*decoder.feed(data), *decoder.feed(b"")]
    damage = None
    if decoder.skipped:
        damage = "frames of the event stream are broken"
    elif body.truncated:
        damage = "only the beginning of the event stream was kept"
    elif decoder.cut:
        damage = "the event stream ends within a frame"
    tail = "" if decoder.skipped or body.truncated else None
    return Answer("", streamed=True, tail=tail, framed=tuple(map(event_of, frames)), damage=damage)


def _rest(body: Body, text: str) -> tuple[str | None, bool]:
    if not body.truncated:
        return None, False
    tail = body.tail or ""
    return tail, body.size == len(text.encode("utf-8", "replace")) + len(tail.encode("utf-8", "replace"))


def _is_stream(text: str, content_type: str | None) -> bool:
    start = text[:1]
    if start == "{":
        return False
    if (content_type or "").lower().startswith(SOUND_AND_SIGHT):
        return False
    start = text[:1024].lstrip(BLANK)
    if start.startswith(("{", "[")):
        return False
    return start.startswith(EVENT_FIELDS) or (content_type or "").lower().startswith("text/event-stream")


def events_of(answer: Answer) -> list[ServerSentEvent]:
    """The events that are JSON objects, in order; the end marker and all else is left out."""
    found: Sequence[ServerSentEvent]
    if answer.framed is not None:
        found = answer.framed
    elif answer.tail is None:
        found = _decoded(answer.text)
    elif answer.adjoins:
        found = _decoded(answer.text + answer.tail)
    else:
        found = _decoded(answer.text) + _decoded(answer.tail)
    return [event for event in found if event.data[:1] == b"{"]


def _decoded(text: str) -> list[ServerSentEvent]:
    """In slices: the lines of a large body would be held twice otherwise."""
    decoder, data = SSEDecoder(), text.encode("utf-8", "replace")
    events: list[ServerSentEvent] = []
    for start in range(0, len(data), SLICE):
        events += decoder.feed(data[start : start + SLICE])
    return events + decoder.feed(b"")


def last_object(text: str, name: str) -> object:
    """The value of the last `"name": {…}` in a piece of JSON that begins and ends anywhere; None when there is none.

    Within a JSON string quotes are escaped, so text that speaks of `"name"` is never taken for the field.
    """
    quoted, decoder = f'"{name}"', json.JSONDecoder()
    at = text.rfind(quoted)
    for _ in range(TRIES):
        if at < 0:
            break
        start = at + len(quoted)
        value = text[start : start + 16].lstrip().removeprefix(":").lstrip()
        if value.startswith("{") and text[at - 1 : at] != "\\":
            try:
                return decoder.raw_decode(text, text.index("{", start))[0]
            except (ValueError, RecursionError):
                pass
        at = text.rfind(quoted, 0, at)
    return None


def word_in(text: str, name: str, *, last: bool = False) -> str | None:
    """The short text of `"name": "…"`, its first occurrence or its last, in a piece of JSON that begins and ends anywhere."""
    quoted = f'"{name}"'
    at = text.rfind(quoted) if last else text.find(quoted)
    if at < 0:
        return None
    value = text[at + len(quoted) : at + len(quoted) + 300].lstrip().removeprefix(":").lstrip()
    if not value.startswith('"') or '"' not in value[1:]:
        return None
    return value[1 : value.index('"', 1)]


def object_of(data: bytes) -> dict[str, Any] | None:
    """One event's JSON object; None when it is cut or broken."""
    try:
        value = _any.decode(data)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
