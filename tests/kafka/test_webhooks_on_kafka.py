"""Webhooks over a real Kafka: two roles share the partitions, and what one was about to send when it was killed comes from the other."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventlog.codec import BatchId, message_of
from eventlog.control import decide
from eventlog.kafka import KafkaLog
from eventlog.topics import CALLS
from processors.webhooks.telling import GROUP
from tests.fakes import kafka
from tests.fakes.facts import priced
from tests.fakes.hooks import PATIENCE_S, webhook
from tests.fakes.receiver import STALL, Receiver, receiver
from tests.fakes.small_lake import SmallLake
from tests.kafka.test_tail_and_lag import env_of

CALLS_TOLD = 12


@contextmanager
def roles() -> Iterator[list[asyncio.subprocess.Process]]:
    running: list[asyncio.subprocess.Process] = []
    try:
        yield running
    finally:
        for each in running:
            if each.returncode is None:
                each.kill()


async def started(env: dict[str, str], log: Path) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runtime.roles",
            "webhooks",
            stdout=output,
            stderr=output,
            stdin=asyncio.subprocess.DEVNULL,
            env=clean | env,
        )


def keys_of(app: Receiver) -> Counter[str]:
    return Counter(each.headers["heliograph-delivery"] for each in app.taken)


@pytest.mark.timeout(180)
async def test_two_share_the_partitions_and_one_is_killed(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker, session_timeout_s=6.0)
    await kafka.create_topics(config)
    lake = SmallLake(tmp_path / "lake")
    for number in range(CALLS_TOLD):
        at = {"call_id": f"call-{number:06d}", "created_at": priced(number).call.created_at.isoformat(), "text": '"x"'}
        lake.add("bodies", at | {"side": "request"}, at | {"side": "response"})
    common = env_of(config) | {
        "HELIOGRAPH_ALLOW_PRIVATE_TARGETS": "true",
        "HELIOGRAPH_LAKE_URI": str(tmp_path / "lake"),
        "HELIOGRAPH_KAFKA__SESSION_TIMEOUT_S": "6",
    }
    log = await KafkaLog.open(config)
    async with receiver(*[STALL] * 10 * CALLS_TOLD) as app:
        await decide(log, [webhook(destination=app.url)])
        writer = await log.writer()
        messages = [message_of(CALLS, number % 3, BatchId("e" * 32, number // 3 + 1), [priced(number)]) for number in range(CALLS_TOLD)]
        await writer.append(messages)
        with roles() as running:
            for name in ("one", "two"):
                running.append(await started(common | {"HELIOGRAPH_DATA_DIR": str(tmp_path / name)}, tmp_path / f"{name}.log"))
            async with asyncio.timeout(90):
                while len(keys_of(app)) < CALLS_TOLD:  # all are under way, and nobody answers
                    await asyncio.sleep(0.05)
            assert not any(offset for offset in (await log.positions(GROUP)).values())
            running[0].send_signal(signal.SIGKILL)
            running[1].send_signal(signal.SIGTERM)
            await asyncio.wait_for(running[1].wait(), PATIENCE_S)
            app.plan.clear()
            running.append(await started(common | {"HELIOGRAPH_DATA_DIR": str(tmp_path / "three")}, tmp_path / "three.log"))
            async with asyncio.timeout(90):
                while set((await log.positions(GROUP)).values()) != {CALLS_TOLD // 3}:
                    await asyncio.sleep(0.1)
            running[2].send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running[2].wait(), PATIENCE_S) == 0
    await writer.close()
    await log.close()
    keys = keys_of(app)
    assert set(keys) == {f"call-{number:06d}.w1" for number in range(CALLS_TOLD)}
    assert min(keys.values()) >= 2  # at least once more, under the same key
