"""Bytes that were once written decode for ever, and nothing of them is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventlog.codec import BatchId, decode, encode_event, message_of_lines
from eventlog.events import Event
from eventlog.topics import TOPICS, Topic

CASES = Path(__file__).parents[1] / "cases" / "events"
SPOKEN = {topic.name: topic for topic in TOPICS.values() if topic.event is not None}


def lines_for(kind: type[Event]) -> list[bytes]:
    tag = kind.__struct_config__.tag
    return (CASES / f"{tag}.ndjson").read_bytes().splitlines()


def of_today(value: Any) -> Any:
    """Without what a later version added, in whatever place."""
    return {key: of_today(inner) for key, inner in value.items() if key != "from_the_future"} if isinstance(value, dict) else value


@pytest.mark.parametrize("topic", SPOKEN.values(), ids=SPOKEN)
def test_old_bytes_decode(topic: Topic) -> None:
    assert topic.event is not None
    lines = lines_for(topic.event)
    batch, bad = decode(topic.event, message_of_lines(topic.name, 0, BatchId("a", 1), lines))
    assert bad == ()
    for line, event in zip(lines, batch.events, strict=True):
        assert json.loads(encode_event(event)) == of_today(json.loads(line))


@pytest.mark.parametrize("topic", SPOKEN.values(), ids=SPOKEN)
def test_each_kind_has_old_bytes_from_a_later_version_too(topic: Topic) -> None:
    assert topic.event is not None
    assert any(b"from_the_future" in line for line in lines_for(topic.event))


def test_every_case_belongs_to_an_event_of_today() -> None:
    tags = {topic.event.__struct_config__.tag for topic in SPOKEN.values() if topic.event}
    assert {path.stem for path in CASES.glob("*.ndjson")} == tags
