"""A proxy worker as a process of its own before a real Kafka, calls through it, and what arrived on the topics."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from eventlog.codec import Message, decode, headers_of
from eventlog.events import RequestReceived, ResponseCompleted
from eventlog.kafka_config import KafkaConfig
from eventlog.topics import REQUESTS, RESPONSES
from tests.fakes.stack import COMMAND, free_port, get, wait_until_ready

PATIENCE_S = 60.0
QUICK = {"HELIOGRAPH_KAFKA__ACKNOWLEDGED_MS": "400", "HELIOGRAPH_KAFKA__REQUEST_TIMEOUT_S": "2", "HELIOGRAPH_KAFKA__SESSION_TIMEOUT_S": "6"}
"""Time-outs of tests that wait for one."""


def environment_of(config: KafkaConfig, **more: str) -> dict[str, str]:
    """What a role has to be told to work on the topics of `config`."""
    return {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": config.bootstrap_servers,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": str(config.partitions),
        "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(config.max_message_bytes),
        "HELIOGRAPH_ALLOW_PRIVATE_TARGETS": "true",
        "HELIOGRAPH_LOG_FORMAT": "json",
        **QUICK,
        **more,
    }


@dataclass
class Proxy:
    """`heliograph ingress` in a folder of its own."""

    folder: Path
    env: Mapping[str, str]
    upstream: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spill(self) -> Path:
        return self.folder / "data" / "spill"

    @property
    def log(self) -> str:
        return (self.folder / "ingress.log").read_text()

    async def start(self, **env: str) -> "Proxy":
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        arguments = ["ingress", "--port", str(self.port), "--data-dir", str(self.folder / "data")]
        told = inherited | {"HELIOGRAPH_UPSTREAMS__OPENAI": self.upstream} | dict(self.env) | env
        with (self.folder / "ingress.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments], env=told, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        await asyncio.to_thread(wait_until_ready, f"{self.url}/healthz", self.process, self.folder / "ingress.log")
        return self

    async def end(self, number: int = signal.SIGTERM) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, 40)

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await asyncio.to_thread(get, f"{self.url}/readyz"))
        return found

    async def until(self, holds: Callable[[dict[str, Any]], bool], *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """`/readyz`, as soon as it is so."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not holds(told := await self.ready()):
            assert asyncio.get_running_loop().time() < deadline, f"{told}\n{self.log[-3000:]}"
            await asyncio.sleep(0.05)
        return told

    async def spills(self) -> dict[str, Any]:
        return await self.until(lambda told: told["log"] == "spilling")

    async def drained(self) -> dict[str, Any]:
        """Kafka has everything that came in so far."""
        return await self.until(
            lambda told: told["log"] == "taking" and told["spill"]["messages"] == told["waiting_events"] == 0 and not told["spill"]["bytes"]
        )


@dataclass
class Load:
    """Callers that call one after the other, for as long as the block lasts."""

    proxy: Proxy
    answered: list[str] = field(default_factory=list)
    """Call ids of the calls that were answered in full."""
    faults: list[str] = field(default_factory=list)

    async def until(self, more: int) -> None:
        """So many more calls were answered."""
        wanted = len(self.answered) + more
        async with asyncio.timeout(PATIENCE_S):
            while len(self.answered) < wanted and not self.faults:
                await asyncio.sleep(0.01)
        assert not self.faults, self.faults[:3]

    async def call(self, session: aiohttp.ClientSession, text: str = "Hello!") -> None:
        body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]})
        headers = {"content-type": "application/json", "authorization": "Bearer sk-test"}
        try:
            async with session.post(f"{self.proxy.url}/v1/chat/completions", data=body, headers=headers) as answer:
                await answer.read()
                if answer.status == 200:
                    self.answered.append(answer.headers["helicone-id"])
                else:
                    self.faults.append(f"{answer.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.faults.append(repr(error))


@asynccontextmanager
async def calling(
    proxy: Proxy, *, callers: int = 4, pause_s: float = 0.01, text: str = "Hello!", faults: bool = False
) -> AsyncIterator[Load]:
    """Load for as long as the block lasts. Afterwards every call of it has ended, with 200 unless `faults` may be."""
    load, stop = Load(proxy), asyncio.Event()

    async def caller(session: aiohttp.ClientSession) -> None:
        while not stop.is_set() and not load.faults:
            await load.call(session, text)
            await asyncio.sleep(pause_s)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        tasks = [asyncio.create_task(caller(session)) for _ in range(callers)]
        try:
            yield load
        finally:
            stop.set()
            await asyncio.gather(*tasks)
    assert faults or load.faults == []


async def calls(proxy: Proxy, count: int, text: str = "Hello!") -> list[str]:
    """So many calls one after the other; their ids."""
    load = Load(proxy)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        for _ in range(count):
            await load.call(session, text)
    assert load.faults == []
    return load.answered


@asynccontextmanager
async def proxy_at(folder: Path, env: Mapping[str, str], upstream: str, **first: str) -> AsyncIterator[Proxy]:
    """A running proxy; `first` are further settings of its first run."""
    proxy = Proxy(folder / "ingress", env, upstream)
    try:
        yield await proxy.start(**first)
    finally:
        await proxy.end(signal.SIGKILL)


# What arrived


@dataclass
class Arrived:
    """What a reader makes of the topics: repeats left out, as their numbers tell."""

    messages: list[Message] = field(default_factory=list)
    first: list[Message] = field(default_factory=list)
    repeats: int = 0
    gaps: list[str] = field(default_factory=list)

    def take(self, message: Message, highest: dict[tuple[str, int, str], int]) -> None:
        self.messages.append(message)
        batch, place = message.batch_id, (message.topic, message.partition, message.batch_id.epoch)
        reached = highest.get(place, 0)
        if batch.sequence <= reached:
            self.repeats += 1
            return
        if batch.sequence > reached + 1:
            self.gaps.append(f"{message.topic}/{message.partition}: {batch} after {reached}")
        highest[place] = batch.sequence
        self.first.append(message)

    def call_ids(self, topic: str) -> Counter[str]:
        kind = {REQUESTS.name: RequestReceived, RESPONSES.name: ResponseCompleted}[topic]
        events = [event for message in self.first if message.topic == topic for event in decode(kind, message)[0].events]
        return Counter(event.call.call_id for event in events)

    def holds_exactly(self, answered: Sequence[str]) -> None:
        """Both halves of each call, once, and nothing else."""
        assert self.gaps == []
        for topic in (REQUESTS.name, RESPONSES.name):
            found = self.call_ids(topic)
            assert [each for each, count in found.items() if count > 1] == [], topic
            assert (set(answered) - found.keys(), found.keys() - set(answered)) == (set(), set()), topic


async def arrived(config: KafkaConfig, topics: Sequence[str] = (REQUESTS.name, RESPONSES.name)) -> Arrived:
    """All that is on the topics now."""
    found, highest = Arrived(), {}
    consumer = AIOKafkaConsumer(**config.connection(), group_id=None, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        for topic in topics:
            there = TopicPartition(config.on_cluster(topic), 0)
            for partition in await _partitions(consumer, there):
                async for message in _from_the_first(consumer, there._replace(partition=partition), topic):
                    found.take(message, highest)
    finally:
        await consumer.stop()
    return found


async def _partitions(consumer: AIOKafkaConsumer, there: TopicPartition) -> set[int]:
    consumer.assign([there])
    await consumer.position(there)
    return consumer.partitions_for_topic(there.topic)


async def _from_the_first(consumer: AIOKafkaConsumer, there: TopicPartition, topic: str) -> AsyncIterator[Message]:
    consumer.assign([there])
    end = (await consumer.end_offsets([there]))[there]
    await consumer.seek_to_beginning(there)
    while await consumer.position(there) < end:
        for record in (await consumer.getmany(timeout_ms=1000, max_records=1000)).get(there, []):
            batch_id, count, further = headers_of(record.headers)
            yield Message(topic=topic, partition=there.partition, batch_id=batch_id, count=count, value=record.value, headers=further)


@contextlib.contextmanager
def paused(broker: Any) -> Any:
    """The broker stands still within the block; its sockets stay open."""
    broker.pause()
    try:
        yield
    finally:
        broker.resume()
