"""Lines on the log that are no events of their topic: the sink finds those that no processor reads, and sends them to the dead letters."""

from collections.abc import Sequence

import structlog

from eventlog.codec import BadLine, BatchId, Message, Record, message_of
from eventlog.letters import bounded, letter_of, payload_of
from eventlog.topics import DEAD_LETTERS, RESPONSES

log = structlog.get_logger()

READ_BY_PROCESSORS = {RESPONSES.name}
"""Their bad lines are dead letters already."""


def letters_of(record: Record, bad: Sequence[BadLine], identity: str) -> list[Message]:
    """One message of dead letters, or none. `identity` is that of the record's log and topic."""
    message = record.message
    if message.topic in READ_BY_PROCESSORS:
        return []
    log.error("undecodable_events", topic=message.topic, partition=message.partition, offset=record.offset, lines=len(bad))
    if message.topic == DEAD_LETTERS.name:
        return []
    letters = bounded(letter_of(record, line.index, "undecodable", line.error, payload=payload_of(line.line)) for line in bad)
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
    letter = letter_of(record, 0, "bad_header", error, payload=payload_of(message.value))
    return [message_of(DEAD_LETTERS, message.partition, batch_id, [letter])]
