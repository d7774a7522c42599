"""Where answers are kept: found, gathered in slots, forgotten; bounded, undamaged, shared."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.cache_store import TOUCHED_S, CacheUnavailable, SharedCache, Stored

KEY, OTHER = b"k" * 32, b"o" * 32


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def stored(name: str = "a", body: bytes = b"{}") -> Stored:
    return Stored(call_id=name, headers=[(b"content-type", b"text/plain")], pieces=[body], sized=True, latency_ms=5.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[SharedCache]:
    made = SharedCache(tmp_path, limit_bytes=8 << 20, clock=clock, chance=random.Random(1).randrange)
    yield made
    made.close()


def found(cache: SharedCache, key: bytes = KEY, slots: int = 1) -> str | None:
    hit = cache.find(key, slots)
    return None if hit is None else hit.stored.call_id


def test_what_was_put_is_found(cache: SharedCache) -> None:
    assert cache.find(KEY, 1) is None
    answer = Stored(call_id="a", headers=[(b"A", b"b"), (b"A", b"c")], pieces=[b"1", b"", b"\xff" * 3_000], sized=False, latency_ms=1.5)
    cache.put(KEY, 1, answer, 60)
    hit = cache.find(KEY, 1)
    assert hit is not None
    assert (hit.slot, hit.stored) == (0, answer)
    assert cache.find(OTHER, 1) is None


def test_all_slots_are_filled_before_the_first_is_given(cache: SharedCache) -> None:
    for name in "abc":
        assert found(cache, slots=3) is None
        cache.put(KEY, 3, stored(name), 60)
    seen = [cache.find(KEY, 3) for _ in range(60)]
    assert {(hit.slot, hit.stored.call_id) for hit in seen if hit} == {(0, "a"), (1, "b"), (2, "c")}
    cache.put(KEY, 3, stored("late"), 60)
    assert {found(cache, slots=3) for _ in range(60)} == {"a", "b", "c"}


def test_it_is_forgotten_in_time(cache: SharedCache, clock: Clock) -> None:
    cache.put(KEY, 1, stored("a"), 60)
    clock.now += 59
    assert found(cache) == "a"
    clock.now += 1
    assert found(cache) is None
    cache.put(KEY, 1, stored("b"), 60)
    assert found(cache) == "b"
    assert cache.stats.entries == 1


def test_a_slot_that_is_forgotten_is_filled_again(cache: SharedCache, clock: Clock) -> None:
    cache.put(KEY, 2, stored("a"), 10)
    cache.put(KEY, 2, stored("b"), 100)
    clock.now += 20
    assert found(cache, slots=2) is None
    cache.put(KEY, 2, stored("c"), 100)
    assert {found(cache, slots=2) for _ in range(40)} == {"b", "c"}


@pytest.mark.parametrize("size", [10, 1_500, 2_100, 70_000])
def test_it_never_takes_more_than_its_limit(tmp_path: Path, size: int) -> None:
    """On disk too, whatever the sizes."""
    cache = SharedCache(tmp_path, limit_bytes=8 << 20)
    chance = random.Random(size)
    for number in range(60_000_000 // (size + 3_000)):
        body = chance.randbytes(chance.randrange(1, 2 * size))
        cache.put(number.to_bytes(32, "big"), 1, stored(str(number), body), 600)
    stats = cache.stats
    assert 0.5 * (8 << 20) < stats.bytes <= 8 << 20
    on_disk = sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("data.mdb"))
    assert on_disk <= 1.05 * (8 << 20) + (4 << 20)
    cache.close()


def test_what_was_asked_for_least_lately_goes_first(tmp_path: Path, clock: Clock) -> None:
    cache = SharedCache(tmp_path, limit_bytes=2 << 20, clock=clock)
    keys = [number.to_bytes(32, "big") for number in range(25)]
    for key in keys[:20]:
        cache.put(key, 1, stored("x", b"x" * 90_000), 6000)
        clock.now += 1
    clock.now += TOUCHED_S
    assert found(cache, keys[0])
    for key in keys[20:]:
        clock.now += 1
        cache.put(key, 1, stored("x", b"x" * 90_000), 6000)
    assert found(cache, keys[0])
    assert found(cache, keys[24])
    assert found(cache, keys[1]) is None
    cache.close()


def test_one_that_is_larger_than_all_is_not_kept(cache: SharedCache) -> None:
    cache.put(KEY, 1, stored(body=b"x" * (9 << 20)), 60)
    assert found(cache) is None


def test_clearing(cache: SharedCache) -> None:
    for number in range(10):
        cache.put(number.to_bytes(32, "big"), 1, stored(), 60)
    assert cache.stats.entries == 10
    cache.clear()
    assert (cache.stats.entries, cache.stats.bytes, found(cache, (3).to_bytes(32, "big"))) == (0, 0, None)


def test_a_damaged_entry_is_none(cache: SharedCache) -> None:
    cache.put(KEY, 1, stored("a"), 60)
    with cache._env.begin(write=True, db=cache._entries) as txn:
        value = bytearray(bytes(txn.get(KEY + b"\0") or b""))
        value[-1] ^= 1
        txn.put(KEY + b"\0", bytes(value))
    assert found(cache) is None
    assert cache.stats.entries == 0
    cache.put(KEY, 1, stored("b"), 60)
    assert found(cache) == "b"


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnavailable, match="file"):
        SharedCache(tmp_path / "file", limit_bytes=1 << 20)


def test_a_disk_that_is_full(cache: SharedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise lmdb.DiskError("no space left on device")

    monkeypatch.setattr(cache, "_put", full)
    with pytest.raises(CacheUnavailable, match="no space"):
        cache.put(KEY, 1, stored(), 60)
    assert found(cache) is None


PUTTING = """
import random, sys
from pathlib import Path
from ingress.cache_store import SharedCache, Stored
cache = SharedCache(Path(sys.argv[1]), limit_bytes=4 << 20)
chance = random.Random(int(sys.argv[2]))
while True:
    number = chance.randrange(200)
    key = number.to_bytes(32, "big")
    hit = cache.find(key, 1)
    assert hit is None or hit.stored.pieces == [b"%d" % number * 5000]
    cache.put(key, 1, Stored(call_id=str(number), headers=[], pieces=[b"%d" % number * 5000], sized=True, latency_ms=1), 60)
    print("+", flush=True)
"""


def test_it_stands_when_those_who_use_it_are_killed(tmp_path: Path) -> None:
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
    hits = [(number, cache.find(number.to_bytes(32, "big"), 1)) for number in range(200)]
    assert sum(hit is not None for _, hit in hits) == cache.stats.entries > 20
    assert all(hit.stored.pieces == [b"%d" % number * 5000] for number, hit in hits if hit is not None)
    cache.close()


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("pfft"), st.integers(0, 5), st.integers(1, 3), st.integers(1, 40)), max_size=60))
def test_as_a_dictionary_would(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, int]]) -> None:
    clock = Clock()
    clock.now = 1_795_000_000.0
    cache = SharedCache(tmp_path_factory.mktemp("model"), limit_bytes=8 << 20, clock=clock, chance=lambda slots: 0)
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
            assert found(cache, key, slots) == (live(which, 0) if full else None)
        else:
            cache.put(key, slots, stored(str(number)), seconds)
            free = next((slot for slot in range(slots) if live(which, slot) is None), None)
            if free is not None:
                model[which, free] = (str(number), clock.now + seconds)
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


def test_a_reader_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path, limit_bytes=4 << 20)
    cache.put(KEY, 1, stored(), 60)
    with subprocess.Popen([sys.executable, "-c", READING, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    for number in range(300):
        cache.put(number.to_bytes(32, "big"), 1, stored(body=b"x" * 100_000), 60)
    assert cache.stats.entries > 20
    cache.close()
