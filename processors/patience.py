"""Waiting for a log that is away."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from eventlog.port import LogUnavailable

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0

logger = structlog.get_logger()

T = TypeVar("T")


class Patience:
    """Tries again, ever less often, while the log is not available. That it is away is told once, and once that it is back."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]], *, step: str) -> None:
        self._clock = clock
        self._sleep = sleep
        self._step = step

    async def with_log(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Raises all that `attempt` raises except LogUnavailable."""
        pause, since, told = FIRST_PAUSE_S, self._clock(), False
        while True:
            try:
                found = await attempt()
            except LogUnavailable as error:
                if not told:
                    logger.warning("log_unavailable", step=self._step, error=str(error))
                told = True
            else:
                if told:
                    logger.info("log_available", step=self._step, after_s=round(self._clock() - since, 3))
                return found
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
