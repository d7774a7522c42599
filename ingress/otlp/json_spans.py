"""OTLP in JSON, read leniently: 64-bit numbers as text or as numbers, ids in hexadecimal or in base64, fields that nobody knows ignored.

Each span is read by itself, so that one with a field of the wrong type does not take the rest with it.
Source: OTLP specification 1.9, "JSON Protobuf Encoding" (read 2026-11-27).
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from ingress.async_log import AHEAD_S, BadLog, mended
from ingress.otlp.spans import (
    MOST_ATTRIBUTES,
    MOST_EVENTS,
    MOST_SPANS,
    TOO_MANY,
    Attributes,
    Export,
    Refusal,
    Room,
    Span,
    SpanEvent,
    Value,
    checked_times,
    span_id_of,
)

MOST_OBJECTS = 2_000_000
"""Of a request: each takes some hundred bytes. Braces within texts count as well, which does no harm: there are not as many."""

T = TypeVar("T")
Int64 = int | str | float | None
_HEX = re.compile(r"[0-9a-fA-F]*")
_AT = re.compile(r" - at `\$\.?(.*)`$")
_ERROR = frozenset({2, "2", "STATUS_CODE_ERROR"})
_NO_NUMBER = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Any(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Int64 = None
    double_value: Int64 = None
    array_value: "_Array | None" = None
    kvlist_value: "_Named | None" = None
    bytes_value: str | None = None


class _Array(Struct):
    values: list[_Any | None] | None = None


class _Pair(Struct):
    key: str = ""
    value: _Any | None = None


class _Named(Struct):
    values: list[_Pair] | None = None


class _Event(Struct, rename="camel"):
    name: str | None = None
    time_unix_nano: Int64 = None
    attributes: list[_Pair] | None = None


class _Status(Struct):
    code: int | str | None = None
    message: str | None = None


class _Span(Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: Int64 = None
    end_time_unix_nano: Int64 = None
    attributes: list[_Pair] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _Resource(Struct):
    attributes: list[_Pair] | None = None


class _Scope(Struct):
    spans: list[Raw] | None = None


class _Of(Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None


class _Whole(Struct, rename="camel"):
    resource_spans: list[_Of] | None = None


def spans_of_json(body: bytes, now: float) -> Export:
    """Raises BadLog where no span of it can be told from the others."""
    spans: list[Span] = []
    refused: list[Refusal] = []
    if body.count(b"{") > MOST_OBJECTS:
        raise BadLog("resourceSpans", f"hold more than {MOST_OBJECTS:,} objects; send fewer at once")
    whole = _decoded(_Whole, body, "")
    if sum(len(scope.spans or ()) for each in whole.resource_spans or () for scope in each.scope_spans or ()) > MOST_SPANS:
        raise BadLog("resourceSpans", TOO_MANY)
    for number, each in enumerate(whole.resource_spans or ()):
        path = f"resourceSpans[{number}]"
        resource = _attributes(None if each.resource is None else each.resource.attributes, f"{path}.resource", Room())
        for place, raw in _raw_spans(each, path):
            try:
                spans.append(_span(_decoded(_Span, bytes(raw), place), resource, place, now))
            except BadLog as error:
                refused.append(Refusal(error.field, str(error)))
    return Export(spans, refused)


def _raw_spans(each: _Of, path: str) -> Iterator[tuple[str, Raw]]:
    for number, scope in enumerate(each.scope_spans or ()):
        for place, raw in enumerate(scope.spans or ()):
            yield f"{path}.scopeSpans[{number}].spans[{place}]", raw


def _decoded(kind: type[T], text: bytes, path: str) -> T:
    """Raises BadLog. Half a surrogate pair, which some senders cut a text to, is replaced."""
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        raise BadLog(path or "body", "is nested deeper than anybody means") from None
    except msgspec.ValidationError as error:
        raise _misfit(str(error), path) from None
    except (msgspec.DecodeError, UnicodeError):
        whole = mended(text)
        if whole == text:
            raise BadLog(path or "body", "must be JSON in UTF-8, an object with resourceSpans") from None
    return _decoded(kind, whole, path)


def _misfit(said: str, path: str) -> BadLog:
    """The place is named within the words: ``Expected `str`, got `int` - at `$.attributes[...].key` ``."""
    at = _AT.search(said)
    place = ".".join(part for part in (path, at[1] if at else "") if part)
    return BadLog(place or "body", f"is of the wrong type: {_AT.sub('', said)[:200]}")


def _span(read: _Span, resource: Attributes, path: str, now: float) -> Span:
    began, ended = checked_times(
        _whole(read.start_time_unix_nano, f"{path}.startTimeUnixNano"),
        _whole(read.end_time_unix_nano, f"{path}.endTimeUnixNano"),
        now + AHEAD_S,
        path,
    )
    events = read.events or ()
    if len(events) > MOST_EVENTS:
        raise BadLog(f"{path}.events", f"are more than {MOST_EVENTS:,}")
    parent, room = read.parent_span_id or "", Room()
    return Span(
        path=path,
        trace_id=span_id_of(_bytes_of_id(read.trace_id or "", 16), 16, f"{path}.traceId"),
        span_id=span_id_of(_bytes_of_id(read.span_id or "", 8), 8, f"{path}.spanId"),
        parent_id=span_id_of(_bytes_of_id(parent, 8), 8, f"{path}.parentSpanId") if parent.strip("0") else None,
        name=read.name or "",
        began=began,
        ended=ended,
        attributes=_attributes(read.attributes, path, room),
        resource=resource,
        events=[_event(event, f"{path}.events[{number}]", room) for number, event in enumerate(events)],
        failed=read.status is not None and read.status.code in _ERROR,
        message=None if read.status is None else read.status.message or None,
    )


def _event(event: _Event, path: str, room: Room) -> SpanEvent:
    at = _whole(event.time_unix_nano, f"{path}.timeUnixNano") / 1e9
    return SpanEvent(event.name or "", at, _attributes(event.attributes, path, room))


def _bytes_of_id(text: str, length: int) -> bytes:
    """Hexadecimal, as OTLP says, or base64, as Protobuf's own JSON has it. Nothing where it is neither."""
    try:
        if len(text) == 2 * length and _HEX.fullmatch(text):
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _attributes(pairs: list[_Pair] | None, path: str, room: Room) -> Attributes:
    if pairs is None:
        return {}
    if len(pairs) > MOST_ATTRIBUTES:
        raise BadLog(f"{path}.attributes", f"are more than {MOST_ATTRIBUTES:,}")
    return {pair.key: _value(pair.value, f"{path}.attributes[{number}].value", room) for number, pair in enumerate(pairs)}


def _value(read: _Any | None, path: str, room: Room, depth: int = 0) -> Value:
    if read is None:
        return None
    room.take(path, depth)
    if read.string_value is not None:
        return read.string_value
    if read.bool_value is not None:
        return read.bool_value
    if read.int_value is not None:
        return _whole(read.int_value, f"{path}.intValue")
    if read.double_value is not None:
        return _double(read.double_value, f"{path}.doubleValue")
    if read.array_value is not None:
        return [_value(each, f"{path}.arrayValue", room, depth + 1) for each in read.array_value.values or ()]
    if read.kvlist_value is not None:
        return _named(read.kvlist_value, f"{path}.kvlistValue", room, depth)
    return None if read.bytes_value is None else _bytes(read.bytes_value, f"{path}.bytesValue")


def _named(read: _Named, path: str, room: Room, depth: int) -> Mapping[str, Value]:
    return {pair.key: _value(pair.value, path, room, depth + 1) for pair in read.values or ()}


def _whole(said: Int64, path: str) -> int:
    """0 where nothing was said. Raises BadLog."""
    try:
        number = int(said) if said is not None else 0
    except (ValueError, OverflowError):
        raise BadLog(path, "must be a whole number, or the same as text") from None
    if not -(1 << 63) <= number < 1 << 64:
        raise BadLog(path, "must be a whole number of 64 bits")
    return number


def _double(said: Int64, path: str) -> float:
    if isinstance(said, str) and said in _NO_NUMBER:
        return _NO_NUMBER[said]
    try:
        return float(said or 0)
    except (ValueError, OverflowError):
        raise BadLog(path, "must be a number") from None


def _bytes(said: str, path: str) -> bytes:
    try:
        return base64.b64decode(said, validate=True)
    except (ValueError, binascii.Error):
        raise BadLog(path, "must be base64") from None
