"""The log of one machine: an SQLite file that several processes write and read at once.

`EmbeddedLog` does all that the port asks. Blocking work runs on threads, one for each connection: one writes and commits, each reader
has its own, retention another. Appends that arrive while a transaction runs share the next one.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Concatenate, ParamSpec

from eventlog import embedded_erasure as erasing
from eventlog import embedded_retention as retention
from eventlog import embedded_store as store
from eventlog.codec import Message
from eventlog.embedded_file import LogFile
from eventlog.embedded_reader import EmbeddedReader
from eventlog.embedded_store import Held
from eventlog.embedded_threads import Appends, News, Opening, OwnedFile
from eventlog.port import Holder, Lag, Place
from eventlog.topics import TOPICS

P = ParamSpec("P")

BREATHER_S = 0.002
"""Between two steps of retention, so that writers get their turn."""
EMPTYING, EMPTYING_S = 20, 0.05
"""How often the write-ahead log is emptied of what was struck, until it is."""


class EmbeddedLog:
    """Open it after a fork, once for each process, and close it."""

    def __init__(self, opening: Opening, file: OwnedFile, clock: Callable[[], float]) -> None:
        self._opening = opening
        self._file = file
        self._clock = clock
        self._news = News()
        self._appends = Appends(file, self._news, clock)
        self._readers: list[EmbeddedReader] = []
        self._closed = False
        self._retaining = asyncio.Lock()
        self._retention: OwnedFile | None = None

    @classmethod
    async def open(
        cls, directory: Path, *, partitions: int = 1, fsync: bool = False, clock: Callable[[], float] = time.time
    ) -> "EmbeddedLog":
        """The log in `directory`, made when it is not there.

        With `fsync` an append survives a power cut; without, a crash of any process but not of the machine.
        Raises LogUnavailable, LogCorrupt, and ValueError when the log was made with another number of partitions.
        """
        if partitions < 1:
            raise ValueError(f"a log has at least 1 partition, not {partitions}")
        opening = Opening(directory, partitions, fsync)
        return cls(opening, await OwnedFile.open(opening), clock)

    def identity(self, topic: str) -> str:
        store.check_place(topic, 0, self._opening.partitions)
        return f"embedded/{self._file.log_id}/{topic}"

    def partitions(self, topic: str) -> int:
        store.check_place(topic, 0, self._opening.partitions)
        return self._opening.partitions

    async def writer(self) -> "EmbeddedWriter":
        return EmbeddedWriter(self._appends, self._opening.partitions)

    async def reader(self, topics: Sequence[str], *, group: str, holder: Holder | None = None) -> "EmbeddedReader":
        places = [(topic, partition) for topic in topics for partition in range(self.partitions(topic))]
        positions = await self._file.run(store.starting_positions, group, places)
        file = await OwnedFile.open(self._opening)
        reader = EmbeddedReader(file=file, commits=self._file, news=self._news, group=group, positions=positions)
        self._readers.append(reader)
        if holder is not None:
            reader.seek(await holder.given(await self._file.run(store.spans, reader.assigned)))
        return reader

    async def ends(self, topic: str) -> Mapping[int, int]:
        self.partitions(topic)
        return await self._file.run(store.ends, topic)

    async def positions(self, group: str) -> Mapping[Place, int]:
        return await self._file.run(store.positions, group)

    async def lag(self, group: str, topics: Sequence[str] = ()) -> list[Lag]:
        """For each partition that the group has committed on, and each of `topics`: messages and seconds behind."""
        return await self._file.run(store.lag, group, topics, self._clock())

    async def read_by(self, groups: Sequence[str], topic: str) -> Mapping[int, int]:
        """For each partition how far all of `groups` have committed: what lies below, all of them have read."""
        self.partitions(topic)
        return await self._file.run(store.read_by, groups, topic)

    async def size_bytes(self) -> int:
        """What the log takes on disk."""
        return await self._file.run(LogFile.size_bytes)

    async def held(self) -> Held:
        """How many messages the log retains, and their size."""
        return await self._file.run(store.held)

    async def retain(self, topic: str, *, through: Mapping[int, int], max_age: timedelta, max_bytes: int, now: float) -> int:
        """Forget messages of `topic` below the offsets `through` that are older than `max_age`, or too many for `max_bytes`, oldest first.

        A compacted topic keeps the newest message of each key, whatever its age. Partitions that `through` does not name keep everything.
        Returns how many messages went. Raises LogUnavailable; what went until then is gone.
        """
        self.partitions(topic)
        async with self._retaining:
            if self._retention is None:
                self._retention = await OwnedFile.open(self._opening)
            steps = self._retention
            if TOPICS[topic].compacted:
                dropped = await _repeat(steps, retention.drop_replaced, topic, through)
            else:
                dropped = await _repeat(steps, retention.drop_old, topic, through, now - max_age.total_seconds())
                dropped += await _repeat(steps, retention.drop_excess, topic, through, max_bytes)
            if await _repeat(steps, retention.give_back):
                await steps.checkpoint()
            return dropped

    async def strike(self, found: Mapping[Place, Sequence[erasing.Struck]], progress: Callable[[int], None]) -> int:
        """Lines of messages are taken out, and overwritten. Answers of how many messages. Raises LogUnavailable."""
        async with self._retaining:
            if self._retention is None:
                self._retention = await OwnedFile.open(self._opening)
            struck = 0
            for place, messages in erasing.steps(found):
                struck += await self._retention.write(erasing.strike, place, messages)
                progress(struck)
                await asyncio.sleep(BREATHER_S)
            for _ in range(EMPTYING if struck else 0):  # a reader may keep it from being emptied for a moment
                await self._retention.checkpoint()
                if not await self._retention.run(LogFile.wal_bytes):
                    break
                await asyncio.sleep(EMPTYING_S)
        return struck

    async def close(self) -> None:
        """Appends under way are finished first. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._appends.close()
        for reader in self._readers:
            await reader.close()
        if self._retention is not None:
            await self._retention.close()
        await self._file.close()


class EmbeddedWriter:
    """Appends into the process's one write connection."""

    def __init__(self, appends: Appends, partitions: int) -> None:
        self._appends = appends
        self._partitions = partitions
        self._closed = False

    async def append(self, messages: Sequence[Message]) -> None:
        if self._closed:
            raise RuntimeError("the writer is closed")
        rows = [store.row_of(message, self._partitions) for message in messages]
        if rows:
            await self._appends.append(rows)

    async def close(self) -> None:
        self._closed = True


async def _repeat(file: OwnedFile, step: Callable[Concatenate[LogFile, P], int], *args: P.args, **kwargs: P.kwargs) -> int:
    """Run a step of retention until it has nothing left to do. Returns the sum."""
    total = 0
    while done := await file.write(step, *args, **kwargs):
        total += done
        await asyncio.sleep(BREATHER_S)
    return total
