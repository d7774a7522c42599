"""Two schema versions side by side on a real Kafka: the version before, whose events lack what is optional today, and the one after."""

import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.codec import BatchId, decode, message_of_lines
from eventlog.events import Body, CallFacts, FeedbackGiven, RequestReceived, ResponseCompleted
from eventlog.kafka import KafkaLog
from eventlog.topics import FEEDBACK, REQUESTS, RESPONSES, Topic
from tests.fakes import kafka
from tests.fakes.stack import stack

CASES = Path(__file__).parents[1] / "cases" / "events"
SPOKEN = {REQUESTS: "request-received", RESPONSES: "response-completed", FEEDBACK: "feedback-given"}


class Region(Struct, frozen=True):
    name: str
    zones: tuple[str, ...]


class NextBody(Body, frozen=True, kw_only=True):
    language: str = "en"


class NextFacts(CallFacts, frozen=True, kw_only=True):
    region: Region | None = None


class NextRequest(RequestReceived, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="request-received"):
    call: NextFacts
    request: NextBody = NextBody()


class NextResponse(ResponseCompleted, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="response-completed"):
    call: NextFacts
    response: NextBody = NextBody()
    carbon_g: float | None = None


class NextFeedback(FeedbackGiven, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="feedback-given"):
    given_by: str | None = None


NEXT: dict[str, type[Any]] = {"request-received": NextRequest, "response-completed": NextResponse, "feedback-given": NextFeedback}


def oldest(event: str, request_id: str) -> bytes:
    """The first frozen bytes of an event, which have nothing that may be left out, under a name of their own."""
    line = (CASES / f"{event}.ndjson").read_bytes().splitlines()[0]
    return line.replace(b'"0193-a"', f'"{request_id}"'.encode()).replace(b'"order-17"', f'"{request_id}"'.encode())


def newest(event: str, request_id: str) -> bytes:
    """What a program of the next version writes: the same, and something new in every place."""
    known = msgspec.json.decode(oldest(event, request_id), type=NEXT[event])
    region = Region("eu", ("a", "b"))
    if isinstance(known, NextFeedback):
        return msgspec.json.encode(msgspec.structs.replace(known, given_by="a judge", feedback_id="f-next"))
    known = msgspec.structs.replace(known, call=msgspec.structs.replace(known.call, region=region))
    body = NextBody(text='{"id":"x"}', size=10, content_type="application/json", language="de")
    if isinstance(known, NextRequest):
        return msgspec.json.encode(msgspec.structs.replace(known, request=body))
    return msgspec.json.encode(msgspec.structs.replace(known, response=body, carbon_g=0.25))


def test_each_version_reads_the_other() -> None:
    for topic, event in SPOKEN.items():
        assert topic.event is not None
        lines = [oldest(event, "a"), newest(event, "b")]
        batch, bad = decode(topic.event, message_of_lines(topic.name, 0, BatchId("a", 1), lines))
        assert (len(batch.events), bad) == (2, ())
        assert {key for key in json.loads(lines[1]) if key not in NEXT[event].__struct_fields__} == {"event"}
        for line in lines:
            then = json.loads(msgspec.json.encode(msgspec.json.decode(line, type=NEXT[event])))
            assert json.loads(line) == then


async def _write(log: KafkaLog, topic: Topic, event: str) -> None:
    """Both versions write to the same partition, in turn, and one message holds both."""
    writer = await log.writer()
    for number in (1, 2, 3):
        for version, line in (("old", oldest), ("next", newest)):
            epoch = f"{version}-of-{event}".ljust(32, "0")
            mixed = [line(event, f"{version}-{number}"), *([newest(event, f"mixed-{number}")] if version == "old" else [])]
            await writer.append([message_of_lines(topic.name, 0, BatchId(epoch, number), mixed)])


async def test_both_come_to_rest(broker: str, tmp_path: Path) -> None:
    config = kafka.config(broker)
    await kafka.create_topics(config)
    log = await KafkaLog.open(config)
    for topic, event in SPOKEN.items():
        await _write(log, topic, event)
    await log.close()
    env = {
        "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": broker,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": config.topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": "3",
        "HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES": str(config.max_message_bytes),
    }
    expected = {f"{version}-{number}" for version in ("old", "next", "mixed") for number in (1, 2, 3)}
    with stack(tmp_path, **env) as running:
        rows = running.rows("true", count=len(expected), seconds=40)
        assert {row["call_id"] for row in rows} == expected
        bodies = running.query("SELECT call_id, side FROM bodies WHERE side = 'response'")
        assert {row["call_id"] for row in bodies} == expected
        assert {row["request_id"] for row in running.query("SELECT request_id FROM feedback")} == expected
        assert running.query("SELECT * FROM dead_letters") == []
