"""A made-up history: the same seed makes the same rows, and they are as the pipeline itself would write them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from eventlog.events import PriceBasis
from processors.pricing.invoice import usage_of_tokens
from processors.pricing.rates import RateBook
from processors.usage import Usage
from runtime.cli import app
from runtime.history.cast import MODELS, REPLACED, REPLACEMENT, UNLUCKY
from runtime.history.command import write
from runtime.history.making import Wanted, history
from runtime.history.plot import Plot
from runtime.history.rhythm import MICROSECOND, TOGETHER, spans
from runtime.history.tariffs import femto, tariff_of
from runtime.settings import Misconfigured
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits, run_query
from storage.rows import PICO, money, usage_in
from storage.schema import SORTED_BY, TABLES
from storage.views import VIEWS
from tests.runtime.test_cli import typed

END = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
BOOK = RateBook.bundled()
ALL = Limits(rows=1_000_000)
Rows = list[dict[str, Any]]


def wanted(calls: int, **more: Any) -> Wanted:
    return Wanted(**({"calls": calls, "begin": END - timedelta(days=9), "end": END, "organization": "default", "seed": 7} | more))


def tables(asked: Wanted) -> dict[str, pa.Table]:
    parts = [part.tables for part in history(asked, BOOK)]
    return {name: pa.concat_tables([part[name] for part in parts if name in part]) for name in dict.fromkeys(n for p in parts for n in p)}


@pytest.fixture(scope="module")
def made() -> dict[str, pa.Table]:
    return tables(wanted(20_000))


@pytest.fixture(scope="module")
def rows(made: dict[str, pa.Table]) -> Rows:
    return made["calls"].to_pylist()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    found = Lake.open(StorageConfig(lake_uri=str(tmp_path_factory.mktemp("history"))))
    write(found, wanted(3000, bodies=500))
    return found


def asked(lake: Lake, sql: str) -> Sequence[Any]:
    return run_query(lake, sql, limits=ALL).table.to_pylist()


def test_as_many_calls_as_were_asked_for_in_order_of_time_within_the_span(made: dict[str, pa.Table]) -> None:
    times = made["calls"].column("created_at").to_pylist()
    assert len(times) == 20_000
    assert times == sorted(times)
    assert (END - timedelta(days=9)).replace(tzinfo=None) <= times[0]
    assert max(made["calls"].column("completed_at").to_pylist()) <= END.replace(tzinfo=None)


def test_tables_are_as_declared_and_sound(made: dict[str, pa.Table]) -> None:
    for name, table in made.items():
        assert table.schema.equals(TABLES[name])
        table.validate(full=True)


def test_the_same_seed_makes_the_same_rows() -> None:
    once, again, other = (tables(wanted(800, bodies=50, seed=seed)) for seed in (3, 3, 4))
    assert once == again
    assert once["calls"].column("call_id") != other["calls"].column("call_id")


def test_an_id_is_unique_and_tells_its_time(rows: Rows) -> None:
    ids = [UUID(row["call_id"]) for row in rows]
    assert len(set(ids)) == len(ids)
    assert {id_.version for id_ in ids} == {7}
    assert [id_.int >> 80 for id_ in ids] == [int(row["created_at"].replace(tzinfo=UTC).timestamp() * 1000) for row in rows]


def test_a_cost_is_what_the_price_list_makes_of_its_tokens_to_the_last_digit(rows: Rows) -> None:
    checked = 0
    for row in (row for row in rows if row["price_basis"] == PriceBasis.LIST):
        found = usage_in(row)
        assert found is not None
        at = row["created_at"].replace(tzinfo=UTC)
        price = BOOK.price(usage_of_tokens(found), provider=row["provider"], model=row["model"], at=at)
        assert price.cost is not None
        assert (row["cost_usd"], row["price_source"], dict(row["rates"])) == (money(f"{price.cost:f}"), price.source, price.rates)
        checked += 1
    assert checked > 16_000


def test_what_has_no_price_says_why(rows: Rows) -> None:
    unknown = [row for row in rows if row["price_basis"] == PriceBasis.UNKNOWN]
    assert unknown
    assert all(row["cost_usd"] is None and row["price_source"].startswith("unpriced: ") for row in unknown)


def test_a_hit_repeats_an_earlier_answer_and_saves_its_cost(rows: Rows) -> None:
    by_id = {row["call_id"]: row for row in rows}
    hits = [row for row in rows if row["cache_hit"]]
    assert len(hits) > 500
    for hit in hits:
        first = by_id[hit["cache_reference_id"]]
        assert first["created_at"] <= hit["created_at"]
        assert not first["cache_hit"]
        assert (hit["cost_usd"], hit["cost_saved_usd"], hit["total_tokens"]) == (0, first["cost_usd"], 0)
        assert all(hit[name] == first[name] for name in ("model", "path", "stream", "response_bytes", "finish_reason", "prompt_id"))


def test_a_row_with_bodies_is_what_its_numbers_alone_said() -> None:
    """What the pipeline makes of the bodies is what was made up without them. Only texts that were counted here are shorter."""
    without, with_them = (tables(wanted(1500, bodies=bodies))["calls"].to_pylist() for bodies in (0, 1500))
    sized = {"request_bytes", "response_bytes"}
    for before, after in zip(without, with_them, strict=True):
        if before["usage_source"] != "estimated":
            assert {k: v for k, v in before.items() if k not in sized} == {k: v for k, v in after.items() if k not in sized}
    assert {row["dialect"] for row in without} == {model.dialect for model in MODELS}
    assert len({row["outcome"] for row in without}) >= 6


def test_rows_of_a_commit_are_sorted_as_a_sink_sorts_them() -> None:
    for part in history(wanted(500, bodies=20), BOOK):
        for name, table in part.tables.items():
            if name != "amendments":
                assert table.equals(table.sort_by([(column, "ascending") for column in SORTED_BY[name]])), name


def test_every_view_answers(lake: Lake) -> None:
    for view in VIEWS:
        assert asked(lake, f"SELECT count(*) AS n FROM {view}")[0]["n"] >= 0
    (found,) = asked(lake, "SELECT count(*) AS n, count(DISTINCT call_id) AS ids, count(rating) AS rated FROM calls WHERE revision >= 0")
    assert (found["n"], found["ids"]) == (3000, 3000)
    assert 20 < found["rated"] < 200


BY_SESSION = "SELECT session_id FROM calls WHERE session_id IS NOT NULL GROUP BY 1"
ORPHANS = {
    "a request that was judged": "feedback WHERE request_id IS NOT NULL AND request_id NOT IN (SELECT request_id FROM calls)",
    "a session that was tagged": f"feedback WHERE session_id IS NOT NULL AND session_id NOT IN ({BY_SESSION})",
    "a body's call": "bodies WHERE call_id NOT IN (SELECT call_id FROM calls)",
    "a session with several users": f"({BY_SESSION} HAVING count(DISTINCT user_id) > 1)",
    "a session of one call": f"({BY_SESSION} HAVING count(*) NOT BETWEEN 3 AND 40)",
    "a call that ends before it begins": "calls WHERE completed_at < created_at OR ttft_ms > latency_ms",
    "tries that are not so many": "calls WHERE tries IS NOT NULL AND len(tries) <> attempts",
}


@pytest.mark.parametrize("sql", ORPHANS.values(), ids=ORPHANS)
def test_there_is_no(lake: Lake, sql: str) -> None:
    assert asked(lake, f"SELECT count(*) AS n FROM {sql}")[0]["n"] == 0


def test_the_newest_calls_have_both_bodies(lake: Lake) -> None:
    newest = "SELECT call_id FROM calls WHERE revision >= 0 ORDER BY created_at DESC LIMIT 500"
    found = asked(lake, f"SELECT side, count(*) AS n, count(assembled) AS assembled FROM bodies WHERE call_id IN ({newest}) GROUP BY 1")
    assert {row["side"]: row["n"] for row in found} == {"request": 500, "response": 500}
    assert sum(row["assembled"] for row in found) > 50


def test_the_incident_shows_and_ends(rows: Rows) -> None:
    begin, end = (at.replace(tzinfo=None) for at in Plot(END - timedelta(days=9), END).incident)
    failed: dict[bool, list[bool]] = {True: [], False: []}
    for row in rows:
        if row["provider"] == UNLUCKY:
            failed[begin <= row["created_at"] < end].append(row["outcome"] == "provider_error")
    during, usually = (sum(each) / len(each) for each in (failed[True], failed[False]))
    assert during > 0.1 > 10 * usually


def test_a_model_takes_the_place_of_another_and_is_liked_less(made: dict[str, pa.Table], rows: Rows) -> None:
    old, new = MODELS[REPLACED].answers_as, MODELS[REPLACEMENT].answers_as
    middle = (END - timedelta(days=4.5)).replace(tzinfo=None)
    assert not [row for row in rows if row["model"] == new and row["created_at"] < middle]
    assert not [row for row in rows if row["model"] == old and row["created_at"] > middle + timedelta(days=1)]
    model = {row["request_id"]: row["model"] for row in rows}
    good: dict[str, list[bool]] = {old: [], new: []}
    for each in made["feedback"].select(["request_id", "rating"]).to_pylist():
        if each["rating"] is not None and model.get(each["request_id"]) in good:
            good[model[each["request_id"]]].append(each["rating"])
    assert np.mean(good[new]) < np.mean(good[old]) - 0.05


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
def test_columns_of_costs_are_the_costs_of_each(model: Any) -> None:
    tariff, rng = tariff_of(BOOK, model, END), np.random.default_rng(5)
    if tariff.card is None:
        assert tariff.sources[0].startswith("unpriced: ")
        return
    whole = rng.integers(1, 400_000, 300)
    counts = {
        "input": whole,
        "output": rng.integers(0, 9000, 300),
        "cache_read": whole // 3 * tariff.card.prices_cached,
        "cache_write": whole // 5,
        "cache_write_5m": whole // 5,
    }
    step = tariff.step_of(whole)
    for at, cost in enumerate(tariff.cost_of(counts)):
        usage = Usage(**{name: int(amount[at]) for name, amount in counts.items()})
        price = BOOK.price(usage, provider=model.provider, model=model.answers_as, at=END)
        assert price.cost is not None
        assert (Decimal(int(cost)) * PICO, tariff.sources[step[at]]) == (money(f"{price.cost:f}"), price.source)


def test_a_rate_that_cannot_be_told_exactly_is_no_rate() -> None:
    assert femto(Decimal("7.5E-8")) == 75_000_000
    with pytest.raises(ValueError, match="finer"):
        femto(Decimal("1E-16"))


def test_a_busy_day_is_written_in_parts() -> None:
    calls = 20 * TOGETHER
    found = spans(END - timedelta(days=3), END, calls, np.random.default_rng(1))
    assert sum(span.calls for span in found) == calls
    assert max(span.calls for span in found) <= TOGETHER
    assert all(before.end <= after.begin for before, after in pairwise(found))
    assert all(span.end - span.begin <= timedelta(days=1) and (span.end - MICROSECOND).date() == span.day for span in found)


def invoked(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> tuple[int, str]:
    """Exit code, and all that is said."""
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(folder))
    done = CliRunner().invoke(app, ["demo", "history", "--data-dir", str(folder), "--until", "2026-11-20", *options])
    said = str(done.exception) if isinstance(done.exception, Misconfigured) else ""
    return 2 if said else done.exit_code, done.output + said


def test_the_command_as_typed(tmp_path: Path) -> None:
    done = typed("demo", "history", "--data-dir", str(tmp_path), "--calls", "1_000", "--days", "2", "--bodies", "10")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1,000 calls of 2 days" in done.stdout


def test_it_adds_to_what_is_there_only_when_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--days", "2", "--bodies", "0", "--calls", "500")
    assert invoked(monkeypatch, tmp_path, *few)[0] == 0
    code, said = invoked(monkeypatch, tmp_path, *few)
    assert code == 2
    assert "has 500 calls already" in said
    assert "--add" in said
    assert invoked(monkeypatch, tmp_path, *few, "--add", "--organization", "acme")[0] == 0
    counted = "SELECT organization, count(*) AS n, count(DISTINCT call_id) AS ids FROM calls WHERE revision >= 0 GROUP BY 1 ORDER BY 1"
    config = StorageConfig(lake_uri=str(tmp_path / "lake"))
    assert [tuple(row.values()) for row in asked(Lake.existing(config), counted)] == [("acme", 500, 500), ("default", 500, 500)]


def test_the_same_history_added_is_another_one() -> None:
    once, again = (set(tables(wanted(300, after=rows))["calls"].column("call_id").to_pylist()) for rows in (0, 300))
    assert not once & again


@pytest.mark.parametrize(
    "wrong",
    [
        ("--until", "tomorrow"),
        ("--calls", "0"),
        ("--days", "0"),
        ("--organization", " "),
        ("--organization", "*"),
        ("--until", "0002-01-01", "--days", "3000"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, ...]) -> None:
    code, said = invoked(monkeypatch, tmp_path, *wrong)
    assert code == 2
    assert wrong[0] in said
    assert not (tmp_path / "lake").exists()
