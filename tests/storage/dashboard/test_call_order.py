"""Pages of calls, walked through on a real lake: every call once, in order, there and back, whatever the order and the gaps."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from storage.answers import answer
from storage.asked import SqlAsked
from storage.dashboard.call_columns import chosen
from storage.dashboard.call_list import page_of
from storage.dashboard.call_order import COLUMNS, Mark, Order, mark_at, mark_of, mark_text, order_of
from storage.dashboard.state import View, read
from storage.dashboard.zones import UTC_ZONE, Period
from storage.formats import Format
from storage.query import Questions
from tests.fakes.small_lake import SmallLake

PERIOD = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
COUNT, SIZE = 23, 5


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    """Calls of which many share a time, a cost, a latency, and some have none."""
    made = SmallLake(tmp_path_factory.mktemp("lake"))
    rows = [
        {
            "call_id": f"c{number:02}",
            "created_at": f"2026-01-02T03:04:{number // 3:02}.{number // 3:06}Z",
            "cost_usd": None if number % 7 == 0 else f"0.0000{number % 4}",
            "latency_ms": None if number % 11 == 0 else 0.1 + number % 3,
            "ttft_ms": 0.7,
            "total_tokens": None if number % 2 else number % 5,
        }
        for number in range(COUNT)
    ]
    made.add("calls", *rows[::2])
    made.add("calls", *rows[1::2])
    questions = Questions(made.lake)
    yield questions
    questions.close()


def rows_of(lake: Questions, order: Order, mark: Mark | None, size: int) -> list[dict[str, Any]]:
    question = page_of(View(), PERIOD, chosen([]), order, mark, size)
    told = answer(lake, SqlAsked(sql=question.text, parameters=list(question.values), form=Format.JSON))
    found = json.loads(told.body, parse_float=Decimal)
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def there_and_back(lake: Questions, order: Order) -> tuple[list[str], list[str]]:
    there: list[str] = []
    mark = None
    page: list[dict[str, Any]] = []
    while len(there) < COUNT * 2:
        rows = rows_of(lake, order, mark, SIZE)
        page = rows[:SIZE]
        there += [row["call_id"] for row in page]
        if len(rows) <= SIZE:
            break
        mark = mark_at(page[-1], order, behind=True)
    back = [row["call_id"] for row in reversed(page)]
    while len(back) < COUNT * 2 and (rows := rows_of(lake, order, mark_at(page[0], order, behind=False), SIZE)[:SIZE]):
        page = rows[::-1]
        back += [row["call_id"] for row in rows]
    return there, back


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("falling", [True, False])
def test_each_call_stands_once_there_and_back(lake: Questions, name: str, falling: bool) -> None:
    order = Order(name, falling)
    whole = [row["call_id"] for row in rows_of(lake, order, None, 100)]
    assert len(set(whole)) == COUNT
    there, back = there_and_back(lake, order)
    assert there == whole
    assert back == whole[::-1]


def test_unknown_values_come_last_either_way(lake: Questions) -> None:
    for falling in (True, False):
        known = [row["c6"] is not None for row in rows_of(lake, Order("cost", falling), None, 100)]
        assert known == sorted(known, reverse=True)
        assert not known[-1]


def test_a_mark_belongs_to_its_view() -> None:
    order = Order("cost")
    mark = Mark("0.00001", "2026-01-02T03:04:05.000001", "a~b~'; DROP TABLE calls")
    view = View(own=(("at", mark_text(mark, View(), order)),))
    assert mark_of(view, order) == mark
    assert mark_of(view, Order("latency")) is None
    other = read([("model", "m"), ("at", view.get("at"))], UTC_ZONE, ["at"]).view
    assert mark_of(other, order) is None


@pytest.mark.parametrize(
    "said", ["", "x", "~~~~", "{about}~b~1;2~2026-01-02T03:04:05~c", "{about}~b~1~yesterday~c", "{about}~q~1~2026-01-02T03:04:05~c"]
)
def test_what_is_no_mark_begins_at_the_first_call(said: str) -> None:
    order = order_of("cost")
    good = mark_text(Mark("1", "2026-01-02T03:04:05", "c"), View(), order).partition("~")[0]
    assert mark_of(View(own=(("at", said.replace("{about}", good)),)), order) is None


@pytest.mark.parametrize(
    ("said", "meant"), [("cost", Order("cost")), ("cost.asc", Order("cost", False)), ("x", Order()), ("cost.up", Order()), ("", Order())]
)
def test_orders(said: str, meant: Order) -> None:
    assert order_of(said) == meant
