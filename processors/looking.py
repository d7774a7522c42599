"""Messages that should have come and did not: faust drops what it fetched while partitions changed hands, and reads on behind it.

A later message tells of it by its offset. Where none comes, since what was dropped was the last, it tells that faust has read further than
to what is awaited. Whether anything lies there at all is seen in the log itself, by a reader of its own: an offset may be a foreign
transaction's mark, or gone. What lies there is looked for until it comes: whoever passed over it would lose it. No framework.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from msgspec import Struct

from eventlog.port import Place
from processors.lane import Lane

LOOK_EVERY_S = 1.0
"""It is looked for again when its lane has had nothing to do for about so long."""
IN_HAND_S = 30.0
"""What was in hand when it was looked for comes before it; what comes later than this was not in hand."""
LOOKS = 30
"""So often a message that lies there is looked for, before this process is given up: the next one reads anew."""

log = structlog.get_logger()


class NeverCame(Exception):
    """A message lies on a partition of ours, and is not given to us however often we ask."""


class Look(Struct):
    """A message is looked for, that should have come."""

    lane: Lane
    awaited: int
    looks: int = 0
    sought_at: float = -IN_HAND_S


class Looking:
    """`seek` has a partition read again from an offset. `lies` tells the first message at an offset or after it, None where none does.

    `first` tells the first offset that a partition retains, `read` which offset is to be fetched next. `clock` is in seconds.
    """

    def __init__(
        self,
        seek: Callable[[Place, int], Awaitable[None]],
        lies: Callable[[Place, int], Awaitable[int | None]],
        first: Callable[[Place], Awaitable[int]],
        read: Callable[[Place], Awaitable[int]],
        clock: Callable[[], float],
    ) -> None:
        self._seek, self._lies, self._first, self._read, self._clock = seek, lies, first, read, clock
        self._looks: dict[Place, Look] = {}
        self._stood: Mapping[Place, int] = {}
        self._nothing: dict[Place, tuple[int, int]] = {}
        """Where nothing lies: from what is awaited to what was read."""

    async def looks_for(self, lane: Lane, place: Place, awaited: int, came: int) -> bool:
        """Has the partition read again from `awaited`, where a message lies before the one that `came`. False: none does, go on with that.

        What it has in hand comes before, and is as much too far on. Raises NeverCame.
        """
        look = self._looks.get(place)
        if look is None or look.awaited != awaited:
            look = self._looks[place] = Look(lane, awaited)
        if self._clock() < look.sought_at + IN_HAND_S:
            return True
        lies = await self._lies(place, awaited)
        if lies is None or lies >= came:
            first = await self._first(place)
            if awaited < first:
                log.error("messages_missing", topic=place[0], partition=place[1], awaited=awaited, first_left=first)
            return False
        await self._look(place, look)
        return True

    async def again(self) -> None:
        """Looks once more for what did not come by now. Raises NeverCame."""
        for place, look in list(self._looks.items()):
            if look.lane.awaits(place) != look.awaited:
                self._looks.pop(place, None)
            elif look.lane.idle and self._clock() >= look.sought_at + LOOK_EVERY_S and await self._passed_over(place, look.awaited):
                await self._look(place, look)

    async def glance(self, places: Iterable[tuple[Place, Lane]]) -> None:
        """Looks for what was read and did not come, where nothing came since the last glance and the lane is idle. Raises NeverCame."""
        before = self._stood
        idle = [(place, lane, awaited) for place, lane in places if lane.idle and (awaited := lane.awaits(place)) is not None]
        self._stood = {place: awaited for place, _, awaited in idle}
        for place, lane, awaited in idle:
            still = before.get(place) == awaited and place not in self._looks
            if still and await self._passed_over(place, awaited) and lane.awaits(place) == awaited:
                await self._look(place, self._looks.setdefault(place, Look(lane, awaited)))

    def forget(self) -> None:
        """The partitions change hands."""
        self._looks.clear()
        self._nothing.clear()
        self._stood = {}

    async def _passed_over(self, place: Place, awaited: int) -> bool:
        read = await self._read(place)
        if read <= awaited or self._nothing.get(place) == (awaited, read):
            return False
        if await self._lies(place, awaited) is None:
            self._nothing[place] = awaited, read
            return False
        return True

    async def _look(self, place: Place, look: Look) -> None:
        if look.looks == LOOKS:
            raise NeverCame(f"{place[0]} partition {place[1]} does not give what lies at {look.awaited} or after it")
        look.looks, look.sought_at = look.looks + 1, self._clock()
        await self._seek(place, look.awaited)
