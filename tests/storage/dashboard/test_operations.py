"""Models, Cache, Limits and Health over HTTP: figures that are those of the calls, who sees what, and names that stay text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.control import decide
from eventlog.events import Organization
from eventlog.keys import Scope
from eventlog.own_prices import OwnPrice
from runtime.deciding import opened_log
from runtime.settings import Settings
from storage.dashboard import health_figures
from storage.dashboard.cache import time_saved
from storage.dashboard.limits import policy_told
from storage.dashboard.models import command, reasons, short
from storage.dashboard.pricing import Rate
from storage.exposed import Sample
from tests.fakes.keyring import READER, key, keyring
from tests.fakes.querying import serving
from tests.fakes.small_lake import SmallLake, calls
from tests.storage.dashboard.test_pages import AT, World, sign_in, web, world

__all__ = ["web", "world"]  # fixtures

OUTCOMES: Sequence[dict[str, Any]] = [
    {"call_id": "l1", "outcome": "rate_limited", "status": 429, "user_id": "ada", "error": "rate_limited: 600;w=60;s=user is reached"},
    {"call_id": "l2", "outcome": "rejected", "status": 400, "user_id": "<b>bob</b>", "error": "bad_directive: <i>x</i>"},
    {"call_id": "l3", "outcome": "provider_error", "status": 429, "error": "overloaded"},
    {"call_id": "l4", "outcome": "provider_error", "status": 500},
]
POLICIES = {
    "rate_limited: 600;w=60;s=user is reached": "600 calls in a minute for each user",
    "rate_limited: 1.5;w=7200;u=cents is reached, a limit of the key": "1.5 cents in 2 hours for everybody together, a limit of the key",
    "rate_limited: 5;w=86400;s=plan is reached": "5 calls in a day for each plan",
    "rate_limited: 5;w=90 is reached": "5 calls in 90 seconds for everybody together",
    "rate_limited: 5;w=3600 is reached": "5 calls in an hour for everybody together",
    "overloaded": None,
}


@pytest.mark.parametrize(("error", "told"), POLICIES.items())
def test_limits_are_told_in_words(error: str, told: str | None) -> None:
    assert policy_told(error) == told


def test_commands_are_for_a_shell() -> None:
    assert command("openai", "gpt-4o*") == "heliograph prices set input=2.5,output=10 --provider openai --model 'gpt-4o*'"
    assert command("h", "a'; rm -rf ~ #").endswith("""--model 'a'"'"'; rm -rf ~ #'""")
    uncounted, unknown = reasons([
        {"reason": "unpriced: no usage reported, timed_out", "provider": "p", "model": "m"},
        {"reason": "unpriced: the price list does not know the provider p", "provider": "p", "model": "m"},
    ])  # fmt: skip
    assert (uncounted["helps"], unknown["helps"]) == (False, True)
    rates = [Rate("10", "", "output_mtok"), Rate("2.5", "", "input_mtok"), Rate("1", "", "web_searches_kcount")]
    assert short(rates) == (("in", "$2.50"), ("out", "$10.00"))


def test_time_saved_is_that_of_the_same_model() -> None:
    rows = [
        {"hits": 3, "hit_ms": 10.0, "asked_ms": 1010.0},
        {"hits": 2, "hit_ms": 10.0, "asked_ms": None},
        {"hits": 5, "hit_ms": 50.0, "asked_ms": 20.0},
    ]
    assert time_saved(rows) == 3000.0
    assert time_saved(rows[1:2]) is None


def test_readers_and_worries_out_of_metrics() -> None:
    def lag(topic: str, partition: int, messages: float, seconds: float) -> list[Sample]:
        labels = {"group": "sink", "topic": topic, "partition": str(partition)}
        return [Sample("heliograph_log_lag_messages", labels, messages), Sample("heliograph_log_lag_seconds", labels, seconds)]

    first, second = health_figures.readers([*lag("a", 0, 0, 0), *lag("b", 0, 2, 1.0), *lag("b", 1, 3, 40.0)])
    assert (first.topic, first.partitions, first.messages, first.seconds, first.state) == ("b", 2, 5, 40.0, "warn")
    assert (second.topic, second.state) == ("a", "good")
    dropped = [Sample("heliograph_events_dropped_total", {"reason": each}, 2) for each in ("x", "y")]
    assert [(count, name) for count, _, name in health_figures.worries([*dropped, Sample("heliograph_sink_gaps_total", {}, 0)])] == [
        ("4", "heliograph_events_dropped_total")
    ]


async def panel(web: httpx.AsyncClient, name: str, query: str = "range=7d") -> str:
    answer = await web.get(f"/dashboard/panels/{name}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_what_the_cache_gave_again(world: World, web: httpx.AsyncClient) -> None:
    assert "Helicone-Cache-Enabled: true" in await panel(web, "cache/figures")
    hit = {"cache_hit": True, "cost_usd": "0", "cost_saved_usd": "0.25", "latency_ms": 0.0}
    world.lake.add(
        "calls", *({"call_id": f"h{at}", "created_at": AT, "cache_reference_id": "first<b>", "user_id": "ada"} | hit for at in (1, 2))
    )
    world.lake.add("calls", *calls(6, created_at=AT, cost_usd="0.25", latency_ms=500.0, user_id="bob"))
    shown = await panel(web, "cache/figures")
    assert 'title="0.5 USD">$0.500<' in shown
    assert "25\u202f%" in shown
    assert ">1.00\u202fs<" in shown or ">1\u202fs<" in shown
    reused = await panel(web, "cache/reused")
    assert "/dashboard/calls/first%3Cb%3E" in reused
    assert "<b>2</b>" in reused
    ranked = await panel(web, "cache/by-user")
    assert "ada" in ranked
    assert "bob" not in ranked
    assert "No call has a property" in await panel(web, "cache/by-property")
    assert (await web.get("/dashboard/panels/cache/reused.csv?range=7d")).text.splitlines()[1].startswith("first<b>,gpt-4o-mini,")


async def test_who_was_refused(world: World, web: httpx.AsyncClient) -> None:
    assert "Helicone-RateLimit-Policy: 1000;w=3600;s=user" in await panel(web, "limits/figures")
    world.lake.add("calls", *({"created_at": AT, "properties": {"plan": "pro"}} | each for each in OUTCOMES))
    figures = await panel(web, "limits/figures")
    assert 'title="3">3<small>75\u202f% of 4 calls' in figures
    shown = await panel(web, "limits/reasons")
    assert "600 calls in a minute for each user" in shown
    assert "bad_directive: &lt;i&gt;x&lt;/i&gt;" in shown
    assert "&lt;b&gt;bob&lt;/b&gt;" in await panel(web, "limits/by-user")
    assert "1 limited · 1 rejected · 1 by the provider" in await panel(web, "limits/by-property")
    newest = await panel(web, "limits/newest", "range=7d&user=ada")
    assert "/dashboard/calls/l1" in newest
    assert "/dashboard/calls/l3" not in newest


async def test_models_with_the_prices_in_force(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path / "lake")
    own = OwnPrice(organization=None, provider="openai", model="gpt-4o-m*", since=None, until=None, rates={"input": "7", "output": "9"})
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(
            log, [own, OwnPrice(organization=Organization("other"), provider=None, model="x", since=None, until=None, rates={"input": "1"})]
        )
    lake.add("calls", *calls(2, created_at=AT, cost_usd="0.5"))
    lake.add("calls", {"call_id": "s", "created_at": AT, "model": "claude-sonnet-4-5", "provider": "anthropic", "cost_usd": "1"})
    lake.add(
        "calls",
        {"call_id": "u", "created_at": AT, "model": "<b>", "provider": "gpu", "price_source": "unpriced: the list does not know gpu"},
    )
    over = "since=2026-01-01T00:00Z&until=2026-01-04T00:00Z"
    async with serving(tmp_path) as web:
        shown = await panel(web, "models/models", over)
        assert shown.index("claude-sonnet-4-5") < shown.index("gpt-4o-mini") or "50\u202f%" in shown
        assert "<b>$3.00</b> in" in shown
        assert "<b>$7.00</b> in" in shown
        assert '<span class="tag">own</span>' in shown
        assert '<span class="tag warn">unpriced</span>' in shown
        unpriced = await panel(web, "models/unpriced", over)
        assert "the list does not know gpu" in unpriced
        assert "heliograph prices set input=2.5,output=10 --provider gpu --model &#39;&lt;b&gt;&#39;" in unpriced
        mine = await panel(web, "models/own", over)
        assert "gpt-4o-m*" in mine
        assert "heliograph prices remove " in mine


async def test_health_of_the_pipeline(world: World, web: httpx.AsyncClient) -> None:
    assert "None yet" in await panel(web, "health/now", "")
    assert "Every event was understood." in await panel(web, "health/letters", "")
    world.lake.add("calls", *calls(2, created_at="2026-01-03T00:25:40Z"))
    letter = {"topic": "t", "partition": 0, "offset": 1, "index": 0, "reason": "undecodable", "error": "<i>no</i>", "payload": "{<script>"}
    world.lake.add("dead_letters", letter | {"at": AT})
    assert "1\u202fmin ago" in await panel(web, "health/now", "")
    letters = await panel(web, "health/letters", "")
    assert "heliograph replay --dead-letters --reason undecodable" in letters
    assert "&lt;i&gt;no&lt;/i&gt;" in letters
    assert "<script>" not in letters
    lake = await panel(web, "health/lake", "")
    assert "2026-01-03" in lake
    assert "Every live file is there" in lake
    next(iter((world.lake.folder / "calls").glob("day=*/*.parquet"))).unlink()
    assert "is missing" in await panel(web, "health/lake", "")


async def test_the_lake_and_the_readers_are_the_operators(world: World, web: httpx.AsyncClient) -> None:
    world.keys = keyring(key(READER, Scope.READ))
    await sign_in(web, READER)
    for name in ("lake", "lag"):
        answer = await web.get(f"/dashboard/panels/health/{name}")
        assert answer.status_code == 403
        assert "the operator sees it" in answer.text
    assert "Waiting on disk" not in await panel(web, "health/now", "")
    assert "heliograph replay" not in await panel(web, "health/letters", "")
    world.keys = keyring(key(READER, Scope.ADMIN))
    assert "Waiting on disk" in await panel(web, "health/now", "")
