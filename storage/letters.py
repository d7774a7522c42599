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
    letters = [_letter(record, line) for line in bad]
    return [message_of(DEAD_LETTERS, message.partition, BatchId.of_place(identity, message.partition, record.offset), letters)]


def _letter(record: Record, line: BadLine) -> DeadLetter:
    return DeadLetter(
        topic=record.message.topic,
        partition=record.message.partition,
        offset=record.offset,
        index=line.index,
        reason="undecodable",
        error=line.error,
        at=datetime.fromtimestamp(record.appended_at, UTC),
        payload=_payload(line.line),
    )


def _payload(line: bytes) -> str | None:
    """None for what says of itself that it is not to be kept."""
    if b'"omitted":true' in line or b'"omit_response":true' in line:
        return None
    return line[: 4 * PAYLOAD_LIMIT].decode("utf-8", "replace")[:PAYLOAD_LIMIT]
