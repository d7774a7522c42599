"""Decisions that come in over HTTP: written on the control topic, one at a time, and answered once this process knows of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from eventlog.control import Decided
from eventlog.port import Log, LogCorrupt, LogUnavailable, OffsetOutOfRange
from runtime.deciding import Control, decided_on
from storage.refusal import Refusal, Refused

PATIENCE_S = 15.0
"""So long the log may take to take a decision."""
HEARD_S = 2.0
"""So long an answer waits, at most, until the next one here knows of it."""


class Decider:
    """`again`: what to do where it is not sure to be decided."""

    def __init__(self, control: Control, *, again: str) -> None:
        self._control, self._again = control, again
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[tuple[Log, Decided]]:
        """The log, and what is decided on it now. Raises Refused."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._one_at_a_time, self._control.opened() as log:
                yield log, await decided_on(log)
        except (LogUnavailable, LogCorrupt, OffsetOutOfRange, TimeoutError) as error:
            raise Refused(self._away(str(error) or f"it did not answer within {PATIENCE_S:.0f} s")) from error

    async def heard(self, holds: Callable[[Decided], bool]) -> None:
        await self._control.heard(holds, HEARD_S)

    def known(self) -> Decided:
        """What this process knows. Raises Refused while it knows nothing."""
        if not self._control.known:
            raise Refused(
                Refusal(
                    code="log_unavailable",
                    message="It is not known yet what was decided: the event log is not reached.",
                    fix="Try again in a moment; the server's log says why.",
                    status=503,
                )
            )
        return self._control.decided

    def _away(self, why: str) -> Refusal:
        return Refusal(
            code="log_unavailable",
            message=f"It is not sure to be decided: the event log takes nothing now ({why.strip().rstrip('.')}).",
            fix=self._again,
            status=503,
        )
