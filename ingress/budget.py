"""What the search of one body may take: time of a processor, and memory beside the body.

RE2's single search is linear in the text, but a text has as many searches as matches: `(?s)x.*y|x` on `xxx…` takes the square. And a body
may consist of nothing but matches, escapes or events, each of which is remembered. Whoever goes on beyond gives the body up.
"""

import time
from collections.abc import Callable

SLOW, LARGE = "redaction_slow", "redaction_large"
SECONDS, SECONDS_PER_MB = 1.0, 0.5
"""Of a processor, for one body."""
MOST_HELD = 48 << 20
"""Bytes that are remembered of one body's parts, beside the body."""
MATCH, PIECE, CHANNEL, RUN = 320, 136, 600, 12
"""Bytes that one takes: a match, with what is put in its place; a piece of a text; a text that is said in pieces; a part of a view."""
LOOKS = 50
"""So often within its time is the processor's clock looked at; it costs more than the other."""


class GivenUp(Exception):
    """The search takes more than it may. `reason` is what it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def seconds_for(size: int) -> float:
    """What the search of a body of `size` bytes may take."""
    return SECONDS + SECONDS_PER_MB * size / 1_000_000


class Budget:
    """Of one body, used by one thread. It begins with the first step; another thread may `stop` it."""

    __slots__ = ("_clock", "_ends", "_held", "_look", "_seconds", "_stopped", "_used")

    def __init__(self, seconds: float = SECONDS, *, held: int = MOST_HELD, used: Callable[[], float] = time.thread_time) -> None:
        """`used` tells the seconds of a processor that this thread has had."""
        self._seconds, self._held, self._used = seconds, held, used
        self._clock = time.monotonic
        self._look = 0.0
        self._ends: float | None = None
        self._stopped = False

    def tick(self) -> None:
        """One step more. Raises GivenUp."""
        now = self._clock()
        if now < self._look and not self._stopped:
            return
        self._look = now + self._seconds / LOOKS
        used = self._used()
        if self._ends is None:
            self._ends = used + self._seconds
        if self._stopped or used >= self._ends:
            raise GivenUp(SLOW)

    def hold(self, size: int) -> None:
        """One step more, of which `size` bytes are remembered. Raises GivenUp."""
        self._held -= size
        if self._held < 0:
            raise GivenUp(LARGE)
        self.tick()

    def stop(self) -> None:
        """The next step gives up."""
        self._stopped = True
