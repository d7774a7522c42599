"""Lines on the log that are no events of their topic: the sink finds those that no processor reads, and sends them to the dead letters."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from eventlog.codec import BadLine, BatchId, Message, Record, message_of
from eventlog.events import DeadLetter
from eventlog.topics import DEAD_LETTERS, RESPONSES

log = structlog.get_logger()

READ_BY_PROCESSORS = {RESPONSES.name}
"""Their bad lines are dead letters already."""
PAYLOAD_LIMIT = 64 << 10


def letters_of(record: Record, bad: Sequence[BadLine], identity: str) -> list[Message]:
    """One message of dead letters, or none. `identity` is that of the record's log and topic."""
    message = record.message
    if message.topic in READ_BY_PROCESSORS:
        return []
    log.error("undecodable_events", topic=message.topic, partition=message.partition, offset=record.offset, lines=len(bad))
    if message.topic == DEAD_LETTERS.name:
        return []
    letters = [_letter(record, line.index, "undecodable", line.error, line.line) for line in bad]
    return [message_of(DEAD_LETTERS, message.partition, BatchId.of_place(identity, message.partition, record.offset), letters)]


def letter_of_unsound(record: Record, identity: str) -> list[Message]:
    """As `letters_of`, for a whole message whose headers do not tell its batch: nobody could know it again, so it is made into no rows."""
    message = record.message
    if message.topic in READ_BY_PROCESSORS:
        return []
    log.error("unsound_message", topic=message.topic, partition=message.partition, offset=record.offset)
    if message.topic == DEAD_LETTERS.name:
        return []
    error = "header batch-id must be <epoch>/<sequence from 1>, and count a number"
    batch_id = BatchId.of_place(identity, message.partition, record.offset)
    return [message_of(DEAD_LETTERS, message.partition, batch_id, [_letter(record, 0, "bad_header", error, message.value)])]


def _letter(record: Record, index: int, reason: str, error: str, line: bytes) -> DeadLetter:
    return DeadLetter(
        topic=record.message.topic,
        partition=record.message.partition,
        offset=record.offset,
        index=index,
        reason=reason,
        error=error,
        at=datetime.fromtimestamp(record.appended_at, UTC),
        payload=_payload(line),
    )


def _payload(line: bytes) -> str | None:
    """None for what says of itself that it is not to be kept."""
    if b'"omitted":true' in line or b'"omit_response":true' in line:
        return None
    return line[: 4 * PAYLOAD_LIMIT].decode("utf-8", "replace")[:PAYLOAD_LIMIT]
