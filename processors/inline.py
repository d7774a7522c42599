"""The `calls` step in one process, over any log: read, understand, append, commit.

What comes of a message is decided in `steps`; calls and dead letters are appended in one call, so both are there or neither. The
position is committed after that: a crash between the two repeats a batch, and readers know its id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from eventlog.codec import Record
from eventlog.port import Log, LogReader, LogWriter
from eventlog.topics import RESPONSES
from processors import telemetry
from processors.patience import Patience
from processors.pricing.rates import RateBook
from processors.steps import step_of

GROUP = "calls"
POLL_BYTES = 4 << 20
POLL = timedelta(milliseconds=250)
"""How long an idle poll waits: as long as it takes at most to notice that we shall stop."""
LAST_POLL = timedelta(milliseconds=20)


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
    patience = Patience(clock, sleep, step=GROUP)
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
    telemetry.count_calls([event for step in steps for event in step.events])
    telemetry.count_dead_letters(letter.reason for step in steps for letter in step.letters)
