"""What an ingress shares: on this machine without a word, among machines where Redis is named, though it may be away."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingress.cache_store import SharedCache
from ingress.ledger import SharedLedger, Window
from ingress.policies import parse_policy
from ingress.telemetry import Telemetry
from runtime.settings import Misconfigured, Settings
from runtime.sharing import Shared, tell_of_memory
from tests.fakes.redis import RedisServer

NOWHERE = "redis://127.0.0.1:1/0"


def settings(folder: Path, **more: object) -> Settings:
    return Settings(data_dir=folder, **more)  # type: ignore[arg-type]


async def test_on_one_machine(tmp_path: Path) -> None:
    shared = await Shared.open(settings(tmp_path), Telemetry())
    assert isinstance(shared.ledger, SharedLedger)
    assert isinstance(shared.cache, SharedCache)
    await shared.aclose()


async def test_one_that_is_away_at_the_start_is_told_of_and_holds_nothing_up(tmp_path: Path) -> None:
    with capture_logs() as logs:
        shared = await Shared.open(settings(tmp_path, redis_url=NOWHERE), Telemetry())
        async with asyncio.timeout(20):
            while not logs:
                await asyncio.sleep(0.02)
    assert [line["event"] for line in logs] == ["redis_away"]
    assert (await shared.ledger.judge([Window(b"w" * 16, parse_policy("1;w=60"))])).verdicts[0].allowed
    await shared.aclose()


async def test_two_machines_count_together(tmp_path: Path, redis_server: RedisServer) -> None:
    machines = [
        await Shared.open(settings(tmp_path / name, redis_url=redis_server.url, redis={"prefix": "together"}), Telemetry()) for name in "ab"
    ]
    window = Window(b"w" * 16, parse_policy("3;w=600"))
    said = [(await machines[number % 2].ledger.judge([window])).verdicts[0].allowed for number in range(4)]
    assert said == [True, True, True, False]
    for machine in machines:
        await machine.aclose()


async def test_a_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "ledger").touch()
    with pytest.raises(Misconfigured, match="HELIOGRAPH_DATA_DIR"):
        await Shared.open(settings(tmp_path), Telemetry())


WARNED = {
    "no limit": ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, []),
    "as it should be": ({"maxmemory": 200 << 20, "maxmemory_policy": "noeviction"}, []),
    "it may throw counts out": ({"maxmemory": 200 << 20, "maxmemory_policy": "allkeys-lru"}, ["redis_may_evict"]),
    "answers may take all of it": ({"maxmemory": 100 << 20, "maxmemory_policy": "noeviction"}, ["redis_too_small"]),
    "a server that says nothing": ({}, []),
}


@pytest.mark.parametrize(("memory", "warned"), WARNED.values(), ids=WARNED)
def test_how_it_is_set_up_is_told(memory: dict[str, object], warned: list[str]) -> None:
    with capture_logs() as logs:
        tell_of_memory(memory, 100 << 20)
    assert [line["event"] for line in logs] == warned
