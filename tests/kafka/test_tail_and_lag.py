"""`heliograph tail` and `heliograph lag` over a real Kafka, through the same port as over the embedded log."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

from eventlog.codec import BatchId, Message, Record, message_of
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_writer import KafkaWriter
from eventlog.port import LogUnavailable, Span
from eventlog.topics import CALLS
from runtime.tail_cli import AtTheEnd
from tests.fakes import kafka
from tests.fakes.facts import calls_message, priced
from tests.runtime.test_cli import typed


def env_of(config: KafkaConfig) -> dict[str, str]:
    return {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": config.bootstrap_servers,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(config.max_message_bytes),
    }


def following(config: KafkaConfig, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    command = [sys.executable, "-m", "runtime.cli", "tail", *arguments]
    return subprocess.Popen(command, env=clean | env_of(config), stdout=subprocess.PIPE, text=True)


async def test_lag_by_role_topic_and_partition(broker: str) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    writer = await log.writer()
    await writer.append([calls_message("a" * 32, number, [number], partition=1) for number in range(1, 6)])
    reader = await log.reader([CALLS.name], group="sink")
    seen = 0
    while seen < 3:
        seen += len(await reader.poll(max_bytes=1, timeout=timedelta(seconds=5)))
    await reader.commit({(CALLS.name, 1): 3})
    await reader.close()
    told = json.loads((await asyncio.to_thread(typed, "lag", "--format", "json", **env_of(config))).stdout)
    await log.close()
    by = {(each["role"], each["topic"], each["partition"]): each for each in told["lags"]}
    assert by["sink", CALLS.name, 1]["messages"] == 2
    assert by["sink", CALLS.name, 1]["seconds"] > 0
    assert by["sink", CALLS.name, 0]["messages"] == 0
    assert by["processors", "llm.responses.v1", 2]["messages"] == 0
    assert by["processors", CALLS.name, 1]["messages"] == 5  # they have read nothing yet
    assert told["messages"] == 12  # nor have webhooks


async def test_tail_begins_at_the_end_or_before_it_and_commits_nothing(broker: str) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    writer = await log.writer()
    await writer.append([calls_message("b" * 32, number, [number], partition=2) for number in range(1, 5)])
    back = await asyncio.to_thread(typed, "tail", "calls", "--last", "2", "--count", "2", "--format", "json", **env_of(config))
    assert [json.loads(line)["event"]["call"]["call_id"] for line in back.stdout.splitlines()] == ["call-000003", "call-000004"]

    process = following(config, "--format", "json", "--count", "1", "--filter", "organization=acme")
    sequence = 0
    async with asyncio.timeout(60):
        while process.poll() is None:  # until it has joined and begun
            sequence += 1
            events = [priced(900), priced(901, organization="acme")]
            await writer.append([message_of(CALLS, 0, BatchId("c" * 32, sequence), events)])
            await asyncio.sleep(0.3)
    out, _ = process.communicate()
    (told,) = map(json.loads, out.splitlines())
    assert (told["event"]["call"]["call_id"], told["partition"], process.returncode) == ("call-000901", 0, 0)
    await log.close()
    async with kafka.admin_of(config) as admin:
        groups = [group for group, _ in await admin.list_consumer_groups() if group.startswith(config.topic_prefix)]
        left = Counter({group: len(await admin.list_consumer_group_offsets(group)) for group in groups})
    assert left.total() == 0


async def test_a_cluster_that_is_away_is_one_clear_line() -> None:
    env = {"HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.free_port()}", "HELIOGRAPH_KAFKA__REQUEST_TIMEOUT_S": "2"}
    for command in ("lag", "tail"):
        done = await asyncio.to_thread(typed, command, **env)
        assert done.returncode == 2
        assert env["HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"] in done.stderr
        assert "Traceback" not in done.stderr


async def test_tail_goes_on_after_a_broker_that_was_away(tmp_path: Path) -> None:
    with kafka.running_broker(kafka.local_broker(tmp_path)) as broker:
        config = kafka.config(broker.address, request_timeout_s=5.0)
        await kafka.create_topics(config)
        log = await KafkaLog.open(config)
        writer = await log.writer()
        await writer.append([calls_message("d" * 32, 1, [1])])
        process = following(config, "calls", "--last", "1", "--format", "json", "--count", "2")
        try:
            assert process.stdout is not None
            first = await asyncio.to_thread(process.stdout.readline)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(3)  # what tail does meanwhile is what is tested
            await asyncio.to_thread(broker.start)
            async with asyncio.timeout(60):
                await appended(writer, calls_message("d" * 32, 2, [2]))
                second = await asyncio.to_thread(process.stdout.readline)
                assert await asyncio.to_thread(process.wait) == 0
        finally:
            process.kill()
            process.communicate()
        await log.close()
        assert [json.loads(line)["event"]["call"]["call_id"] for line in (first, second)] == ["call-000001", "call-000002"]


async def appended(writer: KafkaWriter, message: Message) -> None:
    while True:
        try:
            return await writer.append([message])
        except LogUnavailable:
            await asyncio.sleep(0.2)


def test_tail_begins_once_and_then_goes_on() -> None:
    """Partitions that come back, after a rebalance or a broken connection, are neither shown twice nor left out."""
    place, holder = ("llm.calls.v1", 0), AtTheEnd(last=3)
    assert asyncio.run(holder.given({place: Span(0, 10)})) == {place: 7}
    assert asyncio.run(holder.given({place: Span(0, 12)})) == {place: 7}  # nothing was read yet
    message = calls_message("e" * 32, 1, [1])
    holder.read(Record(message=message, offset=8, appended_at=0.0))
    assert asyncio.run(holder.given({place: Span(0, 12)})) == {place: 9}
    assert asyncio.run(holder.given({place: Span(11, 12)})) == {place: 11}  # what was between has expired
    assert asyncio.run(holder.given({place: Span(0, 2)})) == {place: 0}  # a topic made anew
