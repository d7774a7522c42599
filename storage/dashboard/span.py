"""The time range of a view: the last hours or days, or two times written out in a zone. Pure; what cannot be meant is told, not raised."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from storage.dashboard.trouble import Trouble
from storage.dashboard.zones import Period, floored, step_for, to_the_hour, zone_of

PRESETS = {
    "1h": (timedelta(hours=1), "Last hour"),
    "24h": (timedelta(hours=24), "Last 24 hours"),
    "7d": (timedelta(days=7), "Last 7 days"),
    "30d": (timedelta(days=30), "Last 30 days"),
    "90d": (timedelta(days=90), "Last 90 days"),
}
DEFAULT = "24h"
SEVERAL = timedelta(days=7)
LONGEST = timedelta(days=3660)
"""Ten years and a little."""
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
RANGE, SINCE, UNTIL, ZONE = "range", "since", "until", "zone"
NAMES = frozenset({RANGE, SINCE, UNTIL, ZONE})


class Span(Struct, frozen=True, kw_only=True):
    """A preset, or from `since` to `until`, where None is now. `zone` is that of the two times as they are written."""

    preset: str = DEFAULT
    since: datetime | None = None
    until: datetime | None = None
    zone: str = "UTC"

    def period(self, now: datetime, zone: ZoneInfo) -> Period:
        """What it means now. A preset begins at a whole piece of its time series, so that the first is not a part of one."""
        if self.since is not None:
            if self.until is not None:
                return Period(self.since, self.until)
            return Period(self.since, max(now, self.since + timedelta(minutes=1)), goes_on=True)
        length = PRESETS[self.preset][0]
        return Period(floored(now - length, step_for(length), zone), now, goes_on=True)

    def before(self, now: datetime, zone: ZoneInfo) -> Period:
        """What its period is compared with: as long, and earlier by the preset, so that hours of the day lie upon each other.

        Whole days are counted by the clock of the zone. What is compared with several days ends at the nearest whole hour, which changes
        its length by less than a third of a percent, and spares reading a day for a part of an hour. Two times that were written out are
        compared with what lies directly before.
        """
        period = self.period(now, zone)
        if self.since is not None:
            return period.before()
        length = PRESETS[self.preset][0]
        if length % timedelta(days=1):
            return Period(period.since - length, period.until - length)
        earlier = [(at.astimezone(zone) - length).astimezone(UTC) for at in (period.since, period.until)]
        return Period(earlier[0], to_the_hour(earlier[1]) if length >= SEVERAL else earlier[1])

    def pairs(self) -> list[tuple[str, str]]:
        """As a link has it; the default is left out."""
        if self.since is None:
            return [] if self.preset == DEFAULT else [(RANGE, self.preset)]
        zone = zone_of(self.zone) or ZoneInfo("UTC")
        written = [(SINCE, local_text(self.since, zone))]
        if self.until is not None:
            written.append((UNTIL, local_text(self.until, zone)))
        return [*written, (ZONE, zone.key)]


def span_of(said: dict[str, str], zone: ZoneInfo) -> tuple[Span, list[Trouble]]:
    """`zone` is meant where none is named. What is wrong leads to the default, and is told."""
    since, until, preset = (said.get(name, "").strip() for name in (SINCE, UNTIL, RANGE))
    if not since and not until:
        if not preset or preset in PRESETS:
            return Span(preset=preset or DEFAULT), []
        return Span(), [Trouble(RANGE, f"There is no range {preset[:40]!r}.", f"Choose {', '.join(PRESETS)}, or give since and until.")]
    named = said.get(ZONE, "").strip()
    meant = zone_of(named) if named else zone
    if meant is None:
        fix = "Name one of the tz database, such as Europe/Berlin."
        return Span(), [Trouble(ZONE, f"There is no time zone {named[:40]!r}.", fix)]
    begins, ends = _read(since, meant), _read(until, meant)
    trouble = _trouble(since, begins, until, ends)
    return (Span(), [trouble]) if trouble else (Span(since=begins, until=ends, zone=meant.key), [])


_FORM = "Write it as 2026-03-01T08:30, or with its offset: 2026-03-01T08:30+01:00."


def _trouble(since: str, begins: datetime | None, until: str, ends: datetime | None) -> Trouble | None:
    """What is wrong with two times, of which `until` may be left out."""
    if begins is None:
        said = f"since is no time: {since[:40]!r}." if since else "since is missing: a range needs a beginning."
        return Trouble(SINCE, said, _FORM)
    if until and ends is None:
        return Trouble(UNTIL, f"until is no time: {until[:40]!r}.", _FORM)
    if not EARLIEST <= begins <= LATEST or (ends is not None and not EARLIEST <= ends <= LATEST):
        return Trouble(SINCE, "The range lies outside the years 1990 to 2200.", "Choose times for which there can be calls.")
    if ends is not None and ends <= begins:
        return Trouble(UNTIL, "The range ends before it begins.", "Let until be later than since.")
    if ends is not None and ends - begins > LONGEST:
        years = (ends - begins).days // 365
        return Trouble(SINCE, f"The range is {years} years long; at most ten can be shown.", "Choose a shorter one.")
    return None


def _read(text: str, zone: ZoneInfo) -> datetime | None:
    if not text or len(text) > 40:
        return None
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def local_text(at: datetime, zone: ZoneInfo) -> str:
    """As a page's field for times has it; with its offset where a clock that is set back shows the time twice."""
    local = at.astimezone(zone)
    whole = local.second == 0 and local.microsecond == 0
    plain = local.replace(tzinfo=None).isoformat(timespec="minutes" if whole else "auto")
    return plain if _read(plain, zone) == at else local.isoformat()
