"""Where answers are kept: found, gathered in slots, forgotten; bounded, undamaged, shared."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from ingress.cache_store import CacheUnavailable, SharedCache
from tests.fakes.answers import KEY, Clock, stored


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[SharedCache]:
    made = SharedCache(tmp_path, limit_bytes=8 << 20, clock=clock, chance=random.Random(1).randrange)
    yield made
    made.close()


async def found(cache: SharedCache, key: bytes = KEY, slots: int = 1) -> str | None:
    hit = await cache.find(key, slots)
    return None if hit is None else hit.stored.call_id


@pytest.mark.parametrize("size", [10, 1_500, 2_100, 70_000])
async def test_it_never_takes_more_than_its_limit(tmp_path: Path, size: int) -> None:
    """On disk too, whatever the sizes."""
    cache = SharedCache(tmp_path, limit_bytes=8 << 20)
    chance = random.Random(size)
    for number in range(60_000_000 // (size + 3_000)):
        body = chance.randbytes(chance.randrange(1, 2 * size))
        await cache.put(number.to_bytes(32, "big"), 1, stored(str(number), body), 600)
    stats = await cache.stats()
    assert 0.5 * (8 << 20) < stats.bytes <= 8 << 20
    on_disk = sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("data.mdb"))
    assert on_disk <= 1.05 * (8 << 20) + (4 << 20)
    cache.close()


async def test_a_damaged_entry_is_none(cache: SharedCache) -> None:
    await cache.put(KEY, 1, stored("a"), 60)
    with cache._env.begin(write=True, db=cache._entries) as txn:
        value = bytearray(bytes(txn.get(KEY + b"\0") or b""))
        value[-1] ^= 1
        txn.put(KEY + b"\0", bytes(value))
    assert await found(cache) is None
    assert (await cache.stats()).entries == 0
    await cache.put(KEY, 1, stored("b"), 60)
    assert await found(cache) == "b"


async def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnavailable, match="file"):
        SharedCache(tmp_path / "file", limit_bytes=1 << 20)


async def test_a_disk_that_is_full(cache: SharedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise lmdb.DiskError("no space left on device")

    monkeypatch.setattr(cache, "_place_into", full)
    with pytest.raises(CacheUnavailable, match="no space"):
        await cache.put(KEY, 1, stored(), 60)
    assert await found(cache) is None


PUTTING = """
import asyncio, random, sys
from pathlib import Path
from ingress.cache_store import SharedCache, Stored
cache = SharedCache(Path(sys.argv[1]), limit_bytes=4 << 20)
chance = random.Random(int(sys.argv[2]))
async def main():
    while True:
        number = chance.randrange(200)
        key = number.to_bytes(32, "big")
        hit = await cache.find(key, 1)
        assert hit is None or hit.stored.pieces == [b"%d" % number * 5000]
        await cache.put(key, 1, Stored(call_id=str(number), headers=[], pieces=[b"%d" % number * 5000], sized=True, latency_ms=1), 60)
        print("+", flush=True)
asyncio.run(main())
"""


async def test_it_stands_when_those_who_use_it_are_killed(tmp_path: Path) -> None:
    for round_ in range(5):
        pair = [
            subprocess.Popen([sys.executable, "-c", PUTTING, str(tmp_path), str(round_ * 2 + each)], stdout=subprocess.PIPE)
            for each in (0, 1)
        ]
        for process in pair:
            with process:
                assert process.stdout is not None
                assert len(process.stdout.read(200)) == 200
                process.kill()
    cache = SharedCache(tmp_path, limit_bytes=4 << 20)
    hits = [(number, await cache.find(number.to_bytes(32, "big"), 1)) for number in range(200)]
    assert sum(hit is not None for _, hit in hits) == (await cache.stats()).entries > 20
    assert all(hit.stored.pieces == [b"%d" % number * 5000] for number, hit in hits if hit is not None)
    cache.close()


READING = """
import sys, time
from pathlib import Path
from ingress.cache_store import SharedCache
cache = SharedCache(Path(sys.argv[1]), limit_bytes=4 << 20)
with cache._env.begin():
    print("reading", flush=True)
    time.sleep(60)
"""


async def test_a_reader_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path, limit_bytes=4 << 20)
    await cache.put(KEY, 1, stored(), 60)
    with subprocess.Popen([sys.executable, "-c", READING, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    for number in range(300):
        await cache.put(number.to_bytes(32, "big"), 1, stored(body=b"x" * 100_000), 60)
    assert (await cache.stats()).entries > 20
    cache.close()
