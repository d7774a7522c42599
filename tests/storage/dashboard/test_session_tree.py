"""A session as a tree and on a timeline: sums of branches, lanes, and idle time that is squeezed."""

from decimal import Decimal
from typing import Any

import pytest

from storage.dashboard.session_timeline import CACHED, FAILED, FINE, GIVEN_UP, THINNEST, UNKNOWN, timeline, tone_of
from storage.dashboard.session_tree import DEEPEST, Branch, busy, parts_of, steps_of, tree_of


def call(path: str | None, second: float, ms: float = 1000.0, **more: Any) -> dict[str, Any]:
    minutes, seconds = divmod(second, 60)
    return {
        "call_id": f"c{second}",
        "created_at": f"2026-03-01T10:{int(minutes):02}:{seconds:06.3f}Z",
        "latency_ms": ms,
        "session_path": path,
        "outcome": "completed",
        "cost_usd": Decimal("0.1"),
        "total_tokens": 10,
        "cache_hit": False,
        "model": "gpt-4o",
    } | more


def at(root: Branch, path: str) -> Branch:
    return next(each for each in root.walk() if each.path == path)


def test_a_branch_has_the_figures_of_all_below_it() -> None:
    root = tree_of(
        steps_of([
            call("/plan", 0),
            call("/plan/flights", 0.5, cost_usd=Decimal("0.25")),
            call("/plan/hotels", 10, outcome="provider_error", cost_usd=None, total_tokens=None),
            call("/plan/hotels", 20, cost_usd=None),
            call(None, 30, cost_usd=None, outcome="interrupted_by_client", total_tokens=None),
        ])
    )  # fmt: skip
    plan = at(root, "/plan").sums
    assert (plan.calls, plan.errors, plan.unpriced, plan.total_tokens, plan.cost_usd) == (4, 1, 1, 30, Decimal("0.35"))
    assert (plan.busy_ms, plan.spread_ms) == (3500.0, 21000.0)
    assert len(at(root, "/plan").steps) == 1
    assert [each.path for each in root.walk()] == ["/", "/plan", "/plan/flights", "/plan/hotels"]
    assert (root.sums.errors, root.sums.unpriced, len(root.steps)) == (1, 2, 1)
    assert sum((each.sums.cost_usd or Decimal(0) for each in root.branches), Decimal(0)) == root.sums.cost_usd


def test_what_is_not_known_is_not_nought() -> None:
    sums = tree_of(steps_of([call("/a", 0, cost_usd=None, total_tokens=None, latency_ms=None)])).sums
    assert (sums.cost_usd, sums.total_tokens, sums.busy_ms) == (None, None, 0)
    assert tree_of([]).sums.calls == 0


def test_paths_are_read_as_people_write_them() -> None:
    assert parts_of("/plan//flights/") == parts_of("plan/flights") == ("plan", "flights")
    assert parts_of(None) == parts_of("/") == ()
    deep = parts_of("/" + "/".join(map(str, range(1000))))
    assert len(deep) == DEEPEST
    assert deep[-1].startswith("11/12/13")
    assert "/".join(deep) == "/".join(map(str, range(1000)))


def test_calls_that_overlap_lie_in_rows_of_their_lane() -> None:
    steps = steps_of([call("/a", 0, 3000), call("/a", 1, 1000), call("/a", 2.5, 1000), call("/b", 3, 0)])
    (a, b) = timeline(tree_of(steps), steps).lanes
    assert [bar.y for bar in a.bars] == [3, 21, 21]
    assert (a.height, b.height) == (36, 18)
    assert b.bars[0].width == pytest.approx(THINNEST)
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.001 for lane in (a, b) for bar in lane.bars)


def test_long_pauses_are_squeezed_where_they_are_most_of_it() -> None:
    steps = steps_of([call("/a", 0, 1000), call("/a", 600, 3000)])
    root = tree_of(steps)
    squeezed, shown = timeline(root, steps), timeline(root, steps, squeeze=False)
    assert (squeezed.squeezed, shown.squeezed, shown.may_squeeze) == (True, False, True)
    first, second = squeezed.lanes[0].bars
    assert second.width == pytest.approx(3 * first.width, rel=1e-3)
    assert [pause.text.replace("\u202f", " ") for pause in squeezed.pauses] == ["9 min 59 s"]
    assert shown.lanes[0].bars[1].x == pytest.approx(600 / 603 * 100, abs=0.01)
    assert [tick.text.replace("\u202f", " ") for tick in squeezed.ticks] == ["0", "10 min"]
    close = steps_of([call("/a", 0, 5000), call("/a", 5.5, 5000)])
    assert not timeline(tree_of(close), close, squeeze=True).may_squeeze


def test_colours_tell_how_calls_ended() -> None:
    ended = {"completed": FINE, "timed_out": FAILED, "rejected": FAILED, "interrupted_by_client": GIVEN_UP, "abandoned": UNKNOWN}
    for outcome, tone in ended.items():
        assert tone_of(steps_of([call("/a", 0, outcome=outcome)])[0]) == tone
    assert tone_of(steps_of([call("/a", 0, cache_hit=True)])[0]) == CACHED
    assert tone_of(steps_of([call("/a", 0, outcome=None)])[0]) == UNKNOWN


def test_spans_are_merged() -> None:
    assert busy([(5, 6), (0, 2), (1, 3)]) == [(0, 3), (5, 6)]
    assert busy([(5, 6), (0, 2)], apart=3) == [(0, 6)]
