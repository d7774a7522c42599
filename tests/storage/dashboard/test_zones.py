"""Pieces of time in the viewer's zone: by Python's rules and by the SQL that is made of them, which must agree."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.dashboard.span import Span
from storage.dashboard.zones import Bucket, Period, Step, bucket_of, cuts, offsets, step_for, zone_of

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
engine = duckdb.connect()


def place(bucket: Bucket, at: datetime) -> int | None:
    row = engine.execute(
        "SELECT " + bucket.sql.text + " FROM (SELECT CAST(? AS TIMESTAMP) AS created_at)",
        [*bucket.sql.values, at.astimezone(UTC).replace(tzinfo=None).isoformat()],
    ).fetchone()
    assert row is not None
    return bucket.place(row[0] if isinstance(row[0], int) else row[0].isoformat())


@given(
    st.integers(1_704_000_000, 1_798_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.timedeltas(timedelta(minutes=10), timedelta(days=900)),
    st.sampled_from(ZONES),
    st.floats(0, 1),
)
def test_sql_puts_a_call_between_the_cuts_that_python_makes(since: datetime, length: timedelta, zone: str, part: float) -> None:
    period = Period(since, since + length)
    bucket = bucket_of(period, ZoneInfo(zone))
    at = since + length * min(part, 0.999)
    found = place(bucket, at)
    assert found is not None
    assert bucket.cuts[found] <= at
    assert found + 1 == len(bucket.cuts) or at < bucket.cuts[found + 1]
    assert bucket.cuts[0] <= since
    assert len(bucket.cuts) <= 131


def test_days_are_as_long_as_the_zone_has_them() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring = Period(datetime(2026, 3, 28, tzinfo=berlin), datetime(2026, 3, 31, tzinfo=berlin))
    days = cuts(spring, Step(calendar="day"), berlin)
    assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(hours=24), timedelta(hours=23)]
    assert [at for at, _ in offsets(spring.since, spring.until, berlin)][1:] == [datetime(2026, 3, 29, 1, tzinfo=UTC)]


@pytest.mark.parametrize("name", ["", None, "../etc/passwd", "/etc/passwd", "Europe", "Mars/Olympus", "x" * 500, "\0", "Europe/Berlin\n"])
def test_no_zone(name: str | None) -> None:
    assert zone_of(name) is None


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=3660)))
def test_a_range_is_cut_into_pieces_that_can_be_drawn(length: timedelta) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert 1 <= len(cuts(Period(since, since + length), step_for(length), ZoneInfo("UTC"))) <= 131


def test_a_preset_is_compared_with_the_same_hours_of_earlier_days() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 31, 10, 20, tzinfo=berlin)  # two days after clocks were set
    week = Span(preset="7d")
    since, until = week.period(now, berlin).since.astimezone(berlin), week.before(now, berlin).until.astimezone(berlin)
    assert (since.isoformat(), until.isoformat()) == ("2026-03-24T10:00:00+01:00", "2026-03-24T10:00:00+01:00")
    assert week.before(now + timedelta(minutes=15), berlin).until.astimezone(berlin).isoformat() == "2026-03-24T11:00:00+01:00"
    hour = Span(preset="1h")
    assert hour.before(now, berlin).until == now - timedelta(hours=1)
    written = Span(since=now - timedelta(hours=5), until=now)
    assert written.before(now, berlin) == Period(now - timedelta(hours=10), now - timedelta(hours=5))
