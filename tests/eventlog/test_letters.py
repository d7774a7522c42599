"""How much is written down of one message that cannot be understood."""

from eventlog.codec import BatchId, Message, Record, decode, message_of
from eventlog.events import DeadLetter
from eventlog.letters import ERROR_LIMIT, LETTERS_LIMIT, PAYLOAD_LIMIT, PAYLOADS_LIMIT, bounded, letter_of, lightened
from eventlog.topics import DEAD_LETTERS, FEEDBACK

RECORD = Record(
    message=Message(topic=FEEDBACK.name, partition=2, batch_id=BatchId("e", 7), count=1, value=b"x\n"), offset=41, appended_at=0.0
)


def letters(count: int, payload: str = "x") -> list[DeadLetter]:
    return [letter_of(RECORD, index, "undecodable", f"error {index}", payload=payload) for index in range(count)]


def test_as_many_as_may_be_stay_as_they_are() -> None:
    assert bounded(letters(LETTERS_LIMIT)) == tuple(letters(LETTERS_LIMIT))


def test_what_is_beyond_is_told_in_one() -> None:
    found = bounded(letters(LETTERS_LIMIT + 5))
    assert found[:-1] == tuple(letters(LETTERS_LIMIT - 1))
    assert (len(found), found[-1].index, found[-1].payload) == (LETTERS_LIMIT, LETTERS_LIMIT - 1, None)
    assert found[-1].error == f"6 more events; the first: error {LETTERS_LIMIT - 1}"


def test_lines_are_kept_while_there_is_room() -> None:
    room = PAYLOADS_LIMIT // PAYLOAD_LIMIT
    found = bounded(letters(room + 2, "x" * PAYLOAD_LIMIT))
    assert [letter.payload is not None for letter in found] == [True] * room + [False] * 2


def test_an_error_that_quotes_a_whole_value_is_cut() -> None:
    assert len(letter_of(RECORD, 0, "undecodable", "e" * 10_000).error) == ERROR_LIMIT


def test_a_message_of_letters_becomes_lighter_until_it_cannot() -> None:
    whole = message_of(DEAD_LETTERS, 2, BatchId("e", 7), letters(3))
    bare = lightened(whole)
    assert bare is not None
    assert [letter.payload for letter in decode(DeadLetter, bare)[0].events] == [None] * 3
    one = lightened(bare)
    assert one is not None
    (letter,) = decode(DeadLetter, one)[0].events
    assert (letter.error, one.batch_id, one.partition, one.count) == ("3 events; the first: error 0", BatchId("e", 7), 2, 1)
    assert lightened(one) is None
