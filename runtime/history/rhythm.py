"""When the made-up calls are made: busy mornings, quiet nights, slow weekends, and more of everything as time goes by. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
from msgspec import Struct

from runtime.history.arrow import Floats, Ints
from runtime.history.cast import HOURS, WEEKDAYS

HOUR = timedelta(hours=1)
GROWTH = (0.65, 1.35)
"""How busy the first day is, and the last, compared with the middle."""
TOGETHER = 75_000
"""Calls that are made up, and committed, at once."""
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(Struct, frozen=True):
    """A stretch of one day, and how many calls it has. Aware times."""

    number: int
    begin: datetime
    end: datetime
    calls: int

    @property
    def day(self) -> date:
        return self.begin.date()


def spans(begin: datetime, end: datetime, calls: int, rng: np.random.Generator) -> list[Span]:
    """All calls of the history, by day, and where a day has many by parts of it. Exactly `calls` of them, in order of time."""
    days = list(_days(begin, end))
    moods = rng.lognormal(0.0, 0.07, len(days))
    weights = [
        mood * _growth(first, begin, end) * float(hourly(first, last)[1].sum()) for mood, (first, last) in zip(moods, days, strict=True)
    ]
    found: list[tuple[datetime, datetime, int]] = []
    for (first, last), count in zip(days, _shared(calls, np.array(weights)), strict=True):
        found += _parted(first, last, count)
    return [Span(number, *each) for number, each in enumerate(found)]


def _days(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while begin < end:
        midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        yield begin, min(midnight, end)
        begin = midnight


def _growth(at: datetime, begin: datetime, end: datetime) -> float:
    first, last = GROWTH
    return first + (last - first) * ((at - begin) / (end - begin))


def _shared(whole: int, weights: Floats) -> list[int]:
    """In whole numbers that add up."""
    ends = np.round(np.cumsum(weights) / weights.sum() * whole).astype(int)
    return [int(each) for each in np.diff(ends, prepend=0)]


def _parted(begin: datetime, end: datetime, calls: int) -> Iterator[tuple[datetime, datetime, int]]:
    parts = -(-calls // TOGETHER)
    edges = [begin, *(at_share(begin, end, part / parts) for part in range(1, parts)), end]
    for (first, last), count in zip(pairwise(edges), _shared(calls, np.ones(max(parts, 1))), strict=True):
        if count:
            yield first, last, count


def hourly(begin: datetime, end: datetime) -> tuple[Sequence[datetime], Floats]:
    """The edges of the hours within one day, and how busy it is between them."""
    edges = [begin]
    while edges[-1] < end:
        full = edges[-1].replace(minute=0, second=0, microsecond=0) + HOUR
        edges.append(min(full, end))
    busy = [HOURS[a.hour] * WEEKDAYS[a.weekday()] * ((b - a) / HOUR) for a, b in pairwise(edges)]
    return edges, np.array(busy, np.float64)


def at_share(begin: datetime, end: datetime, share: float) -> datetime:
    """When so much of a day's calls is done."""
    return EPOCH + int(at_shares(begin, end, np.array([share]))[0]) * MICROSECOND


def at_shares(begin: datetime, end: datetime, shares: Floats) -> Ints:
    """The same for many, in microseconds since 1970."""
    edges, busy = hourly(begin, end)
    done = np.concatenate([[0.0], np.cumsum(busy) / busy.sum()])
    return np.interp(shares, done, np.array([microseconds(edge) for edge in edges], np.float64)).astype(np.int64)


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - EPOCH) // MICROSECOND
