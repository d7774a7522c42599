"""The feedback join over all partitions that one process holds: a record in, messages out, and what is to be remembered. No framework.

Whoever carries a turn out makes its messages durable, then what is kept, and only then moves on (`feedback.py` says why).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog
from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import Batch, BatchId, Message, Record, decode
from eventlog.events import CallPriced, FeedbackGiven
from eventlog.replay import revision_of
from eventlog.topics import CALLS, FEEDBACK
from processors.feedback import Held, JoinLimits, Turn, scored_messages

log = structlog.get_logger()

READS = (CALLS.name, FEEDBACK.name)


class Joined(Struct, frozen=True):
    """What one record, or the passing of time, leads to, for one partition."""

    partition: int
    messages: Sequence[Message] = ()
    kept: Mapping[str, bytes | None] = {}


def is_told_already(message: Message) -> bool:
    """A replayed call was told of when it was first priced: nobody is to hear of it twice."""
    return message.topic == CALLS.name and revision_of(message) is not None


def _of_calls(given: Batch[FeedbackGiven]) -> Batch[FeedbackGiven]:
    """Less the judgements of sessions, which no call ever meets."""
    if all(event.session_id is None for event in given.events):
        return given
    return replace(given, events=tuple(event for event in given.events if event.session_id is None))


class Joins:
    """`identities` names the log for each topic that is read; `limit` is the most bytes that a message of scored calls may have."""

    def __init__(self, limits: JoinLimits, identities: Mapping[str, str], limit: int) -> None:
        self._limits = limits
        self._identities = identities
        self._limit = limit
        self._held: dict[int, Held] = {}

    def take(self, record: Record) -> Joined:
        """Lines that are no events are passed over: the sink, which reads the same topics, sends them to the dead letters."""
        message, held = record.message, self._of(record.message.partition)
        at = datetime.fromtimestamp(record.appended_at, UTC)
        if not message.batch_id.sound or is_told_already(message):
            return Joined(message.partition)
        if message.topic == CALLS.name:
            turn = held.meet_calls(decode(CallPriced, message)[0], at)
        else:
            turn = held.meet_feedback(_of_calls(decode(FeedbackGiven, message)[0]), at)
        return self._joined(message.partition, turn, BatchId.of_place(self._identities[message.topic], message.partition, record.offset))

    def expire(self, partition: int, until: datetime) -> Joined:
        """All that was appended up to `until` to this partition of either topic has been taken."""
        turn = self._of(partition).expire(until)
        return self._joined(partition, turn, BatchId.of_place(f"expired/{until.isoformat()}", partition, 0))

    def _joined(self, partition: int, turn: Turn, source: BatchId) -> Joined:
        return Joined(partition, scored_messages(turn.out, partition, source, self._limit), turn.kept)

    # A next life

    def restore(self, partition: int, key: str, packed: bytes | None) -> None:
        """What cannot be read is told, and missing from now on: the other batches are worth more than a stop."""
        try:
            self._of(partition).restore(key, packed)
        except ValueError as error:
            log.error("held_batch_unreadable", partition=partition, error=str(error))

    def restored(self, partition: int) -> None:
        self._of(partition).restored()

    def drop(self, partition: int) -> None:
        """The partition is another's now."""
        self._held.pop(partition, None)

    # Looking

    @property
    def calls(self) -> int:
        return sum(held.calls for held in self._held.values())

    @property
    def feedback(self) -> int:
        return sum(held.feedback for held in self._held.values())

    def _of(self, partition: int) -> Held:
        held = self._held.get(partition)
        if held is None:
            held = self._held[partition] = Held(self._limits)
        return held
