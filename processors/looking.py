"""Messages that should have come and did not: faust drops what it fetched while partitions changed hands, and reads on behind it.

A later message tells of it by its offset. Where none comes, since what was dropped was the last, the partition's end tells. No framework.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from msgspec import Struct

from eventlog.port import Place
from processors.lane import Lane

LOOKS, LOOK_EVERY_S = 5, 1.0
"""How often an offset is looked for that should come and does not."""

log = structlog.get_logger()


class Look(Struct):
    """A message is looked for, that should have come."""

    lane: Lane
    awaited: int
    left: int = LOOKS
    next_at: float = 0.0


class Looking:
    """`seek` has a partition read again from an offset, `first` tells its first offset that is left, `clock` is in seconds."""

    def __init__(
        self, seek: Callable[[Place, int], Awaitable[None]], first: Callable[[Place], Awaitable[int]], clock: Callable[[], float]
    ) -> None:
        self._seek, self._first, self._clock = seek, first, clock
        self._looks: dict[Place, Look] = {}
        self._stood: Mapping[Place, int] = {}

    async def looks_for(self, lane: Lane, place: Place, awaited: int) -> bool:
        """Has the partition read again from `awaited`. False when nothing lies there, and reading is to go on where it is.

        What was fetched before may still come, and make faust drop what comes then; so there are several looks, a moment apart.
        """
        now = self._clock()
        look = self._looks.get(place)
        if look is None or look.awaited != awaited:
            look = self._looks[place] = Look(lane, awaited)
        if now < look.next_at:
            return True
        first = await self._first(place)
        if look.left == 0 or awaited < first:
            log.error("messages_missing", topic=place[0], partition=place[1], awaited=awaited, first_left=first)
            return False
        look.left, look.next_at = look.left - 1, now + LOOK_EVERY_S
        await self._seek(place, awaited)
        return True

    async def again(self) -> None:
        """Looks once more for what did not come by now."""
        for place, look in list(self._looks.items()):
            if look.lane.awaits(place) != look.awaited:
                self._looks.pop(place, None)
            elif look.left:
                await self.looks_for(look.lane, place, look.awaited)

    def idle(self, places: Iterable[tuple[Place, Lane]]) -> dict[Place, tuple[Lane, int]]:
        """Of these partitions those of which nothing came since the last glance, and whose lane has nothing to do; what they await."""
        stands = {place: (lane, awaited) for place, lane in places if lane.idle and (awaited := lane.awaits(place)) is not None}
        still = {place: it for place, it in stands.items() if self._stood.get(place) == it[1]}
        self._stood = {place: awaited for place, (_, awaited) in stands.items()}
        return still

    async def compare(self, idle: Mapping[Place, tuple[Lane, int]], ends: Mapping[Place, int]) -> None:
        """Looks for what lies before the `ends` and did not come. What was looked for in vain is left: only a later message can tell."""
        for place, (lane, awaited) in idle.items():
            look = self._looks.get(place)
            in_vain = look is not None and look.awaited == awaited
            if ends.get(place, 0) > awaited and lane.awaits(place) == awaited and not in_vain:
                await self.looks_for(lane, place, awaited)

    def forget(self) -> None:
        """The partitions change hands."""
        self._looks.clear()
        self._stood = {}
