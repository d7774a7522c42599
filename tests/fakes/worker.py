"""Real processes of `heliograph processors` on a real Kafka, and what a test says to them and hears from them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from eventlog.codec import Message, Record
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_writer import KafkaWriter
from tests.fakes import kafka

SECONDS = 150
"""Far more than anything here takes."""


class Workers:
    """Worker processes of one test; all end with it."""

    def __init__(self, folder: Path, config: KafkaConfig, **env: str) -> None:
        self._folder = folder
        self._config = config
        self._env = env
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        """Of their health, by name."""

    def start(self, name: str = "one", *, with_health: bool = False, **env: str) -> subprocess.Popen[bytes]:
        """A worker with a data directory of its own: it knows nothing of an earlier life of the same name.

        `with_health`: as the command, which has a port to ask. Without, as `up` starts it, which is sooner there.
        """
        given = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        own = {
            "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": self._config.bootstrap_servers,
            "HELIOGRAPH_KAFKA__TOPIC_PREFIX": self._config.topic_prefix,
            "HELIOGRAPH_KAFKA__PARTITIONS": str(self._config.partitions),
            "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(self._config.max_message_bytes),
            "HELIOGRAPH_DATA_DIR": str(self._folder / f"data-{name}-{uuid4().hex[:6]}"),
            "HELIOGRAPH_LOG_FORMAT": "json",
        }
        words = ["runtime.roles", "processors"]
        if with_health:
            self.ports[name] = kafka.free_port()
            words = ["runtime.cli", "processors", "--health-port", str(self.ports[name])]
        with self.path(name).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=given | own | self._env | env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes[name] = process
        return process

    def readiness(self, name: str = "one") -> tuple[int, str]:
        """Status and words of `/readyz`."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/readyz", timeout=10) as answer:
                return answer.status, json.load(answer)["status"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["status"]
        except OSError:
            return 0, "not there"

    async def until_ready(self, fits: Callable[[tuple[int, str]], bool], name: str = "one") -> None:
        async with asyncio.timeout(SECONDS):
            while not fits(await asyncio.to_thread(self.readiness, name)):
                await asyncio.sleep(0.1)

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def said(self, name: str = "one") -> str:
        return self.path(name).read_text()

    def stop(self, name: str = "one") -> int:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(SECONDS)

    def kill(self, name: str = "one") -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end(self) -> None:
        for name in list(self.processes):
            self.kill(name)


class Cluster:
    """The topics of one test."""

    def __init__(self, config: KafkaConfig, log: KafkaLog, writer: KafkaWriter) -> None:
        self.config = config
        self.log = log
        self.writer = writer

    async def read(self, topic: str) -> list[Record]:
        """All that lies on a topic now, in order within each partition."""
        ends = await self.log.ends(topic)
        reader = await self.log.reader([topic], group=f"test-{uuid4().hex[:8]}")
        found: list[Record] = []
        try:
            while len(found) < sum(ends.values()):
                found += await reader.poll(max_bytes=1 << 26, timeout=timedelta(seconds=1))
        finally:
            await reader.close()
        return found

    async def until(self, topic: str, fits: Callable[[Sequence[Record]], bool], workers: "Workers | None" = None) -> list[Record]:
        """What lies there as soon as it fits."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = await self.read(topic)
            if fits(found):
                return found
            if time.monotonic() > deadline:
                said = "" if workers is None else "\n".join(workers.said(name)[-4000:] for name in workers.processes)
                came = [f"{each.message.partition}:{each.message.batch_id.sequence}" for each in found]
                raise AssertionError(f"on {topic} came {came}; {said}")
            await asyncio.sleep(0.2)

    async def committed(self, topic: str) -> int:
        """Messages of the topic that the processors' group has behind it."""
        behind = sum(each.messages for each in await self.log.lag("processors", [topic]) if each.topic == topic)
        return sum((await self.log.ends(topic)).values()) - behind

    async def until_committed(self, topic: str, messages: int) -> None:
        async with asyncio.timeout(SECONDS):
            while await self.committed(topic) < messages:
                await asyncio.sleep(0.2)

    async def write(self, *messages: Message) -> None:
        await self.writer.append(messages)


@contextlib.asynccontextmanager
async def cluster(address: str, **changes: object) -> AsyncIterator[Cluster]:
    config = kafka.config(address, **changes)
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    try:
        yield Cluster(config, log, await log.writer())
    finally:
        await log.close()
