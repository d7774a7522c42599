"""What is written down of an event that could not be understood, whoever finds it."""

from datetime import UTC, datetime

from eventlog.codec import Record
from eventlog.events import DeadLetter

PAYLOAD_LIMIT = 64 << 10
"""Characters of an event's line that a dead letter keeps."""


def letter_of(record: Record, index: int, reason: str, error: str, *, payload: str | None = None) -> DeadLetter:
    """`index`: which line of the message."""
    message = record.message
    return DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=record.offset,
        index=index,
        reason=reason,
        error=error,
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
