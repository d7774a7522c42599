"""How OTLP over HTTP is answered: in the encoding that was spoken.

Source: OTLP specification 1.9, "OTLP/HTTP Response" (read 2026-11-27).
"""

from collections.abc import Sequence
from enum import Enum

import msgspec
from fastapi import Response
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess, ExportTraceServiceResponse

from ingress.otlp.spans import Refusal

MOST_NAMED = 3
"""Refused spans that an answer names."""
_CODES = {400: 3, 401: 16, 403: 7, 413: 8, 415: 3, 503: 14}
"""gRPC's codes, which a Status has: google/rpc/code.proto."""


class Encoding(Enum):
    JSON = "application/json"
    PROTOBUF = "application/x-protobuf"


def encoding_of(content_type: str) -> Encoding | None:
    media = content_type.partition(";")[0].strip().lower()
    if media == "application/json":
        return Encoding.JSON
    return Encoding.PROTOBUF if media in {"application/x-protobuf", "application/protobuf"} else None


def exported(encoding: Encoding, refused: Sequence[Refusal]) -> bytes:
    """All that is refused for good is told; a sender does not send it again."""
    if encoding is Encoding.JSON:
        told = {"partialSuccess": {"rejectedSpans": str(len(refused)), "errorMessage": named(refused)}} if refused else {}
        return msgspec.json.encode(told)
    if not refused:
        return b""
    partial = ExportTracePartialSuccess(rejected_spans=len(refused), error_message=named(refused))
    return bytes(ExportTraceServiceResponse(partial_success=partial).SerializeToString())


def named(refused: Sequence[Refusal]) -> str:
    told = [str(each) for each in refused[:MOST_NAMED]]
    return "; ".join([*told, f"and {len(refused) - MOST_NAMED} more"] if len(refused) > MOST_NAMED else told)


def failed(encoding: Encoding, status: int, message: str) -> Response:
    code = _CODES[status]
    if encoding is Encoding.JSON:
        body = msgspec.json.encode({"code": code, "message": message})
    else:
        body = Status(code=code, message=message).SerializeToString()
    return Response(body, status, {"retry-after": "1"} if status == 503 else None, media_type=encoding.value)
