"""Events as they are shown: everything worth knowing, nothing long, nothing that steers a terminal."""

import json

import pytest
from msgspec.structs import replace

from eventlog.codec import BatchId, Message, Record, message_of, message_of_lines
from eventlog.events import Body, RequestReceived
from eventlog.examples import EXAMPLES
from eventlog.topics import CONTROL, TOPICS
from runtime.event_lines import json_line, printable, seen_in, text_line


def record(topic: str, *events: object) -> Record:
    message = message_of(TOPICS[topic], 3, BatchId("ab" * 16, 7), events or [EXAMPLES[topic]])  # type: ignore[arg-type]
    return Record(message=message, offset=41, appended_at=1_764_000_000.0)


SHOWN = {
    "llm.requests.v1": [
        "03:30:00.123",
        "requests",
        "order-17",
        "openai gpt-4o-mini",
        "POST /v1/chat/completions",
        '{"model":"gpt-4o-mini"',
    ],
    "llm.responses.v1": ["03:30:00.935", "responses", "order-17", "completed 200", "812 ms"],
    "llm.feedback.v1": ["feedback", "order-17", "good", "helpfulness=0.9"],
    "llm.calls.v1": ["calls", "order-17", "user-123", "completed 200", "812 ms", "9+8 tokens", "0.00000615 USD"],
    "llm.scored-calls.v1": ["scored-calls", "order-17", "good", "openai gpt-4o-mini"],
    "llm.dead-letters.v1": ["dead-letters", "llm.responses.v1 3 41/7", "undecodable", "JSON is malformed"],
}


@pytest.mark.parametrize(("topic", "words"), SHOWN.items(), ids=SHOWN)
def test_a_line_says_what_happened(topic: str, words: list[str]) -> None:
    (seen,) = seen_in(record(topic))
    line = text_line(seen).plain
    for word in words:
        assert word in line
    assert "\n" not in line
    told = json.loads(json_line(seen))
    assert (told["topic"], told["partition"], told["offset"], told["index"]) == (topic, 3, 41, 0)
    assert told["batch_id"] == f"{'ab' * 16}/7"


def test_bodies_are_cut_short() -> None:
    request = EXAMPLES["llm.requests.v1"]
    assert isinstance(request, RequestReceived)
    long = "secret plan " * 1000
    for body in (Body(text=long, tail=long, size=len(long)), Body(base64="QUJD" * 1000, size=3000)):
        (seen,) = seen_in(record("llm.requests.v1", replace(request, request=body)))
        assert len(text_line(seen).plain) < 250
        assert len(json_line(seen)) < 1800
    (seen,) = seen_in(record("llm.requests.v1", replace(request, request=Body(size=12, omitted=True))))
    assert "12 B, not kept" in text_line(seen).plain


def test_a_prompt_cannot_steer_the_terminal() -> None:
    request = EXAMPLES["llm.requests.v1"]
    assert isinstance(request, RequestReceived)
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202egnp.exe"
    shown = replace(request, request=Body(text=evil, size=1), call=replace(request.call, user_id=evil, path="/" + evil))
    (seen,) = seen_in(record("llm.requests.v1", shown))
    for line in (text_line(seen).plain, json_line(seen)):
        assert line.isprintable()
    assert printable("größe 💡 a\tb\x1b") == "größe 💡 a\\tb\\x1b"


def test_a_line_that_is_no_event_is_shown_in_its_place() -> None:
    good = [line for line in record("llm.calls.v1").message.value.splitlines() if line]
    message = message_of_lines("llm.calls.v1", 0, BatchId("a", 1), [good[0], b'{"half":\x1b', good[0]])
    seen = list(seen_in(Record(message=message, offset=0, appended_at=0.0)))
    assert [each.event is None for each in seen] == [False, True, False]
    assert "undecodable" in text_line(seen[1]).plain
    assert text_line(seen[1]).plain.isprintable()
    assert json.loads(json_line(seen[1]))["line"].startswith('{"half":')


def test_a_control_record_is_shown_as_it_lies() -> None:
    message = Message(topic=CONTROL.name, partition=0, batch_id=BatchId("a", 1), count=1, value=b'{"x":1}', key="keys/1")
    (seen,) = seen_in(Record(message=message, offset=0, appended_at=0.0))
    assert 'keys/1  {"x":1}' in text_line(seen).plain
    assert json.loads(json_line(seen))["key"] == "keys/1"
