"""The pure step by itself: messages as Kafka gives them, and what no topic would take. `test_inline` has the rest."""

import pytest

from eventlog.codec import NO_BATCH, BatchId, Message, decode, message_of, message_of_lines, record_of
from eventlog.events import Body, DeadLetter, ResponseCompleted
from eventlog.topics import DEAD_LETTERS, RESPONSES
from processors.pricing.rates import RateBook
from processors.steps import fitted, size_of, step_of
from tests.processors.events import AT, EPOCH, call, completed

RATES = RateBook.bundled()
SOUND = [("content-type", b"application/x-ndjson"), ("batch-id", f"{EPOCH}/7".encode()), ("count", b"1")]


def letters(message: Message) -> tuple[DeadLetter, ...]:
    return decode(DeadLetter, message)[0].events


def value(*events: ResponseCompleted) -> bytes:
    return message_of(RESPONSES, 2, BatchId(EPOCH, 7), events).value


def test_a_message_as_it_lay_on_a_topic() -> None:
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), [*SOUND, ("replay", b"r-1")], value(completed()))
    assert (record.offset, record.message.partition, record.message.batch_id) == (41, 2, BatchId(EPOCH, 7))
    assert (record.message.count, record.message.headers) == (1, (("replay", "r-1"),))


@pytest.mark.parametrize(
    "headers",
    {
        "none": [],
        "no batch id": [SOUND[0], SOUND[2]],
        "no count": SOUND[:2],
        "a batch id that is none": [("batch-id", b"x"), SOUND[2]],
        "bytes that are no text": [("batch-id", b"\xff/\xff"), SOUND[2]],
        "a count that is none": [*SOUND[:2], ("count", b"-1")],
    }.values(),
)
def test_headers_that_do_not_tell_the_batch(headers: list[tuple[str, bytes]]) -> None:
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), headers, value(completed()))
    assert record.message.batch_id == NO_BATCH
    step = step_of(record, RATES, "log")
    assert (step.calls.count, step.letters[0].reason, step.letters[0].offset) == (0, "bad_header", 41)


def test_a_message_without_value_is_an_empty_batch() -> None:
    record = record_of(RESPONSES.name, 0, 1, AT.timestamp(), [*SOUND[:2], ("count", b"0")], None)
    step = step_of(record, RATES, "log")
    assert (step.calls.value, step.calls.batch_id, step.letters) == (b"", BatchId(EPOCH, 7), ())


def test_what_fits_stays_as_it_is() -> None:
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), SOUND, value(completed(), completed("{")))
    step = step_of(record, RATES, "log")
    assert fitted(step, record, max(map(size_of, step.messages))) is step


def test_calls_that_no_topic_takes_are_a_dead_letter_and_an_empty_batch() -> None:
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), SOUND, value(completed(facts=call(model="m" * 5000))))
    step = fitted(step_of(record, RATES, "log"), record, 4000)
    assert (step.calls.value, step.calls.batch_id, step.events) == (b"", BatchId(EPOCH, 7), ())
    (letter,) = step.letters
    assert (letter.reason, letter.topic, letter.partition, letter.offset, letter.index) == ("too_large", RESPONSES.name, 2, 41, 1)


def test_headers_that_no_topic_takes_do_not_go_along() -> None:
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), [*SOUND, ("x", b"y" * 5000)], value(completed()))
    step = fitted(step_of(record, RATES, "log"), record, 4000)
    assert (step.calls.headers, [letter.reason for letter in step.letters]) == ((), ["too_large"])


def test_letters_that_no_topic_takes_lose_what_they_quote() -> None:
    bad = message_of_lines(RESPONSES.name, 2, BatchId(EPOCH, 7), [b"\x01" * 3000, b"\x02" * 3000])
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), [*SOUND[:2], ("count", b"2")], bad.value)
    step = fitted(step_of(record, RATES, "log"), record, 4000)
    assert [(letter.index, letter.payload) for letter in step.letters] == [(0, None), (1, None)]


def test_letters_that_are_still_too_many_become_one() -> None:
    lines = [b"x"] * 100
    record = record_of(
        RESPONSES.name, 2, 41, AT.timestamp(), [*SOUND[:2], ("count", b"100")], message_of_lines("t", 0, NO_BATCH, lines).value
    )
    step = fitted(step_of(record, RATES, "log"), record, 4000)
    assert all(size_of(message) <= 4000 for message in step.messages)
    (letter,) = letters(step.messages[1])
    assert (letter.reason, letter.error[:10], step.messages[1].topic) == ("undecodable", "100 events", DEAD_LETTERS.name)


def test_the_request_that_came_along_does_not_come_to_rest_in_a_letter() -> None:
    asked = Body(text='{"secret":"of the prompt"}', size=26, content_type="application/json")
    record = record_of(RESPONSES.name, 2, 41, AT.timestamp(), SOUND, value(completed("{", request=asked)))
    (letter,) = step_of(record, RATES, "log").letters
    assert (letter.reason, "secret" in str(letter.payload)) == ("body_unreadable", False)
