"""A browser and a dashboard for all tests of a module; what the browser says on its console fails the test that it looks for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import browser
from tests.fakes.chromium import missing
from tests.fakes.small_lake import SmallLake

NOW = datetime(2026, 3, 11, 15, 30, tzinfo=UTC)
"""Where the clock of the dashboard stands: 16:30 in Berlin."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.needs("chromium"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """No longer than a module: while it is driven, an event loop runs in this thread, and no test of another folder could have its own."""
    if missing():
        pytest.skip("chromium is missing")  # the mark tells of it before
    with browser.chromium() as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Served]:
    with browser.Served(tmp_path_factory.mktemp("served"), NOW.timestamp) as made:
        yield made


@pytest.fixture
def eyes(chromium: Any, served: browser.Served) -> Iterator[Callable[..., browser.Eyes]]:
    """Opens windows. In the end none of them may have said anything."""
    opened: list[browser.Eyes] = []

    def window(**context: Any) -> browser.Eyes:
        opened.append(browser.Eyes(chromium, served.base, **context))
        return opened[-1]

    yield window
    for each in opened:
        each.context.close()
        assert each.faults == []


def history(lake: SmallLake) -> None:
    """Two weeks of calls, three an hour: models, users, properties, errors, a cache, something unpriced."""
    rows = []
    for number in range(1000):
        at = NOW - timedelta(minutes=20 * number + 1)
        failed, hit, own = number % 17 == 0, number % 5 == 0, number % 11 == 0
        rows.append({
            "call_id": f"call-{number}",
            "created_at": at.isoformat(),
            "model": "own-model" if own else ("gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash")[number % 3],
            "provider": "vllm" if own else ("openai", "anthropic", "google")[number % 3],
            "user_id": None if number % 7 == 0 else f"user-{number % 9}",
            "properties": {"plan": ("free", "pro")[number % 2], "feature": ("chat", "search", "mail")[number % 3]},
            "outcome": "provider_error" if failed else "completed",
            "status": 500 if failed else 200,
            "latency_ms": 100.0 + number % 400,
            "ttft_ms": 20.0 + number % 60,
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "cost_usd": None if own or failed else ("0" if hit else "0.000125"),
            "cost_saved_usd": "0.000125" if hit and not own else None,
            "price_source": "unpriced: the price list does not know the provider vllm" if own else "genai-prices",
            "cache_hit": hit,
        })  # fmt: skip
    lake.add("calls", *rows)
