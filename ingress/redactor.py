"""Between a call and the emitter: what an organization wants redacted leaves the bodies before anything is written down.

Small bodies are searched at once, larger ones in a thread beside the event loop, where RE2 does not hold it up. Nobody's call waits for
that, but those under strict durability, and those not for ever. A body that could not be searched, for whatever reason, is given up and
counted, never stored; the event goes on without it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import BatchId
from eventlog.events import Body, Organization, RequestReceived, ResponseCompleted
from eventlog.redaction import Redaction, Unheard
from ingress.budget import SLOW, Budget, GivenUp, seconds_for
from ingress.detectors import BadPattern, Rule
from ingress.emitter import Emitter
from ingress.recording import NO_BODY
from ingress.redaction import Counts, Redacted, is_clean, redacted_body, redacted_inputs, unsearched
from ingress.search_thread import SearchThread, Work
from ingress.telemetry import Telemetry

log = structlog.get_logger()

Said = Redaction | Unheard | None
RedactionFor = Callable[[Organization], Said]
"""The rule of an organization, where it has one."""
Event = RequestReceived | ResponseCompleted
Pair = tuple[RequestReceived, ResponseCompleted]
"""Both events of a call."""

LIGHT, LOOKED_AT = 2 << 10, 16 << 10
"""Bytes of a body that are searched at once; and that are looked at, whether a search is needed."""
STEPS_AT_ONCE = 400_000
"""Of RE2's, in the worst case some 5 ms: patterns of one's own that take so many for a body are not tried at once."""
AT_ONCE_S = 0.005
"""A search that takes longer goes on beside the calls, from its beginning."""
PATIENCE_S = 5.0
"""A call that waits for its search waits no longer: under strict durability."""
FAILED, BEHIND, UNHEARD = "redaction_failed", "redaction_behind", "redaction_unknown"


def nothing_redacted(_organization: Organization) -> Redaction | None:
    """Where no organization has a rule."""
    return None


class Redacting(Protocol):
    """What is remembered of a call between its two events."""

    organization: Organization
    redacting: asyncio.Task[None] | None
    """A body of it is being searched, or was."""
    redactions: Counts
    """What was replaced in the request."""
    stored_request: Body | None
    """The request's body as it was written down."""


class Told:
    """The same of a call that is told of as a whole, afterwards."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self.redacting: asyncio.Task[None] | None = None
        self.redactions: Counts = {}
        self.stored_request: Body | None = None


class _Beside(Struct, eq=False):
    """A search in the thread."""

    work: Work[Redacted | str]
    budget: Budget

    def give_up(self) -> None:
        self.budget.stop()
        self.work.resolve(BEHIND)


class Redactor:
    """Lives on one event loop. Bodies that wait for the thread are `waiting_bytes` together at most; what is beyond is given up."""

    def __init__(self, emitter: Emitter, redaction_for: RedactionFor, telemetry: Telemetry, *, waiting_bytes: int) -> None:
        self._emitter, self._redaction_for, self._telemetry = emitter, redaction_for, telemetry
        self._limit = waiting_bytes
        self._waiting = 0
        self._ended = False
        self._rules: dict[Organization, tuple[Redaction, Rule | None]] = {}
        self._thread = SearchThread[Redacted | str]()
        self._searches: set[_Beside] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[bool]] = set()

    def emit(self, recording: Redacting, event: Event) -> None:
        """Takes an event. Never blocks, never raises."""
        redaction = self._redaction_for(recording.organization)
        if self._as_it_is(recording, redaction):
            self._emitter.emit(event)
        elif (ready := self._at_once(recording, event, redaction)) is not None:
            self._emitter.emit(ready)
        else:
            self._begin(recording, event, redaction, self._emitter.emit)

    @staticmethod
    def _as_it_is(recording: Redacting, redaction: Said) -> bool:
        """Nothing is redacted of the call, nor was of its request, which the answer's event may hold again."""
        return redaction is None and recording.redacting is None and recording.stored_request is None

    async def emit_durably(self, recording: Redacting, event: Event) -> bool:
        """Takes an event and waits until the log has it. False when it does not take it now. Whoever waits may leave: it goes on."""
        redaction = self._redaction_for(recording.organization)
        if self._as_it_is(recording, redaction):
            return await self._emitter.emit_durably(event)
        if (ready := self._at_once(recording, event, redaction)) is not None:
            return await self._emitter.emit_durably(ready)
        written: list[asyncio.Task[bool]] = []
        searching = self._begin(recording, event, redaction, lambda ready: written.append(self._write(ready)), patience_s=PATIENCE_S)
        await asyncio.wait([searching])
        return await asyncio.shield(written[0]) if written else False

    async def emit_calls_durably(self, calls: Sequence[Pair], batch: BatchId | None = None) -> bool:
        """Takes calls that are told of afterwards, and waits until the log has them all. False when it does not take them all now.

        `batch`: the client numbers them, and offers them again. Raises TooMuch.
        """
        ready: list[Event] = []
        for call in calls:
            await self._redact(call, ready)
        return await (self._emitter.emit_all_durably(ready) if batch is None else self._emitter.append_numbered(batch, ready))

    async def _redact(self, call: Pair, ready: list[Event]) -> None:
        """Adds its events as they are stored."""
        told = Told(call[0].call.organization)
        redaction = self._redaction_for(told.organization)
        for event in call:
            if self._as_it_is(told, redaction):
                ready.append(event)
            elif (found := self._at_once(told, event, redaction)) is not None:
                ready.append(found)
            else:
                await asyncio.wait([self._begin(told, event, redaction, ready.append, patience_s=PATIENCE_S)])

    def _write(self, ready: Event) -> asyncio.Task[bool]:
        task = asyncio.get_running_loop().create_task(self._emitter.emit_durably(ready))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def drain(self, timeout: float) -> None:
        """Waits for what is being searched. What is left then is given up: its events go on without their bodies."""
        self._ended = not self._tasks
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=timeout)
            self._ended = True
            if left:
                log.error("bodies_lost_at_shutdown", bodies=len(left), waited_for="redaction")
                for search in tuple(self._searches):
                    search.give_up()
                await asyncio.wait(left)
            await asyncio.sleep(0)  # what is to be written durably begins
        self._thread.end()

    def _at_once(self, recording: Redacting, event: Event, redaction: Said) -> Event | None:
        """The event as it is stored. None where it takes longer, or where what it must be counted with is being searched still."""
        if recording.redacting is not None:
            return None
        rule, size = self._rule(redaction), _size(event)
        if isinstance(rule, Rule):
            if size > most_at_once(rule):
                return None
            if size > LIGHT:
                return self._done(recording, event, _as_it_is(event)) if _is_clean(event, rule) else None
        found = searched(event, rule, Budget(AT_ONCE_S))
        return None if found == SLOW else self._done(recording, event, found)

    def _begin(
        self, recording: Redacting, event: Event, redaction: Said, emit: Callable[[Event], None], *, patience_s: float | None = None
    ) -> asyncio.Task[None]:
        searching = self._beside(recording, event, self._rule(redaction), emit, patience_s, recording.redacting)
        task = asyncio.get_running_loop().create_task(searching)
        recording.redacting = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _beside(
        self,
        recording: Redacting,
        event: Event,
        rule: Rule | str | None,
        emit: Callable[[Event], None],
        patience_s: float | None,
        before: asyncio.Task[None] | None,
    ) -> None:
        found = await self._found(event, rule, patience_s)
        if before is not None:
            await asyncio.wait([before], timeout=patience_s)
        emit(self._done(recording, event, found))

    async def _found(self, event: Event, rule: Rule | str | None, patience_s: float | None) -> Redacted | str:
        size = _size(event)
        budget = Budget(seconds_for(size))
        if self._ended or self._waiting + size > self._limit:
            return BEHIND
        try:
            search = _Beside(self._thread.begin(lambda: searched(event, rule, budget)), budget)
        except RuntimeError:  # none can be made
            return FAILED
        self._waiting += size
        self._searches.add(search)
        try:
            await asyncio.wait([search.work.result], timeout=patience_s)
            search.give_up()  # where it is done, that says nothing
            return search.work.result.result()
        finally:
            self._waiting -= size
            self._searches.discard(search)

    def _rule(self, redaction: Said) -> Rule | str | None:
        """Made ready once. A reason, where it is not known, or not understood here: it may be a later version's."""
        if redaction is None:
            return None
        if isinstance(redaction, Unheard):
            return UNHEARD
        known = self._rules.get(redaction.organization)
        if known is None or known[0] is not redaction:
            known = self._rules[redaction.organization] = (redaction, _made_ready(redaction))
        return known[1] or FAILED

    def _done(self, recording: Redacting, event: Event, found: Redacted | str) -> Event:
        if isinstance(found, str):
            self._telemetry.events_dropped(found, 1)
            found = Redacted(unsearched(_body_of(event), f"not kept: {found}"), {})
        self._telemetry.redacted(found.counts)
        return _with(event, found, recording)


def most_at_once(rule: Rule) -> int:
    """Bytes that are looked at on the event loop. RE2's slowest way takes each step of a pattern for each byte."""
    return min(LOOKED_AT, STEPS_AT_ONCE // (1 + rule.steps))


def _made_ready(redaction: Redaction) -> Rule | None:
    try:
        return Rule(redaction)
    except BadPattern as error:
        log.error("redaction_not_understood", organization=redaction.organization, error=str(error), remains="no body of it is kept")
        return None


def _as_it_is(event: Event) -> Redacted:
    return Redacted(_body_of(event), {}, event.call.prompt_inputs)


def _is_clean(event: Event, rule: Rule) -> bool:
    """Whether a short look tells that nothing is to be replaced. Never raises."""
    try:
        return not event.call.prompt_inputs and is_clean(_body_of(event), rule, Budget(AT_ONCE_S))
    except Exception:  # noqa: BLE001 - the search itself tells what is wrong
        return False


def searched(event: Event, rule: Rule | str | None, budget: Budget) -> Redacted | str:
    """The body as it is stored, with the prompt's inputs, or the reason why they are not. Never raises."""
    if rule is None or not _size(event):
        return _as_it_is(event)
    if isinstance(rule, str):
        return rule
    try:
        counts = Counter[str]()
        kept = redacted_inputs(event.call.prompt_inputs, rule, counts, budget)
        found = redacted_body(_body_of(event), rule, budget)
    except GivenUp as given_up:
        return given_up.reason
    except Exception as error:  # noqa: BLE001 - a fault of ours must not let anything through that was to be redacted
        log.error("redaction_failed", error=type(error).__name__, remains="the body is not kept")
        return FAILED
    told = isinstance(event, RequestReceived)  # both events have the inputs: they count once
    return Redacted(found.body, _sum(found.counts, counts) if told else found.counts, kept)


def _body_of(event: Event) -> Body:
    return event.request if isinstance(event, RequestReceived) else event.response


def _size(event: Event) -> int:
    """Characters that are searched."""
    body = _body_of(event)
    return sum(
        len(text)
        for text in (body.text, body.base64, body.tail, *event.call.prompt_inputs, *event.call.prompt_inputs.values())
        if text is not None
    )


def _with(event: Event, found: Redacted, recording: Redacting) -> Event:
    """The event as it is stored. Of the answer's, the request's counts are part."""
    facts = replace(event.call, prompt_inputs=dict(found.inputs)) if event.call.prompt_inputs else event.call
    if isinstance(event, RequestReceived):
        recording.redactions, recording.stored_request = dict(found.counts), found.body
        return replace(event, call=facts, request=found.body, redactions=recording.redactions)
    again = event.request if event.request == NO_BODY else recording.stored_request or NO_BODY
    return replace(event, call=facts, response=found.body, request=again, redactions=_sum(recording.redactions, found.counts))


def _sum(one: Counts, other: Counts) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))
