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
    """Tries again, ever less often, while the log is not available."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]], *, step: str) -> None:
        self._clock = clock
        self._sleep = sleep
        self._step = step

    async def with_log(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Raises all that `attempt` raises except LogUnavailable."""
        pause, since = FIRST_PAUSE_S, self._clock()
        while True:
            try:
                return await attempt()
            except LogUnavailable as error:
                logger.warning("log_unavailable", step=self._step, error=str(error), for_s=round(self._clock() - since, 3))
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
