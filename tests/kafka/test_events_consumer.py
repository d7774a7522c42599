"""The consumer of docs/events.md, as it stands there, reads every topic of a real Kafka: each event once, whatever was repeated."""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema

from eventlog.codec import BatchId, Message, encode_event, message_of
from eventlog.examples import EXAMPLES
from eventlog.kafka import KafkaLog
from eventlog.schemas import schema_json
from eventlog.topics import TOPICS
from tests.docs.test_events_page import snippet
from tests.fakes import kafka

EPOCH = "5f" * 16


def batches(topic: str) -> list[Message]:
    """Two batches on one partition, the first repeated behind them, an empty one, and one of another producer with the same number."""
    event = EXAMPLES[topic]
    first, second = (message_of(TOPICS[topic], 1, BatchId(EPOCH, number), [event] * number) for number in (1, 2))
    empty, other = message_of(TOPICS[topic], 1, BatchId(EPOCH, 3), []), message_of(TOPICS[topic], 1, BatchId("a0" * 16, 1), [event])
    return [first, second, first, empty, second, other]


async def read(address: str, prefix: str, count: int, folder: Path) -> list[dict[str, Any]]:
    """What the snippet prints, until it has printed `count` lines and then nothing for a while."""
    program = folder / "consumer.py"
    program.write_text(snippet("AIOKafkaConsumer"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, env=os.environ | {"KAFKA": address, "TOPIC_PREFIX": prefix}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(60):
            while len(lines) < count:
                line = await process.stdout.readline()
                assert line, "the consumer ended"
                lines.append(json.loads(line))
        try:
            async with asyncio.timeout(30):
                lines.append(json.loads(await process.stdout.readline()))
        except TimeoutError:
            pass
    finally:
        process.kill()
        await process.wait()
    return lines


async def test_it_reads_every_topic(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    writer = await log.writer()
    for topic in EXAMPLES:
        await writer.append(batches(topic))
    await log.close()
    once, repeated = 4, 3  # events of the two batches and the other producer's; events of the repeats
    scored = "llm.scored-calls.v1"
    expected = Counter(dict.fromkeys(EXAMPLES, once)) + Counter({scored: repeated})
    lines = await read(broker, config.topic_prefix, expected.total(), tmp_path)
    assert Counter(line["topic"] for line in lines) == expected
    for line in lines:
        jsonschema.validate(line["event"], json.loads(schema_json(line["topic"])))
        assert line["event"] == json.loads(encode_event(EXAMPLES[line["topic"]]))
        assert line["partition"] == 1
