"""From what is posted to the two events of a call: whose it is, what is asked for by its headers, and how an error is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec
from fastapi import Request, Response
from msgspec import Struct

from eventlog.admission import Admission
from eventlog.codec import BatchId
from eventlog.events import CallFacts, CallId, RequestId
from eventlog.keys import Caller, NotAdmitted, Scope
from ingress.async_log import BODY_BYTES, BadLog, Headers, Logged, Refused, TooLong, parse_log
from ingress.async_log_events import events_of, once_id
from ingress.beside import beside
from ingress.decoding import Undecodable, decoders_of
from ingress.directives import PREFIX, STRIPE_CUSTOMER, Directives, parse_directives, text_of, with_defaults, with_property
from ingress.errors import BadDirective
from ingress.recording import CallIds, call_id_of
from ingress.redactor import Pair
from ingress.secrets import presented

Log = Callable[[Sequence[Pair], BatchId | None], Awaitable[bool]]
"""Brings calls onto durable ground; by the number that their client gave them, where it did. False: it could not now. Raises TooMuch."""
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
    """What was posted, as it goes to the log."""

    events: Pair
    warning: str | None

    @property
    def facts(self) -> CallFacts:
        return self.events[1].call


class Logging:
    """Makes events of what is posted, by what all endpoints go by."""

    def __init__(self, log: Log, admission: Admission, clock: Callable[[], float], body_limit: int) -> None:
        self.log, self.now, self.body_limit = log, clock, body_limit
        self._admission = admission
        self._ids = CallIds()

    def check_first(self, headers: Headers) -> None:
        """Who shows no key, or says by header alone who it is, need not send a body to be refused. Raises NotAdmitted and Refused."""
        shown = {name for name, _ in headers} & KEYS
        if b"helicone-auth" in shown:
            self._admission.known_caller(presented(headers), Scope.WRITE)
        elif not shown and not self._admission.open:
            raise Refused(401, "Unauthorized")

    def caller_of(self, headers: Headers) -> Caller:
        """Raises NotAdmitted."""
        return self._admission.known_caller(presented(headers), Scope.WRITE)

    def admitted(self, headers: Headers) -> Caller | None:
        """None for who may not log; a line may show another key."""
        try:
            return self.caller_of(headers)
        except NotAdmitted:
            return None

    async def call_of(self, body: bytes, headers: Headers, door: Door, *, chance: str | None = None, caller: Caller | None = None) -> Call:
        """Both events of the call. `chance`: 19 hex digits for its id, where it is to have the same one again. `caller`: by the headers.

        Raises NotAdmitted, BadLog and TooLong.
        """
        return await beside(len(body), self._call_of, body, headers, door, chance, caller)

    def _call_of(self, body: bytes, headers: Headers, door: Door, chance: str | None, caller: Caller | None) -> Call:
        logged = door.parse(body, headers, self.now())
        if caller is None or b"helicone-auth" in logged.from_meta:
            caller = self.caller_of(logged.headers)
        if chance is not None and not logged.times.told:
            raise BadLog("timing", "is required in a batch that has a number: a call is known again by it")
        call_id = self._ids.draw(logged.times.began) if chance is None else call_id_of(logged.times.began, chance)
        return call_of(logged, caller, call_id=call_id, provider=door.provider, body_limit=self.body_limit)


def call_of(logged: Logged, caller: Caller, *, call_id: CallId, provider: str, body_limit: int) -> Call:
    """`call_id` counts unless the call states that it is told of once. Raises BadLog."""
    directives = _directives(logged, caller)
    if logged.stated.once:
        call_id = _once_id(logged, directives, caller)
    events = events_of(logged, directives, organization=caller.organization, call_id=call_id, provider=provider, body_limit=body_limit)
    return Call(events, directives.warning)


def _once_id(logged: Logged, directives: Directives, caller: Caller) -> CallId:
    """Raises BadLog."""
    if directives.request_id is None:
        raise BadLog("stated.once", "needs Helicone-Request-Id in the meta, a UUID: the call id is made of it")
    return once_id(caller.organization, RequestId(directives.request_id), logged.times.began)


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


async def body_of(request: Request, longest: int = BODY_BYTES) -> bytes:
    """Decoded, and no longer than that. Raises BadLog and TooLong."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > longest:
            raise TooLong
    encoding = request.headers.get("content-encoding", "")
    if encoding.strip().lower() in {"", "identity"}:
        return bytes(body)
    return await asyncio.to_thread(_decoded, bytes(body), encoding, longest)


def _decoded(data: bytes, encoding: str, longest: int) -> bytes:
    try:
        for decoder in decoders_of(encoding):
            decoded = bytearray()
            for steps in (decoder.feed(data), decoder.end()):
                for piece in steps:
                    decoded += piece
                    if len(decoded) > longest:
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
