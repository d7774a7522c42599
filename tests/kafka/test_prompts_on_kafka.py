"""Prompts on a real Kafka: their topic is missed by nobody else, and processes that write at once come to different numbers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from eventlog.kafka import KafkaLog
from eventlog.kafka_errors import TopicsUnfit
from eventlog.port import Log
from eventlog.topics import PROMPTS, TOPICS
from runtime import backup
from tests.fakes import kafka
from tests.fakes.cluster import batch
from tests.fakes.prompt_processes import process


async def test_a_cluster_of_before_there_were_prompts_does_its_work(broker: str) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    async with kafka.admin_of(config) as admin:
        await kafka.delete(config, admin, PROMPTS.name)
    log = await KafkaLog.open(config)
    await (await log.writer()).append([batch(1)])
    await log.close()
    with pytest.raises(TopicsUnfit, match=r"prompts\.v1: is missing; run `heliograph topics create`"):
        await KafkaLog.open(config, needs=(PROMPTS.name,))


async def test_versions_of_two_processes_and_what_a_backup_has_of_them(broker: str, tmp_path: Path) -> None:
    config, restored = kafka.config(broker), kafka.config(broker)
    for each in (config, restored):
        await kafka.create_topics(each)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Log]:
        log = await KafkaLog.open(config, needs=(PROMPTS.name,))
        try:
            yield log
        finally:
            await log.close()

    async with process(opened, tmp_path, "a") as a, process(opened, tmp_path, "b") as b:
        prompt, first = await a.made()
        await b.sees(first)
        made = await asyncio.gather(*(each.add(prompt, first) for each in (a, b) * 2))
        assert sorted(each.number for each in made) == [(1, minor) for minor in range(1, 5)]
        await a.sees(*made)
        versions = a.follower.kept.library.versions(prompt)
    logs = [await KafkaLog.open(each, needs=tuple(TOPICS)) for each in (config, restored)]
    kept = [msgspec.json.decode(line, type=backup.Kept) for line in await backup._newest(PROMPTS.name, logs[0])]
    await backup._give_back({PROMPTS.name: kept}, logs[1])
    for log in logs:
        await log.close()
    config = restored
    async with process(opened, tmp_path, "c") as c:
        assert c.follower.kept.library.versions(prompt) == versions
