"""Alerts, measured again and again by a question to the lake, and told to their webhooks.

The lake is asked anew each time, so nothing is to be remembered but how each alert stands. That is a decision on the control topic, written
before anybody is told, and once more when it was told: after a crash in between it is told again, under the same key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from msgspec.structs import replace

from eventlog.alerts import Alert, AlertState, Measured, turned
from eventlog.control import Decided, decide
from eventlog.port import Log, LogUnavailable
from eventlog.topics import CONTROL
from processors.webhooks import telemetry
from processors.webhooks.deliveries import Origin
from processors.webhooks.office import Office

log = structlog.get_logger()

NOT_OURS_S = 1.0
"""So often it is looked whether they are ours by now."""

Measure = Callable[[Alert, datetime], Awaitable[Measured | None]]
"""None: it cannot be measured now."""


class Alerting:
    """One among all machines does this: whoever holds the first partition of calls, as `ours` says."""

    def __init__(
        self,
        events: Log,
        decided: Callable[[], Decided],
        office: Office,
        measure: Measure,
        *,
        clock: Callable[[], float],
        ours: Callable[[], bool],
    ) -> None:
        self._events, self._decided, self._office, self._measure = events, decided, office, measure
        self._clock, self._ours = clock, ours
        self._states: dict[str, AlertState] = {}
        """What was decided here: the topic tells of it a moment later."""
        self._telling: set[str] = set()
        self._told: list[AlertState] = []
        self._news = asyncio.Event()

    async def run(self, every_s: float, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            ours = self._ours()
            if ours:
                await self._look_unless(stopped)
            else:
                self._states.clear()
            await self._pause(every_s if ours else min(every_s, NOT_OURS_S), stopped)

    async def _look_unless(self, stopped: asyncio.Future[Any]) -> None:
        """A question to the lake may take long: the end does not wait for it."""
        looking: asyncio.Future[Any] = asyncio.ensure_future(self._look())
        await asyncio.wait([looking, stopped], return_when=asyncio.FIRST_COMPLETED)
        if looking.done():
            looking.result()
        else:
            looking.cancel()

    async def _pause(self, seconds: float, stopped: asyncio.Future[Any]) -> None:
        """Cut short by the end. What was told meanwhile is written down at once."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not stopped.done() and (left := until - loop.time()) > 0:
            news: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
            await asyncio.wait([news, stopped], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            await self._write_told()

    async def _look(self) -> None:
        await self._write_told()
        known = self._decided()
        self._states = {id_: state for id_, state in self._states.items() if id_ in known.alerts}
        for alert in known.alerts.values():
            try:
                await self._turn(alert)
            except LogUnavailable as error:
                log.warning("alert_not_decided", alert=alert.id, error=str(error))
        telemetry.ALERTS_ON.set(sum(state is not None and state.on for state in map(self._state, known.alerts)))

    async def _turn(self, alert: Alert) -> None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        found = await self._measure(alert, now)
        state = self._state(alert.id)
        if found is not None and (new := turned(alert, state, found, now)) is not None:
            await decide(self._events, [new])
            state = self._states[alert.id] = new
        if state is not None and not state.told:
            self._tell(alert, state)

    def _state(self, alert: str) -> AlertState | None:
        """The newest that is known of."""
        found = [state for state in (self._decided().alert_states.get(alert), self._states.get(alert)) if state is not None]
        return max(found, key=lambda state: (state.since, state.told), default=None)

    def _tell(self, alert: Alert, state: AlertState) -> None:
        key = f"{alert.id} {state.since.isoformat()}"
        if key not in self._telling:
            origin = Origin(CONTROL.name, 0, 0, 0, self._clock())
            if self._office.tell(alert, state, partial(self._over, key, state), origin):
                self._telling.add(key)

    def _over(self, key: str, state: AlertState) -> None:
        """It was told, or given up."""
        self._telling.discard(key)
        self._told.append(replace(state, told=True))
        self._news.set()

    async def _write_told(self) -> None:
        self._news.clear()
        while self._told:
            state = self._told[0]
            current = self._state(state.id)
            if state.id in self._decided().alerts and current is not None and current.since == state.since:
                try:
                    await decide(self._events, [state])
                except LogUnavailable as error:
                    log.warning("alert_not_decided", alert=state.id, error=str(error))
                    return  # at the next look once more
                self._states[state.id] = state
            del self._told[0]
