import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.codec import (
    CONTENT_TYPE,
    BatchId,
    Message,
    decode,
    encode_event,
    header,
    headers_of,
    lines_of,
    message_of,
    message_of_lines,
)
from eventlog.events import (
    Body,
    CallFacts,
    CallId,
    CallPriced,
    DeadLetter,
    Event,
    FeedbackGiven,
    Organization,
    Outcome,
    RequestId,
    RequestReceived,
    ResponseCompleted,
    TokenUsage,
)
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES, Topic

BATCH = BatchId("0f" * 16, 1)
AT = datetime(2026, 11, 24, tzinfo=UTC)

texts = st.text(st.characters(codec="utf-8"), max_size=40)
perhaps = st.none() | texts
numbers = st.integers(0, 2**53)
floats = st.floats(allow_nan=False, allow_infinity=False)
times = st.integers(0, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
ids = {"call_id": texts.map(CallId), "request_id": texts.map(RequestId), "organization": texts.map(Organization)}

bodies = st.builds(Body, text=perhaps, base64=perhaps, tail=perhaps, size=numbers, truncated=st.booleans(), undecodable=perhaps)
calls = st.builds(
    CallFacts,
    **ids,
    created_at=times,
    provider=texts,
    method=texts,
    path=texts,
    target_url=texts,
    model=perhaps,
    stream=st.booleans(),
    user_id=perhaps,
    properties=st.dictionaries(texts, texts, max_size=3),
)
EVENTS: dict[Topic, st.SearchStrategy[Event]] = {
    REQUESTS: st.builds(RequestReceived, call=calls, request=bodies),
    RESPONSES: st.builds(
        ResponseCompleted,
        call=calls,
        completed_at=times,
        outcome=st.sampled_from(Outcome),
        status=st.none() | st.integers(100, 599),
        latency_ms=floats,
        ttft_ms=st.none() | floats,
        response=bodies,
        error=perhaps,
    ),
    FEEDBACK: st.builds(
        FeedbackGiven,
        feedback_id=texts,
        request_id=ids["request_id"],
        given_at=times,
        rating=st.none() | st.booleans(),
        scores=st.dictionaries(texts, floats, max_size=3),
    ),
    CALLS: st.builds(
        CallPriced,
        call=calls,
        completed_at=times,
        outcome=st.sampled_from(Outcome),
        latency_ms=floats,
        usage=st.none() | st.builds(TokenUsage, prompt=st.none() | numbers, completion=st.none() | numbers),
        cost_usd=perhaps,
    ),
    DEAD_LETTERS: st.builds(
        DeadLetter, topic=texts, partition=numbers, offset=numbers, reason=texts, error=texts, at=times, payload=perhaps
    ),
}
batches = st.sampled_from(list(EVENTS)).flatmap(lambda topic: st.tuples(st.just(topic), st.lists(EVENTS[topic], max_size=4)))


def rating(feedback_id: str = "f") -> FeedbackGiven:
    return FeedbackGiven(feedback_id=feedback_id, request_id=RequestId("r"), given_at=AT, rating=True)


def message(*lines: bytes) -> Message:
    return message_of_lines(FEEDBACK.name, 0, BATCH, lines)


@given(batches)
def test_any_events_come_back_as_they_went(sent: tuple[Topic, list[Event]]) -> None:
    topic, events = sent
    made = message_of(topic, 2, BATCH, events)
    assert topic.event is not None
    batch, bad = decode(topic.event, made)
    assert (batch.id, batch.partition, list(batch.events), bad) == (BATCH, 2, events, ())
    assert made.count == len(events) == made.value.count(b"\n")


@given(batches)
def test_encoding_events_one_by_one_is_encoding_them_together(sent: tuple[Topic, list[Event]]) -> None:
    topic, events = sent
    assert message_of(topic, 0, BATCH, events) == message_of_lines(topic.name, 0, BATCH, [encode_event(event) for event in events])


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_no_bytes_whatever_make_decoding_raise(lines: list[bytes]) -> None:
    batch, bad = decode(FEEDBACK.event or FeedbackGiven, message(*lines))
    assert len(batch.events) + len(bad) == len(lines_of(b"\n".join(lines)))


BAD_LINES = {
    "no JSON": b"{half",
    "no object": b"[1]",
    "another event": b'{"event":"dead-letter","topic":"t","partition":0,"offset":0,"reason":"r","error":"e","at":"2026-11-24T00:00:00Z"}',
    "no event at all": b'{"request_id":"r"}',
    "a field is missing": b'{"event":"feedback-given","feedback_id":"f","given_at":"2026-11-24T00:00:00Z"}',
    "a field of another type": encode_event(rating()).replace(b"true", b'"yes"'),
    "a time without zone": encode_event(rating()).replace(b"00Z", b"00"),
    "no UTF-8": encode_event(rating("\u00e9")).replace(b"\xc3\xa9", b"\xc3"),
    "nested beyond measure": b'{"event":"feedback-given","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_does_not_take_its_neighbours_with_it(line: bytes) -> None:
    batch, [bad] = decode(FeedbackGiven, message(encode_event(rating("first")), line, encode_event(rating("last"))))
    assert [event.feedback_id for event in batch.events] == ["first", "last"]
    assert (bad.index, bad.line) == (1, line)
    assert bad.error


def test_fields_of_a_later_version_are_passed_over() -> None:
    line = encode_event(rating())[:-1] + b',"new":{"deep":[1,2]},"also":null}'
    batch, bad = decode(FeedbackGiven, message(line))
    assert (batch.events, bad) == ((rating(),), ())


def test_an_empty_batch_has_an_empty_value() -> None:
    empty = message()
    assert (empty.count, empty.value) == (0, b"")
    assert decode(FeedbackGiven, empty) == (msgspec.structs.replace(decode(FeedbackGiven, empty)[0], events=()), ())


def test_what_is_at_its_default_is_not_written() -> None:
    assert json.loads(encode_event(rating())).keys() == {"event", "feedback_id", "request_id", "given_at", "rating"}


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    odd = msgspec.structs.replace(rating("\ud83d!"), properties={"\udc00": "a\ud800b"})
    batch, bad = decode(FeedbackGiven, message(encode_event(odd)))
    assert bad == ()
    assert batch.events[0] == msgspec.structs.replace(rating("?!"), properties={"?": "a?b"})


def test_headers_survive_the_wire() -> None:
    sent = msgspec.structs.replace(message(b"{}"), headers=(("replay", "ü"), ("replay", "")))
    assert sent.wire_headers()[:3] == [("content-type", CONTENT_TYPE.encode()), ("batch-id", f"{'0f' * 16}/1".encode()), ("count", b"1")]
    assert headers_of(sent.wire_headers()) == (BATCH, 1, sent.headers)


BAD_HEADERS: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "none": ([], "batch-id, count"),
    "no count": ([("batch-id", b"a/1")], "no header count"),
    "no batch id": ([("count", b"1")], "no header batch-id"),
    "count is no number": ([("batch-id", b"a/1"), ("count", b"-1")], "header count must be a number"),
    "batch id without sequence": ([("batch-id", b"a"), ("count", b"1")], "<epoch>/<sequence>"),
    "batch id without epoch": ([("batch-id", b"/1"), ("count", b"1")], "<epoch>/<sequence>"),
    "batch id of another make": ([("batch-id", b"a/1/2"), ("count", b"1")], "<epoch>/<sequence>"),
    "bytes that are no text": ([("batch-id", b"a/\xff"), ("count", b"1")], "<epoch>/<sequence>"),
    "count beyond measure": ([("batch-id", b"a/1"), ("count", b"9" * 5000)], "count"),
    "sequence beyond measure": ([("batch-id", b"a/" + b"9" * 5000), ("count", b"1")], "batch-id"),
}


@pytest.mark.parametrize(("wire", "fault"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_header_that_is_wrong_is_named(wire: list[tuple[str, bytes]], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        headers_of(wire)


def test_batch_ids_sort_by_sequence_and_print_as_they_parse() -> None:
    first, second, tenth = (BatchId("a", n) for n in (1, 2, 10))
    assert sorted([tenth, first, second]) == [first, second, tenth]
    assert BatchId.parse(str(tenth)) == tenth


def test_the_first_header_of_a_name() -> None:
    assert header((("a", "1"), ("b", "2"), ("b", "3")), "b") == "2"
    assert header((), "b") is None
