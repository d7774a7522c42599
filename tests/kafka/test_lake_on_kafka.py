"""The lake over a real Kafka, right to the row: recreated topics, another log, races, late spills, failed batches."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from eventlog import kafka_topics
from eventlog.codec import BatchId, Message, message_of
from eventlog.embedded import EmbeddedLog
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_metadata import ClusterFound
from eventlog.port import Log, LogReader, Lying, NotAcknowledged
from eventlog.spill_state import SpillConfig
from eventlog.topics import CALLS, REQUESTS, RESPONSES
from storage.lake import Lake
from storage.sink import Holding, Sink
from tests.fakes import kafka
from tests.fakes.facts import calls_message, completed, received
from tests.fakes.sinking import lake_at, once, rows, sinking


@asynccontextmanager
async def log_of(config: KafkaConfig) -> AsyncIterator[KafkaLog]:
    log = await KafkaLog.open(config)
    try:
        yield log
    finally:
        await log.close()


@pytest.fixture
async def config(broker: str) -> KafkaConfig:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    return config


async def append(log: Log, *messages: Message) -> None:
    await (await log.writer()).append(messages)


async def test_a_recreated_topic_begins_anew_and_its_first_messages_are_not_skipped(config: KafkaConfig, tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    async with log_of(config) as log:
        before = log.identity(CALLS.name)
        await append(log, *(calls_message("e", number + 1, [number]) for number in range(5)))
        async with sinking(log, lake):
            assert await rows(lake, 5) == once(range(5))
    await kafka.recreate(config, CALLS.name)
    async with log_of(config) as log:
        assert log.identity(CALLS.name) != before
        await append(log, *(calls_message("f", number - 4, [number]) for number in range(5, 8)))
        async with sinking(log, lake):
            assert await rows(lake, 8) == once(range(8))


async def test_a_topic_that_goes_while_it_is_looked_at_is_missing(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is described, and gone when its settings are asked for."""
    async with kafka.admin_of(config) as admin:
        described = await kafka_topics.describe(admin._client, [config.on_cluster(CALLS.name)])

        async def late(*_: Any) -> ClusterFound:
            return described

        await kafka.delete(config, admin, CALLS.name)
        monkeypatch.setattr(kafka_topics, "describe", late)
        found = await kafka_topics.examine(config, admin)
        assert (found.cluster.topics, found.configs) == ({}, {})


async def test_the_next_message_is_told_over_the_marks_of_transactions(config: KafkaConfig) -> None:
    log = await KafkaLog.open(config)
    place = (RESPONSES.name, 1)
    producer = AIOKafkaProducer(bootstrap_servers=config.bootstrap_servers, transactional_id=f"{config.topic_prefix}another-make")
    await producer.start()
    try:
        assert (await log.lying(place, 0)).at is None
        for number in range(2):
            async with producer.transaction():
                await producer.send_and_wait(config.on_cluster(RESPONSES.name), b"{}", partition=1)
            assert (await log.lying(place, 2 * number)).at == 2 * number
            assert (await log.lying(place, 2 * number + 1)).at is None  # the mark
        assert (await log.lying(place, 1)).at == 2
        assert await log.lying(place, 99) == Lying(0, None, 4)
    finally:
        await producer.stop()
        await log.close()


async def test_the_ends_of_transactions_are_passed_over_and_stop_no_sink(config: KafkaConfig, tmp_path: Path) -> None:
    """They take offsets, and no reader is given them."""
    lake = lake_at(tmp_path)
    producer = AIOKafkaProducer(bootstrap_servers=config.bootstrap_servers, transactional_id=f"{config.topic_prefix}other-make")
    await producer.start()
    async with log_of(config) as log:
        for turn in range(2):
            for number in range(turn * 5, turn * 5 + 5):
                message = calls_message("e", number + 1, [number])
                async with producer.transaction():
                    await producer.send_and_wait(config.on_cluster(CALLS.name), message.value, partition=0, headers=message.wire_headers())
            async with sinking(log, lake):
                assert await rows(lake, turn * 5 + 5) == once(range(turn * 5 + 5))
    await producer.stop()


async def test_a_lake_that_came_from_the_embedded_log_goes_on_over_kafka(config: KafkaConfig, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    embedded = await EmbeddedLog.open(tmp_path / "log")
    await append(embedded, *(calls_message("e", number + 1, [number]) for number in range(5)))
    async with sinking(embedded, lake):
        assert await rows(lake, 5) == once(range(5))
    await embedded.close()
    async with log_of(config) as log:
        await append(log, *(calls_message("f", number - 4, [number]) for number in range(5, 8)))
        async with sinking(log, lake):
            assert await rows(lake, 8) == once(range(8))


async def test_requests_and_responses_of_one_producer_have_numbers_of_their_own(config: KafkaConfig, tmp_path: Path) -> None:
    """Five batches of requests and two of responses, all of one epoch and partition, each batch twice."""
    lake = lake_at(tmp_path)
    requests = [message_of(REQUESTS, 0, BatchId("e", number + 1), [received(number)]) for number in range(5)]
    responses = [message_of(RESPONSES, 0, BatchId("e", turn + 1), [completed(2 * turn), completed(2 * turn + 1)]) for turn in range(2)]
    async with log_of(config) as log:
        await append(log, *requests, *responses, *responses, *requests)
        async with sinking(log, lake):
            await rows(lake, 9, "bodies")
            await append(log, message_of(REQUESTS, 0, BatchId("e", 6), [received(9)]))
            found = await rows(lake, 10, "bodies")
    assert found == Counter({"call-000004": 1, "call-000009": 1} | {f"call-{number:06d}": 2 for number in range(4)})


class Racer:
    """A sink that has every partition, whoever else has it too."""

    def __init__(self, log: Log, lake: Lake) -> None:
        self._log = log
        self.sink = Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9)
        self.reader: LogReader

    async def join(self, group: str) -> "Racer":
        self.reader = await self._log.reader(self.sink.topics, group=group, holder=Holding(self.sink))
        return self

    async def read(self, messages: int) -> None:
        taken = 0
        async with asyncio.timeout(20):
            while taken < messages:
                records = await self.reader.poll(max_bytes=1 << 20, timeout=timedelta(seconds=1))
                self.sink.accept(records)
                taken += len(records)


async def test_two_sinks_that_both_hold_a_partition_write_each_row_once(config: KafkaConfig, tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    async with log_of(config) as log:
        racers = [await Racer(log, lake).join(name) for name in ("one", "other")]
        for turn in range(4):
            await append(log, *(calls_message("e", turn * 5 + number + 1, [turn * 5 + number]) for number in range(5)))
            await asyncio.gather(*(racer.read(5) for racer in racers))
            await asyncio.gather(*(asyncio.to_thread(racer.sink.commit_due, everything=True) for racer in racers))
    assert await rows(lake, 20) == once(range(20))


@pytest.mark.parametrize("days", [1, 28])
async def test_a_spill_that_is_drained_days_later(config: KafkaConfig, tmp_path: Path, days: int) -> None:
    """Its first batches had arrived, and nobody had said so: the lake knows them again. Later than that, a spill is kept aside."""
    lake = lake_at(tmp_path)
    spilled = [calls_message("e", number + 1, [number]) for number in range(6)]
    async with log_of(config) as log:
        await append(log, *spilled[:3])
        async with sinking(log, lake, days_ago=days):
            await rows(lake, 3)
        async with sinking(log, lake):
            await append(log, *(calls_message("f", number - 9, [number]) for number in range(10, 12)))
            await rows(lake, 5)
            await append(log, *spilled)
            assert await rows(lake, 8) == once(range(6)) + once(range(10, 12))
    assert timedelta(days=days) < lake.config.mark_retention
    assert SpillConfig(directory=tmp_path).most_age + timedelta(days=7) < lake.config.mark_retention


async def test_a_batch_that_is_refused_and_a_good_one_behind_it(config: KafkaConfig, tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    large = message_of(REQUESTS, 0, BatchId("e", 2), [received(1, Random(1).randbytes(200_000).hex())])
    async with log_of(config) as log:
        writer = await log.writer()
        await writer.append([message_of(REQUESTS, 0, BatchId("e", 1), [received(0)])])
        await kafka.limit_messages(config, REQUESTS.name, 100_000)
        left, refused = (large, message_of(REQUESTS, 0, BatchId("e", 3), [received(2)])), ()
        while not refused:  # the first time they travelled together, and nobody could say which it was
            with pytest.raises(NotAcknowledged) as not_taken:
                await writer.append(left)
            assert not_taken.value.left == left
            refused = not_taken.value.refused
        assert refused == (large,)
        await writer.append([message_of(REQUESTS, 0, BatchId("e", 2), [received(1)]), left[1]])
        async with sinking(log, lake):
            assert await rows(lake, 3, "bodies") == once(range(3))
