"""OTLP in Protobuf: each span is found by its place on the wire, and read by OpenTelemetry's own messages."""

from collections.abc import Iterable, Iterator
from itertools import islice

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from ingress.async_log import AHEAD_S, BadLog
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
from ingress.otlp.wire import Malformed, Patience, fields_of

_RESOURCE_SPANS = 1
"""Of an export; the others are fields of `ResourceSpans`, `ScopeSpans` and `Span`."""
_RESOURCE, _SCOPE_SPANS, _SPANS = 1, 2, 2
LONG = 1 << 20
"""Bytes from which fields are counted before they are read."""


def spans_of_protobuf(body: bytes, now: float) -> Export:
    """Raises BadLog. `TracesData` and `ExportTraceServiceRequest` are the same on the wire."""
    spans: list[Span] = []
    refused: list[Refusal] = []
    try:
        for path, resource, raw in _raw_spans(memoryview(body)):
            try:
                spans.append(_span(_read(raw, path), resource, path, now))
            except BadLog as error:
                refused.append(Refusal(error.field, str(error)))
    except (Malformed, DecodeError):
        raise BadLog("body", "must be an ExportTraceServiceRequest in Protobuf") from None
    return Export(spans, refused)


def _raw_spans(body: memoryview) -> Iterator[tuple[str, Attributes, memoryview]]:
    """Each span's path, what is said of its sender, and its bytes. Raises BadLog, Malformed and DecodeError."""
    parts = Parts()
    for number, of_resource in enumerate(parts.numbered(body, _RESOURCE_SPANS)):
        path = f"resourceSpans[{number}]"
        resource = _attributes(_resource_in(of_resource, f"{path}.resource", parts.patience).attributes, f"{path}.resource", Room())
        for scope_number, scope in enumerate(parts.numbered(of_resource, _SCOPE_SPANS)):
            for place, span in enumerate(parts.numbered(scope, _SPANS)):
                yield f"{path}.scopeSpans[{scope_number}].spans[{place}]", resource, span


class Parts:
    """Counts what it hands out."""

    def __init__(self) -> None:
        self._count = 0
        self.patience = Patience()

    def numbered(self, data: memoryview, number: int) -> Iterator[memoryview]:
        """The fields of that number. Raises BadLog and Malformed."""
        for found, content in fields_of(data, self.patience):
            if found == number:
                self._count += 1
                if self._count > MOST_SPANS:
                    raise BadLog("resourceSpans", TOO_MANY)
                yield content


def _resource_in(of_resource: memoryview, path: str, patience: Patience) -> Resource:
    """The last one counts, as in Protobuf everywhere. Raises BadLog, Malformed and DecodeError."""
    found = memoryview(b"")
    for number, content in fields_of(of_resource, patience):
        if number == _RESOURCE:
            found = content
    resource = Resource()
    resource.ParseFromString(_bounded(found, path))
    return resource


def _read(raw: memoryview, path: str) -> trace_pb2.Span:
    """Raises BadLog."""
    try:
        span = trace_pb2.Span()
        span.ParseFromString(_bounded(raw, path))
    except (Malformed, DecodeError):
        raise BadLog(path, "cannot be read: it must be a Span in Protobuf, its texts in UTF-8") from None
    return span


def _bounded(raw: memoryview, path: str) -> bytes:
    """Raises BadLog and Malformed."""
    if len(raw) > LONG and next(islice(fields_of(raw, Patience()), MOST_ATTRIBUTES + MOST_EVENTS, None), None) is not None:
        raise BadLog(f"{path}.attributes", f"are more than {MOST_ATTRIBUTES:,}, or its events more than {MOST_EVENTS:,}")
    return bytes(raw)


def _span(read: trace_pb2.Span, resource: Attributes, path: str, now: float) -> Span:
    began, ended = checked_times(read.start_time_unix_nano, read.end_time_unix_nano, now + AHEAD_S, path)
    if len(read.events) > MOST_EVENTS:
        raise BadLog(f"{path}.events", f"are more than {MOST_EVENTS:,}")
    room = Room()
    return Span(
        path=path,
        trace_id=span_id_of(read.trace_id, 16, f"{path}.traceId"),
        span_id=span_id_of(read.span_id, 8, f"{path}.spanId"),
        parent_id=span_id_of(read.parent_span_id, 8, f"{path}.parentSpanId") if any(read.parent_span_id) else None,
        name=read.name,
        began=began,
        ended=ended,
        attributes=_attributes(read.attributes, path, room),
        resource=resource,
        events=[
            SpanEvent(event.name, event.time_unix_nano / 1e9, _attributes(event.attributes, f"{path}.events[{number}]", room))
            for number, event in enumerate(read.events)
        ],
        failed=read.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        message=read.status.message or None,
    )


def _attributes(pairs: Iterable[KeyValue], path: str, room: Room) -> Attributes:
    found: dict[str, Value] = {}
    for number, pair in enumerate(pairs):
        if number >= MOST_ATTRIBUTES:
            raise BadLog(f"{path}.attributes", f"are more than {MOST_ATTRIBUTES:,}")
        found[pair.key] = _value(pair.value, f"{path}.attributes[{number}].value", room)
    return found


def _value(read: AnyValue, path: str, room: Room, depth: int = 0) -> Value:
    """Raises BadLog."""
    room.take(path, depth)
    kind = read.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(each, path, room, depth + 1) for each in read.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, path, room, depth + 1) for pair in read.kvlist_value.values}
    plain: Value = getattr(read, kind)
    return plain
