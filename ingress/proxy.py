"""The hot path: a client's request goes to its provider, the provider's answer goes back, and both are written down.

What a client sends and receives is never altered, never parsed and never held back here. Copying, decoding and recording come after the
bytes were handed on; only strict durability, which is asked for, waits for the log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

from eventlog.admission import Admission
from eventlog.events import Outcome, ResponseCompleted
from eventlog.keys import Caller, NotAdmitted, Scope
from ingress.answers import JSON, error_answer
from ingress.asking import Asking, check
from ingress.cache_store import CacheStore
from ingress.caching import Cache
from ingress.call import Call
from ingress.config import IngressConfig
from ingress.connection import Answer
from ingress.copies import Copy
from ingress.directives import STRIPE_CUSTOMER, explained, parse_directives, text_of, understood, with_defaults, with_property
from ingress.emitter import Emitter
from ingress.errors import (
    BadRequest,
    BadTarget,
    CallFailed,
    KeyRefused,
    LogUnwritable,
    TargetRefused,
    UnknownRoute,
    Unreachable,
    UpgradeUnsupported,
    UpstreamError,
)
from ingress.exchange import ClientLeft, Exchange
from ingress.heads import RequestHead, read_head
from ingress.intake import Intake
from ingress.joining import JoinedAnswer
from ingress.ledger import Ledger
from ingress.limits import Limits, RateLimited
from ingress.provided import KeyFor, Provided, no_key
from ingress.recording import CallIds, Recording
from ingress.redactor import RedactionFor, Redactor, nothing_redacted
from ingress.relay import Names, Relay, head_of
from ingress.routes import Route, Router
from ingress.secrets import HINT, cleaned_target, presented
from ingress.stored_prompts import StoredFor, no_prompts
from ingress.streams import is_event_stream
from ingress.telemetry import OTHER, UNKNOWN, Telemetry
from ingress.upstream import Sender

Guard = Callable[[bytes, RequestHead], CallFailed | None]
"""Who may call at all, by method and head: the refusal for a request of a foreign web page, or for a host that is not ours; else None."""

NOT_FOR_US = frozenset(
    {b"CONNECT", b"SOURCE", b"DESCRIBE", b"ANNOUNCE", b"SETUP", b"PLAY", b"PAUSE", b"TEARDOWN", b"RECORD", b"REDIRECT"}
    | {b"GET_PARAMETER", b"SET_PARAMETER", b"FLUSH"}
)
"""Tunnels, and the methods of ICE and RTSP, whose versions the parser takes for HTTP's."""
SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS"})
SUCCESS = (b"Helicone-Status", b"success")
FAILED = (b"Helicone-Status", b"failed")
OWN_NAMES = Names(b"helicone-id", b"helicone-status", b"helicone-warning")
OWN_NAMES_OF_MANY = Names(*OWN_NAMES.names, b"helicone-fallback-index", b"helicone-cache")
"""Of a call that asked for more than to be passed on."""
OWN_NAMES_AT_LAST = Names(*OWN_NAMES_OF_MANY.names, b"x-should-retry")
"""Of one that failed as often as it might be tried."""


ABOUT_THE_TARGET = (BadTarget, TargetRefused, Unreachable)


def everyone(_method: bytes, _head: RequestHead) -> CallFailed | None:
    """The guard that lets everyone in."""
    return None


class Proxy:
    """Handles the exchanges of one process."""

    def __init__(
        self,
        config: IngressConfig,
        emitter: Emitter,
        upstream: Sender,
        *,
        telemetry: Telemetry | None = None,
        guard: Guard = everyone,
        admission: Admission | None = None,
        ledger: Ledger | None = None,
        cache: CacheStore | None = None,
        key_for: KeyFor = no_key,
        redaction_for: RedactionFor = nothing_redacted,
        stored_for: StoredFor = no_prompts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._telemetry = telemetry or Telemetry()
        self.redactor = Redactor(emitter, redaction_for, self._telemetry, waiting_bytes=config.emitter.waiting_bytes)
        self._guard = guard
        self._admission = admission or Admission()
        self._clock = clock
        self._router = Router(config)
        self._ids = CallIds()
        self._strict = config.strict
        self._loop = asyncio.get_running_loop()
        self._relay = Relay(self._loop, stalled_s=config.clients.stalled_s)
        self._cache = Cache(cache, config.cache_entry_bytes, self._telemetry)
        provided = Provided(key_for, lambda: self._admission.everybody_known, self._router)
        limits, intake = Limits(ledger, self._telemetry, refuses=config.refuses_uncounted), Intake(config, self._relay, self._received)
        self._asking = Asking(config, self._router, intake, upstream, self._cache, provided, limits, self._begins, stored_for)

    @property
    def providers(self) -> list[str]:
        return self._router.names

    async def drain(self, timeout: float) -> None:
        """Waits, at most `timeout` seconds, for events of calls that have ended."""
        await self.redactor.drain(timeout)

    async def handle(self, exchange: Exchange) -> None:
        """One call from its head to its end. Raises nothing but cancellation, and what is a fault of ours."""
        head = read_head(exchange.headers)
        call = self._begin(exchange, head)
        refusal = self._guard(exchange.method, head)
        if refusal is not None:
            self._tell(call, refusal)  # a page that may not call must not fill the log either
            return
        try:
            self._admit(call)
            answer = await self._asking.answer(call, self._direct(call))
            await self._answer(call, answer)
        except KeyRefused as error:
            self._tell(call, error)  # nor must a caller who may not
        except CallFailed as error:
            self._refuse(call, error)
        except ClientLeft:
            self._end(
                call,
                Outcome.INTERRUPTED_BY_CLIENT,
                error="The client left, or sent and took nothing for longer than HELIOGRAPH_CLIENTS__STALLED_S.",
            )
            exchange.cut()
        except asyncio.CancelledError:
            self._end_cancelled(call)
            raise
        except Exception:
            call.recording.status = call.recording.status or 500
            self._end(call, Outcome.REJECTED, error="internal: a fault of Heliograph")
            raise

    # The request

    def _begin(self, exchange: Exchange, head: RequestHead) -> Call:
        now = self._clock()
        target = exchange.target
        if HINT in target or b"%" in target:
            target = cleaned_target(target)
        return Call(exchange, head, Recording(self._ids.draw(now), now, exchange.method, target, head))

    def _admit(self, call: Call) -> None:
        """Whose call it is, and whether it is written down. Raises KeyRefused."""
        if self._admission.everybody:
            return
        exchange = call.exchange
        try:
            caller = self._admission.caller(presented(exchange.headers, exchange.target), Scope.WRITE)
        except NotAdmitted as refusal:
            raise KeyRefused(refusal) from None
        if caller is None:
            call.recording.kept = False
        else:
            call.recording.organization, call.recording.key = caller.organization, caller.key

    def _direct(self, call: Call) -> Route:
        """The directives obeyed and the way found. Raises BadRequest."""
        recording, head = call.recording, call.head
        if call.exchange.method in NOT_FOR_US:
            self._refuse_method(call)
        named = None
        if head.ours or recording.key is not None or head.stripe_customer is not None:  # most calls ask for nothing
            named = self._obey(recording, head)
        if named is None:
            route = self._router.route(recording.target, head.host, anthropic=head.anthropic)
        else:
            route = self._router.route_to(*named, recording.target)
        recording.route = route
        if head.websocket:
            self._refuse_upgrade(call)
        return route

    def _obey(self, recording: Recording, head: RequestHead) -> tuple[str, str] | None:
        """What is asked for by header, or by default. The target that is named, and by which header. Raises BadRequest."""
        directives = parse_directives(with_defaults(head.ours, recording.key))
        if head.stripe_customer is not None:
            directives = with_property(directives, STRIPE_CUSTOMER, text_of(head.stripe_customer))
        recording.direct(directives)
        if directives.debug:
            self._explain(recording)
        if directives.needs_body is not None:
            check(directives, self._config.attempts)
        return directives.target

    def _explain(self, recording: Recording) -> None:
        if self._admission.open or self._admission.sees_all(Caller(recording.organization, recording.key)):
            recording.tells((b"Helicone-Debug", explained(understood(recording.directives))))
        else:
            recording.warn("Helicone-Debug needs a key with the scope admin")

    def _refuse_method(self, call: Call) -> NoReturn:
        if call.exchange.method == b"CONNECT":
            self._refuse_upgrade(call)
        raise BadRequest(f"{call.exchange.method.decode()} is no method of HTTP.", field="method")

    @staticmethod
    def _refuse_upgrade(call: Call) -> NoReturn:
        call.exchange.keep_alive = False
        raise UpgradeUnsupported(
            "Websockets and tunnels are not spoken here; send plain HTTP/1.1 without the Upgrade header.", field="Upgrade"
        )

    # The request, written down

    def _begins(self, call: Call) -> Awaitable[None] | None:
        if self._strict:
            return self._write_down_first(call)
        self._loop.call_soon(self._received, call.recording)  # once the request is under way
        return None

    def _received(self, recording: Recording) -> None:
        if not recording.received and recording.kept:
            self.redactor.emit(recording, recording.request_received())

    async def _write_down_first(self, call: Call) -> None:
        recording = call.recording
        if not recording.kept:
            return
        small = recording.whole is not None and len(recording.whole) <= self._config.strict_body_bytes
        if not await self.redactor.emit_durably(recording, recording.request_received(with_body=small)):
            raise LogUnwritable("The event log takes nothing now and HELIOGRAPH_DURABILITY=strict; try again later.")

    # The answer

    async def _answer(self, call: Call, answer: Answer) -> None:
        exchange, recording = call.exchange, call.recording
        recording.status, recording.announced = answer.status, answer.content_length
        headers, recording.answer_type, encoding = head_of(answer.headers, _own_names(recording))
        joins = recording.directives.force_format and encoding is None and is_event_stream(recording.answer_type)
        if joins:
            answer = JoinedAnswer(answer, None if recording.saving is None else recording.saving.feed)  # kept as it came, not as it goes
        copy = recording.answer = Copy(self._config.body_limit, encoding)
        try:
            exchange.start(answer.status, [*headers, *_own_headers(recording, SUCCESS)], length=answer.content_length, reason=answer.reason)
            if self._strict or recording.saving is not None:
                write_end = partial(self._before_the_end, call, answer)
                await self._relay.strictly(exchange, recording, answer, copy, write_end, saves=not joins)
            else:
                await self._relay.at_once(exchange, recording, answer, copy)
            self._end(call, _outcome_of(answer.status))
        except UpstreamError as error:
            exchange.cut()
            self._end(call, error.outcome, error=f"{error.code}: {error}")
        finally:
            answer.close()

    # The end

    def _refuse(self, call: Call, error: CallFailed) -> None:
        """Answers with an error of ours, and writes the call down."""
        named = call.recording.directives.target
        if named is not None and isinstance(error, ABOUT_THE_TARGET):
            error.field = named[0]
        call.recording.status = error.status
        self._tell(call, error)
        if not isinstance(error, UnknownRoute) or call.exchange.method not in SAFE_METHODS:
            self._end(call, error.outcome, error=f"{error.code}: {error}")

    def _tell(self, call: Call, error: CallFailed) -> None:
        exchange = call.exchange
        if exchange.disconnected:
            return
        status = SUCCESS if isinstance(error, RateLimited) else FAILED
        headers = [JSON, *_own_headers(call.recording, status), *error.headers]
        exchange.answer(error.status, headers, error.body or error_answer(error, call.dialect))

    def _end_cancelled(self, call: Call) -> None:
        """The client left, or this process ends. Whoever had everything when it left has a complete answer."""
        recording = call.recording
        if recording.has_whole_answer and recording.status is not None:
            self._end(call, _outcome_of(recording.status))
        elif call.exchange.disconnected:
            self._end(call, Outcome.INTERRUPTED_BY_CLIENT, error="The client left before it had the whole answer.")
        else:
            self._end(call, Outcome.ABANDONED, error="Heliograph was stopped before the answer was complete.")

    async def _before_the_end(self, call: Call, answer: Answer) -> None:
        """Of an answer that is complete but for what its client does not have yet. Doing it again does nothing."""
        await self._cache.keep(call.recording, answer, self._relay.elapsed_ms(call.exchange))
        if self._strict and not call.recording.ended:
            completed = self._complete(call, _outcome_of(answer.status), None)
            if call.recording.kept:
                await self.redactor.emit_durably(call.recording, completed)

    def _end(self, call: Call, outcome: Outcome, error: str | None = None) -> None:
        if not call.recording.ended:
            completed = self._complete(call, outcome, error)
            if call.recording.kept:
                self.redactor.emit(call.recording, completed)

    def _complete(self, call: Call, outcome: Outcome, error: str | None) -> ResponseCompleted:
        recording = call.recording
        latency_ms = self._relay.elapsed_ms(call.exchange)
        self._received(recording)
        ttft_s = None if recording.ttft_ms is None else recording.ttft_ms / 1000
        place = recording.route.place if recording.route is not None else None
        label = UNKNOWN if place is None else place.provider if place.known else OTHER
        self._telemetry.call_ended(label, outcome, latency_ms / 1000, ttft_s)
        return recording.response_completed(outcome, self._clock(), latency_ms, error)


def _outcome_of(status: int) -> Outcome:
    return Outcome.COMPLETED if status < 400 else Outcome.PROVIDER_ERROR


def _own_names(recording: Recording) -> Names:
    """Headers that an answer of the provider's may not have, because it has ours."""
    if recording.gave_up:
        return OWN_NAMES_AT_LAST
    return OWN_NAMES_OF_MANY if recording.tries or recording.own_headers else OWN_NAMES


def _own_headers(recording: Recording, status: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    own = [(b"Helicone-Id", recording.request_id.encode()), status]
    if recording.directives.warning is not None:
        own.append((b"Helicone-Warning", recording.directives.warning.encode()))
    own += recording.own_headers
    if recording.fallback_index is not None:
        own.append((b"Helicone-Fallback-Index", b"%d" % recording.fallback_index))
    if recording.gave_up:
        own.append((b"x-should-retry", b"false"))  # or the SDK would begin anew on top of ours
    return own
