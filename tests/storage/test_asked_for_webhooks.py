"""What webhooks and alerts ask of the lake."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventlog.alerts import Aggregation, AlertMetric, Measured
from eventlog.events import CallId, Organization
from eventlog.webhooks import PropertyIs
from storage.measuring import measured
from storage.query import Questions
from storage.told_bodies import told_bodies
from tests.fakes.hooks import alert
from tests.fakes.small_lake import SmallLake

AT = "2026-03-01T12:00:00Z"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOO_LONG = {"note": "too long"}


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path)


@pytest.fixture
def questions(lake: SmallLake) -> Iterator[Questions]:
    asked = Questions(lake.lake)
    yield asked
    asked.close()


class TestBodies:
    def told(self, questions: Questions, *ids: str) -> dict[str, Any]:
        found = told_bodies(questions, {(Organization("default"), CallId(id_)): NOW for id_ in ids}, limit=10, too_long=TOO_LONG)
        return {call_id: msgspec.json.decode(msgspec.json.encode(sides)) for (_, call_id), sides in found.items()}

    def test_as_json_as_text_and_as_notes(self, lake: SmallLake, questions: Questions) -> None:
        side = {"call_id": "c1", "created_at": AT}
        lake.add(
            "bodies",
            side | {"side": "request", "text": '{"a": 1}'},
            side | {"side": "response", "text": "data: …", "assembled": '{"b": 2}'},
            side | {"call_id": "c2", "side": "request", "text": "x" * 11},
            side | {"call_id": "c2", "side": "response", "text": "x" * 10},
            side | {"call_id": "c3", "side": "request", "omitted": True},
            side | {"call_id": "other", "side": "request", "text": "not asked for"},
        )
        found = self.told(questions, "c1", "c2", "c3", "c4")
        assert found["c1"] == {"request": {"a": 1}, "response": {"b": 2}}
        assert found["c2"] == {"request": TOO_LONG, "response": "x" * 10}
        assert found.keys() == {"c1", "c2", "c3"}
        assert "as its caller asked" in found["c3"]["request"]["helicone_message"]

    def test_calls_of_different_days(self, lake: SmallLake, questions: Questions) -> None:
        times = {"c1": NOW, "c2": NOW - timedelta(days=400), "c3": NOW + timedelta(minutes=5)}
        lake.add("bodies", *({"call_id": id_, "created_at": at.isoformat(), "side": "request", "text": id_} for id_, at in times.items()))
        calls = {(Organization("default"), CallId(id_)): at for id_, at in times.items()}
        found = told_bodies(questions, calls, limit=10, too_long=TOO_LONG)
        assert {call_id: sides for (_, call_id), sides in found.items()} == {id_: {"request": id_} for id_ in times}

    def test_another_organization_s_are_not_told(self, lake: SmallLake, questions: Questions) -> None:
        lake.add("bodies", {"call_id": "c1", "created_at": AT, "side": "request", "text": "theirs", "organization": "acme"})
        assert self.told(questions, "c1") == {}


ROWS: list[dict[str, Any]] = [
    {"call_id": "c1", "cost_usd": "4", "latency_ms": 100.0, "user_id": "ann", "properties": {"plan": "pro"}},
    {"call_id": "c2", "cost_usd": "7.5", "latency_ms": 300.0, "status": 500, "outcome": "provider_error"},
    {"call_id": "c3", "cost_usd": None, "latency_ms": 200.0, "user_id": "ann", "status": None, "outcome": "timed_out"},
    {"call_id": "old", "cost_usd": "99", "latency_ms": 9999.0, "created_at": "2026-03-01T10:59:59Z"},
    {"call_id": "theirs", "cost_usd": "99", "latency_ms": 9999.0, "organization": "acme"},
]
FIGURES: dict[str, tuple[dict[str, Any], Measured]] = {
    "cost": ({}, Measured(11.5, 3)),
    "cost of a user": ({"user_id": "ann"}, Measured(4.0, 2)),
    "cost of a property": ({"property": PropertyIs(key="plan", value="pro")}, Measured(4.0, 1)),
    "cost of nobody": ({"user_id": "bob"}, Measured(None, 0)),
    "cost over a longer time": ({"window_s": 7200}, Measured(110.5, 4)),
    "errors": ({"metric": AlertMetric.ERROR_RATE}, Measured(pytest.approx(200 / 3), 3)),
    "errors of nobody": ({"metric": AlertMetric.ERROR_RATE, "user_id": "bob"}, Measured(None, 0)),
    "mean latency": ({"metric": AlertMetric.LATENCY, "aggregation": Aggregation.MEAN}, Measured(200.0, 3)),
    "p95 of latency": ({"metric": AlertMetric.LATENCY}, Measured(pytest.approx(290.0), 3)),
}


@pytest.mark.parametrize(("more", "found"), FIGURES.values(), ids=FIGURES)
def test_what_alerts_measure(lake: SmallLake, questions: Questions, more: dict[str, Any], found: Measured) -> None:
    lake.add("calls", *({"created_at": "2026-03-01T11:30:00Z", **row} for row in ROWS))
    assert measured(questions, alert(**more), NOW) == found


def test_the_window_moves(lake: SmallLake, questions: Questions) -> None:
    lake.add("calls", {"call_id": "c1", "cost_usd": "4", "created_at": "2026-03-01T11:30:00Z"})
    later = NOW + timedelta(minutes=30)
    assert measured(questions, alert(), later) == Measured(None, 0)
