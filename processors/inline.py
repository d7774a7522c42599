"""The `calls` step in one process, over any log: read, understand, append, commit.

For each message of `llm.responses.v1` one message goes to `llm.calls.v1`: the same partition, the same batch id, empty when nothing came
of it, so that whoever reads it can tell a repeat from a gap. Dead letters carry their batch's id too and are appended in the same call,
so both are there or neither. The position is committed after that: a crash between the two repeats a batch, and readers know its id.
Batches without dead letters leave no message on that topic, so its ids have gaps by design.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import BadLine, Batch, BatchId, Message, Record, decode, encode_event, lines_of, message_of
from eventlog.events import CallPriced, DeadLetter, ResponseCompleted
from eventlog.port import Log, LogReader, LogUnavailable, LogWriter
from eventlog.topics import CALLS, DEAD_LETTERS, RESPONSES
from processors import telemetry
from processors.calls import Poison, Understood, understand
from processors.rates import RateBook

GROUP = "calls"
POLL_BYTES = 4 << 20
POLL = timedelta(milliseconds=250)
"""How long an idle poll waits: as long as it takes at most to notice that we shall stop."""
LAST_POLL = timedelta(milliseconds=20)
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
PAYLOAD_LIMIT = 64 << 10
"""Characters of an event's line that a dead letter keeps."""

logger = structlog.get_logger()

T = TypeVar("T")


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


class Patience:
    """Tries again, ever less often, while the log is not available."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]) -> None:
        self._clock = clock
        self._sleep = sleep

    async def with_log(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Raises all that `attempt` raises except LogUnavailable."""
        pause, since = FIRST_PAUSE_S, self._clock()
        while True:
            try:
                return await attempt()
            except LogUnavailable as error:
                logger.warning("log_unavailable", step=GROUP, error=str(error), for_s=round(self._clock() - since, 3))
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


async def run_calls(
    log: Log,
    rates: RateBook,
    *,
    stop: asyncio.Event,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Runs until `stop` is set and the topic is read to its end. `clock` gives seconds, and times how long the log is away.

    Raises what the log raises for good (OffsetOutOfRange, LogCorrupt); waits while it is merely unavailable.
    """
    patience = Patience(clock, sleep)
    writer = await patience.with_log(log.writer)
    reader = await patience.with_log(lambda: log.reader([RESPONSES.name], group=GROUP))
    identity = log.identity(RESPONSES.name)
    try:
        while True:
            stopping = stop.is_set()
            records = await patience.with_log(lambda: reader.poll(max_bytes=POLL_BYTES, timeout=LAST_POLL if stop.is_set() else POLL))
            if records:
                await _take(records, rates, identity, reader, writer, patience)
            elif stopping:
                return
    finally:
        await reader.close()
        await writer.close()


async def _take(
    records: Sequence[Record], rates: RateBook, identity: str, reader: LogReader, writer: LogWriter, patience: Patience
) -> None:
    steps = []
    for record in records:
        steps.append(step_of(record, rates, identity))
        await asyncio.sleep(0)  # the sink shares this loop
    messages = [message for step in steps for message in step.messages]
    await patience.with_log(lambda: writer.append(messages))
    reached = {record.place: record.offset + 1 for record in records}
    await patience.with_log(lambda: reader.commit(reached))
    telemetry.count_calls(event.dialect for step in steps for event in step.events)
    telemetry.count_dead_letters(letter.reason for step in steps for letter in step.letters)


def step_of(record: Record, rates: RateBook, identity: str) -> Step:
    """Pure: what becomes of one message. `identity` names the log it stands on."""
    message = record.message
    if not _is_sound(message.batch_id):
        return _unsound(record, identity)
    batch, bad = decode(ResponseCompleted, message)
    understood = understand(batch, rates)
    calls = replace(message_of(CALLS, batch.partition, batch.id, understood.calls.events), headers=message.headers)
    return Step(calls, understood.calls.events, _letters(record, batch, bad, understood))


def _is_sound(batch_id: BatchId) -> bool:
    return bool(batch_id.epoch) and batch_id.sequence >= 1


def _unsound(record: Record, identity: str) -> Step:
    """A message that nobody could recognise when it comes again is not made into rows; it rests whole among the dead letters."""
    message = record.message
    batch_id = BatchId.of_place(identity, message.partition, record.offset)
    error = f"header batch-id must be <epoch>/<sequence from 1>, got {message.batch_id}"[:300]
    letter = _letter(record, 0, "bad_header", error, payload=_payload(message.value))
    return Step(message_of(CALLS, message.partition, batch_id, []), (), (letter,))


def _letters(record: Record, batch: Batch[ResponseCompleted], bad: Sequence[BadLine], understood: Understood) -> tuple[DeadLetter, ...]:
    message = record.message
    letters = [_letter(record, line.index, "undecodable", line.error, payload=_payload(line.line)) for line in bad]
    if understood.poison:
        good = _good_lines(message, bad)
        letters += [_poisoned(record, good[poison.position], batch.events[poison.position], poison) for poison in understood.poison]
    lines = len(batch.events) + len(bad)
    if lines != message.count:
        letters.append(_letter(record, lines, "bad_header", f"header count says {message.count} events, the message has {lines}"))
    return tuple(sorted(letters, key=lambda letter: letter.index))


def _good_lines(message: Message, bad: Sequence[BadLine]) -> list[int]:
    """For each decoded event the number of its line."""
    skipped = {line.index for line in bad}
    return [index for index in range(len(lines_of(message.value))) if index not in skipped]


def _poisoned(record: Record, index: int, event: ResponseCompleted, poison: Poison) -> DeadLetter:
    """A body that the caller wanted not kept is not kept here either."""
    omitted = event.response.omitted or event.call.omit_response
    letter = _letter(record, index, poison.reason, poison.error, payload=None if omitted else _payload(encode_event(event)))
    return replace(letter, organization=event.call.organization, call_id=event.call.call_id)


def _letter(record: Record, index: int, reason: str, error: str, *, payload: str | None = None) -> DeadLetter:
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


def _payload(line: bytes) -> str | None:
    """None for what says of itself that it is not to be kept."""
    if b'"omitted":true' in line or b'"omit_response":true' in line:
        return None
    return line[: 4 * PAYLOAD_LIMIT].decode("utf-8", "replace")[:PAYLOAD_LIMIT]
