"""Each question of docs/recipes.md is asked of a lake that is made for it, and answers what is known of that lake."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.events import DEFAULT_ORGANIZATION
from storage.query import Questions
from tests.fakes.small_lake import SmallLake

TEXT = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
RECIPES = {section.split("\n")[0]: section for section in TEXT.split("\n## ")[1:]}
NOW = "2026-03-18 12:00:00"
"""A Wednesday; half of the 18th of 31 days."""

Row = dict[str, Any]


def calls(count: int, at: str, **more: Any) -> list[Row]:
    """Some of one kind, a second after the other."""
    return [{"created_at": f"2026-{at}:{second:02}Z", **more} for second in range(count)]


def rows() -> list[Row]:
    return [
        *calls(2, "03-10T08:00", model="bill", properties={"customer": "acme"}, cost_usd="1.5"),
        *calls(1, "03-10T08:00", model="bill", properties={"customer": "globex"}, cost_usd="0.5"),
        *calls(1, "03-10T08:01", model="bill", properties={"customer": "globex"}, cost_usd=None),
        *calls(1, "02-10T08:00", model="bill", properties={"customer": "acme"}, cost_usd="1"),
        *calls(3, "03-16T08:00", model="weekly", cost_usd="2"),
        *calls(2, "03-09T08:00", model="weekly", cost_usd="2"),
        *calls(1, "03-15T08:00", model="dear", cost_usd="9.99", user_id="rich"),
        *calls(3, "03-10T09:00", properties={"feature": "search"}, prompt_tokens=1000, completion_tokens=100, cost_usd="0.01"),
        *calls(2, "03-10T10:00", model="my-tune", total_tokens=250, cost_usd=None, price_source="unpriced: no such model"),
        *calls(3, "03-10T11:00", provider="ollama", usage_source="estimated", cost_usd="0", user_id="u"),
        *calls(1, "03-10T11:01", provider="ollama", cost_usd=None, outcome="abandoned", truncated=True),
        *calls(4, "03-11T08:00", cost_usd="0", cache_hit=True, cost_saved_usd="0.05"),
        *calls(12, "03-11T08:01", cost_usd="0.05"),
        *calls(2, "03-11T09:00", model="claude", prompt_tokens=1000, cache_read_tokens=600, cache_write_tokens=100, cost_usd="0"),
        *calls(2, "03-11T09:00", model="o4", completion_tokens=1000, reasoning_tokens=750, cost_usd="0"),
        *({**row, "latency_ms": 1000.0 * place} for place, row in enumerate(calls(20, "03-12T08:00", prompt_id="tell", cost_usd="0"), 1)),
        *calls(20, "03-12T08:01", prompt_id="sort", latency_ms=100.0, cost_usd="0"),
        *calls(5, "03-14T17:00", model="hourly", latency_ms=700.0, cost_usd="0"),
        *calls(3, "03-12T09:00", provider="groq", model="quick", stream=True, ttft_ms=50.0, cost_usd="0"),
        *calls(3, "03-12T09:00", provider="groq", model="slow", stream=True, ttft_ms=400.0, cost_usd="0"),
        *calls(4, "03-12T10:01", provider="anthropic", cost_usd="0"),
        *calls(6, "03-12T10:02", provider="anthropic", outcome="provider_error", status=529, cost_usd=None),
        *calls(6, "03-13T08:00", provider="mistral", cost_usd="0"),
        *calls(3, "03-13T08:01", provider="mistral", attempts=2, cost_usd="0"),
        *calls(1, "03-13T08:02", provider="mistral", attempts=3, fallback_index=1, outcome="provider_error", cost_usd="0"),
        *calls(3, "03-13T09:00", model="long", outcome="interrupted_by_client", latency_ms=30_000.0, cost_usd="0.25"),
        *calls(1, "03-13T09:00", model="short", outcome="interrupted_by_client", cost_usd="0"),
        *calls(3, "03-14T08:00", user_id="greedy", cost_usd="0"),
        *calls(7, "03-14T08:01", user_id="greedy", rate_limited=True, outcome="rate_limited", status=429, cost_usd="0"),
        *calls(1, "02-16T08:00", user_id="ada", cost_usd="0"),
        *calls(1, "02-17T08:00", user_id="bob", cost_usd="0"),
        *calls(2, "02-25T08:00", user_id="ada", cost_usd="0"),
        *calls(1, "03-15T09:00", session_id="trip-42", session_path="/plan", session_name="Trip", cost_usd="0.1"),
        *calls(2, "03-15T09:01", session_id="trip-42", session_path="/plan/search", latency_ms=1500.0, cost_usd="0.2"),
        *calls(1, "03-15T09:30", session_id="trip-42", session_path="/plan/book", completed_at="2026-03-15T09:30:00Z", cost_usd="0.3"),
        *calls(2, "03-15T10:00", session_id="chat", completed_at="2026-03-15T10:00:30Z", cost_usd="0"),
        *calls(5, "03-02T08:00", prompt_id="extract", model="old", latency_ms=500.0, cost_usd="0.02", call_id="old"),
        *calls(5, "03-03T08:00", prompt_id="extract", model="new", latency_ms=900.0, cost_usd="0.01", call_id="new"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    lake = SmallLake(tmp_path_factory.mktemp("recipes") / "lake")
    made = [{**row, "call_id": f"{row.get('call_id', 'call')}-{number}"} for number, row in enumerate(rows())]
    lake.add("calls", *made)
    first = next(row for row in made if row.get("model") == "bill")
    lake.add("amendments", {**first, "revision": 1, "cost_usd": "2", "amended_at": "2026-03-11T00:00:00Z"})
    extracting = [row["call_id"] for row in made if row.get("prompt_id") == "extract"]
    ratings = [True, True, True, True, False, False, False, False, True, True]
    given = zip(extracting, ratings, strict=True)
    lake.add(
        "feedback",
        *(
            {
                "feedback_id": call,
                "request_id": call,
                "rating": good,
                "scores": {"quality": float(good)},
                "given_at": "2026-03-05T00:00:00Z",
            }
            for call, good in given
        ),
    )
    dear = next(row for row in made if row.get("model") == "dear")
    lake.add("bodies", {"call_id": dear["call_id"], "created_at": dear["created_at"], "side": "request", "text": "I want a Refund!"})
    asked = Questions(lake.lake)
    yield asked
    asked.close()


KNOWN: dict[str, list[Row]] = {
    "Cost per customer and month": [
        {"month": "2026-03-01", "customer": "acme", "calls": 2, "cost_usd": 3.5, "unpriced": 0},
        {"customer": "globex", "calls": 2, "cost_usd": 0.5, "unpriced": 1},
        {"month": "2026-02-01", "customer": "acme", "cost_usd": 1.0},
    ],
    "Spend against last week": [{"model": "weekly", "this_week": 6.0, "week_before": 4.0, "difference": 2.0, "percent": 50.0}],
    "Forecast for the month": [{"days_gone": 17.5, "days_in_month": 31}],
    "The most expensive calls": [{"model": "dear", "cost_usd": 9.99, "user_id": "rich"}],
    "Tokens per feature": [{"feature": "search", "calls": 3, "prompt": 3000, "completion": 300, "answer_per_prompt": 0.1}],
    "Models without a price": [{"model": "my-tune", "calls": 2, "tokens": 500, "price_source": "unpriced: no such model"}],
    "How much is not known": [
        {"provider": "ollama", "calls": 4, "no_cost_percent": 25.0, "estimated_percent": 75.0, "abandoned": 1, "cut_bodies": 1}
    ],
    "What repricing changed": [{"model": "bill", "calls": 1, "booked_first": 1.5, "stands": 2.0, "difference": 0.5}],
    "What Heliograph's cache saves": [{"day": "2026-03-11", "calls": 20, "hits": 4, "hit_percent": 20.0, "saved_usd": 0.2}],
    "What the provider's cache saves": [{"model": "claude", "prompt": 2000, "read_percent": 60.0, "written_percent": 10.0}],
    "The share of reasoning": [{"model": "o4", "completion": 2000, "reasoning": 1500, "reasoning_percent": 75.0}],
    "The slowest prompts": [
        {"prompt_id": "tell", "calls": 20, "p50_ms": 10_500.0, "p95_ms": 19_050.0},
        {"prompt_id": "sort", "p95_ms": 100.0},
    ],
    "Latency by model and hour of the day": [{"model": "hourly", "hour_utc": 17, "calls": 5, "p95_ms": 700.0}],
    "Time to the first token": [{"model": "quick", "p50_ms": 50.0}, {"provider": "groq", "model": "slow", "streams": 3, "p95_ms": 400.0}],
    "Error bursts": [{"began": "2026-03-12 10:00:00", "provider": "anthropic", "calls": 10, "failed": 6, "status": 529}],
    "Retries and fallbacks": [{"provider": "mistral", "calls": 10, "retried_percent": 40.0, "fallback_percent": 10.0, "saved_by_retry": 3}],
    "Answers nobody waited for": [{"model": "long", "broken_off": 3, "percent_of_them": 75.0, "waited_ms": 30_000.0, "cost_usd": 0.75}],
    "Users who met a limit": [{"user_id": "greedy", "refused": 7, "calls": 10, "refused_percent": 70.0}],
    "Growth by cohort": [{"cohort": "2026-02-16", "weeks_later": 0, "users": 2}, {"cohort": "2026-02-16", "weeks_later": 1, "users": 1}],
    "Cost of a session": [
        {"session_path": "/plan", "calls": 1, "cost_usd": 0.1},
        {"session_path": "/plan/search", "calls": 2, "cost_usd": 0.4, "seconds": 3.0},
        {"session_path": "/plan/book", "cost_usd": 0.3},
    ],
    "The longest sessions": [
        {"session_id": "trip-42", "name": "Trip", "calls": 4, "seconds": 1800.0, "cost_usd": 0.8},
        {"session_id": "chat", "seconds": 30.0},
    ],
    "The worst-rated prompts": [{"prompt_id": "extract", "rated": 10, "bad": 4, "bad_percent": 40.0}],
    "Before and after a model change": [
        {"model": "old", "calls": 5, "cost_per_call": 0.02, "p50_ms": 500.0, "liked_percent": 80.0, "quality": 0.8},
        {"model": "new", "calls": 5, "cost_per_call": 0.01, "p50_ms": 900.0, "liked_percent": 40.0, "failed_percent": 0.0},
    ],
    "Calls that spoke of something": [{"user_id": "rich", "side": "request", "begins": "I want a Refund!"}],
}  # fmt: skip
"""Rows of the answer in this order, others between them, with the columns that are known."""


def plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else float(value) if hasattr(value, "as_tuple") else str(value)


def answer(questions: Questions, title: str) -> list[Row]:
    (sql,) = re.findall(r"```sql\n(.*?)```", RECIPES[title], re.DOTALL)
    table = questions.ask(sql.replace("now()", f"TIMESTAMP '{NOW}'"), organization=DEFAULT_ORGANIZATION).table
    return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]


@pytest.mark.parametrize("title", RECIPES)
def test_it_answers_what_is_known(questions: Questions, title: str) -> None:
    found = iter(answer(questions, title))
    for expected in KNOWN[title]:
        assert any({name: row[name] for name in expected} == pytest.approx(expected) for row in found), (expected, answer(questions, title))


def test_the_forecast_goes_on_as_the_month_began(questions: Questions) -> None:
    spent = sum(float(row["cost_usd"] or 0) for row in rows() if row["created_at"] >= "2026-03") + 0.5  # what was repriced
    (row,) = answer(questions, "Forecast for the month")
    assert (row["so_far"], row["forecast"]) == (pytest.approx(spent), pytest.approx(spent / 17.5 * 31))


def test_each_has_a_sentence_and_a_line_on_reading_it() -> None:
    assert len(RECIPES) >= 20
    assert RECIPES.keys() == KNOWN.keys()
    for section in RECIPES.values():
        _, before, _, after = re.fullmatch(r"(.*?)\n\n(.+?)\n\n(```sql\n.*?\n```)\n\n(.+?)\n*", section, re.DOTALL).groups()  # type: ignore[union-attr]
        assert before.endswith(".")
        assert after.endswith(".")
