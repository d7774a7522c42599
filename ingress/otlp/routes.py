"""Where OpenTelemetry's exporters send spans: the path that OTLP has for them, and the two that Helicone's API has.

200 means that every span of a call or a step is on durable ground, but for those that the answer refuses.
Sources: OTLP specification 1.9; Helicone's `traceController.ts` (read 2026-11-24).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from msgspec import Struct

from eventlog.admission import Admission
from eventlog.keys import NotAdmitted
from ingress.async_log import BadLog, Refused, TooLong
from ingress.async_log_calls import NOT_NOW, Door, Log, Logging, Told, answer, body_of
from ingress.async_log_events import CUSTOM
from ingress.otlp.answers import Encoding, encoding_of, exported, failed
from ingress.otlp.export import EXPORT_BYTES, Kept, kept_of
from ingress.otlp.once import Once

TOGETHER = 64
"""Calls that are written at once."""
MANY = 16 << 10
"""Bytes of an export that is read beside the event loop: about ten spans, a quarter of a millisecond each."""
COUNTS = "heliograph-spans"


class SpanDoor(Struct, frozen=True):
    path: str
    usual: Encoding | None
    """Where the content type does not say; None: it must."""

    @property
    def like_helicone(self) -> bool:
        return self.usual is not None


TRACES = SpanDoor("/v1/traces", None)
DOORS = (TRACES, SpanDoor("/v1/trace/log", Encoding.JSON), SpanDoor("/v1/trace/log-python", Encoding.PROTOBUF))
PATHS = frozenset(door.path.encode() for door in DOORS)
_TOO_LARGE = f"The spans are more than {EXPORT_BYTES >> 20} MiB. Send fewer at once: OTEL_BSP_MAX_EXPORT_BATCH_SIZE."
_TYPES = "Content-Type must be application/x-protobuf or application/json."


ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {"description": "What went wrong.", "content": {encoding.value: {} for encoding in Encoding} | {"text/plain": {}}}
}


def otlp_routes(log: Log, admission: Admission, clock: Callable[[], float], *, body_limit: int) -> APIRouter:
    """`clock` gives seconds since 1970; a body is kept up to `body_limit` bytes."""
    routes = APIRouter(tags=["logging"], responses=ERRORS)
    logging, once = Logging(log, admission, clock, body_limit), Once(log)
    large = asyncio.Semaphore(1)

    def serve(door: SpanDoor) -> None:
        async def export_spans(request: Request) -> Response:
            return await _take(logging, once, large, door, request)

        content = {encoding.value: {"schema": {"type": "object"}} for encoding in Encoding}
        routes.add_api_route(
            door.path,
            export_spans,
            methods=["POST"],
            summary="Export spans by OpenTelemetry's OTLP",
            response_class=Response,
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )

    for door in DOORS:
        serve(door)
    return routes


async def _take(logging: Logging, once: Once, large: asyncio.Semaphore, door: SpanDoor, request: Request) -> Response:
    headers = request.headers.raw
    encoding = encoding_of(request.headers.get("content-type", "")) or door.usual
    if encoding is None:
        return failed(Encoding.JSON, 415, _TYPES)
    try:
        logging.check_first(headers)
        caller = logging.caller_of(headers)
        body = await body_of(request, EXPORT_BYTES)
        read = partial(kept_of, body, encoding, headers, caller, now=logging.now(), body_limit=logging.body_limit)
        kept = read() if len(body) < MANY else await _beside(large, read)
    except NotAdmitted as refusal:
        return _failed(door, encoding, refusal.status, str(refusal), code=refusal.code)
    except TooLong:
        return _failed(door, encoding, 413, _TOO_LARGE)
    except Refused as refusal:
        return _failed(door, encoding, refusal.status, str(refusal))
    except BadLog as error:
        return _failed(door, encoding, 400, f"{error.field} {error}", field=error.field)
    if not await _written(once, kept):
        return _failed(door, encoding, 503, NOT_NOW)
    empty = door.like_helicone and not kept.refused
    return Response(None if empty else exported(encoding, kept.refused), 200, {COUNTS: kept.told}, media_type=encoding.value)


async def _beside(large: asyncio.Semaphore, read: Callable[[], Kept]) -> Kept:
    """In a thread, and one export at a time: several would take the interpreter from calls."""
    async with large:
        return await asyncio.to_thread(read)


async def _written(once: Once, kept: Kept) -> bool:
    """Whether all of it is on durable ground."""
    for first in range(0, len(kept.calls), TOGETHER):
        taken = await asyncio.gather(*(once.write(call) for call in kept.calls[first : first + TOGETHER]))
        if not all(taken):
            return False
    return True


def _failed(
    door: SpanDoor, encoding: Encoding, status: int, message: str, *, field: str | None = None, code: str | None = None
) -> Response:
    if door.like_helicone:
        return answer(Door(door.path, CUSTOM, Told.TRACE), status, message, field=field, trace=code)
    return failed(encoding, status, message)
