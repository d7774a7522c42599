"""Where answers are kept among machines: in Redis, by one script for each look and each answer. The clock is Redis's own."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from ingress.cache_store import HEAVY_BYTES, TOUCHED_S, CacheStats, CacheUnavailable, Hit, Stored, decoded, encoded
from ingress.redis_link import RedisAway, RedisLink, Word

REMOVED_AT_ONCE = 200
"""Answers that go when one is kept: a millisecond or two, in which Redis answers nobody else."""
LARGEST = 1 << 20
"""A larger answer is not kept: all that it takes to bring it here is time of every other call."""


class RedisCache:
    """The answers of all who use the same prefix. `clock`: seconds since 1970, in the place of Redis's.

    `limit_bytes`: of what Redis says that answers take of its memory. Who was asked for least lately goes first.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        limit_bytes: int,
        clock: Callable[[], float] | None = None,
        chance: Callable[[int], int] = random.randrange,
    ) -> None:
        self._link, self._limit, self._clock, self._chance = link, limit_bytes, clock, chance
        self._prefix = f"{link.prefix}:answers:"

    async def find(self, key: bytes, slots: int) -> Hit | None:
        slot = self._chance(slots) if slots > 1 else 0
        found = await self._run("find", key.hex(), slots, slot, self._now(), TOUCHED_S)
        if found is None:
            return None
        stored = decoded(found) if len(found) <= HEAVY_BYTES else await asyncio.to_thread(decoded, found)
        if stored is None:
            await self._run("forget", key.hex(), slot)
            return None
        return Hit(slot, stored)

    async def put(self, key: bytes, slots: int, stored: Stored, ttl_s: int, *, replaces: bool = False) -> None:
        instead: Word = self._chance(slots) if replaces else ""
        size = sum(map(len, stored.pieces))
        if size > LARGEST:
            return
        value = await asyncio.to_thread(encoded, stored) if size > HEAVY_BYTES else encoded(stored)
        await self._run("put", key.hex(), slots, value, ttl_s, self._limit, self._now(), REMOVED_AT_ONCE, instead)

    async def clear(self) -> int:
        cleared = 0
        while count := await self._run("clear", REMOVED_AT_ONCE):
            cleared += count
        return cleared

    async def forget(self, erased: Callable[[Stored], bool], *, dry: bool = False) -> int:
        found, cursor = set[str](), "0"
        while True:
            cursor, places = _texts(await self._run("places", cursor, REMOVED_AT_ONCE))
            for place in places:
                key, _, slot = place.rpartition(":")
                value = await self._run("value", key, slot)
                stored = None if value is None else await asyncio.to_thread(decoded, value)
                if value is not None and (stored is None or erased(stored)):
                    found.add(place)
                    if not dry:
                        await self._run("forget", key, slot)
            if cursor == "0":
                return len(found)

    async def stats(self) -> CacheStats:
        entries, size = await self._run("stats")
        return CacheStats(entries=entries, bytes=int(size or 0), limit_bytes=self._limit)

    async def _run(self, script: str, *words: Word) -> Any:
        try:
            return await self._link.run(script, (), [self._prefix, *words])
        except RedisAway as error:
            raise CacheUnavailable(str(error)) from error

    def _now(self) -> Word:
        return "" if self._clock is None else int(self._clock())


def _texts(answer: Any) -> tuple[str, list[str]]:
    """A cursor, and the places that came with it."""
    cursor, places = answer
    return cursor.decode(), [place.decode() for place in places]
