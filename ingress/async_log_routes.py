"""Where a client tells of a call afterwards, as Helicone's hosts answer it: on the worker's paths, and on those of its API.

200 means that both events are on durable ground. What Helicone answers with 200 and an error in the body is an error here.
Source: Helicone's `apiRouter.ts`, `AsyncLogManager.ts` and `traceController.ts` (read 2026-11-24).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from eventlog.admission import Admission
from eventlog.events import RequestReceived, ResponseCompleted
from eventlog.keys import Caller, NotAdmitted, Scope
from ingress.async_log import BODY_BYTES, BadLog, Headers, Logged, TooLong, parse_log
from ingress.async_log_events import CUSTOM, events_of
from ingress.beside import beside
from ingress.decoding import Undecodable, decoders_of
from ingress.directives import PREFIX, STRIPE_CUSTOMER, Directives, parse_directives, text_of, with_defaults, with_property
from ingress.errors import BadDirective
from ingress.log_message import EXAMPLE as MESSAGE
from ingress.log_message import parse_message
from ingress.recording import CallIds
from ingress.secrets import presented

Log = Callable[[RequestReceived, ResponseCompleted], Awaitable[bool]]
"""Brings a call onto durable ground. False: it could not now."""
Parse = Callable[[bytes, Headers, float], Logged]


EXAMPLE = {
    "providerRequest": {
        "url": "https://api.openai.com/v1/chat/completions",
        "json": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        "meta": {"Helicone-User-Id": "user-123"},
    },
    "providerResponse": {
        "status": 200,
        "headers": {},
        "json": {"model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}},
    },
    "timing": {
        "startTime": {"seconds": 1764000000, "milliseconds": 0},
        "endTime": {"seconds": 1764000001, "milliseconds": 250},
        "timeToFirstToken": 120,
    },
}


class Told(Enum):
    """How an endpoint answers."""

    WORKER = auto()
    """`ok`, or `{"error": …}`."""
    TRACE = auto()
    """Nothing, or `{"error": …, "trace": …}`."""
    TYPED = auto()
    """Nothing, or `{"isValid": false, "errors": […]}`."""


class Door(Struct, frozen=True):
    """An endpoint. `provider` is whose call it is, where the body does not say."""

    path: str
    provider: str
    told: Told
    parse: Parse = parse_log


DOORS = (
    Door("/custom/v1/log", CUSTOM, Told.WORKER),
    Door("/oai/v1/log", "openai", Told.WORKER),
    Door("/anthropic/v1/log", "anthropic", Told.WORKER),
    Door("/googleapis/v1/log", "google", Told.WORKER),
    Door("/v1/trace/custom/v1/log", "openai", Told.TRACE),
    Door("/v1/trace/custom/log", "openai", Told.TRACE),
    Door("/v1/trace/custom/log/typed", "openai", Told.TYPED),
    Door("/v1/log/request", CUSTOM, Told.TRACE, parse_message),
)
_EXAMPLES: Mapping[Parse, Any] = {parse_log: EXAMPLE, parse_message: MESSAGE}
PATHS = frozenset(door.path.encode() for door in DOORS)
KEYS = frozenset({b"helicone-auth", b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})


class Refused(Exception):
    """It is answered so, and nothing is written down."""

    retryable = False

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def async_log_routes(log: Log, admission: Admission, clock: Callable[[], float], *, body_limit: int) -> APIRouter:
    """`clock` gives seconds since 1970; a body is kept up to `body_limit` bytes."""
    routes, ids = APIRouter(tags=["logging"]), CallIds()

    async def take(door: Door, request: Request) -> Response:
        headers = request.headers.raw
        try:
            _check_first(admission, headers)
            body, now = await body_of(request), clock()
            logged = await beside(len(body), door.parse, body, headers, now)
            caller = admission.known_caller(presented(logged.headers), Scope.WRITE)
            directives = _directives(logged, caller)
            received, completed = await beside(
                len(body),
                events_of,
                logged,
                directives,
                organization=caller.organization,
                call_id=ids.draw(logged.times.began),
                provider=door.provider,
                body_limit=body_limit,
            )
        except NotAdmitted as refusal:
            return _answer(door, refusal.status, str(refusal), trace=refusal.code)
        except Refused as refusal:
            return Response(str(refusal), refusal.status, media_type="text/plain")
        except TooLong:
            return Response("Payload too large", 400, media_type="text/plain")
        except BadLog as error:
            return _answer(door, 400, f"{error.field} {error}", field=error.field)
        if not await log(received, completed):
            return _answer(door, 503, "The event log takes nothing now. Send it again in a moment.")
        told = {"helicone-id": completed.call.request_id} | (
            {} if directives.warning is None else {"helicone-warning": _plain(directives.warning)}
        )
        return Response("ok" if door.told is Told.WORKER else None, 200, told, media_type="text/plain")

    def serve(door: Door) -> None:
        async def log_call(request: Request) -> Response:
            return await take(door, request)

        routes.add_api_route(
            door.path,
            log_call,
            methods=["POST"],
            summary="Log a call after the fact",
            response_class=Response,
            openapi_extra={
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"type": "object"}, "example": _EXAMPLES[door.parse]}},
                }
            },
        )

    for door in DOORS:
        serve(door)
    return routes


def _check_first(admission: Admission, headers: Headers) -> None:
    """Who shows no key, or says by header alone who it is, need not send a body to be refused. Raises NotAdmitted and Refused."""
    shown = {name for name, _ in headers} & KEYS
    if b"helicone-auth" in shown:
        admission.known_caller(presented(headers), Scope.WRITE)
    elif not shown and not admission.open:
        raise Refused(401, "Unauthorized")


def _directives(logged: Logged, caller: Caller) -> Directives:
    """Raises BadLog, which names where it was said."""
    ours = [pair for pair in logged.headers if pair[0].startswith(PREFIX)]
    try:
        directives = parse_directives(with_defaults(ours, caller.key))
    except BadDirective as error:
        name = error.field or "headers"
        raise BadLog(logged.from_meta.get(name.lower().encode(), name), f"cannot be understood: {error}") from None
    customer = dict(logged.headers).get(b"x-stripe-customer-id")
    return directives if customer is None else with_property(directives, STRIPE_CUSTOMER, text_of(customer))


async def body_of(request: Request) -> bytes:
    """Decoded, and no longer than anybody logs. Raises BadLog and TooLong."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            raise TooLong
    encoding = request.headers.get("content-encoding", "")
    if encoding.strip().lower() in {"", "identity"}:
        return bytes(body)
    return await asyncio.to_thread(_decoded, bytes(body), encoding)


def _decoded(data: bytes, encoding: str) -> bytes:
    try:
        for decoder in decoders_of(encoding):
            decoded = bytearray()
            for steps in (decoder.feed(data), decoder.end()):
                for piece in steps:
                    decoded += piece
                    if len(decoded) > BODY_BYTES:
                        raise TooLong
            data = bytes(decoded)
    except Undecodable as error:
        raise BadLog("Content-Encoding", f"cannot be undone: {error}; gzip, deflate, br and zstd can") from None
    return data


def _answer(door: Door, status: int, message: str, *, field: str | None = None, trace: str | None = None) -> Response:
    told: Mapping[str, Any]
    if door.told is Told.TYPED and field is not None:
        told = {"isValid": False, "errors": [{"field": field, "message": message}]}
    else:
        told = {"error": message} | ({} if field is None else {"field": field})
        if trace is not None and door.told is not Told.WORKER:
            told |= {"trace": trace}
    retry = {"retry-after": "1"} if status == 503 else None
    return Response(msgspec.json.encode(told), status, retry, media_type="application/json")


def _plain(warning: str) -> str:
    """Names in it may come from a body: what no header can hold is shown as `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", warning)
