"""Where answers are kept to be given again: the port, and an LMDB file in the data directory, which all workers of one `up` share.

As with the ledger, nothing waits for the disk, so what is kept outlives every process and not the machine. Each entry bears a checksum:
one that was damaged is none. Whoever was asked for least lately goes first.
"""

import asyncio
import random
import struct
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import lmdb
import msgspec
from msgspec import Struct

from ingress.lmdb_files import opened

TOUCHED_S = 60
"""That an entry was used is noted again after so long: hits would write otherwise."""
PAGE = 4096
SMALL = 2_000
"""Values above it have pages of their own."""
MARGIN_BYTES = 4 << 20
HEAVY_BYTES = 256 << 10
"""A larger answer is read beside the event loop."""
HEAVY_TO_PUT = 64 << 10
"""A larger one is stored so: others may have to go first."""
EVICTED_AT_ONCE = 100
"""Answers that go in one transaction: others wait for its end, and a large answer may take the place of thousands of small ones."""
_HEAD = struct.Struct("<QQ8s")
"""When it expires, when it was used, both in seconds since 1970; the checksum of the rest."""
_COUNT = struct.Struct("<q")
_USED = struct.Struct(">Q")
_CHECK_BYTES = 8
_BYTES, _ENTRIES = b"bytes", b"entries"


class Stored(Struct, frozen=True, kw_only=True, array_like=True):
    """An answer, as its provider sent it."""

    call_id: str
    """Of the call that was answered with it."""
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    """Its body, in the pieces in which it came."""
    sized: bool
    """Its length was announced."""
    latency_ms: float
    """How long that call took."""
    fallback_index: int | None = None
    """Which of several targets answered it."""
    organization: str | None = None
    """Whose call that was; None where an earlier version kept it."""


class Hit(Struct, frozen=True):
    """An answer to be given again."""

    slot: int
    stored: Stored


class CacheStats(Struct, frozen=True, kw_only=True):
    entries: int
    bytes: int
    limit_bytes: int


class CacheUnavailable(Exception):
    """Nothing can be looked up, or kept, now."""


class CacheStore(Protocol):
    """Keeps answers, within a limit of bytes. All raise CacheUnavailable."""

    async def find(self, key: bytes, slots: int) -> Hit | None:
        """One of the answers, by chance, once all slots are full; None before that."""

    async def put(self, key: bytes, slots: int, stored: Stored, ttl_s: int, *, replaces: bool = False) -> None:
        """Into the first slot that is free; where none is, into one by chance, or, unless it `replaces`, nowhere."""

    async def clear(self) -> int:
        """Forgets all answers; how many there were."""

    async def forget(self, erased: Callable[[Stored], bool], *, dry: bool = False) -> int:
        """Forgets those that are `erased`, or only counts them; how many there were. Those that cannot be read go too."""

    async def stats(self) -> CacheStats: ...


class SharedCache:
    """The answers of all processes that open the same directory. Raises CacheUnavailable when it cannot be used."""

    def __init__(
        self, directory: Path, *, limit_bytes: int, clock: Callable[[], float] = time.time, chance: Callable[[int], int] = random.randrange
    ):
        self._limit, self._clock, self._chance = limit_bytes, clock, chance
        try:
            self._env = opened(directory, limit_bytes + limit_bytes // 20 + MARGIN_BYTES, databases=3)
            self._entries, self._used, self._counts = (self._env.open_db(name) for name in (b"entries", b"used", b"counts"))
        except (OSError, lmdb.Error) as error:
            raise CacheUnavailable(f"{directory}: {error}") from error

    async def find(self, key: bytes, slots: int) -> Hit | None:
        now = int(self._clock())
        slot = self._chance(slots) if slots > 1 else 0
        try:
            with self._env.begin(buffers=True) as txn:
                found = [self._live(txn, key, each, now) for each in range(slots)]
                if not all(found):
                    return None
                used = _HEAD.unpack_from(found[slot])[1]
                value = bytes(found[slot]) if len(found[slot]) <= HEAVY_BYTES else None
            stored = _undamaged(value) if value is not None else await asyncio.to_thread(self._heavy, key, slot)
        except lmdb.Error as error:
            raise CacheUnavailable(str(error)) from error
        if stored is None:
            self._forget(key, slot)
            return None
        if now - used >= TOUCHED_S:
            self._touch(key, slot, now)
        return Hit(slot, stored)

    async def put(self, key: bytes, slots: int, stored: Stored, ttl_s: int, *, replaces: bool = False) -> None:
        instead = self._chance(slots) if replaces else None
        if sum(map(len, stored.pieces)) > HEAVY_TO_PUT:
            await asyncio.to_thread(self._put, key, slots, stored, ttl_s, instead)
        else:
            self._put(key, slots, stored, ttl_s, instead)

    async def clear(self) -> int:
        try:
            with self._env.begin(write=True) as txn:
                entries = self._counted(txn, _ENTRIES)
                for database in (self._entries, self._used, self._counts):
                    txn.drop(database, delete=False)
        except lmdb.Error as error:
            raise CacheUnavailable(str(error)) from error
        return entries

    async def forget(self, erased: Callable[[Stored], bool], *, dry: bool = False) -> int:
        return await asyncio.to_thread(self._forget_erased, erased, dry)

    async def stats(self) -> CacheStats:
        try:
            with self._env.begin() as txn:
                return CacheStats(entries=self._counted(txn, _ENTRIES), bytes=self._counted(txn, _BYTES), limit_bytes=self._limit)
        except lmdb.Error as error:
            raise CacheUnavailable(str(error)) from error

    def close(self) -> None:
        self._env.close()

    def _live(self, txn: lmdb.Transaction, key: bytes, slot: int, now: int) -> Any:
        value: Any = txn.get(_place(key, slot), db=self._entries)
        return None if value is None or _ends_at(value) <= now else value

    def _heavy(self, key: bytes, slot: int) -> Stored | None:
        """Beside the event loop: it takes milliseconds."""
        with self._env.begin(buffers=True) as txn:
            value = bytes(txn.get(_place(key, slot), db=self._entries) or b"")
        return _undamaged(value)

    def _put(self, key: bytes, slots: int, stored: Stored, ttl_s: int, instead: int | None) -> None:
        now = int(self._clock())
        content = encoded(stored)
        value = _HEAD.pack(now + ttl_s, now, _check(content)) + content
        try:
            try:
                self._place_into(key, slots, instead, value, now, spare=0)
            except lmdb.MapFullError:  # a reader was killed, or pages are not filled to the brim
                self._env.reader_check()
                self._place_into(key, slots, instead, value, now, spare=self._limit // 10)
        except lmdb.Error as error:
            raise CacheUnavailable(str(error)) from error

    def _place_into(self, key: bytes, slots: int, instead: int | None, value: bytes, now: int, spare: int) -> None:
        cost = _cost(value)
        if cost > self._limit:
            return
        with self._env.begin(buffers=True) as txn:
            if self._slot(txn, key, slots, instead, now) is None:
                return
        while not self._has_room(cost + spare):
            pass
        with self._env.begin(write=True) as txn:
            free = self._slot(txn, key, slots, instead, now)
            if free is None:
                return
            self._remove(txn, _place(key, free))
            if not self._make_room(txn, cost):
                return
            txn.put(_place(key, free), value, db=self._entries)
            txn.put(_USED.pack(now) + _place(key, free), b"", db=self._used)
            self._count(txn, 1, cost)

    def _slot(self, txn: lmdb.Transaction, key: bytes, slots: int, instead: int | None, now: int) -> int | None:
        return next((slot for slot in range(slots) if self._live(txn, key, slot, now) is None), instead)

    def _has_room(self, wanted: int) -> bool:
        """Now, or after some others went."""
        with self._env.begin() as txn:
            if self._counted(txn, _BYTES) + wanted <= self._limit:
                return True
        with self._env.begin(write=True) as txn:
            return self._make_room(txn, wanted)

    def _make_room(self, txn: lmdb.Transaction, wanted: int) -> bool:
        """Whether there is room now. A few go at a time."""
        cursor = txn.cursor(db=self._used)
        for _ in range(EVICTED_AT_ONCE):
            if self._counted(txn, _BYTES) + wanted <= self._limit or not cursor.first():
                return True
            self._remove(txn, bytes(cursor.key())[_USED.size :])
        return False

    def _remove(self, txn: lmdb.Transaction, place: bytes) -> None:
        value: Any = txn.get(place, db=self._entries)
        if value is not None:
            used = _USED.pack(_HEAD.unpack_from(value)[1] if len(value) >= _HEAD.size else 0) + place
            cost = _cost(value)
            txn.delete(place, db=self._entries)
            txn.delete(used, db=self._used)
            self._count(txn, -1, -cost)

    def _touch(self, key: bytes, slot: int, now: int) -> None:
        """Notes the use where that is possible; who looked something up has it already."""
        place = _place(key, slot)
        try:
            with self._env.begin(write=True) as txn:
                value = txn.get(place, db=self._entries)
                if value is not None:
                    expires, used, check = _HEAD.unpack_from(value)
                    txn.delete(_USED.pack(used) + place, db=self._used)
                    txn.put(place, _HEAD.pack(expires, now, check) + value[_HEAD.size :], db=self._entries)
                    txn.put(_USED.pack(now) + place, b"", db=self._used)
        except lmdb.Error:
            return

    def _forget(self, key: bytes, slot: int) -> None:
        try:
            with self._env.begin(write=True) as txn:
                self._remove(txn, _place(key, slot))
        except lmdb.Error as error:
            raise CacheUnavailable(str(error)) from error

    def _forget_erased(self, erased: Callable[[Stored], bool], dry: bool) -> int:
        try:
            with self._env.begin(buffers=True) as txn:
                places = [bytes(place) for place, value in txn.cursor(db=self._entries) if _is_erased(bytes(value), erased)]
            for at in range(0, 0 if dry else len(places), EVICTED_AT_ONCE):
                with self._env.begin(write=True) as txn:
                    for place in places[at : at + EVICTED_AT_ONCE]:
                        value = txn.get(place, db=self._entries)
                        if value is not None and _is_erased(value, erased):  # another may have taken its place
                            self._remove(txn, place)
        except lmdb.Error as error:
            raise CacheUnavailable(str(error)) from error
        return len(places)

    def _count(self, txn: lmdb.Transaction, entries: int, size: int) -> None:
        txn.put(_ENTRIES, _COUNT.pack(self._counted(txn, _ENTRIES) + entries), db=self._counts)
        txn.put(_BYTES, _COUNT.pack(self._counted(txn, _BYTES) + size), db=self._counts)

    def _counted(self, txn: lmdb.Transaction, name: bytes) -> int:
        return int(_COUNT.unpack(txn.get(name, db=self._counts) or _COUNT.pack(0))[0])


def _ends_at(value: Any) -> int:
    """Seconds since 1970; one that is damaged has ended."""
    return int(_HEAD.unpack_from(value)[0]) if len(value) >= _HEAD.size else 0


def _place(key: bytes, slot: int) -> bytes:
    return key + bytes((slot,))


def _cost(value: bytes) -> int:
    """What it takes on disk: pages of its own, or a share of one that is filled to two thirds, and what is noted beside it."""
    return -(-(len(value) + 16) // PAGE) * PAGE + 128 if len(value) > SMALL else len(value) * 3 // 2 + 192


def encoded(stored: Stored) -> bytes:
    return msgspec.msgpack.encode(stored)


def decoded(content: bytes) -> Stored | None:
    """None where it is none of ours."""
    try:
        return msgspec.msgpack.decode(content, type=Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_erased(value: bytes, erased: Callable[[Stored], bool]) -> bool:
    stored = _undamaged(value)
    return stored is None or erased(stored)


def _check(content: bytes) -> bytes:
    return blake2b(content, digest_size=_CHECK_BYTES).digest()


def _undamaged(value: bytes) -> Stored | None:
    content = value[_HEAD.size :]
    if len(value) < _HEAD.size or _HEAD.unpack_from(value)[2] != _check(content):
        return None
    return decoded(content)
