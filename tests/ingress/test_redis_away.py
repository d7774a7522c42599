"""Redis that dies, hangs, fills up or comes back: no call waits for it, and what is counted meanwhile is counted here."""

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ingress.cache_store import CacheUnavailable, Stored
from ingress.config import RedisConfig
from ingress.ledger import LedgerUnavailable, SharedLedger, Window
from ingress.policies import parse_policy
from ingress.redis_cache import LARGEST, REMOVED_AT_ONCE, RedisCache
from ingress.redis_ledger import LedgerOfTwo, RedisLedger
from ingress.redis_link import RedisAway, RedisLink
from ingress.telemetry import LIMITS_COUNTED_HERE, Telemetry
from tests.fakes.ingress import running, status_of
from tests.fakes.redis import RedisServer

pytestmark = pytest.mark.needs("redis")

POLICY = parse_policy("10;w=600")
LIMITED = b"Helicone-RateLimit-Policy: 2;w=600\r\n"
QUICK_S = 0.2
PATIENT_S = 5.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    yield made
    made.kill()


@asynccontextmanager
async def linked(server: RedisServer, timeout_s: float = PATIENT_S) -> AsyncIterator[RedisLink]:
    link = RedisLink(server.config(uuid4().hex, timeout_s))
    try:
        yield link
    finally:
        await link.aclose()


def window(name: str = "a") -> Window:
    return Window(name.encode().ljust(16), POLICY)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_nobody_waits_for_it(server: RedisServer, how: str) -> None:
    async with linked(server, QUICK_S) as link:
        ledger = RedisLedger(link)
        await ledger.judge([window()])
        server.kill() if how == "killed" else server.pause()
        with capture_logs() as logs:
            began = time.perf_counter()
            found = await asyncio.gather(*(ledger.judge([window()]) for _ in range(50)), return_exceptions=True)
            assert time.perf_counter() - began < 10 * QUICK_S
            assert {type(each) for each in found} == {LedgerUnavailable}
            await until(lambda: link.away)
            began = time.perf_counter()
            for _ in range(100):
                with pytest.raises(LedgerUnavailable):
                    await ledger.judge([window()])
            assert time.perf_counter() - began < QUICK_S  # it is not even asked
            assert [line["event"] for line in logs] == ["redis_away"]
            server.start() if how == "killed" else server.go_on()
            await until(lambda: not link.away)
            assert [line["event"] for line in logs] == ["redis_away", "redis_back"]
        assert (await ledger.judge([window()])).verdicts[0].allowed  # its scripts are there again, whoever lost them


async def test_a_burst_is_counted_to_the_last_call(server: RedisServer) -> None:
    """Far more than may be under way at once, and a timeout that none of them would meet if it began before their turn."""
    async with linked(server, 1.0) as link:
        ledger = RedisLedger(link)
        await ledger.judge([window("before")])
        verdicts = await asyncio.gather(*(ledger.judge([window()]) for _ in range(1_000)))
        assert sum(each.verdicts[0].allowed for each in verdicts) == 10
        assert not link.away


async def test_one_question_that_fails_does_not_say_that_the_next_will(server: RedisServer) -> None:
    async with linked(server) as link:
        with pytest.raises(RedisAway):
            await link.run("judge", ["only the ledger's"], [])
        await asyncio.sleep(0.2)
        assert not link.away
        assert await link.get("nothing") is None


async def test_what_is_given_up_halfway_mixes_up_no_answers(server: RedisServer) -> None:
    async with linked(server, timeout_s=1) as link:
        ledger, cache = RedisLedger(link), RedisCache(link, limit_bytes=1 << 20)
        await cache.put(b"k" * 32, 1, Stored(call_id="a", headers=[], pieces=[b"{}"], sized=True, latency_ms=1.0), 60)
        for round_ in range(10):
            server.pause()
            tasks = [asyncio.create_task(ledger.judge([window(f"{round_}")])) for _ in range(5)]
            await asyncio.sleep(0.002)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            server.go_on()
            hit = await cache.find(b"k" * 32, 1)
            assert hit is not None
            assert hit.stored.call_id == "a"
            assert (await ledger.judge([window(f"other {round_}")])).verdicts[0].remaining == 9
    with warnings.catch_warnings():  # one that was given up while it connected leaves its socket to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def test_one_that_is_full_counts_as_away(server: RedisServer) -> None:
    async with linked(server) as link, Redis.from_url(server.url, protocol=2) as admin:
        await admin.config_set("maxmemory", "1")
        with pytest.raises(RedisAway, match="OutOfMemory"):
            await link.set_once("x", 1)
        await until(lambda: link.away)
        await admin.config_set("maxmemory", "0")
        await until(lambda: not link.away)


async def test_a_cache_takes_no_memory_that_is_not_there(server: RedisServer) -> None:
    """Nor from the counts of limits: it is refused like them, though it could remove something first."""
    async with linked(server) as link, Redis.from_url(server.url, protocol=2) as admin:
        cache = RedisCache(link, limit_bytes=1 << 30)
        await admin.config_set("maxmemory", str((await admin.info("memory"))["used_memory"] + (4 << 20)))
        stored = Stored(call_id="a", headers=[], pieces=[b"x" * 500_000], sized=True, latency_ms=1.0)

        async def fill() -> None:
            for number in range(40):
                await cache.put(number.to_bytes(32, "big"), 1, stored, 60)

        with pytest.raises(CacheUnavailable):
            await fill()
        assert (await admin.info("memory"))["used_memory"] < (await admin.info("memory"))["maxmemory"] + 1_000_000


async def test_answers_leave_by_themselves(server: RedisServer) -> None:
    async with linked(server) as link, Redis.from_url(server.url, protocol=2) as admin:
        cache = RedisCache(link, limit_bytes=1 << 20)
        await cache.put(b"k" * 32, 1, Stored(call_id="a", headers=[], pieces=[b"{}"], sized=True, latency_ms=1.0), 600)
        assert 600 < await admin.ttl(f"{link.prefix}:answers:{b'k'.hex() * 32}:0") <= 660


async def test_a_large_answer_is_not_kept(server: RedisServer) -> None:
    async with linked(server) as link:
        cache = RedisCache(link, limit_bytes=1 << 30)
        await cache.put(b"k" * 32, 1, Stored(call_id="a", headers=[], pieces=[b"x" * (LARGEST + 1)], sized=True, latency_ms=1.0), 60)
        assert (await cache.stats()).entries == 0


async def test_few_go_for_one(server: RedisServer) -> None:
    """So that nobody waits: a large one among thousands of small ones is kept when enough have gone, and not before."""
    async with linked(server) as link:
        cache = RedisCache(link, limit_bytes=2 << 20)
        for number in range(3_000):
            await cache.put(number.to_bytes(32, "big"), 1, Stored(call_id="a", headers=[], pieces=[b"{}"], sized=True, latency_ms=1.0), 60)
        full = (await cache.stats()).entries
        large = Stored(call_id="large", headers=[], pieces=[b"x" * 900_000], sized=True, latency_ms=1.0)
        seen = []
        while await cache.find(b"l" * 32, 1) is None:
            await cache.put(b"l" * 32, 1, large, 60)
            seen.append((await cache.stats()).entries)
        assert full - seen[0] == REMOVED_AT_ONCE
        assert 2 < len(seen) < 20


async def test_a_connection_that_was_closed_while_nobody_used_it(server: RedisServer) -> None:
    async with linked(server) as link, Redis.from_url(server.url, protocol=2) as admin:
        ledger = RedisLedger(link)
        await ledger.judge([window()])
        await admin.client_kill_filter(_type="normal", skipme=True)
        assert (await ledger.judge([window()])).verdicts[0].remaining == 8


async def test_calls_are_counted_here_meanwhile(server: RedisServer, ledger: SharedLedger) -> None:
    async with linked(server) as link:
        both = LedgerOfTwo(RedisLedger(link), ledger, Telemetry())
        async with running(ledger=both) as world:
            assert [status_of(await world.post(headers=LIMITED)) for _ in range(3)] == [200, 200, 429]
            before = LIMITS_COUNTED_HERE._value.get()
            server.kill()
            assert [status_of(await world.post(headers=LIMITED)) for _ in range(3)] == [200, 200, 429]
            assert LIMITS_COUNTED_HERE._value.get() == before + 3
            server.start()
            await until(lambda: not link.away)
            assert [status_of(await world.post(headers=LIMITED)) for _ in range(3)] == [200, 200, 429]  # it forgot, being killed


async def test_costs_count_where_their_call_was_judged(server: RedisServer, ledger: SharedLedger) -> None:
    async with linked(server) as link:
        there = RedisLedger(link)
        both = LedgerOfTwo(there, ledger, Telemetry())
        window_ = [Window(b"c" * 16, parse_policy("5;w=60;u=cents"))]
        assert (await both.judge(window_)).ledger == await there.known_as() != ledger.id
        server.kill()
        assert (await both.judge(window_)).ledger == ledger.id


async def test_or_refused(server: RedisServer) -> None:
    async with linked(server) as link, running(ledger=RedisLedger(link), refuses_uncounted=True) as world:
        assert status_of(await world.post(headers=LIMITED)) == 200
        server.kill()
        answer = await world.post(headers=LIMITED)
        assert status_of(answer) == 503
        assert b"limits_unavailable" in answer
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert status_of(await world.post()) == 200  # no limit holds for it
        assert len(world.provider.requests) == 2


async def test_a_cache_that_is_away_is_gone_without(server: RedisServer) -> None:
    async with linked(server, QUICK_S) as link, running(cache=RedisCache(link, limit_bytes=1 << 20)) as world:
        cached = b"Helicone-Cache-Enabled: true\r\n"
        said = [await world.post(headers=cached) for _ in range(2)]
        server.pause()
        said += [await world.post(headers=cached) for _ in range(2)]
        assert [status_of(answer) for answer in said] == [200] * 4
        assert [b"Helicone-Cache: HIT" in answer for answer in said] == [False, True, False, False]
        server.go_on()


async def test_an_answer_that_cannot_be_read_is_removed(server: RedisServer) -> None:
    async with linked(server) as link, Redis.from_url(server.url, protocol=2) as admin:
        cache = RedisCache(link, limit_bytes=1 << 20)
        stored = Stored(call_id="a", headers=[], pieces=[b"{}"], sized=True, latency_ms=1.0)
        await cache.put(b"k" * 32, 1, stored, 60)
        await admin.hset(f"{link.prefix}:answers:{b'k'.hex() * 32}:0", "value", b"\xc1 damaged")
        assert await cache.find(b"k" * 32, 1) is None
        assert await cache.stats() == await RedisCache(link, limit_bytes=1 << 20).stats()
        assert (await cache.stats()).entries == (await cache.stats()).bytes == 0
        await cache.put(b"k" * 32, 1, stored, 60)
        assert await cache.find(b"k" * 32, 1) is not None


@pytest.mark.parametrize(("size", "limit"), [(300, 8 << 20), (4_000, 8 << 20), (70_000, 16 << 20)])
async def test_it_takes_no_more_of_its_memory_than_its_limit(server: RedisServer, size: int, limit: int) -> None:
    """As Redis itself counts it, ± 5 %."""
    async with linked(server) as link, Redis.from_url(server.url, protocol=2) as admin:
        empty = (await admin.info("memory"))["used_memory"]
        cache = RedisCache(link, limit_bytes=limit)
        for number in range(2 * limit // (size + 800)):
            stored = Stored(call_id=str(number), headers=[], pieces=[b"x" * (number * 977 % (2 * size))], sized=True, latency_ms=1.0)
            await cache.put(number.to_bytes(32, "big"), 1, stored, 600)
        used = (await admin.info("memory"))["used_memory"] - empty
        assert 0.9 * limit < (await cache.stats()).bytes <= limit
        assert used <= 1.05 * limit


async def test_its_password_is_told_to_nobody(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--requirepass", "sesame-open")
    wrong = RedisLink(RedisConfig(url=f"redis://:wrong-guess@127.0.0.1:{server.port}/0"))
    with capture_logs() as logs, pytest.raises(RedisAway) as found:
        await wrong.run("stats", (), ["x:"])
    assert "wrong-guess" not in f"{logs} {found.value}"
    await wrong.aclose()
    right = RedisLink(RedisConfig(url=f"redis://:sesame-open@127.0.0.1:{server.port}/0"))
    assert (await RedisCache(right, limit_bytes=1).stats()).entries == 0
    await right.aclose()
    server.kill()


@pytest.mark.parametrize("url", ["", "http://x", "redis://", "redis://:pa/ss@host:6379", "redis://h:99999", "unix://"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded") as found:
        RedisConfig(url=url)
    assert "pa/ss" not in str(found.value)


async def test_one_that_was_never_there() -> None:
    link = RedisLink(RedisConfig(url="redis://127.0.0.1:1/0", timeout_s=QUICK_S))
    with pytest.raises(CacheUnavailable):
        await RedisCache(link, limit_bytes=1).find(b"k" * 32, 1)
    await link.aclose()
