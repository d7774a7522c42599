"""What waits to be sent: bounded in number and in bytes, from the application's threads to the one that sends."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from typing import NamedTuple

from heliograph_client.facts import Judged, Told

PLENTY = 1_000
PLENTY_BYTES = 1_000_000
"""From here on the sender is woken before its time."""


class Waiting(NamedTuple):
    number: int
    """1, 2, 3, … in the order in which they came."""
    weight: int
    item: Told | Judged


class Outbox:
    """Full, it takes no more: the newest gives way. What is on its way to the server counts as waiting.

    The lock is one that its holder may take again, and waking goes by a `SimpleQueue`: the collector may run anywhere, and what it
    collects may be a stream that is told of then.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.RLock()
        self._waiting: deque[Waiting] = deque()
        self._fresh_bytes = self._count = self._bytes = 0
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.last = 0
        """The number of the newest."""

    def put(self, item: Told | Judged, weight: int) -> bool:
        """False: there was no room."""
        with self._lock:
            if self._count >= self._most or self._bytes + weight > self._most_bytes:
                return False
            self._count += 1
            self._bytes += weight
            before, self._fresh_bytes = self._fresh_bytes, self._fresh_bytes + weight
            self.last += 1
            self._waiting.append(Waiting(self.last, weight, item))
            wake = len(self._waiting) in {1, PLENTY} or before < PLENTY_BYTES <= self._fresh_bytes
        if wake:
            self._wake.put(None)
        return True

    def take(self) -> deque[Waiting]:
        """All that waits, the oldest first. It counts until `settle`."""
        with self._lock:
            taken, self._waiting, self._fresh_bytes = self._waiting, deque(), 0
            return taken

    def settle(self, count: int, weight: int) -> None:
        """So many wait no longer, and so many bytes; fewer than none where they grew. Nothing happens where all was let go before."""
        with self._lock:
            self._count = max(0, self._count - count)
            self._bytes = max(0, self._bytes - weight)

    def empty(self) -> int:
        """Lets go of everything: how many that was."""
        with self._lock:
            count = self._count
            self._waiting.clear()
            self._count = self._bytes = self._fresh_bytes = 0
            return count

    @property
    def oldest(self) -> int:
        """Of what is not taken; the next number where there is nothing."""
        with self._lock:
            return self._waiting[0].number if self._waiting else self.last + 1

    @property
    def fills_up(self) -> bool:
        """No more than half of its room is left."""
        return self._count * 2 >= self._most or self._bytes * 2 >= self._most_bytes

    @property
    def count(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes that wait, as far as is known."""
        return self._bytes

    @property
    def is_plenty(self) -> bool:
        return len(self._waiting) >= PLENTY or self._fresh_bytes >= PLENTY_BYTES

    def wake(self) -> None:
        self._wake.put(None)

    def wait(self, seconds: float | None) -> None:
        """Until somebody wakes; at most so long."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)
