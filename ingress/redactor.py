"""Between a call and the emitter: what an organization wants redacted leaves the bodies before anything is written down.

Small bodies are searched at once, larger ones in a thread beside the event loop, where RE2 does not hold it up. Nobody's call waits for
that, but those under strict durability. A body that could not be searched, for whatever reason, is given up and counted, never stored.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from msgspec.structs import replace

from eventlog.events import Body, Organization, RequestReceived, ResponseCompleted
from eventlog.redaction import Redaction
from ingress.detectors import BadPattern, Rule
from ingress.emitter import Emitter
from ingress.recording import Recording
from ingress.redaction import Counts, Redacted, redacted_body, redacted_inputs, unsearched
from ingress.telemetry import Telemetry

log = structlog.get_logger()

RedactionFor = Callable[[Organization], Redaction | None]
"""The rule of an organization, where it has one."""
Event = RequestReceived | ResponseCompleted

LIGHT, LIGHT_OF_OWN = 16 << 10, 4 << 10
"""Bytes of a body that are searched at once, at worst in some milliseconds; and with patterns of one's own, which may be slower."""
FAILED, BEHIND = "redaction_failed", "redaction_behind"


def nothing_redacted(_organization: Organization) -> Redaction | None:
    """Where no organization has a rule."""
    return None


class Redactor:
    """Lives on one event loop. Bodies that wait for the thread are `waiting_bytes` together at most; what is beyond is given up."""

    def __init__(self, emitter: Emitter, redaction_for: RedactionFor, telemetry: Telemetry, *, waiting_bytes: int) -> None:
        self._emitter, self._redaction_for, self._telemetry = emitter, redaction_for, telemetry
        self._limit = waiting_bytes
        self._waiting = 0
        self._rules: dict[Organization, tuple[Redaction, Rule | None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redaction")
        self._tasks: set[asyncio.Task[bool]] = set()

    def emit(self, recording: Recording, event: Event) -> None:
        """Takes an event. Never blocks, never raises."""
        redaction = self._redaction_for(recording.organization)
        if redaction is None and recording.redacting is None:
            self._emitter.emit(event)
        elif self._is_light(recording, event, redaction):
            self._emitter.emit(self._at_once(recording, event, redaction))
        else:
            self._begin(recording, event, redaction, durably=False)

    async def emit_durably(self, recording: Recording, event: Event) -> bool:
        """Takes an event and waits until the log has it. False when it does not take it now. Whoever waits may leave: it goes on."""
        redaction = self._redaction_for(recording.organization)
        if redaction is None and recording.redacting is None:
            return await self._emitter.emit_durably(event)
        if self._is_light(recording, event, redaction):
            return await self._emitter.emit_durably(self._at_once(recording, event, redaction))
        return await asyncio.shield(self._begin(recording, event, redaction, durably=True))

    async def drain(self, timeout: float) -> None:
        """Waits for what is being searched. What is left then is given up, and counted."""
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=timeout)
            for task in left:
                task.cancel()
            if left:
                self._telemetry.events_dropped("shutdown", len(left))
                log.error("events_lost_at_shutdown", events=len(left), waited_for="redaction")
        self._thread.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _is_light(recording: Recording, event: Event, redaction: Redaction | None) -> bool:
        """And nothing that it must be counted with is being searched still."""
        most = LIGHT_OF_OWN if redaction is not None and redaction.patterns else LIGHT
        return recording.redacting is None and _size(event) <= most

    def _at_once(self, recording: Recording, event: Event, redaction: Redaction | None) -> Event:
        return self._done(recording, event, searched(event, self._rule(redaction)))

    def _begin(self, recording: Recording, event: Event, redaction: Redaction | None, *, durably: bool) -> asyncio.Task[bool]:
        task = asyncio.get_running_loop().create_task(self._beside(recording, event, redaction, recording.redacting, durably=durably))
        recording.redacting = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _beside(
        self, recording: Recording, event: Event, redaction: Redaction | None, before: asyncio.Task[bool] | None, *, durably: bool
    ) -> bool:
        size = _size(event)
        if self._waiting + size > self._limit:
            found: Redacted | str = BEHIND
        else:
            self._waiting += size
            try:
                found = await asyncio.get_running_loop().run_in_executor(self._thread, searched, event, self._rule(redaction))
            except RuntimeError:  # no thread any more, or none can be made
                found = FAILED
            finally:
                self._waiting -= size
        if before is not None:
            await asyncio.wait([before])
        ready = self._done(recording, event, found)
        if durably:
            return await self._emitter.emit_durably(ready)
        self._emitter.emit(ready)
        return True

    def _rule(self, redaction: Redaction | None) -> Rule | str | None:
        """Made ready once. A reason, where it is not understood here: it may be a later version's."""
        if redaction is None:
            return None
        known = self._rules.get(redaction.organization)
        if known is None or known[0] is not redaction:
            known = self._rules[redaction.organization] = (redaction, _made_ready(redaction))
        return known[1] or FAILED

    def _done(self, recording: Recording, event: Event, found: Redacted | str) -> Event:
        if isinstance(found, str):
            self._telemetry.events_dropped(found, 1)
            found = Redacted(unsearched(_body_of(event), f"not kept: {found}"), {})
        self._telemetry.redacted(found.counts)
        return _with(event, found, recording)


def _made_ready(redaction: Redaction) -> Rule | None:
    try:
        return Rule(redaction)
    except BadPattern as error:
        log.error("redaction_not_understood", organization=redaction.organization, error=str(error), remains="no body of it is kept")
        return None


def searched(event: Event, rule: Rule | str | None) -> Redacted | str:
    """The body as it is stored, with the prompt's inputs, or the reason why they are not. Never raises."""
    body, inputs = _body_of(event), event.call.prompt_inputs
    if rule is None or not _size(event):
        return Redacted(body, {}, inputs)
    if isinstance(rule, str):
        return rule
    try:
        counts = Counter[str]()
        kept = redacted_inputs(inputs, rule, counts)
        found = redacted_body(body, rule)
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
    return sum(len(text) for text in (body.text, body.base64, body.tail, *event.call.prompt_inputs.values()) if text is not None)


def _with(event: Event, found: Redacted, recording: Recording) -> Event:
    """The event as it is stored. Of the answer's, the request's counts are part."""
    facts = replace(event.call, prompt_inputs=dict(found.inputs)) if event.call.prompt_inputs else event.call
    if isinstance(event, RequestReceived):
        recording.redactions = dict(found.counts)
        return replace(event, call=facts, request=found.body, redactions=recording.redactions)
    return replace(event, call=facts, response=found.body, redactions=_sum(recording.redactions, found.counts))


def _sum(one: Counts, other: Counts) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))
