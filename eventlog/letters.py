"""What is written down of an event that could not be understood, whoever finds it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from eventlog.codec import Message, Record, decode, message_of
from eventlog.events import DeadLetter
from eventlog.topics import DEAD_LETTERS

PAYLOAD_LIMIT = 64 << 10
"""Characters of an event's line that a dead letter keeps."""
ERROR_LIMIT = 500
"""Characters of an error; a decoder's may quote the whole value that it does not know."""
LETTERS_LIMIT = 1000
"""Dead letters that one message may lead to. A message of rubbish has a line, and so a letter, for each two of its bytes."""
PAYLOADS_LIMIT = 1 << 20
"""Characters of lines that the letters of one message keep together."""


def letter_of(record: Record, index: int, reason: str, error: str, *, payload: str | None = None) -> DeadLetter:
    """`index`: which line of the message."""
    message = record.message
    return DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=record.offset,
        index=index,
        reason=reason,
        error=error[:ERROR_LIMIT],
        at=datetime.fromtimestamp(record.appended_at, UTC),
        payload=payload,
    )


def payload_of(line: bytes) -> str | None:
    """A line, cut to what is kept of it. None for what says of itself that it is not to be kept."""
    if b'"omitted":true' in line or b'"omit_response":true' in line:
        return None
    return beginning_of(line)


def beginning_of(line: bytes) -> str:
    return line[: 4 * PAYLOAD_LIMIT].decode("utf-8", "replace")[:PAYLOAD_LIMIT]


def bounded(letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
    """The letters of one message, as many as may be written of it. What is beyond that is told in the last."""
    kept: list[DeadLetter] = []
    characters, more, first = 0, 0, None
    for letter in letters:
        if len(kept) == LETTERS_LIMIT - 1:
            first, more = first or letter, more + 1
            continue
        characters += len(letter.payload or "")
        kept.append(letter if characters <= PAYLOADS_LIMIT else replace(letter, payload=None))
    if first is not None:
        kept.append(first if more == 1 else _told(first, f"{more} more events"))
    return tuple(kept)


def without_payloads(letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
    return tuple(replace(letter, payload=None) for letter in letters)


def in_one(letters: Sequence[DeadLetter]) -> DeadLetter:
    """All letters of a message as one, that says how many they were."""
    return _told(letters[0], f"{len(letters)} events")


def lightened(message: Message) -> Message | None:
    """A message of dead letters, smaller: without payloads, and if it has none, all letters as one. None when it cannot be smaller."""
    letters = decode(DeadLetter, message)[0].events
    if any(letter.payload is not None for letter in letters):
        lighter = without_payloads(letters)
    elif len(letters) > 1:
        lighter = (in_one(letters),)
    else:
        return None
    return message_of(DEAD_LETTERS, message.partition, message.batch_id, lighter)


def _told(first: DeadLetter, how_many: str) -> DeadLetter:
    return replace(first, error=f"{how_many}; the first: {first.error[:300]}", payload=None)
