"""Where a sink begins to read, when a partition becomes its own.

The lake knows its position. It also knows which batch it read last, and reads that one once more: an older copy of a log may have been put
in its place and have grown past the position since, and then other messages stand at the offsets that the lake holds for read. Such a
partition is read again from its first message; by their batch ids, what the lake has is known and what it has not is found.
"""

import hashlib

from msgspec import Struct

from eventlog.codec import BatchId
from eventlog.port import OffsetOutOfRange, Place, Span


class Start(Struct, frozen=True, kw_only=True):
    """An offset to begin at, and what there is to know of it."""

    offset: int
    expects: int | None = None
    """The trace of the batch that stands there, if this is still the log that the lake has read."""
    anew: bool = False
    """The lake's own position no longer counts."""
    lost: int = 0
    """How many messages the log forgot before the lake had them."""


def trace_of(batch: BatchId) -> int:
    """63 bits by which a batch is known again."""
    return int.from_bytes(hashlib.blake2b(str(batch).encode(), digest_size=8).digest(), "big") >> 1


def begin(place: Place, position: int | None, last: int | None, span: Span, *, skip_expired: bool) -> Start:
    """Where reading begins that the lake left off at `position`, the batch before it having the trace `last`.

    Raises OffsetOutOfRange when the log no longer has what comes next and nobody said to skip it.
    """
    if position is None:
        return Start(offset=span.first)
    if position < span.first:
        if not skip_expired:
            raise OffsetOutOfRange(_told(place, position, span))
        return Start(offset=span.first, anew=True, lost=span.first - position)
    if position > span.next:
        return Start(offset=span.first, anew=True)
    if last is None or position == span.first:
        return Start(offset=position)
    return Start(offset=position - 1, expects=last)


def _told(place: Place, position: int, span: Span) -> str:
    return (
        f"{place[0]} partition {place[1]}: the lake has read up to offset {position}, and the log begins at {span.first}:"
        f" {span.first - position} messages in between have expired. Put back a newer copy of the lake, or give them up with"
        " HELIOGRAPH_SINK__SKIP_EXPIRED=true"
    )
