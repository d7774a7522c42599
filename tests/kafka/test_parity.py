"""A small `make parity`: two of each role, one of each killed, the broker killed, and every row accounted for."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.fakes import kafka
from tests.fakes.fleet import fleet
from tests.fakes.parity import STRICT, Parity, Trial, either, load, settle
from tests.fakes.provider import provider
from tests.fakes.proxy import environment_of


@pytest.mark.timeout(300)  # seven processes and a broker, on whatever else the machine does
@pytest.mark.needs("a broker of one's own")
async def test_every_row_is_there_once_whoever_is_killed(tmp_path: Path) -> None:
    broker, account, seed = kafka.local_broker(tmp_path / "broker"), Parity(), time.time_ns() % 100_000
    await asyncio.to_thread(broker.start)
    try:
        config = kafka.config(broker.address)
        await kafka.create_topics(config)
        async with provider(either) as behind:
            env = environment_of(config, HELIOGRAPH_UPSTREAMS__OPENAI=behind.url, **STRICT)
            async with fleet(tmp_path / "fleet", env) as running:
                await load(running, broker, account, Trial.KILLED, calls=300, seed=seed, gap_s=6, away_s=1)
                await settle(running, config, account)
    finally:
        broker.stop()
    assert account.holds, (seed, account.line(), account.faults[:3], account.died[:2])
