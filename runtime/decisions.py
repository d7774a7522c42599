"""Decisions taken over HTTP: what is decided now, and the log to decide more on, for one caller at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from eventlog.control import Decided
from eventlog.port import Log, LogCorrupt, LogUnavailable, OffsetOutOfRange
from runtime.deciding import Control, decided_on

PATIENCE_S = 15.0
"""So long the log may take to take a decision."""
HEARD_S = 2.0
"""So long an answer waits, at most, until the next one here knows of it."""


class Undecided(Exception):
    """The log takes nothing now; it is not sure that it is decided. The message says why."""

    retryable = True


class Decisions:
    """Of one process, on the control topic."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Log, Decided]]:
        """Raises Undecided."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._one_at_a_time, self.control.opened() as log:
                yield log, await decided_on(log)
        except (LogUnavailable, LogCorrupt, OffsetOutOfRange, TimeoutError) as error:
            raise Undecided(str(error) or f"it did not answer within {PATIENCE_S:.0f} s") from error

    async def heard(self, holds: Callable[[Decided], bool]) -> None:
        """Waits until this process knows of it, for a moment at most."""
        await self.control.heard(holds, HEARD_S)
