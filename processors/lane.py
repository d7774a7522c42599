"""A lane of work over partitions that come and go: each partition in order, several messages at a time, nothing passed over.

Whoever reads puts records in, at the pace that the lane takes them. The lane carries them out group by group, one group at a time, and says
how far each partition has come. A group that fails ends the lane: nothing after it is carried out, so no position ever passes what failed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from eventlog.codec import Record
from eventlog.port import Place

GROUP_BYTES = 1 << 20
"""A group ends with the message that reaches so many."""
WAITING_BYTES = 4 << 20
WAITING = 256
"""What may wait, in bytes and in messages, before whoever reads has to."""

Carry = Callable[[Sequence[Record]], Awaitable[None]]


class Lane:
    """`carry` carries out a group; its result is durable when it returns."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._changed = asyncio.Condition()
        self._carried: Sequence[Record] = ()
        """What is being carried out."""
        self._assignment: int | None = None
        self._next: dict[Place, int] = {}
        self._begun: dict[Place, int] = {}
        self.done: dict[Place, int] = {}
        """For each partition of this assignment the offset that is to be carried out next."""

    def open(self, assignment: int) -> None:
        """Records that were read under this assignment are taken from now on, and no others."""
        self._assignment = assignment

    async def shut(self) -> None:
        """Takes no more, forgets what waits, and returns when what was begun is done."""
        async with self._changed:
            self._assignment = None
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()
            await self._changed.wait_for(lambda: not self._carried)

    def forget(self) -> None:
        """Of no partition it is known any more where it stands."""
        self._next.clear()
        self._begun.clear()
        self.done.clear()

    def begin(self, place: Place, offset: int, assignment: int) -> None:
        """The partition's next record is that of this offset. Under another assignment that is no news: it may be another's by now."""
        if assignment == self._assignment:
            self._next[place] = self.done[place] = offset
            self._begun.setdefault(place, offset)

    def restart(self, place: Place, offset: int) -> None:
        """The partition is read again from this offset, whatever was done of it."""
        if self._assignment is not None:
            self._next[place] = self.done[place] = self._begun[place] = offset

    def skip(self, place: Place, awaited: int, offset: int) -> None:
        """No message lies between what is awaited and this offset. No news when something came meanwhile."""
        if self._next.get(place) == awaited and not self.holds(place):
            self._next[place] = self.done[place] = offset

    def precedes(self, record: Record) -> bool:
        """It lies before all that this assignment began with: reading was set back to the log's beginning."""
        return record.offset < self._begun.get(record.place, record.offset)

    def awaits(self, place: Place) -> int | None:
        """The offset of the partition's next record, where that is known."""
        return self._next.get(place)

    @property
    def idle(self) -> bool:
        """Nothing waits, and nothing is being carried out."""
        return not self._waiting and not self._carried

    def holds(self, place: Place) -> bool:
        """Something of the partition waits, or is being carried out."""
        return any(record.place == place for each in (self._waiting, self._carried) for record in each)

    async def put(self, record: Record, assignment: int) -> int | None:
        """Waits for room. Answers the offset that has to come first when this one is too far on: it was not taken then.

        A record of another assignment is forgotten: it comes again to whoever holds the partition now. So is one that was taken already.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room or assignment != self._assignment)
            if assignment != self._assignment:
                return None
            awaited = self._next.get(record.place, record.offset)
            if record.offset != awaited:
                return awaited if record.offset > awaited else None
            self._next[record.place] = record.offset + 1
            self._waiting.append(record)
            self._bytes += len(record.message.value)
            self._changed.notify_all()
            return None

    @property
    def _has_room(self) -> bool:
        return self._bytes < WAITING_BYTES and len(self._waiting) < WAITING

    async def run(self) -> None:
        """For ever. Raises what `carry` raises."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting)
                group = self._carried = self._group()
                self._changed.notify_all()
            await self._carry(group)
            async with self._changed:
                self.done.update({record.place: record.offset + 1 for record in group})
                self._carried = ()
                self._changed.notify_all()

    def _group(self) -> list[Record]:
        group, size = [], 0
        while self._waiting and size < GROUP_BYTES:
            record = self._waiting.popleft()
            group.append(record)
            size += len(record.message.value)
        self._bytes -= size
        return group
