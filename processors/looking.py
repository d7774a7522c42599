"""Messages that should have come and did not: faust drops what it fetched while partitions changed hands, and reads on behind it.

A later message tells of it by its offset. Where none comes, since what was dropped was the last, it tells that faust has read further than
to what is awaited. Whether anything lies there at all is seen in the log itself, by a reader of its own: an offset may be a foreign
transaction's mark, or gone. What lies there is looked for until it comes: whoever passed over it would lose it. No framework.
"""

from collections.abc import Awaitable, Callable, Iterable

import structlog
from msgspec import Struct

from eventlog.port import Lying, Place
from processors.lane import Lane

LOOK_EVERY_S = 1.0
"""It is looked for again when its lane has had nothing to do for about so long."""
IN_HAND_S = 30.0
"""Where the lane is busy with others: what was in hand when it was looked for is most likely through by then."""
LOOKS = 30
"""So often a message that lies there is looked for, before this process is given up: the next one reads anew."""

log = structlog.get_logger()


class NeverCame(Exception):
    """A message lies on a partition of ours, and is not given to us however often we ask."""


class Look(Struct):
    """A message is looked for, that should have come."""

    lane: Lane
    awaited: int
    lies_at: int | None = None
    """Where it was seen: what is awaited may be no message's offset."""
    looks: int = 0
    sought_at: float | None = None


class Looking:
    """`seek` has a partition read again from an offset. `lying` tells what a partition holds from an offset on.

    `read_up_to` tells which offset is to be fetched next, None where that is not known. `clock` is in seconds.
    """

    def __init__(
        self,
        seek: Callable[[Place, int], Awaitable[None]],
        lying: Callable[[Place, int], Awaitable[Lying]],
        read_up_to: Callable[[Place], Awaitable[int | None]],
        clock: Callable[[], float],
    ) -> None:
        self._seek, self._lying, self._read_up_to, self._clock = seek, lying, read_up_to, clock
        self._looks: dict[Place, Look] = {}
        self._stood: dict[Place, tuple[int, float]] = {}
        """What each partition awaits, and since when."""

    async def looks_for(self, lane: Lane, place: Place, awaited: int, came: int) -> bool:
        """Has the partition read again where a message lies before the one that `came`. False: none does, go on with that.

        What it has in hand comes before, and is as much too far on. Raises NeverCame.
        """
        look = self._looks.get(place)
        if look is None or look.awaited != awaited:
            look = self._looks[place] = Look(lane, awaited)
        sought = look.sought_at is not None and self._clock() < look.sought_at + IN_HAND_S
        if sought and (look.lies_at is None or came > look.lies_at):
            return True
        lying = await self._lying(place, awaited)
        if (lying.first if lying.at is None else lying.at) < came:  # where nothing lies, though this came, it was asked too early
            await self._look(place, look, lying.at)
            return True
        missing(place, awaited, lying)
        return False

    async def again(self) -> None:
        """Looks once more for what did not come by now. Raises NeverCame."""
        for place, look in list(self._looks.items()):
            if look.lane.awaits(place) != look.awaited:
                self._looks.pop(place, None)
            elif look.sought_at is None or self._clock() >= look.sought_at + _pace(look.lane):
                await self._look_where_passed_over(place, look)

    async def glance(self, places: Iterable[tuple[Place, Lane]]) -> None:
        """Looks for what was read and does not come, of partitions whose awaited message has been the same for long enough.

        Where no message lies between that and what was read, what is awaited is what is read next. Raises NeverCame.
        """
        now, before, self._stood = self._clock(), self._stood, {}
        for place, lane in places:
            awaited = lane.awaits(place)
            if awaited is None or lane.holds(place):
                continue
            stood = before.get(place)
            self._stood[place] = stood = stood if stood is not None and stood[0] == awaited else (awaited, now)
            if place not in self._looks and now >= stood[1] + _pace(lane):
                await self._look_where_passed_over(place, Look(lane, awaited))

    def forget(self) -> None:
        """The partitions change hands."""
        self._looks.clear()
        self._stood = {}

    async def _look_where_passed_over(self, place: Place, look: Look) -> None:
        lane, awaited = look.lane, look.awaited
        read = await self._read_up_to(place)
        if read is None or read == awaited or lane.holds(place):
            return
        lying = await self._lying(place, awaited)
        if lane.awaits(place) != awaited:
            return
        if lying.end < awaited:
            shorter(place, awaited, lying)
            lane.restart(place, lying.first)
            await self._seek(place, lying.first)
        elif lying.at is not None and lying.at < read:
            self._looks[place] = look
            await self._look(place, look, lying.at)
        elif read > awaited:
            missing(place, awaited, lying)
            lane.skip(place, awaited, read)

    async def _look(self, place: Place, look: Look, lies_at: int | None) -> None:
        if look.looks == LOOKS:
            raise NeverCame(f"{place[0]} partition {place[1]} does not give what lies at {look.awaited} or after it")
        look.lies_at, look.looks, look.sought_at = lies_at, look.looks + 1, self._clock()
        await self._seek(place, look.awaited if lies_at is None else lies_at)


def _pace(lane: Lane) -> float:
    return LOOK_EVERY_S if lane.idle else IN_HAND_S


def missing(place: Place, awaited: int, lying: Lying) -> None:
    """Told when retention took messages that were not read; what a transaction's mark left out is none."""
    if awaited < lying.first:
        log.error("messages_missing", topic=place[0], partition=place[1], awaited=awaited, first_left=lying.first)


def shorter(place: Place, awaited: int, lying: Lying) -> None:
    """Told when a log ends before what was read of it: an older copy, or a broker that lost its last messages."""
    log.error(
        "log_shorter_than_read",
        topic=place[0],
        partition=place[1],
        awaited=awaited,
        end=lying.end,
        remedy="it is read again from its first message; what was understood before is recognised",
    )
