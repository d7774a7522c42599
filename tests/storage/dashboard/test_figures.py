"""Figures are those of the calls, whatever is filtered: the same is counted here without SQL."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage.dashboard import figures
from storage.dashboard.filters import FIELDS, PROPERTY, Filter
from storage.dashboard.state import View
from storage.dashboard.zones import Period, bucket_of
from storage.query import run_query
from storage.rest.sql import Sql
from tests.fakes.small_lake import SmallLake

BEGAN = datetime(2026, 3, 27, tzinfo=UTC)
"""Two days before clocks are set in Europe."""
Call = dict[str, Any]


def made(number: int, chance: random.Random) -> Call:
    at = BEGAN + timedelta(seconds=chance.randrange(5 * 86400))
    outcome, status = chance.choice(
        [("completed", 200)] * 6 + [("provider_error", 500), ("rate_limited", 429), ("interrupted_by_client", None)]
    )
    return {
        "call_id": f"call-{number}",
        "created_at": at.isoformat(),
        "at": at,
        "model": chance.choice(["a", "b", "it's", None]),
        "provider": chance.choice(["openai", "anthropic"]),
        "user_id": chance.choice([None, "ada", "bob", "%", "_"]),
        "session_id": chance.choice([None, "s1", "s2"]),
        "outcome": outcome,
        "status": status,
        "properties": chance.choice([{}, {"plan": "pro"}, {"plan": "free", "it's": "x"}]),
        "latency_ms": chance.choice([None, float(chance.randrange(1, 10_000))]),
        "total_tokens": chance.choice([None, chance.randrange(1000)]),
        "cost_usd": chance.choice([None, f"0.{chance.randrange(10**12):012}"]),
        "cost_saved_usd": None,
        "cache_hit": chance.choice([True, False, None]),
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallLake, list[Call]]:
    folder: Path = tmp_path_factory.mktemp("figures")
    chance = random.Random(8)
    calls = [made(number, chance) for number in range(800)]
    lake = SmallLake(folder)
    lake.add("calls", *({name: said for name, said in call.items() if name != "at"} for call in calls))
    return lake, calls


def drawn(chance: random.Random) -> tuple[Filter, ...]:
    choices: dict[str, list[str]] = {
        "model": ["a", "b", "it's", "nobody's"],
        "user": ["ada", "bob", "%", "_"],
        "session": ["s1"],
        "provider": ["openai"],
        "outcome": ["completed", "rate_limited"],
        "status": ["200", "5xx", "429"],
        "cache": ["hit", "miss"],
    }
    found = set()
    for _ in range(chance.randrange(4)):
        field = chance.choice([*choices, PROPERTY])
        key = chance.choice(["plan", "it's"]) if field == PROPERTY else ""
        value = chance.choice([None, *(["pro", "free", "x"] if field == PROPERTY else choices[field])])
        found.add(Filter(field, value, key, chance.random() < 0.3))
    return tuple(sorted(found, key=lambda each: each.pair))


def passes(call: Call, filters: tuple[Filter, ...]) -> bool:
    by_name = defaultdict(list)
    for each in filters:
        by_name[each.name].append(each)
    return all(
        not any(holds(call, each) for each in group if each.negated)
        and (all(each.negated for each in group) or any(holds(call, each) for each in group if not each.negated))
        for group in by_name.values()
    )


def holds(call: Call, wanted: Filter) -> bool:
    """Apart from whether it is negated."""
    match wanted.field:
        case "property":
            value = call["properties"].get(wanted.key)
        case "cache":
            value = None if call["cache_hit"] is None and wanted.value is None else ("hit" if call["cache_hit"] else "miss")
        case "status":
            status = call["status"]
            value = None if status is None else (f"{status // 100}xx" if (wanted.value or "").endswith("xx") else str(status))
        case _:
            value = call[FIELDS[wanted.field].column or wanted.field]
    return bool(value == wanted.value)


def test_sums_series_and_rankings_are_those_of_the_calls(world: tuple[SmallLake, list[Call]]) -> None:
    lake, calls = world
    ask = partial(asked, lake)
    for seed in range(8):
        chance = random.Random(seed)
        view = View(filters=drawn(chance))
        since = BEGAN + timedelta(minutes=chance.randrange(5000))
        period = Period(since, since + timedelta(minutes=chance.choice([chance.randrange(10, 5000), 40_000])))
        zone = ZoneInfo(chance.choice(["UTC", "Europe/Berlin", "Asia/Kathmandu"]))
        mine = [call for call in calls if period.since <= call["at"] < period.until and passes(call, view.filters)]
        [total] = ask(figures.totals(view, period))
        assert counted(total) == sums(mine), view.query()
        bucket = bucket_of(period, zone)
        pieces = {bucket.place(row["piece"]): counted(row) for row in ask(figures.series(view, period, bucket)) if row["piece"] is not None}
        grouped = defaultdict(list)
        for call in mine:
            grouped[max(place for place, cut in enumerate(bucket.cuts) if cut <= call["at"])].append(call)
        assert pieces == {place: sums(group) for place, group in grouped.items()}
        ranks = {row["value"]: row["calls"] for row in ask(figures.ranking(view, period, "user", by="calls", limit=100))}
        assert ranks == Counter(call["user_id"] for call in mine)
        plans = {row["value"]: row["calls"] for row in ask(figures.ranking(view, period, PROPERTY, "plan", limit=100))}
        assert plans == Counter(call["properties"].get("plan") for call in mine)


def test_quantiles_are_exact(world: tuple[SmallLake, list[Call]]) -> None:
    lake, calls = world
    [total] = asked(lake, figures.totals(View(), Period(BEGAN, BEGAN + timedelta(days=5))))
    known = sorted(call["latency_ms"] for call in calls if call["latency_ms"] is not None)
    for found, share in zip(total["latency"], (0.5, 0.95, 0.99), strict=True):
        exact = share * (len(known) - 1)
        low = int(exact)
        assert found == pytest.approx(known[low] + (known[min(low + 1, len(known) - 1)] - known[low]) * (exact - low))


def test_the_series_as_a_file_says_when_in_utc(world: tuple[SmallLake, list[Call]]) -> None:
    lake, _ = world
    period = Period(BEGAN, BEGAN + timedelta(hours=24))
    rows = asked(lake, figures.series_file(View(), period, bucket_of(period, ZoneInfo("Asia/Kathmandu"))))
    assert rows[0]["begins"] == "2026-03-26T23:15:00Z"
    assert "latency_p95_ms" in rows[0]


def asked(lake: SmallLake, question: Sql) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run_query(lake.lake, question.text, parameters=list(question.values)).table.to_pylist()
    return rows


def counted(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("calls", "errors", "cost_usd", "unpriced", "priced", "total_tokens", "uncounted", "hits")}


def sums(calls: list[Call]) -> dict[str, Any]:
    costs = [Decimal(call["cost_usd"]) for call in calls if call["cost_usd"] is not None]
    tokens = [call["total_tokens"] for call in calls if call["total_tokens"] is not None]
    failed = [call for call in calls if call["outcome"] not in {"completed", "interrupted_by_client"}]
    return {
        "calls": len(calls),
        "errors": len(failed),
        "cost_usd": sum(costs, Decimal(0)) if costs else None,
        "unpriced": sum(call["cost_usd"] is None and call not in failed for call in calls),
        "priced": len(costs),
        "total_tokens": sum(tokens) if tokens else None,
        "uncounted": len(calls) - len(tokens),
        "hits": sum(bool(call["cache_hit"]) for call in calls),
    }
