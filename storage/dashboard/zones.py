"""Time as the viewer's clock has it: his zone, how finely a time range is cut, and where the cuts are. Pure.

A cut of hours is a span of seconds counted from the first; a cut of days, weeks or months follows the calendar of the zone, so a day is
23 or 25 hours long where the clock is set. In SQL local time is UTC plus an offset that changes at the instants given with it.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from storage.rest.sql import Sql, joined, time, value

UTC_ZONE = ZoneInfo("UTC")
DAY, WEEK, MONTH = "day", "week", "month"
HOUR_S, DAY_S = 3600, 86400
NAME_CHARACTERS = 64


def zone_of(name: str | None) -> ZoneInfo | None:
    """The zone of this name; None where there is none."""
    if not name or len(name) > NAME_CHARACTERS:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


class Period(Struct, frozen=True):
    """From `since` to before `until`, both aware."""

    since: datetime
    until: datetime
    goes_on: bool = False
    """Its end is now: whatever began later, by another clock, is in it too. So the hour that has begun need not be cut."""

    @property
    def length(self) -> timedelta:
        return self.until - self.since

    def before(self) -> "Period":
        """As long, and ending where this one begins."""
        return Period(self.since - self.length, self.since)

    def contains(self) -> Sql:
        """Of a call: it began in it."""
        since = "created_at >= " + instant(self.since)
        return since if self.goes_on else since + " AND created_at < " + instant(self.until)


class Step(Struct, frozen=True):
    """How long a piece of a time series is: so many seconds, or a day, week or month of the calendar."""

    seconds: int = 0
    calendar: str = ""

    @property
    def text(self) -> str:
        if self.calendar:
            return self.calendar
        if self.seconds % HOUR_S == 0:
            return "hour" if self.seconds == HOUR_S else f"{self.seconds // HOUR_S} hours"
        return "minute" if self.seconds == 60 else f"{self.seconds // 60} minutes"


STEPS: tuple[tuple[timedelta, Step], ...] = (
    (timedelta(hours=2, minutes=5), Step(60)),
    (timedelta(hours=7), Step(300)),
    (timedelta(hours=13), Step(600)),
    (timedelta(days=4), Step(HOUR_S)),
    (timedelta(days=8), Step(2 * HOUR_S)),
    (timedelta(days=16), Step(6 * HOUR_S)),
    (timedelta(days=120), Step(calendar=DAY)),
    (timedelta(days=800), Step(calendar=WEEK)),
)
"""Ranges up to this long are cut into such pieces."""


def to_the_hour(at: datetime) -> datetime:
    """The whole hour that is nearest."""
    return datetime.fromtimestamp(round(at.timestamp() / HOUR_S) * HOUR_S, UTC)


def step_for(length: timedelta) -> Step:
    """From 25 to 120 pieces, mostly."""
    return next((step for longest, step in STEPS if length <= longest), Step(calendar=MONTH))


def floored(at: datetime, step: Step, zone: ZoneInfo) -> datetime:
    """The cut at or before `at`, as an instant in UTC."""
    local = at.astimezone(zone)
    midnight = _midnight(local.date(), zone)
    if step.calendar == WEEK:
        return _midnight(local.date() - timedelta(days=local.weekday()), zone)
    if step.calendar == MONTH:
        return _midnight(local.date().replace(day=1), zone)
    if step.calendar == DAY:
        return midnight
    into = (at.astimezone(UTC) - midnight) // timedelta(seconds=1)
    return midnight + timedelta(seconds=into - into % step.seconds)


def cuts(period: Period, step: Step, zone: ZoneInfo) -> list[datetime]:
    """Where the pieces begin that cover the period, in UTC; the first may begin before it."""
    at = floored(period.since, step, zone)
    found = []
    while at < period.until:
        found.append(at)
        at = _next(at, step, zone)
    return found


def _next(at: datetime, step: Step, zone: ZoneInfo) -> datetime:
    if not step.calendar:
        return at + timedelta(seconds=step.seconds)
    day = at.astimezone(zone).date()
    if step.calendar == MONTH:
        return _midnight((day.replace(day=1) + timedelta(days=32)).replace(day=1), zone)
    return _midnight(day + timedelta(days=7 if step.calendar == WEEK else 1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


class Bucket(Struct, frozen=True):
    """How a time series is cut. `sql` names the piece of a call; `place` finds which of the cuts that name is."""

    cuts: tuple[datetime, ...]
    step: Step
    zone: ZoneInfo

    @property
    def sql(self) -> Sql:
        """Of a call: seconds are counted from the first cut, days named by their local date."""
        if not self.step.calendar:
            first = int(self.cuts[0].timestamp()) * 1_000_000
            return "(epoch_us(created_at) - " + value(first) + ") // " + value(self.step.seconds * 1_000_000)
        local = "created_at + to_seconds(" + offset_sql(self.cuts[0], self.cuts[-1] + timedelta(days=32), self.zone) + ")"
        return f"CAST(date_trunc('{self.step.calendar}', " + local + ") AS DATE)"

    def unfinished(self, until: datetime) -> bool:
        """Whether the last piece goes on after `until`."""
        return _next(self.cuts[-1], self.step, self.zone) > until

    def place(self, name: int | str) -> int | None:
        """The place of a piece by what SQL calls it; None for one outside."""
        if not self.step.calendar:
            return int(name) if 0 <= int(name) < len(self.cuts) else None
        return _places(self.cuts, self.zone.key).get(str(name)[:10])


@lru_cache(maxsize=64)
def _places(starts: tuple[datetime, ...], zone: str) -> dict[str, int]:
    return {at.astimezone(ZoneInfo(zone)).date().isoformat(): number for number, at in enumerate(starts)}


def bucket_of(period: Period, zone: ZoneInfo, step: Step | None = None) -> Bucket:
    step = step or step_for(period.length)
    return Bucket(tuple(cuts(period, step, zone)), step, zone)


def offset_sql(since: datetime, until: datetime, zone: ZoneInfo) -> Sql:
    """Seconds that local time is ahead of UTC at `created_at`, right between the two instants."""
    changes = offsets(since, until, zone)
    last = value(changes[-1][1])
    if len(changes) == 1:
        return last
    pairs = zip(changes[1:], changes[:-1], strict=True)
    cases = ["WHEN created_at < " + instant(begins) + " THEN " + value(seconds) for (begins, _), (_, seconds) in pairs]
    return "CASE " + joined(" ", cases) + " ELSE " + last + " END"


def offsets(since: datetime, until: datetime, zone: ZoneInfo) -> list[tuple[datetime, int]]:
    """Since when local time is so many seconds ahead of UTC, from `since` on. Changes are found to the second."""
    found = [(since, _ahead(since, zone))]
    at = since
    while at < until:
        later = min(at + timedelta(days=7), until)
        if _ahead(later, zone) != found[-1][1]:
            later = _changes_at(at, later, zone)
            found.append((later, _ahead(later, zone)))
        at = later
    return found


def _changes_at(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Between two instants of different offsets: the first second with another than that of `before`."""
    low, high, old = int(before.timestamp()), int(after.timestamp()), _ahead(before, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _ahead(datetime.fromtimestamp(middle, UTC), zone) == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _ahead(at: datetime, zone: ZoneInfo) -> int:
    offset = at.astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds())


def moment(iso: str) -> datetime:
    """A time as an answer has it."""
    return datetime.fromisoformat(iso).replace(tzinfo=UTC)


def instant(at: datetime) -> Sql:
    """As the lake's columns have it: UTC, without a zone."""
    return time(at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds"))
