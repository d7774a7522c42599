"""What lies between an answer that is being found and a client that takes it: in memory a little, on disk the rest.

So a client that takes its time holds up no process that answers, and an answer of any length costs the query port little memory. The disk,
too, is only lent up to a bound; beyond it, or where there is none, the answer waits for the client, within the time that it has.
"""

import asyncio
import tempfile
import time
from collections import Counter, deque
from collections.abc import Hashable
from contextlib import suppress
from threading import Condition, Lock
from typing import IO

MEMORY_BYTES = 2 << 20
"""Of one answer; what is larger lies on disk."""
LOOK_S = 0.1
"""How often it is looked whether others gave room back."""


class Room:
    """So many bytes on disk for all spools together; half of them at most for those of one organization."""

    def __init__(self, size: int) -> None:
        self._left, self._most = size, size // 2
        self._taken: Counter[Hashable] = Counter()
        self._lock = Lock()

    def take(self, size: int, whose: Hashable) -> bool:
        with self._lock:
            if size > self._left or self._taken[whose] + size > self._most:
                return False
            self._left -= size
            self._taken[whose] += size
            return True

    def give_back(self, size: int, whose: Hashable) -> None:
        with self._lock:
            self._left += size
            self._taken[whose] -= size
            if not self._taken[whose]:
                del self._taken[whose]


class Spool:
    """A thread puts pieces in, an event loop takes them out, in order."""

    def __init__(self, room: Room, patience_s: float, whose: Hashable = None) -> None:
        """`patience_s`: how long one piece waits for room. Then this and all after it are lost."""
        self._room, self._patience_s, self._whose = room, patience_s, whose
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._changed = Condition()
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._sizes: deque[int] = deque()
        """Of the pieces on disk that were not taken yet; all of them come behind those in memory."""
        self._read_to = self._written_to = 0
        self._over = False
        self.lost = False
        """What was taken is not all."""
        self.bytes = 0
        """All that was put in."""

    def put(self, piece: bytes) -> None:
        """In a thread. Waits while there is room nowhere; once closed, everything is let go."""
        until = time.monotonic() + self._patience_s
        with self._changed:
            while not self._over and not self._kept(piece):
                self._changed.wait(LOOK_S)
                if time.monotonic() > until:
                    self._over = self.lost = True
            self.bytes += len(piece)
        with suppress(RuntimeError):  # the loop is closed: nobody takes any more
            self._loop.call_soon_threadsafe(self._news.set)

    async def full(self) -> None:
        """Until the answer is longer than what is held in memory."""
        while self.bytes <= MEMORY_BYTES:
            await self._news.wait()
            self._news.clear()

    async def stirred(self) -> None:
        """Until something was put in since the last time."""
        await self._news.wait()
        self._news.clear()

    def taken(self) -> bytes | None:
        """The next piece, if there is one now."""
        with self._changed:
            if self._held:
                piece = self._held.popleft()
                self._held_bytes -= len(piece)
            elif self._sizes and self._file is not None:
                piece = self._read(self._file, self._sizes.popleft())
            else:
                return None
            self._changed.notify_all()
            return piece

    def close(self) -> None:
        """Nothing more is taken."""
        with self._changed:
            self._over = True
            self._held.clear()
            self._sizes.clear()
            self._empty()
            self._changed.notify_all()

    def _kept(self, piece: bytes) -> bool:
        if self._over:
            return True
        if not self._sizes and (self._held_bytes + len(piece) <= MEMORY_BYTES or not self._held):
            self._held.append(piece)
            self._held_bytes += len(piece)
            return True
        return self._on_disk(piece)

    def _on_disk(self, piece: bytes) -> bool:
        if not self._room.take(len(piece), self._whose):
            return False
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="heliograph-")  # noqa: SIM115 - closed by `_empty`
            self._file.seek(self._written_to)
            self._file.write(piece)
        except OSError:
            self._room.give_back(len(piece), self._whose)
            return False
        self._written_to += len(piece)
        self._sizes.append(len(piece))
        return True

    def _read(self, file: IO[bytes], size: int) -> bytes:
        file.seek(self._read_to)
        piece = file.read(size)
        self._read_to += size
        if not self._sizes:
            self._empty()
        return piece

    def _empty(self) -> None:
        """All that lay on disk was taken, or is wanted no more."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._room.give_back(self._written_to, self._whose)
        self._read_to = self._written_to = 0
