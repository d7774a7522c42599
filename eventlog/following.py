"""A compacted topic, followed by whoever has to know what it says: read to its end, then for as long as the program runs."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from eventlog.codec import Record
from eventlog.control import Decided, recall, remember
from eventlog.outages import Outage
from eventlog.port import Log, LogUnavailable, OffsetOutOfRange, Place
from eventlog.retained import POLL_BYTES, Beginning, to_the_ends
from eventlog.topics import CONTROL

logger = structlog.get_logger()

Opened = Callable[[], AbstractAsyncContextManager[Log]]
"""The log, opened anew. Entering raises LogUnavailable."""

POLL = timedelta(seconds=30)
AGAIN_S = 1.0


class Kept(Protocol):
    """What a topic comes to, and a copy of it on this machine for the time when the log is away."""

    def begin(self, records: Iterable[Record]) -> None:
        """These are all there are: what was known before counts no more."""
        ...

    def take(self, records: Iterable[Record]) -> None:
        """These come after what is known."""
        ...

    def recall(self) -> bool:
        """Whether there was a copy, which is known now. Blocking."""
        ...

    def remember(self) -> None:
        """Brings the copy up to what is known. Blocking; nothing is taken meanwhile."""
        ...


K = TypeVar("K", bound=Kept)


class Follower(Generic[K]):
    """Keeps `kept` as the topic has it. Until the log is reached its copy counts, where there is one. `name` is said in the log."""

    def __init__(self, opened: Opened, topic: str, name: str, kept: K) -> None:
        self.kept = kept
        self.known = asyncio.Event()
        """It is known what the topic says: from itself, or from the copy."""
        self.heard = asyncio.Event()
        """It is known from the topic itself."""
        self._news = asyncio.Condition()
        self._opened, self._topic, self._name = opened, topic, name
        self._outage = Outage(reader=name)
        self._reached: dict[Place, int] = {}
        """The offset behind what was read of each partition."""

    async def run(self) -> None:
        """For ever."""
        if await asyncio.to_thread(self.kept.recall):
            self.known.set()
        while True:
            try:
                async with self._opened() as log:
                    await self._follow(log)
            except LogUnavailable as error:
                self._outage.goes_on(error)
            except OffsetOutOfRange:
                pass  # compaction went past us: from the beginning
            except Exception:  # who was let in must not stay so for a fault of ours
                logger.exception("topic_not_followed", topic=self._topic)
            await asyncio.sleep(AGAIN_S)

    async def until(self, holds: Callable[[K], bool]) -> None:
        """Returns once what is known is so."""
        async with self._news:
            await self._news.wait_for(lambda: holds(self.kept))

    async def caught_up(self, log: Log) -> None:
        """Returns once all is known that lies on the topic now. Raises LogUnavailable."""
        ends = {(self._topic, partition): end for partition, end in (await log.ends(self._topic)).items()}
        await self.until(lambda _: all(self._reached.get(place, 0) >= end for place, end in ends.items()))

    async def _follow(self, log: Log) -> None:
        holder = Beginning(first=True)
        reader = await log.reader([self._topic], group=f"{self._name}.{secrets.token_hex(8)}", holder=holder)
        try:
            spans = dict(holder.spans)
            records = [record async for part in to_the_ends(reader, spans) for record in part.records]
            self.kept.begin(records)  # at once: what was taken away meanwhile must not stay
            self._reached = {place: span.next for place, span in spans.items()} | _behind(records)
            await self._changed()
            self._outage.over()
            self.heard.set()
            while True:
                if records := await reader.poll(max_bytes=POLL_BYTES, timeout=POLL):
                    self.kept.take(records)
                    self._reached |= _behind(records)
                    await self._changed()
        finally:
            await reader.close()

    async def _changed(self) -> None:
        self.known.set()
        async with self._news:
            self._news.notify_all()
        await asyncio.to_thread(self.kept.remember)


def _behind(records: Iterable[Record]) -> dict[Place, int]:
    return {record.place: record.offset + 1 for record in records}


class DecidedHere(Decided):
    """What was decided, and its copy in `file`."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def recall(self) -> bool:
        return recall(self._file, self)

    def remember(self) -> None:
        remember(self._file, self)


class Following(Follower[DecidedHere]):
    """The control topic, followed: `decided` is as it says."""

    def __init__(self, opened: Opened, file: Path) -> None:
        super().__init__(opened, CONTROL.name, "control", DecidedHere(file))

    @property
    def decided(self) -> Decided:
        return self.kept
