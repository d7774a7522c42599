"""Whose question is answered next: so many at once, and of nobody so many that others have to wait for him alone.

Where there are three turns or more, an organization has at most all but one, and anywhere half of the places in which to wait. Of those who
wait, one of each organization comes after the other, however many questions it has.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from storage.refusal import Refusal, Refused

TOO_MANY = Refusal(
    code="too_many_questions",
    message="Too many questions are waiting already.",
    fix="Ask again in a few seconds.",
    status=503,
)

Queues = OrderedDict[Hashable, "deque[asyncio.Future[None]]"]


class Turns:
    """`at_once` are answered, `waiting` may wait; whoever comes then is refused. Lives in one event loop."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free, self._waiting = at_once, waiting
        self._most, self._most_waiting = max(2, at_once - 1), max(1, waiting // 2)
        self._taken: Counter[Hashable] = Counter()
        self._queues: Queues = OrderedDict()
        """Those who wait, by whose they are; whose turn it is comes first."""

    @asynccontextmanager
    async def turn(self, whose: Hashable) -> AsyncIterator[None]:
        """Raises Refused where too many wait."""
        if self._free and self._taken[whose] < self._most:
            self._take(whose)
        else:
            await self._wait(whose)
        try:
            yield
        finally:
            self._give_back(whose)

    def _take(self, whose: Hashable) -> None:
        self._free -= 1
        self._taken[whose] += 1

    async def _wait(self, whose: Hashable) -> None:
        queue = self._queues.setdefault(whose, deque())
        if not self._waiting or len(queue) >= self._most_waiting:
            self._tidy(whose)
            raise Refused(TOO_MANY)
        called = asyncio.get_running_loop().create_future()
        queue.append(called)
        self._waiting -= 1
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():  # it was called at that very moment
                self._give_back(whose)
            else:
                queue.remove(called)
                self._waiting += 1
                self._tidy(whose)
            raise

    def _give_back(self, whose: Hashable) -> None:
        self._free += 1
        self._taken[whose] -= 1
        if not self._taken[whose]:
            del self._taken[whose]
        for each in [name for name in self._queues if self._taken[name] < self._most]:
            if not self._free:
                break
            self._call(each)

    def _call(self, whose: Hashable) -> None:
        self._queues[whose].popleft().set_result(None)
        self._waiting += 1
        self._take(whose)
        self._queues.move_to_end(whose)
        self._tidy(whose)

    def _tidy(self, whose: Hashable) -> None:
        if not self._queues.get(whose, True):
            del self._queues[whose]
