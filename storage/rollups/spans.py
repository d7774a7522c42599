"""Time, divided into what rollups know of: whole days, whole hours, and the ends that are read from calls."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from storage.rest.sql import Sql, all_of, time

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Span(Struct, frozen=True):
    """From one naive UTC instant to before another; None: without end."""

    since: datetime | None
    before: datetime | None

    @property
    def empty(self) -> bool:
        return self.since is not None and self.before is not None and self.since >= self.before

    def condition(self, column: str) -> Sql:
        bounds = ((">=", self.since), ("<", self.before))
        return all_of(f"{column} {sign} " + instant(at) for sign, at in bounds if at is not None)


class Sources(Struct, frozen=True, kw_only=True):
    """Where the calls of a question are taken from; each is in one of them."""

    days: Span | None = None
    hours: Span | None = None
    """Whole hours, less those in `days` and `cut`."""
    calls: tuple[Span, ...] = ()
    cut: tuple[datetime, ...] = ()
    """Hours that are read from `calls`, as not all of an hour is in one piece."""


def divided(asked_for: Span, cuts: Iterable[datetime] = (), *, least_days: int | None) -> Sources:
    """Everything but the ends from rollups; from calls, where there is no whole hour, or most hours are cut. Naive UTC.

    `least_days`: fewer whole days than this are taken hour by hour; None: all of them are.
    """
    hours = Span(_up(asked_for.since, HOUR), _down(asked_for.before, HOUR))
    if asked_for.empty or hours.empty:
        return Sources(calls=(asked_for,))
    cuts = [cut for cut in cuts if _within(cut, hours)]
    cut = tuple(sorted({at for each in cuts if (at := _floor(each, HOUR)) != each}))
    if hours.since is not None and hours.before is not None and len(cut) * HOUR * 2 > hours.before - hours.since:
        return Sources(calls=(asked_for,))
    ends = (Span(asked_for.since, hours.since), Span(hours.before, asked_for.before))
    calls = tuple(end for end, bound in zip(ends, (asked_for.since, asked_for.before), strict=True) if bound is not None and not end.empty)
    days = Span(_up(hours.since, DAY), _down(hours.before, DAY))
    if least_days is None or not _many(days, least_days) or any(_floor(each, DAY) != each and _within(each, days) for each in cuts):
        return Sources(hours=hours, calls=calls, cut=cut)
    return Sources(days=days, hours=None if days == hours else hours, calls=calls, cut=cut)


def instant(at: datetime) -> Sql:
    """A naive time in UTC, as SQL."""
    return time(at.isoformat(timespec="microseconds"))


def _many(days: Span, least: int) -> bool:
    return days.since is None or days.before is None or days.before - days.since >= least * DAY


def _within(at: datetime, span: Span) -> bool:
    return (span.since is None or span.since <= at) and (span.before is None or at < span.before)


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - datetime.min) % step  # noqa: DTZ901 as naive as the lake's times


def _down(at: datetime | None, step: timedelta) -> datetime | None:
    return None if at is None else _floor(at, step)


def _up(at: datetime | None, step: timedelta) -> datetime | None:
    return None if at is None else at + (datetime.min - at) % step  # noqa: DTZ901
