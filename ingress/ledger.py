"""Where windows are counted: the port, and what all workers of one `heliograph up` share, an LMDB file in the data directory.

What was counted there outlives every process, though not the machine.
"""

import secrets
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import lmdb
from msgspec import Struct

from ingress.lmdb_files import opened
from ingress.policies import Policy, Unit
from ingress.windows import SECOND, Entries, Entry, Verdict, counted, judge, live

ID_BYTES = 16
SWEPT_AT_MOST = 5_000
"""Where there is no room: some milliseconds."""
SWEPT = 2
"""So many other windows are looked at for each call that is judged, and removed when nothing in them counts any more."""
_HEAD = struct.Struct("<QIH")
"""The first instant in ticks, microseconds of a tick, how many entries. Then each one's distance from the first, then the amounts."""
_ID = b"id"
"""No window has so short a name."""
REMEMBERED_S = 86_400
"""Beyond its window, a call that was settled is known for so long."""
_LARGEST = (1 << 32) - 1


class Window(Struct, frozen=True):
    """One count. `id` is 16 bytes, the same for all whose calls are counted together."""

    id: bytes
    policy: Policy


class LedgerUnavailable(Exception):
    """Nothing can be counted now."""


class Judged(Struct, frozen=True):
    """What each window says, and the id of all who count together: a call's cost counts where the call was judged."""

    ledger: str
    verdicts: list[Verdict]


class Ledger(Protocol):
    """Counts. `judge` is atomic among all who share it."""

    async def judge(self, windows: Sequence[Window]) -> Judged:
        """What each says to a call that comes now: it is counted in all of them where all allow it, else in none.

        Raises LedgerUnavailable.
        """

    async def limit_costs(self) -> None:
        """From now on there are windows of what calls cost. Never raises."""


class Spending(Protocol):
    """A ledger, as whoever knows what calls cost sees it. All raise LedgerUnavailable."""

    async def limits_costs(self) -> bool:
        """There are windows of what calls cost."""

    async def known_as(self) -> str:
        """Its id."""

    async def spend(self, call_id: str, window: Window, cents: float) -> None:
        """Counts what a call cost, the first time that it is told of this call."""


def told_of(call_id: str, window: Window) -> bytes:
    """What is remembered once a call's cost was counted in a window."""
    return blake2b(window.id + call_id.encode(), digest_size=ID_BYTES).digest()


def judged(windows: Sequence[Window], entries: Sequence[Entries], now: int) -> tuple[list[Verdict], Sequence[Entries] | None]:
    """The verdicts, and what the windows hold afterwards; None where nothing changes. `entries` are live, `now` is in microseconds."""
    pairs = list(zip(windows, entries, strict=True))
    verdicts = [judge(window.policy, each, now) for window, each in pairs]
    if not all(verdict.allowed for verdict in verdicts):
        return verdicts, None
    return verdicts, [counted(window.policy, each, now, 1.0) if window.policy.unit is Unit.REQUEST else each for window, each in pairs]


def microseconds() -> int:
    return time.time_ns() // 1000


class SharedLedger:
    """The windows of all processes that open the same directory. `limit_bytes`: what they may take, on disk and in the page cache.

    Raises LedgerUnavailable when the directory cannot be used.
    """

    def __init__(self, directory: Path, *, limit_bytes: int = 256 << 20, clock: Callable[[], int] = microseconds) -> None:
        self._clock = clock
        self._swept = b""
        self._limits_costs, self._marked = directory / "limits-costs", False
        try:
            self._env = opened(directory, limit_bytes)
            with self._env.begin(write=True) as txn:
                known = txn.get(_ID)
                self.id = (known or secrets.token_hex(8).encode()).decode()
                txn.put(_ID, self.id.encode())
        except (OSError, lmdb.Error) as error:
            raise LedgerUnavailable(f"{directory}: {error}") from error

    async def judge(self, windows: Sequence[Window]) -> Judged:
        now = self._clock()
        return Judged(self.id, self._written(lambda: self._judge(windows, now), now))

    def _written(self, write: Callable[[], Any], now: int) -> Any:
        """What `write` answers; where there is no room for it, after making some. Raises LedgerUnavailable."""
        try:
            try:
                return write()
            except lmdb.MapFullError:
                self._env.reader_check()
                with self._env.begin(write=True) as txn:
                    self._sweep(txn, now, SWEPT_AT_MOST)
            return write()
        except lmdb.MapFullError as error:
            raise LedgerUnavailable(f"{error}; HELIOGRAPH_LEDGER_BYTES allows more") from error
        except lmdb.Error as error:
            raise LedgerUnavailable(str(error)) from error

    def _judge(self, windows: Sequence[Window], now: int) -> list[Verdict]:
        with self._env.begin(write=True) as txn:
            entries = [live(unpacked(txn.get(window.id)), now) for window in windows]
            verdicts, after = judged(windows, entries, now)
            if after is not None:
                for window, each in zip(windows, after, strict=True):
                    txn.put(window.id, packed(window.policy, each))
                self._sweep(txn, now, SWEPT)
        return verdicts

    def _sweep(self, txn: lmdb.Transaction, now: int, count: int) -> None:
        """Goes on where the last one ended."""
        cursor = txn.cursor()
        there = cursor.set_range(self._swept) or cursor.first()
        for _ in range(count):
            if not there:
                break
            ended = len(cursor.key()) == ID_BYTES and _ends_at(bytes(cursor.value())) <= now
            there = cursor.delete() and bool(cursor.key()) if ended else cursor.next()
        self._swept = bytes(cursor.key()) if there else b""

    async def spend(self, call_id: str, window: Window, cents: float) -> None:
        now = self._clock()
        self._written(lambda: self._spend(told_of(call_id, window), window, cents, now), now)

    def _spend(self, told: bytes, window: Window, cents: float, now: int) -> None:
        until = Entry(now + (window.policy.window_s + REMEMBERED_S) * SECOND, 1.0)
        with self._env.begin(write=True) as txn:
            if txn.get(told) is None:
                entries = live(unpacked(txn.get(window.id)), now)
                txn.put(window.id, packed(window.policy, counted(window.policy, entries, now, cents)))
                txn.put(told, packed(window.policy, [until]))

    async def known_as(self) -> str:
        return self.id

    async def limits_costs(self) -> bool:
        return self._limits_costs.exists()

    async def limit_costs(self) -> None:
        if not self._marked:
            with suppress(OSError):  # a disk that is full: the next call says it again
                self._limits_costs.touch()
                self._marked = True

    @property
    def windows(self) -> int:
        """So many are kept."""
        return int(self._env.stat()["entries"]) - 1

    def close(self) -> None:
        self._env.close()


def packed(policy: Policy, entries: Entries) -> bytes:
    """Four bytes for each call that is counted by itself. What cannot be said exactly in a long window leaves it later, never sooner."""
    tick = 1 + 2 * policy.window_s * SECOND // _LARGEST
    ticks = [-(-entry.leaves_at // tick) for entry in entries]
    amounts = [entry.amount for entry in entries]
    count, first = len(ticks), ticks[0] if ticks else 0
    distances = struct.pack(f"<{count}I", *[each - first for each in ticks])
    head = _HEAD.pack(first, tick, count)
    return head + distances if amounts.count(1.0) == count else head + distances + struct.pack(f"<{count}d", *amounts)


def unpacked(data: bytes | None) -> list[Entry]:
    """What was packed; nothing where it was damaged."""
    if data is None:
        return []
    try:
        first, tick, count = _HEAD.unpack_from(data)
        distances = struct.unpack_from(f"<{count}I", data, _HEAD.size)
        at = _HEAD.size + 4 * count
        amounts = struct.unpack_from(f"<{count}d", data, at) if len(data) > at else (1.0,) * count
    except struct.error:
        return []
    return list(map(Entry, [(first + distance) * tick for distance in distances], amounts))


def _ends_at(data: bytes) -> int:
    entries = unpacked(data)
    return entries[-1].leaves_at if entries else 0
