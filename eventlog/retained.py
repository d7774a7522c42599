"""All that a log retains of a topic at this moment, read once by somebody outside every group."""

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta

from msgspec import Struct

from eventlog.codec import Positions, Record
from eventlog.port import Log, LogUnavailable, Place, Span

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
    places = {place: span for place, span in holder.spans.items() if span.next > span.first}
    reached = {place: span.first for place, span in places.items()}
    whole = sum(span.next - span.first for span in places.values())
    try:
        while any(reached[place] < span.next for place, span in places.items()):
            polled = await reader.poll(max_bytes=POLL_BYTES, timeout=PATIENCE)
            if not polled:
                raise LogUnavailable(f"{topic} gave nothing for {PATIENCE.total_seconds():.0f} s, and has more to give.")
            records = [record for record in polled if record.place in places and record.offset < places[record.place].next]
            reached |= {record.place: record.offset + 1 for record in records}
            yield Part(records, sum(reached[place] - span.first for place, span in places.items()), whole)
    finally:
        await reader.close()
