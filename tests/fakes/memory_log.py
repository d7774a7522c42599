"""A log in memory: all that the port promises, and ways to make it fail.

`MemoryLog(partitions=2)` keeps everything until the test ends. A test breaks it with `fail_with`, `stall`, `lose_acknowledgements`
and `crash`, ages it with `expire`, hands partitions to and fro with a reader's `give` and `take_away`, and looks inside with `records`,
`messages` and `committed`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import count

from eventlog.codec import Message, Positions, Record
from eventlog.port import Holder, Lag, LogUnavailable, MessageTooLarge, NotAssigned, OffsetOutOfRange, Place, Span, UnknownTopic
from eventlog.topics import TOPICS

_numbers = count(1)


class MemoryLog:
    """One process, one event loop. Every record is kept as it was appended."""

    def __init__(self, partitions: int = 1, *, clock: Callable[[], float] = time.time) -> None:
        self._name = f"memory/{next(_numbers)}"
        self._partitions = partitions
        self._clock = clock
        self._records: dict[Place, list[Record]] = {}
        self._starts: dict[Place, int] = {}
        self._committed: dict[tuple[str, Place], int] = {}
        self._run = 0
        self._wakes: set[asyncio.Event] = set()
        self._failure: tuple[BaseException, int | None] | None = None
        self._read_failure: BaseException | None = None
        self._largest: int | None = None
        self._keep_and_fail = 0
        self._open_gate = asyncio.Event()
        self._open_gate.set()
        self.appends = 0
        """How many appends were acknowledged."""

    # The port

    def identity(self, topic: str) -> str:
        _known(topic)
        return f"{self._name}/{topic}"

    def partitions(self, topic: str) -> int:
        _known(topic)
        return self._partitions

    async def writer(self) -> "MemoryWriter":
        return MemoryWriter(self, self._run)

    async def reader(self, topics: Sequence[str], *, group: str, holder: Holder | None = None) -> "MemoryReader":
        places = frozenset((topic, partition) for topic in topics for partition in range(self.partitions(topic)))
        reader = MemoryReader(self, self._run, group, holder)
        await reader.give(places)
        return reader

    async def ends(self, topic: str) -> Mapping[int, int]:
        return {partition: self.end((topic, partition)) for partition in range(self.partitions(topic))}

    async def positions(self, group: str) -> Mapping[Place, int]:
        return self.committed(group)

    async def lag(self, group: str, topics: Sequence[str] = ()) -> list[Lag]:
        places = self.committed(group).keys() | {(topic, partition) for topic in topics for partition in range(self.partitions(topic))}
        return [self._lag(place, max(self.position(group, place), self.start(place))) for place in sorted(places)]

    def _lag(self, place: Place, position: int) -> Lag:
        unread = self._records.get(place, [])[position:]
        seconds = max(0.0, self._clock() - unread[0].appended_at) if unread else 0.0
        return Lag(topic=place[0], partition=place[1], messages=len(unread), seconds=seconds)

    async def close(self) -> None:
        self.crash()

    # Breaking it

    def fail_with(self, error: BaseException, *, times: int | None = None) -> None:
        """Every append (or the next `times`) raises `error` and keeps nothing, until `heal`."""
        self._failure = (error, times)

    def fail_reads_with(self, error: BaseException) -> None:
        """Every poll and commit raises `error`, until `heal`."""
        self._read_failure = error
        self._wake()

    def take_at_most(self, value_bytes: int) -> None:
        """A message of more is refused, with all of its append."""
        self._largest = value_bytes

    def lose_acknowledgements(self, times: int = 1) -> None:
        """The next `times` appends are kept, and the caller is told LogUnavailable: the answer was lost on the way."""
        self._keep_and_fail = times

    def stall(self) -> None:
        """Appends hang until `heal`."""
        self._open_gate.clear()

    def heal(self) -> None:
        self._failure = None
        self._read_failure = None
        self._keep_and_fail = 0
        self._open_gate.set()

    def crash(self) -> None:
        """All writers and readers of before are gone; records and committed positions stay, what was read but not committed comes again."""
        self._run += 1
        self._wake()

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Retention took every record below offset `before`."""
        self._starts[topic, partition] = before

    def put_back(self, topic: str, partition: int, end: int) -> None:
        """An older copy of the partition, of `end` messages, is in the place of the log."""
        del self._records.setdefault((topic, partition), [])[end:]

    # Looking inside

    def records(self, topic: str, partition: int | None = None) -> list[Record]:
        """What is retained, partition by partition."""
        numbers = range(self._partitions) if partition is None else [partition]
        return [r for n in numbers for r in self._records.get((topic, n), [])[self.start((topic, n)) :]]

    def messages(self, topic: str, partition: int | None = None) -> list[Message]:
        return [record.message for record in self.records(topic, partition)]

    def committed(self, group: str) -> dict[Place, int]:
        return {place: offset for (owner, place), offset in self._committed.items() if owner == group}

    def start(self, place: Place) -> int:
        return self._starts.get(place, 0)

    def end(self, place: Place) -> int:
        return len(self._records.get(place, ()))

    # For the writers and readers

    async def take(self, run: int, messages: Sequence[Message]) -> None:
        self.check_run(run)
        for message in messages:
            self._check(message)
        await self._open_gate.wait()
        self.check_run(run)
        self._fail_if_told()
        for message in messages:
            place = message.topic, message.partition
            record = Record(message=message, offset=self.end(place), appended_at=self._clock())
            self._records.setdefault(place, []).append(record)
        self._wake()
        if self._keep_and_fail:
            self._keep_and_fail -= 1
            raise LogUnavailable("the acknowledgement was lost")
        self.appends += 1

    def check_run(self, run: int) -> None:
        if run != self._run:
            raise RuntimeError("the log is closed")

    def check_read(self, run: int) -> None:
        self.check_run(run)
        if self._read_failure is not None:
            raise self._read_failure

    def position(self, group: str, place: Place) -> int:
        return self._committed.get((group, place), self.start(place))

    def remember(self, group: str, positions: Positions) -> None:
        self._committed.update({(group, place): offset for place, offset in positions.items()})

    def wake_by(self, event: asyncio.Event) -> None:
        self._wakes.add(event)

    def sleep_through(self, event: asyncio.Event) -> None:
        self._wakes.discard(event)

    def after(self, place: Place, offset: int, max_bytes: int, *, at_least_one: bool) -> list[Record]:
        """Records from `offset` on, of at most `max_bytes` together. Raises OffsetOutOfRange."""
        start, end = self.start(place), self.end(place)
        if not start <= offset <= end:
            raise OffsetOutOfRange(f"{place[0]} partition {place[1]}: offset {offset} is outside {start}..{end}; seek to one of these")
        taken: list[Record] = []
        for record in self._records.get(place, [])[offset:]:
            max_bytes -= len(record.message.value)
            if max_bytes < 0 and (taken or not at_least_one):
                break
            taken.append(record)
        return taken

    def _check(self, message: Message) -> None:
        if not 0 <= message.partition < self.partitions(message.topic):
            raise UnknownTopic(f"{message.topic} has no partition {message.partition}, only 0..{self._partitions - 1}")
        if TOPICS[message.topic].compacted and message.key is None:
            raise ValueError(f"{message.topic} is compacted: a message needs a key")
        if self._largest is not None and len(message.value) > self._largest:
            raise MessageTooLarge(f"{len(message.value)} bytes are above {self._largest}", message)

    def _fail_if_told(self) -> None:
        if self._failure is None:
            return
        error, times = self._failure
        if times is not None:
            self._failure = (error, times - 1) if times > 1 else None
        raise error

    def _wake(self) -> None:
        for event in self._wakes:
            event.set()


class MemoryWriter:
    def __init__(self, log: MemoryLog, run: int) -> None:
        self._log = log
        self._run = run

    async def append(self, messages: Sequence[Message]) -> None:
        await self._log.take(self._run, messages)

    async def close(self) -> None:
        self._run = -1


class MemoryReader:
    def __init__(self, log: MemoryLog, run: int, group: str, holder: Holder | None) -> None:
        self._log = log
        self._run = run
        self._group = group
        self._holder = holder
        self._positions: dict[Place, int] = {}
        self._turn: list[Place] = []
        self._news = asyncio.Event()
        log.wake_by(self._news)

    async def give(self, places: frozenset[Place]) -> None:
        """The group hands these partitions to this reader."""
        begin = {place: self._log.position(self._group, place) for place in places}
        if self._holder is not None:
            begin |= await self._holder.given({place: Span(self._log.start(place), self._log.end(place)) for place in places})
        self._positions |= begin
        self._turn += sorted(places)
        self._news.set()

    async def take_away(self, places: frozenset[Place]) -> None:
        """The group hands these partitions to another reader."""
        self._turn = [place for place in self._turn if place not in places]
        if self._holder is not None:
            await self._holder.taken(places)
        for place in places:
            del self._positions[place]

    def lose_unaware(self, places: frozenset[Place]) -> None:
        """Another reader has these partitions now, and nobody told this one: it was silent for too long."""
        self._turn = [place for place in self._turn if place not in places]
        for place in places:
            del self._positions[place]

    @property
    def assigned(self) -> frozenset[Place]:
        return frozenset(self._positions)

    async def poll(self, *, max_bytes: int, timeout: timedelta) -> list[Record]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        while True:
            self._news.clear()
            self._log.check_read(self._run)
            records = self._next(max_bytes)
            if records or loop.time() >= deadline:
                await asyncio.sleep(0)
                return records
            try:
                await asyncio.wait_for(self._news.wait(), deadline - loop.time())
            except TimeoutError:
                continue

    def _next(self, max_bytes: int) -> list[Record]:
        records: list[Record] = []
        for waiting, place in zip(range(len(self._turn), 0, -1), list(self._turn), strict=True):
            got = self._log.after(place, self._positions[place], max_bytes // waiting, at_least_one=not records)
            if got:
                self._turn.append(self._turn.pop(self._turn.index(place)))
                self._positions[place] = got[-1].offset + 1
            max_bytes -= sum(len(record.message.value) for record in got)
            records += got
        return records

    def seek(self, positions: Positions) -> None:
        self._check(positions)
        self._positions.update(positions)
        self._news.set()

    async def commit(self, positions: Positions) -> None:
        self._check(positions)
        self._log.check_read(self._run)
        self._log.remember(self._group, positions)

    async def close(self) -> None:
        self._run = -1
        self._log.sleep_through(self._news)

    def _check(self, positions: Positions) -> None:
        for topic, partition in positions.keys() - self._positions.keys():
            raise NotAssigned(f"{topic} partition {partition} is not assigned to this reader")


def _known(topic: str) -> None:
    if topic not in TOPICS:
        raise UnknownTopic(f"no topic is named {topic!r}; eventlog/topics.py declares them all")
