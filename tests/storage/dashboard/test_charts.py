"""Charts as places and paths."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from storage.dashboard import charts
from storage.dashboard.charts import HEIGHT, Line
from storage.dashboard.scales import ticks
from storage.dashboard.units import FORMATS
from storage.dashboard.zones import Bucket, Period, bucket_of

SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def bucket(hours: int) -> Bucket:
    return bucket_of(Period(SINCE, SINCE + timedelta(hours=hours)), ZoneInfo("UTC"))


@given(st.floats(1e-12, 1e15), st.sampled_from(sorted(FORMATS)))
def test_ticks_reach_the_largest_in_few_even_steps(largest: float, unit: str) -> None:
    found = ticks(largest, unit)
    assert found[0] == 0
    assert found[-1] >= largest * (1 - 1e-6)
    assert 2 <= len(found) <= 8
    assert len({FORMATS[unit](each) for each in found}) == len(found)


def test_a_gap_is_a_gap_and_a_value_alone_a_dot() -> None:
    cut = bucket(24)
    values = [None, 5, None, 7, 8, *[None] * 19]
    chart = charts.lines("x", "X", [Line(name="x", values=values)], cut, SINCE + timedelta(hours=24), unit="duration")
    assert chart.paths[0].line.count("M") == 2
    assert chart.paths[0].line.count("h0") == 1
    assert [cell for cell in chart.cells[0] if cell == "–"] == ["–"] * 21


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=24, max_size=24), min_size=1, max_size=4))
def test_bars_stand_upon_each_other_inside_the_field(values: list[list[int | None]]) -> None:
    cut = bucket(24)
    series = [Line(name=str(number), values=each, tone=number) for number, each in enumerate(values)]
    chart = charts.stacked("x", "X", series, cut, SINCE + timedelta(hours=24), unit="count")
    for bar in chart.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= 100.001
        assert 0 <= bar.y <= HEIGHT
        assert math.isfinite(bar.height)
    assert chart.empty == (not any(each for column in values for each in column))
    assert len(chart.pieces) == len(chart.edges) - 1 == 24


def test_nothing_can_be_drawn_too() -> None:
    chart = charts.lines("x", "X", [Line(name="x", values=[None] * 24)], bucket(24), SINCE + timedelta(hours=24), unit="money", area=True)
    assert chart.empty
    assert charts.sparkline([]) is None
    assert charts.sparkline([None, 3]) is None
