"""Spans as an exporter sends them, in both encodings."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
BEGAN = 1_764_000_000
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
}


def value(plain: Any) -> dict[str, Any]:
    """OTLP's AnyValue in JSON."""
    match plain:
        case bool():
            return {"boolValue": plain}
        case int():
            return {"intValue": str(plain)}
        case float():
            return {"doubleValue": plain}
        case bytes():
            return {"bytesValue": base64.b64encode(plain).decode()}
        case list():
            return {"arrayValue": {"values": [value(each) for each in plain]}}
        case dict():
            return {"kvlistValue": {"values": pairs(plain)}}
    return {} if plain is None else {"stringValue": plain}


def pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value(plain)} for name, plain in attributes.items()]


def event(name: str, after_s: float = 0, **attributes: Any) -> dict[str, Any]:
    """Attributes' names are spelled with `__` for each dot."""
    named = {each.replace("__", "."): plain for each, plain in attributes.items()}
    return {"name": name, "timeUnixNano": str(int((BEGAN + after_s) * 1e9)), "attributes": pairs(named)}


def span(attributes: Mapping[str, Any] = CHAT, /, **more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "chat gpt-4o-mini",
        "kind": 3,
        "startTimeUnixNano": f"{BEGAN}000000000",
        "endTimeUnixNano": f"{BEGAN + 2}500000000",
        "attributes": pairs(attributes),
    } | more


def export(*spans: Any, resource: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"resource": {"attributes": pairs(resource or {})}, "scopeSpans": [{"scope": {"name": "tests"}, "spans": list(spans)}]},
        ]
    }


def as_json(told: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(told)


def as_protobuf(told: Mapping[str, Any]) -> bytes:
    """Protobuf's own JSON has ids in base64."""
    copy = msgspec.json.decode(msgspec.json.encode(told))
    for of_resource in copy["resourceSpans"]:
        for scope in of_resource["scopeSpans"]:
            for each in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in each:
                        each[name] = base64.b64encode(bytes.fromhex(each[name])).decode()
    return bytes(ParseDict(copy, ExportTraceServiceRequest()).SerializeToString())
