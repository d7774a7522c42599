"""From what is posted to the two events of a call: whose it is, what is asked for by its headers, and how an error is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec
from fastapi import Request, Response
from msgspec import Struct

from eventlog.admission import Admission
from eventlog.events import CallId, RequestId, RequestReceived, ResponseCompleted
from eventlog.keys import Caller, Scope
from ingress.async_log import BODY_BYTES, BadLog, Headers, Logged, Refused, TooLong, parse_log
from ingress.async_log_events import call_id_of, events_of
from ingress.beside import beside
from ingress.decoding import Undecodable, decoders_of
from ingress.directives import PREFIX, STRIPE_CUSTOMER, Directives, parse_directives, text_of, with_defaults, with_property
from ingress.errors import BadDirective
from ingress.recording import CallIds
from ingress.secrets import presented

Log = Callable[[RequestReceived, ResponseCompleted], Awaitable[bool]]
"""Brings a call onto durable ground. False: it could not now."""
Parse = Callable[[bytes, Headers, float], Logged]


KEYS = frozenset({b"helicone-auth", b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
NOT_NOW = "The event log takes nothing now. Send it again in a moment."


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


class Call(NamedTuple):
    received: RequestReceived
    completed: ResponseCompleted
    warning: str | None


class Logging:
    """Makes events of what is posted, by what all endpoints go by."""

    def __init__(self, log: Log, admission: Admission, clock: Callable[[], float], body_limit: int) -> None:
        self.log, self._admission, self._clock, self._body_limit = log, admission, clock, body_limit
        self._ids = CallIds()

    def check_first(self, headers: Headers) -> None:
        """Who shows no key, or says by header alone who it is, need not send a body to be refused. Raises NotAdmitted and Refused."""
        shown = {name for name, _ in headers} & KEYS
        if b"helicone-auth" in shown:
            self._admission.known_caller(presented(headers), Scope.WRITE)
        elif not shown and not self._admission.open:
            raise Refused(401, "Unauthorized")

    async def events_of(self, body: bytes, headers: Headers, door: Door) -> Call:
        """Raises NotAdmitted, BadLog and TooLong."""
        logged = await beside(len(body), door.parse, body, headers, self._clock())
        caller = self._admission.known_caller(presented(logged.headers), Scope.WRITE)
        directives = _directives(logged, caller)
        received, completed = await beside(
            len(body),
            events_of,
            logged,
            directives,
            organization=caller.organization,
            call_id=self._call_id(logged, directives, caller),
            provider=door.provider,
            body_limit=self._body_limit,
        )
        return Call(received, completed, directives.warning)

    def _call_id(self, logged: Logged, directives: Directives, caller: Caller) -> CallId:
        """Raises BadLog."""
        if not logged.stated.once:
            return self._ids.draw(logged.times.began)
        if directives.request_id is None:
            raise BadLog("stated.once", "needs Helicone-Request-Id in the meta, a UUID: the call id is made of it")
        return call_id_of(caller.organization, RequestId(directives.request_id), logged.times.began)


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


def answer(door: Door, status: int, message: str, *, field: str | None = None, trace: str | None = None) -> Response:
    told: Mapping[str, Any]
    if door.told is Told.TYPED and field is not None:
        told = {"isValid": False, "errors": [{"field": field, "message": message}]}
    else:
        told = {"error": message} | ({} if field is None else {"field": field})
        if trace is not None and door.told is not Told.WORKER:
            told |= {"trace": trace}
    retry = {"retry-after": "1"} if status == 503 else None
    return Response(msgspec.json.encode(told), status, retry, media_type="application/json")
