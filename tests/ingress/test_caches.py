"""What every store of answers does, on this machine or among machines: found, gathered in slots, forgotten, bounded."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.cache_store import TOUCHED_S, CacheStore, SharedCache, Stored, decoded
from ingress.redis_cache import RedisCache
from ingress.redis_link import RedisLink
from tests.fakes.answers import KEY, OTHER, Clock, stored

LIMIT = 2 << 20


@pytest.fixture
def clock() -> Clock:
    return Clock()


Caches = Callable[[Clock], AbstractAsyncContextManager[CacheStore]]


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.needs("redis"))])
def caches(request: pytest.FixtureRequest, tmp_path: Path) -> Caches:
    """Each is a new one."""
    server = None if request.param == "here" else request.getfixturevalue("redis_server")

    @asynccontextmanager
    async def made(clock: Clock) -> AsyncIterator[CacheStore]:
        chance = random.Random(1).randrange
        if server is None:
            here = SharedCache(tmp_path / uuid4().hex, limit_bytes=LIMIT, clock=clock, chance=chance)
            yield here
            here.close()
            return
        link = RedisLink(server.config(uuid4().hex))
        there = RedisCache(link, limit_bytes=LIMIT, clock=clock, chance=chance)
        yield there
        await there.clear()
        await link.aclose()

    return made


@pytest.fixture
async def cache(caches: Caches, clock: Clock) -> AsyncIterator[CacheStore]:
    async with caches(clock) as made:
        yield made


async def found(cache: CacheStore, key: bytes = KEY, slots: int = 1) -> str | None:
    hit = await cache.find(key, slots)
    return None if hit is None else hit.stored.call_id


async def test_what_was_put_is_found(cache: CacheStore) -> None:
    assert await cache.find(KEY, 1) is None
    answer = Stored(call_id="a", headers=[(b"A", b"b"), (b"A", b"c")], pieces=[b"1", b"", b"\xff" * 3_000], sized=False, latency_ms=1.5)
    await cache.put(KEY, 1, answer, 60)
    hit = await cache.find(KEY, 1)
    assert hit is not None
    assert (hit.slot, hit.stored) == (0, answer)
    assert await cache.find(OTHER, 1) is None


async def test_all_slots_are_filled_before_the_first_is_given(cache: CacheStore) -> None:
    for name in "abc":
        assert await found(cache, slots=3) is None
        await cache.put(KEY, 3, stored(name), 60)
    seen = [await cache.find(KEY, 3) for _ in range(60)]
    assert {(hit.slot, hit.stored.call_id) for hit in seen if hit} == {(0, "a"), (1, "b"), (2, "c")}
    await cache.put(KEY, 3, stored("late"), 60)
    assert {await found(cache, slots=3) for _ in range(60)} == {"a", "b", "c"}


async def test_what_replaces_takes_the_place_of_another(cache: CacheStore) -> None:
    for name in "abc":
        await cache.put(KEY, 2, stored(name), 60, replaces=True)
    seen = {await found(cache, slots=2) for _ in range(40)}
    assert len(seen) == 2
    assert "c" in seen
    assert (await cache.stats()).entries == 2


async def test_it_is_forgotten_in_time(cache: CacheStore, clock: Clock) -> None:
    await cache.put(KEY, 1, stored("a"), 60)
    clock.now += 59
    assert await found(cache) == "a"
    clock.now += 1
    assert await found(cache) is None
    await cache.put(KEY, 1, stored("b"), 60)
    assert await found(cache) == "b"
    assert (await cache.stats()).entries == 1


async def test_a_slot_that_is_forgotten_is_filled_again(cache: CacheStore, clock: Clock) -> None:
    await cache.put(KEY, 2, stored("a"), 10)
    await cache.put(KEY, 2, stored("b"), 100)
    clock.now += 20
    assert await found(cache, slots=2) is None
    await cache.put(KEY, 2, stored("c"), 100)
    assert {await found(cache, slots=2) for _ in range(40)} == {"b", "c"}


async def test_what_was_asked_for_least_lately_goes_first(cache: CacheStore, clock: Clock) -> None:
    keys = [number.to_bytes(32, "big") for number in range(25)]
    for key in keys[:20]:
        await cache.put(key, 1, stored("x", b"x" * 90_000), 6000)
        clock.now += 1
    clock.now += TOUCHED_S
    assert await found(cache, keys[0])
    for key in keys[20:]:
        clock.now += 1
        await cache.put(key, 1, stored("x", b"x" * 90_000), 6000)
    assert await found(cache, keys[0])
    assert await found(cache, keys[24])
    assert await found(cache, keys[1]) is None


async def test_one_that_is_larger_than_all_is_not_kept(cache: CacheStore) -> None:
    await cache.put(KEY, 1, stored(body=b"x" * (3 << 20)), 60)
    assert await found(cache) is None


async def test_clearing(cache: CacheStore) -> None:
    for number in range(10):
        await cache.put(number.to_bytes(32, "big"), 1, stored(), 60)
    assert (await cache.stats()).entries == 10
    assert await cache.clear() == 10
    stats = await cache.stats()
    assert (stats.entries, stats.bytes, await found(cache, (3).to_bytes(32, "big"))) == (0, 0, None)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from("pfft"), st.integers(0, 5), st.integers(1, 3), st.integers(1, 40)), max_size=60))
async def test_as_a_dictionary_would(caches: Caches, steps: list[tuple[str, int, int, int]]) -> None:
    clock = Clock()
    async with caches(clock) as cache:
        await compared(cache, clock, steps)


async def compared(cache: CacheStore, clock: Clock, steps: list[tuple[str, int, int, int]]) -> None:
    model: dict[tuple[int, int], tuple[str, float]] = {}

    def live(key: int, slot: int) -> str | None:
        name, expires = model.get((key, slot), ("", 0.0))
        return name if expires > clock.now else None

    for number, (step, which, slots, seconds) in enumerate(steps):
        key = which.to_bytes(32, "big")
        if step == "t":
            clock.now += seconds
        elif step == "f":
            full = all(live(which, slot) for slot in range(slots))
            assert await found(cache, key, slots) in ({live(which, slot) for slot in range(slots)} if full else {None})
        else:
            await cache.put(key, slots, stored(str(number)), seconds)
            free = next((slot for slot in range(slots) if live(which, slot) is None), None)
            if free is not None:
                model[which, free] = (str(number), clock.now + seconds)


async def test_forgetting_some(cache: CacheStore) -> None:
    keys = [number.to_bytes(32, "big") for number in range(12)]
    for number, key in enumerate(keys):
        await cache.put(key, 2, stored("bad" if number % 3 == 0 else "good"), 60)
    assert await cache.forget(lambda each: each.call_id == "bad", dry=True) == 4
    assert (await cache.stats()).entries == 12
    assert await cache.forget(lambda each: each.call_id == "bad") == 4
    assert [await found(cache, key) for key in keys] == [None if number % 3 == 0 else "good" for number in range(12)]
    assert (await cache.stats()).entries == 8
    assert await cache.forget(lambda each: each.call_id == "bad") == 0


def test_an_answer_that_an_earlier_version_kept() -> None:
    """It does not tell whose it is, and is read all the same."""
    earlier = decoded(msgspec.msgpack.encode(["a", [], [b"x"], True, 5.0, None]))
    assert earlier is not None
    assert (earlier.call_id, earlier.organization) == ("a", None)
