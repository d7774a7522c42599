"""Calls of which only the beginning is known: when they are looked for, and which are found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from storage.abandoned import Watch, Window, abandoned
from tests.fakes.facts import BEGAN, facts
from tests.fakes.small_lake import SmallLake

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEVER_BEHIND = timedelta(0)


def looks(watch: Watch, hours: range) -> list[Window]:
    windows = []
    for hour in hours:
        windows.append(watch.window(NOON + hour * HOUR, NEVER_BEHIND))
        watch.looked(windows[-1])
    return windows


def test_the_first_look_reaches_back_and_the_next_overlap_by_a_deadline() -> None:
    first, second = looks(Watch(HOUR), range(2))
    assert first == Window(NOON - HOUR - Watch.REACH, NOON - HOUR)
    assert second == Window(NOON - 2 * HOUR, NOON)


@pytest.mark.parametrize("late", [1, 2, 5, 24, 41])
def test_a_request_that_lay_in_a_spill_is_looked_for_after_it_came(late: int) -> None:
    """Whenever it began and came within two days, but for the time between two looks that reach back."""
    for hour in range(24):
        began = NOON + timedelta(hours=hour, minutes=30)
        came = began + late * HOUR
        watch = Watch(HOUR)
        looks(watch, range(hour + late + 1))
        later = looks(watch, range(hour + late + 1, hour + late + 8))
        assert came < NOON + (hour + late + 1) * HOUR
        assert any(window.since <= began < window.before for window in later)


def test_a_look_that_failed_is_made_again() -> None:
    watch = Watch(HOUR)
    assert watch.window(NOON, NEVER_BEHIND) == watch.window(NOON, NEVER_BEHIND)


def test_most_looks_are_short() -> None:
    spans = [window.before - window.since for window in looks(Watch(HOUR), range(24))]
    assert (spans.count(Watch.REACH), spans.count(2 * HOUR)) == (4, 20)


def test_of_all_requests_those_without_an_end_are_found(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path)
    requests = [facts(number) for number in range(4)]
    lake.add("bodies", *(request_row(number) for number in range(4)))
    lake.add("bodies", {**request_row(3), "side": "response"})
    lake.add("calls", {"call_id": requests[0].call_id, "created_at": requests[0].created_at.isoformat()})
    lake.add("amendments", {"call_id": requests[1].call_id, "created_at": requests[1].created_at.isoformat(), "revision": -1})
    assert abandoned(lake.lake, Window(BEGAN - HOUR, BEGAN + HOUR)) == requests[2:]
    assert abandoned(lake.lake, Window(BEGAN - HOUR, requests[3].created_at)) == requests[2:3]
    assert abandoned(lake.lake, Window(BEGAN - HOUR, requests[2].created_at)) == []


def request_row(number: int) -> dict[str, object]:
    call = facts(number)
    written = msgspec.json.encode(call).decode()
    return {"call_id": call.call_id, "created_at": call.created_at.isoformat(), "side": "request", "facts": written}
