"""OTLP in Protobuf, read by OpenTelemetry's own messages."""

from collections.abc import Iterable

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from ingress.async_log import AHEAD_S, BadLog
from ingress.otlp.spans import (
    DEEPEST,
    MOST_ATTRIBUTES,
    MOST_EVENTS,
    Attributes,
    Export,
    Refusal,
    Span,
    SpanEvent,
    Value,
    checked_times,
    span_id_of,
)


def spans_of_protobuf(body: bytes, now: float) -> Export:
    """Raises BadLog. `TracesData` and `ExportTraceServiceRequest` are the same on the wire."""
    spans: list[Span] = []
    refused: list[Refusal] = []
    try:
        whole = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise BadLog("body", "must be an ExportTraceServiceRequest in Protobuf") from None
    for number, each in enumerate(whole.resource_spans):
        path = f"resourceSpans[{number}]"
        resource = _attributes(each.resource.attributes, f"{path}.resource")
        for scope_number, scope in enumerate(each.scope_spans):
            for place, span in enumerate(scope.spans):
                try:
                    spans.append(_span(span, resource, f"{path}.scopeSpans[{scope_number}].spans[{place}]", now))
                except BadLog as error:
                    refused.append(Refusal(error.field, str(error)))
    return Export(spans, refused)


def _span(read: trace_pb2.Span, resource: Attributes, path: str, now: float) -> Span:
    began, ended = checked_times(read.start_time_unix_nano, read.end_time_unix_nano, now + AHEAD_S, path)
    if len(read.events) > MOST_EVENTS:
        raise BadLog(f"{path}.events", f"are more than {MOST_EVENTS:,}")
    return Span(
        path=path,
        trace_id=span_id_of(read.trace_id, 16, f"{path}.traceId"),
        span_id=span_id_of(read.span_id, 8, f"{path}.spanId"),
        parent_id=span_id_of(read.parent_span_id, 8, f"{path}.parentSpanId") if any(read.parent_span_id) else None,
        name=read.name,
        began=began,
        ended=ended,
        attributes=_attributes(read.attributes, path),
        resource=resource,
        events=[
            SpanEvent(event.name, event.time_unix_nano / 1e9, _attributes(event.attributes, f"{path}.events[{number}]"))
            for number, event in enumerate(read.events)
        ],
        failed=read.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        message=read.status.message or None,
    )


def _attributes(pairs: Iterable[KeyValue], path: str) -> Attributes:
    found: dict[str, Value] = {}
    for number, pair in enumerate(pairs):
        if number >= MOST_ATTRIBUTES:
            raise BadLog(f"{path}.attributes", f"are more than {MOST_ATTRIBUTES:,}")
        found[pair.key] = _value(pair.value, f"{path}.attributes[{number}].value", 0)
    return found


def _value(read: AnyValue, path: str, depth: int) -> Value:
    """Raises BadLog."""
    if depth > DEEPEST:
        raise BadLog(path, f"is nested deeper than {DEEPEST} values")
    kind = read.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(each, path, depth + 1) for each in read.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, path, depth + 1) for pair in read.kvlist_value.values}
    plain: Value = getattr(read, kind)
    return plain
