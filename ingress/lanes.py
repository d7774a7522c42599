"""The events that wait for one partition of one topic, as encoded lines, oldest first."""

import asyncio
from collections import deque

from msgspec import Struct

from eventlog.bodies import SMALL, without_body
from eventlog.codec import BatchId, Message, message_of_lines


class Taken(Struct, frozen=True):
    """A batch that was closed."""

    lane: "Lane"
    message: Message
    last: int
    """Place of its last event among all that this lane ever had."""
    bytes: int


class Lane:
    """Where events of one topic and partition wait. Every event has a place, counted from 1; those who wait for one are told at its end."""

    __slots__ = ("_done", "_lines", "_watchers", "_whole_from", "bytes", "numbered", "partition", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.numbered = 0
        """The number of the last batch that was closed."""
        self.bytes = 0
        self._lines: deque[bytes] = deque()
        self._done = 0
        """Events that left: closed into a batch, or shed."""
        self._whole_from = 0
        """How many of the oldest lines have already been looked through for a body to give up."""
        self._watchers: deque[tuple[int, asyncio.Future[bool]]] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: bytes) -> None:
        self._lines.append(line)
        self.bytes += len(line)

    def take(self, batch_id: BatchId, limit: int) -> Taken:
        """Closes a batch of at most `limit` bytes, of one event at least."""
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= limit:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        self._left(len(lines), size)
        self.numbered = batch_id.sequence
        return Taken(self, message_of_lines(self.topic, self.partition, batch_id, lines), self._done, size)

    def _left(self, count: int, size: int) -> None:
        self._done += count
        self.bytes -= size
        self._whole_from = max(0, self._whole_from - count)

    # Those who wait for an event to be durable

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    def watch_last(self) -> "asyncio.Future[bool]":
        """Becomes true when the log has the event put last, false when it is refused or shed."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._watchers.append((self._done + len(self._lines), waiter))
        return waiter

    def acknowledge(self, taken: Taken) -> None:
        self._tell(taken.last, durable=True)

    def tell_refused(self) -> None:
        """The log takes nothing: nobody waits any longer."""
        self._tell(self._done + len(self._lines), durable=False)

    def _tell(self, last: int, *, durable: bool) -> None:
        while self._watchers and self._watchers[0][0] <= last:
            waiter = self._watchers.popleft()[1]
            if not waiter.done():
                waiter.set_result(durable)

    # Giving up

    def shed_body(self) -> int | None:
        """Takes the body off the oldest event that still has one worth taking; the bytes that freed, None when there is none."""
        while self._whole_from < len(self._lines):
            place, self._whole_from = self._whole_from, self._whole_from + 1
            line = self._lines[place]
            if len(line) > SMALL:
                bare = without_body(self.topic, line)
                self._lines[place] = bare
                self.bytes -= len(line) - len(bare)
                return len(line) - len(bare)
        return None

    def shed_oldest(self) -> int | None:
        """Drops the oldest event; the bytes that freed, None when none waits."""
        if not self._lines:
            return None
        freed = len(self._lines.popleft())
        self._left(1, freed)
        self._tell(self._done, durable=False)
        return freed
