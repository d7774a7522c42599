"""The feedback join in one process, over any log: read, join, append, commit.

What it remembers lies on the log already: after a start it reads again from the oldest message that it held, says nothing of what has left
before, and goes on where it was. Two positions are committed for that: how far what left is durable, and where memory begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from eventlog.codec import Positions, Record
from eventlog.port import Log, LogReader, LogWriter, OffsetOutOfRange, Place, Span
from eventlog.waiting import stopped_within
from processors import telemetry
from processors.feedback import JoinLimits
from processors.inline import LAST_POLL, POLL, POLL_BYTES
from processors.joins import READS, Joined, Joins
from processors.patience import Patience

GROUP, MEMORY = "feedback", "feedback-memory"
MESSAGE_BYTES = 1 << 20
WAKE_EVERY_S = 60.0
AGAIN_S = 5.0

logger = structlog.get_logger()


class Remembered:
    """Where memory begins: at the first message of each place that the join holds."""

    def __init__(self) -> None:
        self._held: dict[Place, dict[str, int]] = {}
        """By the key that it is held by, the offset of each message, in their order."""

    def follow(self, joined: Joined, record: Record | None = None) -> None:
        """What came of a record, or of the passing of time."""
        for key, packed in joined.kept.items():
            known = [held for topic in READS if key in (held := self._held.get((topic, joined.partition), {}))]
            if packed is None:
                for held in known:
                    del held[key]
            elif record is not None and not known:
                self._held.setdefault(record.place, {})[key] = record.offset

    def begins(self, done: Mapping[Place, int]) -> dict[Place, int]:
        """Where nothing is held: at what is to be read next."""
        return {place: next(iter(self._held.get(place, {}).values()), offset) for place, offset in done.items()}


async def keep_joining(
    log: Log, limits: JoinLimits, *, stop: asyncio.Event, clock: Callable[[], float], again_after_s: float = AGAIN_S
) -> None:
    """As `run_join`, and once more whenever it fails: nothing else is to end by it, and what it has not joined waits on the log."""
    while True:
        stopping = stop.is_set()
        try:
            return await run_join(log, limits, stop=stop, clock=clock)
        except Exception as error:  # noqa: BLE001 - a fault of ours in the join must cost neither the sink nor the rows
            logger.error("join_failed", error=f"{type(error).__name__}: {error}", again_in_s=None if stopping else again_after_s)
        if stopping:
            return None
        await stopped_within(stop, again_after_s)


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

    Raises what the log raises for good, but for OffsetOutOfRange: it goes on with what is left. Waits while it is merely unavailable.
    """
    while True:
        join = _Join(log, limits, Patience(clock, sleep, step=GROUP), clock, wake_every_s)
        try:
            await join.open()
            return await join.run(stop)
        except OffsetOutOfRange as error:
            logger.warning("join_begins_again", reason=str(error))
        finally:
            await join.close()
        await sleep(AGAIN_S)


class _Join:
    def __init__(self, log: Log, limits: JoinLimits, patience: Patience, clock: Callable[[], float], wake_every_s: float) -> None:
        self._log, self._patience, self._clock, self._wake_every_s = log, patience, clock, wake_every_s
        self._joins = Joins(limits, {topic: log.identity(topic) for topic in READS}, MESSAGE_BYTES)
        self._remembered = Remembered()
        self._stood: tuple[Mapping[Place, int], Mapping[Place, int]] = {}, {}
        """Where both groups stood at the start."""
        self._at: dict[Place, int] = {}
        self._done: dict[Place, int] = {}
        self._wake_at = clock() + wake_every_s
        self._due: tuple[datetime, dict[Place, int]] | None = None
        """A wake: all that was appended until then is to be taken first."""
        self._open: list[LogReader | LogWriter] = []

    async def open(self) -> None:
        """Remembers what a former life held."""
        within = self._patience.with_log
        self._stood = await within(lambda: self._log.positions(GROUP)), await within(lambda: self._log.positions(MEMORY))
        self._writer = await within(self._log.writer)
        self._open.append(self._writer)
        self._progress = await within(lambda: self._log.reader(READS, group=GROUP))
        self._open.append(self._progress)
        self._reader = await within(lambda: self._log.reader(READS, group=MEMORY, holder=self))
        self._open.append(self._reader)
        at = self._at
        while any(at[place] < done for place, done in self._done.items()):
            for record in await self._poll(POLL):
                if record.offset < self._done[record.place]:
                    self._remembered.follow(self._joins.take(record), record)
                    at[record.place] = record.offset + 1
                await asyncio.sleep(0)  # the sink shares this loop
        self._reader.seek(self._done)

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        """Memory is read from where it begins up to where the group stands, as far as the log retains it: both of one moment."""
        done, begins = self._stood
        self._done = {place: _within(span, done.get(place, span.first)) for place, span in spans.items()}
        self._at = {place: min(_within(span, begins.get(place, span.first)), self._done[place]) for place, span in spans.items()}
        return self._at

    async def taken(self, places: frozenset[Place]) -> None:
        """One process holds all partitions, until it ends."""

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
            self._remembered.follow(turns[-1], record)
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
            self._due = until, await self._patience.with_log(self._ends)
        if self._due is not None and all(self._done.get(place, 0) >= end for place, end in self._due[1].items()):
            until, ends_then = self._due
            self._due, self._wake_at = None, self._clock() + self._wake_every_s
            turns = [self._joins.expire(partition, until) for partition in sorted({place[1] for place in ends_then})]
            await self._carry_out(turns)
            for turn in turns:
                self._remembered.follow(turn)
            await self._commit(self._reader, self._remembered.begins(self._done))

    async def _ends(self) -> dict[Place, int]:
        return {(topic, partition): end for topic in READS for partition, end in (await self._log.ends(topic)).items()}

    async def close(self) -> None:
        for each in self._open:
            await each.close()


def _within(span: Span, offset: int) -> int:
    return min(max(offset, span.first), span.next)
