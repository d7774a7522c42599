"""Where the embedded log's blocking work is done: a connection and its thread, news for readers, appends that share transactions."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

from eventlog import embedded_store as store
from eventlog.embedded_file import LogFile
from eventlog.embedded_store import Row
from eventlog.port import LogUnavailable

P = ParamSpec("P")
T = TypeVar("T")

GROUP_BYTES = 4 << 20
"""Waiting appends share a transaction up to about this size."""


class Opening(NamedTuple):
    """How every connection of a log is opened."""

    directory: Path
    partitions: int
    fsync: bool


class OwnedFile:
    """A connection and the one thread that may touch it."""

    def __init__(self, thread: ThreadPoolExecutor, file: LogFile) -> None:
        self._thread = thread
        self._file = file
        self._checkpointing: asyncio.Task[None] | None = None

    @property
    def log_id(self) -> UUID:
        return self._file.log_id

    @classmethod
    async def open(cls, opening: Opening) -> "OwnedFile":
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log")
        try:
            file = await asyncio.get_running_loop().run_in_executor(thread, _open_file, opening)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, file)

    async def run(self, step: Callable[Concatenate[LogFile, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: step(self._file, *args, **kwargs))

    async def write(self, step: Callable[Concatenate[LogFile, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, and empties the write-ahead log afterwards when it is due; nobody waits for that."""
        outcome, due = await self.run(lambda file: (step(file, *args, **kwargs), file.checkpoint_due()))
        if due and self._checkpointing is None:
            self._checkpointing = asyncio.create_task(self.checkpoint())
        return outcome

    async def checkpoint(self) -> None:
        """Without success when the file cannot be written now: then the next write will say so, to whom it concerns."""
        try:
            with suppress(LogUnavailable):
                await self.run(LogFile.checkpoint)
        finally:
            self._checkpointing = None

    async def close(self) -> None:
        if self._checkpointing is not None:
            await self._checkpointing
        await self.run(LogFile.close)
        self._thread.shutdown(wait=False)


def _open_file(opening: Opening) -> LogFile:
    return LogFile.open(opening.directory, partitions=opening.partitions, fsync=opening.fsync)


class News:
    """Tells the readers of this process that something was appended to their topics. Whoever follows a quiet one is left in peace."""

    def __init__(self) -> None:
        self._subscribed: dict[threading.Event, frozenset[str]] = {}

    def tell(self, topics: Set[str]) -> None:
        for event, wanted in self._subscribed.items():
            if not wanted.isdisjoint(topics):
                event.set()

    @contextmanager
    def subscription(self, topics: Iterable[str]) -> Iterator[threading.Event]:
        """What is set when something comes to one of `topics`, while the block lasts."""
        event = threading.Event()
        self._subscribed[event] = frozenset(topics)
        try:
            yield event
        finally:
            del self._subscribed[event]


class Waiting(NamedTuple):
    """An append that has not begun."""

    rows: Sequence[Row]
    size: int
    done: "asyncio.Future[None]"


class Appends:
    """Appends of this process, one transaction at a time. What waits meanwhile goes into the next one together."""

    def __init__(self, file: OwnedFile, news: News, clock: Callable[[], float]) -> None:
        self._file = file
        self._news = news
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, rows: Sequence[Row]) -> None:
        """Raises LogUnavailable. An append that is cancelled before its transaction begins is not kept; later it may be."""
        if self._closed:
            raise RuntimeError("the log is closed")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(rows, sum(row.size for row in rows), done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def close(self) -> None:
        self._closed = True
        if self._flushing is not None:
            await self._flushing

    async def _flush(self) -> None:
        try:
            while group := self._next_group():
                await self._append_together(group)
        finally:
            self._flushing = None

    def _next_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        size = 0
        while self._waiting and (not group or size + self._waiting[0].size <= GROUP_BYTES):
            waiting = self._waiting.pop(0)
            if not waiting.done.done():
                group.append(waiting)
                size += waiting.size
        return group

    async def _append_together(self, group: list[Waiting]) -> None:
        rows = [row for waiting in group for row in waiting.rows]
        try:
            await self._file.write(store.append, rows, self._clock())
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        self._news.tell({row.place[0] for row in rows})
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_result(None)
