"""A reader of the embedded log: it reads when there is something, and otherwise waits without burning time.

A commit to its topics in this process wakes it at once. One of another process shows in the file's data version, which is looked at
every few milliseconds, and less often the longer nothing has come.
"""

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from eventlog import embedded_store as store
from eventlog.codec import Positions, Record
from eventlog.embedded_file import LogFile
from eventlog.embedded_threads import News, OwnedFile
from eventlog.port import NotAssigned, Place

SHORTEST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.025


class EmbeddedReader:
    """One thread that reads, and waits, on a connection of its own. One poll at a time."""

    def __init__(self, *, file: OwnedFile, commits: OwnedFile, news: News, group: str, positions: dict[Place, int]) -> None:
        self._file = file
        self._commits = commits
        self._news = news
        self._group = group
        self._positions = positions
        self._turn = list(positions)
        self._seeks = 0
        self._wait: Wait | None = None
        self._closed = False

    @property
    def assigned(self) -> frozenset[Place]:
        return frozenset(self._positions)

    async def poll(self, *, max_bytes: int, timeout: timedelta) -> list[Record]:
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            self._check_open()
            seeks = self._seeks
            records = await self._read(max_bytes, deadline)
            if seeks == self._seeks:
                self._advance(records)
                return records

    async def _read(self, max_bytes: int, deadline: float) -> list[Record]:
        wanted = [(place, self._positions[place]) for place in self._turn]
        with self._news.subscription(topic for topic, _ in self._turn) as wake:
            self._wait = Wait(wake, threading.Event(), deadline)
            try:
                return await self._file.run(_read_or_wait, wanted, max_bytes, self._wait)
            finally:
                self._wait.give_up()
                self._wait = None

    def _advance(self, records: Sequence[Record]) -> None:
        """Partitions that were served go to the end of the queue."""
        served = {record.place: record.offset + 1 for record in records}
        self._positions.update(served)
        self._turn = [place for place in self._turn if place not in served] + list(served)

    def seek(self, positions: Positions) -> None:
        self._check_assigned(positions)
        self._positions.update(positions)
        self._seeks += 1
        if self._wait is not None:
            self._wait.give_up()

    async def commit(self, positions: Positions) -> None:
        self._check_open()
        self._check_assigned(positions)
        if positions:
            await self._commits.write(store.commit, self._group, dict(positions))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._seeks += 1
        if self._wait is not None:
            self._wait.give_up()
        await self._file.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the reader is closed")

    def _check_assigned(self, positions: Positions) -> None:
        for topic, partition in positions.keys() - self._positions.keys():
            raise NotAssigned(f"{topic} partition {partition} is not assigned to this reader")


class Wait(NamedTuple):
    """A reader's thread waiting for messages: what wakes it, what ends it, and until when (monotonic seconds)."""

    wake: threading.Event
    over: threading.Event
    deadline: float

    def give_up(self) -> None:
        self.over.set()
        self.wake.set()


def _read_or_wait(file: LogFile, wanted: Sequence[tuple[Place, int]], max_bytes: int, wait: Wait) -> list[Record]:
    """Read, or wait for somebody's commit and read then. A commit in this process sets `wake`; others show in the data version."""
    seen: int | None = None
    pause_s = SHORTEST_PAUSE_S
    while not wait.over.is_set():
        wait.wake.clear()
        version = file.data_version()
        if version != seen:
            if records := store.read(file, wanted, max_bytes):
                return records
            seen = version
        left_s = wait.deadline - time.monotonic()
        if left_s <= 0:
            break
        if not wait.over.is_set() and not wait.wake.wait(min(pause_s, left_s)):
            pause_s = min(pause_s * 1.25, LONGEST_PAUSE_S)
    return []
