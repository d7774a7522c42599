"""`python -m bench.away`: Kafka is away for five minutes while calls go on at a steady pace.

Measured are the memory of the proxy worker over that time, the calls that noticed anything, how fast the spill is drained beside how fast
it filled, and that the topics have every call afterwards, once.

    python -m bench.away [--seconds 300] [--rate 500]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from bench import peers
from eventlog.topics import REQUESTS, RESPONSES
from tests.fakes import kafka
from tests.fakes.proxy import Proxy, arrived, environment_of

SETTLE_S = 5


@dataclass
class Pace:
    """So many calls a second, whether or not the ones before were answered."""

    url: str
    rate: int
    answered: list[str] = field(default_factory=list)
    failed: int = 0
    slowest_s: float = 0.0

    async def keep(self, seconds: float) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)) as session, asyncio.TaskGroup() as group:
            began = time.monotonic()
            for number in range(int(seconds * self.rate)):
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                group.create_task(self._call(session))

    async def _call(self, session: aiohttp.ClientSession) -> None:
        began = time.monotonic()
        headers = {"content-type": "application/json"}
        try:
            async with session.post(f"{self.url}{peers.PATH}", data=peers.REQUEST, headers=headers) as answer:
                await answer.read()
                self.answered.append(answer.headers["helicone-id"])
                self.failed += answer.status != 200
        except aiohttp.ClientError:
            self.failed += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


async def memories(process: psutil.Process, seconds: float, seen: list[int]) -> None:
    for _ in range(6):
        seen.append(process.memory_info().rss >> 20)
        await asyncio.sleep(seconds / 6)


async def measure(folder: Path, seconds: int, rate: int) -> bool:
    provider = peers.free_port()
    broker = kafka.local_broker(folder / "broker")
    await asyncio.to_thread(broker.start)
    config = kafka.config(broker.address, partitions=12)
    await kafka.create_topics(config)
    with peers.nginx(folder, "provider", peers.provider_block(provider), provider, core=peers.CLIENT_CORE):
        proxy = await Proxy(folder / "proxy", environment_of(config), f"http://127.0.0.1:{provider}").start()
        pace, seen = Pace(proxy.url, rate), list[int]()
        assert proxy.process is not None
        try:
            await pace.keep(SETTLE_S)
            await asyncio.to_thread(broker.stop)
            async with asyncio.TaskGroup() as group:
                group.create_task(memories(psutil.Process(proxy.process.pid), seconds, seen))
                group.create_task(pace.keep(seconds))
            spilled = (await proxy.ready())["spill"]
            await asyncio.to_thread(broker.start)
            await proxy.until(lambda told: told["spill"]["messages"] < spilled["messages"], within_s=120)
            began = time.monotonic()
            await proxy.until(lambda told: told["spill"]["messages"] == 0 and not told["spill"]["bytes"], within_s=600)
            drained_s = time.monotonic() - began
            seen.append(psutil.Process(proxy.process.pid).memory_info().rss >> 20)
            await proxy.drained()
            found = await arrived(config)
            requests, responses = found.call_ids(REQUESTS.name), found.call_ids(RESPONSES.name)
        finally:
            await proxy.end()
            await asyncio.to_thread(broker.stop)
    whole = Counter(pace.answered) == requests == responses
    print(f"memory of the worker: {' → '.join(map(str, seen))} MB")
    print(f"calls: {len(pace.answered):,} answered, {pace.failed} failed, slowest {pace.slowest_s:.2f} s")
    print(f"spilled: {spilled['messages']:,} messages, {spilled['bytes'] / 2**20:.0f} MB in {seconds} s")
    print(f"drained in {drained_s:.1f} s, {seconds / max(drained_s, 0.01):.0f} times as fast as it filled (asked: 10)")
    print(f"on the topics afterwards: {'every call' if whole else 'NOT every call'}")
    return whole and not pace.failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--rate", type=int, default=500)
    chosen = parser.parse_args()
    peers.require("nginx", "taskset")
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if asyncio.run(measure(Path(folder), chosen.seconds, chosen.rate)) else 1)


if __name__ == "__main__":
    main()
