"""All that a log retains of a topic at this moment, read once by somebody outside every group."""

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta

from msgspec import Struct

from eventlog.codec import Positions, Record
from eventlog.port import Log, LogReader, LogUnavailable, Place, Span

POLL_BYTES = 4 << 20
PATIENCE = timedelta(seconds=20)
"""How long a message that the log holds may take to come."""


class Beginning:
    """A holder that reads everything, or nothing until it is told where."""

    def __init__(self, *, first: bool) -> None:
        self._first = first
        self.spans: dict[Place, Span] = {}

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        self.spans |= spans
        return {place: span.first if self._first else span.next for place, span in spans.items()}

    async def taken(self, places: frozenset[Place]) -> None:
        """Nothing waits here."""


class Part(Struct, frozen=True):
    """Some of it, and how much of the whole has been read with it, in messages."""

    records: list[Record]
    done: int
    whole: int


async def retained(log: Log, topic: str, *, group: str) -> AsyncGenerator[Part, None]:
    """What lies there now, in order within each partition; what is appended meanwhile is left out. Commits nothing.

    `group` is a name that nobody else has. Raises LogUnavailable also when the log gives nothing more, though it has more to give.
    """
    holder = Beginning(first=True)
    reader = await log.reader([topic], group=group, holder=holder)
    spans = dict(holder.spans)
    try:
        async for part in to_the_ends(reader, spans):
            records = [record for record in part.records if record.place in spans and record.offset < spans[record.place].next]
            yield Part(records, part.done, part.whole)
    finally:
        await reader.close()


async def to_the_ends(reader: LogReader, spans: Mapping[Place, Span]) -> AsyncGenerator[Part, None]:
    """What a reader gives until it has given all of `spans`; the last parts may hold what lies beyond. Raises as `retained`."""
    reached = {place: span.first for place, span in spans.items()}
    whole = sum(span.next - span.first for span in spans.values())
    while any(reached[place] < span.next for place, span in spans.items()):
        polled = await reader.poll(max_bytes=POLL_BYTES, timeout=PATIENCE)
        if not polled:
            topics = ", ".join(sorted({topic for topic, _ in spans}))
            raise LogUnavailable(f"{topics} gave nothing for {PATIENCE.total_seconds():.0f} s, and has more to give.")
        reached |= {record.place: min(record.offset + 1, spans[record.place].next) for record in polled if record.place in spans}
        yield Part(polled, sum(reached[place] - span.first for place, span in spans.items()), whole)
