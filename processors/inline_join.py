"""The feedback join in one process, over any log: read, join, append, commit.

What it remembers lies on the log already: after a start it reads again from the oldest message that it held, says nothing of what has left
before, and goes on where it was. Two positions are committed for that: how far what left is durable, and where memory begins.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from eventlog.codec import Record
from eventlog.port import Log, LogReader, LogWriter, Place
from eventlog.topics import FEEDBACK
from processors import telemetry
from processors.feedback import JoinLimits
from processors.inline import LAST_POLL, POLL, POLL_BYTES
from processors.joins import READS, Joined, Joins
from processors.patience import Patience

GROUP, MEMORY = "feedback", "feedback-memory"
MESSAGE_BYTES = 1 << 20
WAKE_EVERY_S = 60.0


class _Noted(NamedTuple):
    offset: int
    events: int
    at: datetime


class Remembered:
    """Where memory begins: the first message of each place that is neither too old to be held, nor pushed out by others."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits
        self._noted: dict[Place, deque[_Noted]] = {}
        self._events: dict[Place, int] = {}

    def note(self, record: Record) -> None:
        noted = self._noted.setdefault(record.place, deque())
        noted.append(_Noted(record.offset, record.message.count, datetime.fromtimestamp(record.appended_at, UTC)))
        self._events[record.place] = self._events.get(record.place, 0) + record.message.count
        limit = self._limits.feedback if record.message.topic == FEEDBACK.name else self._limits.calls
        while self._events[record.place] - noted[0].events > limit:
            self._drop(record.place)

    def expire(self, until: datetime) -> None:
        for place, noted in self._noted.items():
            while noted and noted[0].at <= until - self._limits.patience:
                self._drop(place)

    def _drop(self, place: Place) -> None:
        self._events[place] -= self._noted[place].popleft().events

    def begins(self, done: Mapping[Place, int]) -> dict[Place, int]:
        return {place: noted[0].offset if (noted := self._noted.get(place)) else offset for place, offset in done.items()}


async def run_join(
    log: Log,
    limits: JoinLimits,
    *,
    stop: asyncio.Event,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    wake_every_s: float = WAKE_EVERY_S,
) -> None:
    """Runs until `stop` is set and both topics are read to their ends. `clock` gives seconds since 1970.

    Raises what the log raises for good; waits while it is merely unavailable.
    """
    join = _Join(log, limits, Patience(clock, sleep, step=GROUP), clock, wake_every_s)
    try:
        await join.open()
        await join.run(stop)
    finally:
        await join.close()


class _Join:
    def __init__(self, log: Log, limits: JoinLimits, patience: Patience, clock: Callable[[], float], wake_every_s: float) -> None:
        self._log, self._patience, self._clock, self._wake_every_s = log, patience, clock, wake_every_s
        self._joins = Joins(limits, {topic: log.identity(topic) for topic in READS}, MESSAGE_BYTES)
        self._remembered = Remembered(limits)
        self._done: dict[Place, int] = {}
        self._wake_at = clock() + wake_every_s
        self._due: tuple[datetime, dict[Place, int]] | None = None
        """A wake: all that was appended until then is to be taken first."""
        self._open: list[LogReader | LogWriter] = []

    async def open(self) -> None:
        """Remembers what a former life held."""
        within = self._patience.with_log
        self._writer = await within(self._log.writer)
        self._reader = await within(lambda: self._log.reader(READS, group=MEMORY))
        self._progress = await within(lambda: self._log.reader(READS, group=GROUP))
        self._open = [self._writer, self._reader, self._progress]
        self._done = await within(lambda: self._stands(GROUP))
        begins = await within(lambda: self._stands(MEMORY))
        at = {place: min(begins[place], done) for place, done in self._done.items()}
        self._reader.seek(at)
        while any(at[place] < done for place, done in self._done.items()):
            for record in await self._poll(POLL):
                if record.offset < self._done[record.place]:
                    self._remembered.note(record)
                    self._joins.take(record)
                    at[record.place] = record.offset + 1
        self._reader.seek(self._done)

    async def _stands(self, group: str) -> dict[Place, int]:
        """Where a group stands, or the first message that is left."""
        ends = {(topic, partition): end for topic in READS for partition, end in (await self._log.ends(topic)).items()}
        behind = {(each.topic, each.partition): each.messages for each in await self._log.lag(group, READS)}
        return {place: end - min(end, behind.get(place, end)) for place, end in ends.items()}

    async def run(self, stop: asyncio.Event) -> None:
        while True:
            stopping = stop.is_set()
            records = await self._poll(LAST_POLL if stopping else min(POLL, timedelta(seconds=self._wake_every_s)))
            if records:
                await self._take(records)
            await self._wake()
            if stopping and not records:
                await self._commit(self._reader, self._remembered.begins(self._done))
                return

    async def _poll(self, timeout: timedelta) -> list[Record]:
        return await self._patience.with_log(lambda: self._reader.poll(max_bytes=POLL_BYTES, timeout=timeout))

    async def _take(self, records: Sequence[Record]) -> None:
        turns = []
        for record in records:
            turns.append(self._joins.take(record))
            self._remembered.note(record)
            self._done[record.place] = record.offset + 1
            await asyncio.sleep(0)  # the sink shares this loop
        await self._carry_out(turns)
        await self._commit(self._progress, {record.place: self._done[record.place] for record in records})

    async def _carry_out(self, turns: Sequence[Joined]) -> None:
        messages = [message for turn in turns for message in turn.messages]
        if messages:
            await self._patience.with_log(lambda: self._writer.append(messages))
        telemetry.SCORED.inc(sum(message.count for message in messages))
        telemetry.HELD.labels("calls").set(self._joins.calls)
        telemetry.HELD.labels("feedback").set(self._joins.feedback)

    async def _commit(self, reader: LogReader, positions: Mapping[Place, int]) -> None:
        await self._patience.with_log(lambda: reader.commit(positions))

    async def _wake(self) -> None:
        """Time has passed. What waited too long leaves, once all that lay there at the wake was taken."""
        if self._due is None and self._clock() >= self._wake_at:
            until = datetime.fromtimestamp(self._clock(), UTC)
            ends = {topic: await self._patience.with_log(lambda topic=topic: self._log.ends(topic)) for topic in READS}  # type: ignore[misc]
            self._due = until, {(topic, partition): end for topic, found in ends.items() for partition, end in found.items()}
        if self._due is not None and all(self._done.get(place, 0) >= end for place, end in self._due[1].items()):
            until, ends_then = self._due
            self._due, self._wake_at = None, self._clock() + self._wake_every_s
            await self._carry_out([self._joins.expire(partition, until) for partition in sorted({place[1] for place in ends_then})])
            self._remembered.expire(until)
            await self._commit(self._reader, self._remembered.begins(self._done))

    async def close(self) -> None:
        for each in self._open:
            await each.close()
