from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.eventlog.contract")

from aiokafka import TopicPartition  # noqa: E402
from aiokafka.admin import RecordsToDelete  # noqa: E402

from eventlog.embedded import EmbeddedLog  # noqa: E402
from eventlog.kafka import KafkaLog  # noqa: E402
from eventlog.kafka_config import KafkaConfig  # noqa: E402
from tests.eventlog.contract import PARTITIONS, LogContract  # noqa: E402
from tests.fakes import kafka  # noqa: E402
from tests.fakes.memory_log import MemoryLog  # noqa: E402


class MemoryWorld:
    def __init__(self) -> None:
        self.log = MemoryLog(PARTITIONS)

    async def open(self) -> MemoryLog:
        return self.log

    async def other(self) -> MemoryLog:
        return MemoryLog(PARTITIONS)

    async def expire(self, topic: str, partition: int, before: int) -> None:
        self.log.expire(topic, partition, before)


class EmbeddedWorld:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened: list[EmbeddedLog] = []

    async def open(self, name: str = "log") -> EmbeddedLog:
        log = await EmbeddedLog.open(self._directory / name, partitions=PARTITIONS)
        self._opened.append(log)
        return log

    async def other(self) -> EmbeddedLog:
        return await self.open("other")

    async def expire(self, topic: str, partition: int, before: int) -> None:
        through: Mapping[int, int] = {partition: before}
        log = self._opened[0]
        assert await log.retain(topic, through=through, max_age=timedelta(days=1), max_bytes=0, now=0) == before

    async def close(self) -> None:
        for log in self._opened:
            await log.close()


class KafkaWorld:
    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._opened: list[KafkaLog] = []

    async def open(self) -> KafkaLog:
        log = await KafkaLog.open(self._config)
        self._opened.append(log)
        return log

    async def other(self) -> KafkaLog:
        config = kafka.config(self._config.bootstrap_servers, partitions=PARTITIONS)
        await kafka.create_topics(config)
        log = await KafkaLog.open(config)
        self._opened.append(log)
        return log

    async def expire(self, topic: str, partition: int, before: int) -> None:
        async with kafka.admin_of(self._config) as admin:
            there = TopicPartition(self._config.on_cluster(topic), partition)
            await admin.delete_records({there: RecordsToDelete(before_offset=before)})

    async def close(self) -> None:
        for log in self._opened:
            await log.close()


class TestMemoryLog(LogContract):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()


class TestEmbeddedLog(LogContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[EmbeddedWorld]:
        world = EmbeddedWorld(tmp_path)
        yield world
        await world.close()


class TestKafkaLog(LogContract):
    @pytest.fixture
    async def world(self, broker: str) -> AsyncIterator[KafkaWorld]:
        config = kafka.config(broker, partitions=PARTITIONS)
        await kafka.create_topics(config)
        world = KafkaWorld(config)
        yield world
        await world.close()
