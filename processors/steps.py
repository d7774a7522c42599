"""What one message of `llm.responses.v1` leads to: one message of calls, and dead letters beside it. Pure; whoever runs it keeps the order.

For each message taken one goes to `llm.calls.v1`: the same partition, the same batch id, empty when nothing came of it, so that whoever
reads it can tell a repeat from a gap. Dead letters carry their batch's id too. Batches without dead letters leave no message on that topic,
so its ids have gaps by design.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import BadLine, Batch, BatchId, Message, Record, decode, encode_event, lines_of, message_of
from eventlog.events import Body, CallPriced, DeadLetter, ResponseCompleted
from eventlog.letters import bounded, in_one, letter_of, payload_of, without_payloads
from eventlog.topics import CALLS, DEAD_LETTERS
from processors.calls import Poison, Understood, understand
from processors.pricing.rates import RateBook


class Step(Struct, frozen=True):
    """What one record leads to."""

    calls: Message
    events: tuple[CallPriced, ...]
    letters: tuple[DeadLetter, ...]

    @property
    def messages(self) -> list[Message]:
        if not self.letters:
            return [self.calls]
        return [self.calls, message_of(DEAD_LETTERS, self.calls.partition, self.calls.batch_id, self.letters)]


def step_of(record: Record, rates: RateBook, identity: str) -> Step:
    """Pure: what becomes of one message. `identity` names the log it stands on."""
    message = record.message
    if not message.batch_id.sound:
        return _unsound(record, identity)
    batch, bad = decode(ResponseCompleted, message)
    understood = understand(batch, rates)
    calls = replace(message_of(CALLS, batch.partition, batch.id, understood.calls.events), headers=message.headers)
    return Step(calls, understood.calls.events, _letters(record, batch, bad, understood))


def fitted(step: Step, record: Record, limit: int) -> Step:
    """The step, of messages that a topic takes: `limit` is the bytes of value and headers. What does not fit is told by a dead letter.

    A message that is too large would otherwise be tried again for ever, and its partition would stand still.
    """
    if size_of(step.calls) > limit:
        calls = message_of(CALLS, step.calls.partition, step.calls.batch_id, [])
        error = f"what came of this message takes {size_of(step.calls)} bytes, and {CALLS.name} takes {limit}"
        step = Step(calls, (), (*step.letters, letter_of(record, len(lines_of(record.message.value)), "too_large", error)))
    if all(size_of(message) <= limit for message in step.messages):
        return step
    step = Step(step.calls, step.events, without_payloads(step.letters))
    if all(size_of(message) <= limit for message in step.messages):
        return step
    return Step(step.calls, step.events, (in_one(step.letters),))


def size_of(message: Message) -> int:
    return len(message.value) + sum(len(name.encode()) + len(text.encode()) for name, text in message.headers)


def _unsound(record: Record, identity: str) -> Step:
    """A message that nobody could recognise when it comes again is not made into rows; it rests whole among the dead letters."""
    message = record.message
    batch_id = BatchId.of_place(identity, message.partition, record.offset)
    error = f"header batch-id must be <epoch>/<sequence from 1>, got {message.batch_id}"[:300]
    letter = letter_of(record, 0, "bad_header", error, payload=payload_of(message.value))
    return Step(message_of(CALLS, message.partition, batch_id, []), (), (letter,))


def _letters(record: Record, batch: Batch[ResponseCompleted], bad: Sequence[BadLine], understood: Understood) -> tuple[DeadLetter, ...]:
    message = record.message
    letters = [letter_of(record, line.index, "undecodable", line.error, payload=payload_of(line.line)) for line in bad]
    if understood.poison:
        good = _good_lines(message, bad)
        letters += [_poisoned(record, good[poison.position], batch.events[poison.position], poison) for poison in understood.poison]
    lines = len(batch.events) + len(bad)
    if lines != message.count:
        letters.append(letter_of(record, lines, "bad_header", f"header count says {message.count} events, the message has {lines}"))
    return bounded(sorted(letters, key=lambda letter: letter.index))


def _good_lines(message: Message, bad: Sequence[BadLine]) -> list[int]:
    """For each decoded event the number of its line."""
    skipped = {line.index for line in bad}
    return [index for index in range(len(lines_of(message.value))) if index not in skipped]


def _poisoned(record: Record, index: int, event: ResponseCompleted, poison: Poison) -> DeadLetter:
    """A body that the caller wanted not kept is not kept here either."""
    omitted = event.response.omitted or event.call.omit_response
    letter = letter_of(
        record, index, poison.reason, poison.error, payload=None if omitted else payload_of(encode_event(replace(event, request=Body())))
    )
    return replace(letter, organization=event.call.organization, call_id=event.call.call_id)
