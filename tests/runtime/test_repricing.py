"""Stored calls priced again: as if today's prices had been known from the first; each row replaced once, the old figures kept."""

import asyncio
import io
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from rich.progress import Progress

from eventlog.codec import Batch, BatchId
from eventlog.events import CallPriced, Organization, Outcome, PriceBasis, ResponseCompleted
from eventlog.own_prices import OwnPrice, OwnPrices
from processors.calls import understand
from processors.pricing.rates import RateBook
from runtime import repricing
from runtime.repricing import Found, look, write
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits, run_query
from storage.repricing import Chosen, Moved, Repricing
from storage.rows import calls_table, money
from tests.fakes.small_lake import SmallLake
from tests.processors.events import call, completed
from tests.processors.test_dialect_cases import FOLDERS
from tests.storage.test_conservation import at_rest, event_of

LIST = RateBook.bundled()
OWN = RateBook.bundled(OwnPrices([
    OwnPrice(model="*", rates={"input": "3", "output": "7", "cache_read": "0.5"}),
    OwnPrice(provider="anthropic", model="claude*", rates={"input": "3", "output": "7", "request": "0.01"}),
]).find)  # fmt: skip
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ALL = Limits(rows=100_000)


def shown() -> Progress:
    return Progress(console=Console(file=io.StringIO()), disable=True)


def calls_by(rates: RateBook, events: Sequence[ResponseCompleted]) -> tuple[CallPriced, ...]:
    return understand(Batch(id=BatchId("f" * 32, 1), partition=0, events=tuple(events)), rates).calls.events


def told(calls: Sequence[CallPriced]) -> dict[str, tuple[Any, ...]]:
    return {each.call.call_id: (money(each.cost_usd), money(each.cost_saved_usd), each.price_basis.value) for each in calls}


def standing(lake: Lake) -> dict[str, tuple[Any, ...]]:
    rows = run_query(lake, "SELECT call_id, cost_usd, cost_saved_usd, price_basis FROM calls", limits=ALL).table.to_pylist()
    return {row["call_id"]: (row["cost_usd"], row["cost_saved_usd"], row["price_basis"]) for row in rows}


def reprice(lake: Lake, rates: RateBook, **chosen: Any) -> Found:
    with closing(Repricing(lake, Chosen(**{"since": LONG_AGO} | chosen))) as again:
        found = look(again, rates, shown())
        write(again, rates, sorted({day for day, _ in found.differences}), shown())
    return found


def asked(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run_query(lake, sql, limits=ALL).table.to_pylist()]


@pytest.fixture(scope="module")
def events() -> tuple[ResponseCompleted, ...]:
    """Of every case of every dialect one. Hits of our own cache give an answer again that is not here."""
    found = (event_of(number, name) for number, name in enumerate(FOLDERS))
    return tuple(event for event in found if not event.cache_hit)


async def test_it_is_as_if_all_had_been_known_from_the_first(events: tuple[ResponseCompleted, ...], tmp_path: Path) -> None:
    before, after = told(calls_by(LIST, events)), told(calls_by(OWN, events))
    lake = Lake.open(await at_rest(calls_by(LIST, events), tmp_path / "lake"))
    assert reprice(lake, LIST).differences == {}
    found = reprice(lake, OWN)
    costs = [{key: value[:2] for key, value in each.items()} for each in (before, after, standing(lake))]
    assert costs[2] == costs[1] != costs[0]
    changed = sum(1 for key in before if costs[0][key] != costs[1][key])
    assert found.total().calls == changed > 200
    assert {key: value for key, value in standing(lake).items() if costs[0][key] != costs[1][key]} == {
        key: value for key, value in after.items() if costs[0][key] != costs[1][key]
    }
    assert asked(lake, "SELECT count(*), sum(cost_usd) FROM cost_history WHERE revision = 0")[0][0] == changed
    reprice(lake, LIST)
    assert {key: value[:2] for key, value in standing(lake).items()} == costs[0]
    assert reprice(lake, LIST).total().calls == 0


def many(count: int = 40) -> list[ResponseCompleted]:
    return [
        completed(
            facts=call(call_id=f"call-{number}", request_id=f"r-{number}", created_at=datetime(2026, 11, 20 + number % 2, tzinfo=UTC))
        )
        for number in range(count)
    ]


@pytest.fixture
async def lake(tmp_path: Path) -> Lake:
    return Lake.open(await at_rest(calls_by(LIST, many()), tmp_path / "lake"))


async def test_what_was_interrupted_is_taken_up_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "WRITTEN_AT_ONCE", 3)
    monkeypatch.setattr("storage.repricing.TOGETHER", 5)
    written = 0
    of_a_day = repricing.Day.write

    def dies(day: repricing.Day, changes: Any, now: datetime) -> None:
        nonlocal written
        if written >= 12:
            raise ConnectionAbortedError
        written += len(changes)
        of_a_day(day, changes, now)

    monkeypatch.setattr(repricing.Day, "write", dies)
    with pytest.raises(ConnectionAbortedError):
        reprice(lake, OWN)
    assert 0 < written < 40
    monkeypatch.setattr(repricing.Day, "write", of_a_day)
    assert reprice(lake, OWN).total().calls == 40 - written
    assert asked(lake, "SELECT count(*), count(DISTINCT call_id), min(revision), max(revision) FROM calls") == [(40, 40, 1, 1)]
    assert lake.table("amendments").to_pyarrow_dataset().count_rows() == 40
    assert asked(lake, "SELECT sum(cost_usd) FROM calls") == [(40 * Decimal("0.0037"),)]
    assert asked(lake, "SELECT revision, count(*), sum(cost_usd) FROM cost_history GROUP BY 1 ORDER BY 1") == [
        (0, 40, 40 * Decimal("0.0035")),
        (1, 40, 40 * Decimal("0.0037")),
    ]


async def test_two_at_once_do_not_write_the_same_rows_twice(lake: Lake) -> None:
    with closing(Repricing(lake, Chosen(since=LONG_AGO))) as one, closing(Repricing(lake, Chosen(since=LONG_AGO))) as other:
        (day, _), *_ = one.days()
        first, second = one.day(day), other.day(day)
        changes = [change for _, pairs in repricing.changes_of(first, OWN) for _, change in pairs]
        first.write(changes, datetime(2026, 11, 26, tzinfo=UTC))
        with pytest.raises(Moved):
            second.write(changes, datetime(2026, 11, 26, tzinfo=UTC))
        assert not any(pairs for _, pairs in repricing.changes_of(other.day(day), OWN))
    assert lake.table("amendments").to_pyarrow_dataset().count_rows() == 20


SELECTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "all": ({}, 40),
    "from a day on": ({"since": datetime(2026, 11, 21, tzinfo=UTC)}, 20),
    "before a day": ({"before": datetime(2026, 11, 21, tzinfo=UTC)}, 20),
    "before its beginning": ({"before": datetime(2026, 11, 20, tzinfo=UTC)}, 0),
    "a model": ({"model": "GPT-4o-2024-08-06"}, 40),
    "a pattern": ({"model": "gpt-?o*"}, 40),
    "another model": ({"model": "gpt-4o"}, 0),
    "a bracket is a bracket": ({"model": "[g]pt*"}, 0),
    "a provider": ({"provider": "openai"}, 40),
    "another": ({"provider": "it's"}, 0),
    "another organization": ({"organization": "acme"}, 0),
}


@pytest.mark.parametrize(("chosen", "calls"), SELECTIONS.values(), ids=SELECTIONS)
async def test_which_calls_are_meant(lake: Lake, chosen: dict[str, Any], calls: int) -> None:
    with closing(Repricing(lake, Chosen(**{"since": LONG_AGO} | chosen))) as again:
        found = look(again, OWN, shown())
    assert (found.rows, found.total().calls) == (calls, calls)
    assert lake.table("amendments").to_pyarrow_dataset().count_rows() == 0


async def test_what_the_cache_saved_follows(tmp_path: Path) -> None:
    first = completed(facts=call(call_id="one", request_id="one"))
    hits = [
        completed(facts=call(call_id=name, request_id=name, created_at=first.call.created_at + timedelta(days=1)), cache_hit=True,
                  cache_reference_id=reference)
        for name, reference in (("two", "one"), ("three", "gone"))
    ]  # fmt: skip
    lake = Lake.open(await at_rest(calls_by(LIST, [first, *hits]), tmp_path / "lake"))
    found = reprice(lake, OWN)
    assert standing(lake) == {
        "one": (Decimal("0.0037"), None, "own"),
        "two": (Decimal(0), Decimal("0.0037"), "cache"),
        "three": (Decimal(0), Decimal("0.0035"), "cache"),
    }
    assert (found.total().after, found.total().saved) == (Decimal("0.0037"), Decimal("0.0002"))


def test_rows_of_an_earlier_version_stay_and_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = SmallLake(tmp_path)
    world.add("calls", {"call_id": "a", "prompt_tokens": 5, "completion_tokens": 5, "usage_source": "provider", "cost_usd": "1"})
    world.add("amendments", {"call_id": "b", "revision": -1, "outcome": "abandoned"})
    found = reprice(world.lake, OWN)
    assert (found.rows, found.early, found.differences) == (1, 1, {})
    repricing.tell(found)
    assert "1 of 1 calls stay as they are" in capsys.readouterr().err


async def test_calls_that_were_not_answered_stay_without_a_cost(tmp_path: Path) -> None:
    priced = RateBook.bundled(OwnPrices([OwnPrice(rates={"request": "0.25"})]).find)
    made = [completed(None, facts=call(call_id=f"c-{outcome}", request_id="r"), outcome=outcome, status=None) for outcome in Outcome]
    lake = Lake.open(await at_rest(calls_by(LIST, made), tmp_path / "lake"))
    reprice(lake, priced)
    costs = {key: value[0] for key, value in standing(lake).items() if value[0] is not None}
    assert costs == {"c-completed": Decimal("0.25")} == {key: value[0] for key, value in told(calls_by(priced, made)).items() if value[0]}


async def test_the_rates_of_a_call_are_its_own(tmp_path: Path) -> None:
    stated = completed(facts=call(cost_override={"input": "1", "output": "1"}, organization=Organization("acme")))
    lake = Lake.open(await at_rest(calls_by(LIST, [stated]), tmp_path / "lake"))
    assert reprice(lake, OWN).total().calls == 0
    assert standing(lake) == {"call-1": (Decimal("0.0011"), None, PriceBasis.CALL.value)}


def test_a_lake_of_nothing(tmp_path: Path) -> None:
    assert reprice(Lake.open(StorageConfig(lake_uri=str(tmp_path / "lake"))), OWN).rows == 0


async def test_what_a_replay_replaced_meanwhile_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay's row stands, priced by what is known by then; nothing is written over it from what was read before."""
    lake = Lake.open(await at_rest(calls_by(LIST, many(4)), tmp_path / "lake"))
    of_a_day, replayed = repricing.Day.write, calls_by(RateBook.bundled(OwnPrices([OwnPrice(rates={"request": "0.5"})]).find), many(4))

    def beaten(day: repricing.Day, changes: Any, now: datetime) -> None:
        if lake.table("amendments").to_pyarrow_dataset().count_rows() == 0:
            asyncio.run(at_rest(replayed, tmp_path / "lake", revision=1))
        of_a_day(day, changes, now)

    monkeypatch.setattr(repricing.Day, "write", beaten)
    await asyncio.to_thread(reprice, lake, OWN)
    assert {cost for cost, _, _ in standing(lake).values()} == {Decimal("0.0037")}
    assert asked(lake, "SELECT revision, cost_usd, count(*) FROM cost_history GROUP BY ALL ORDER BY 1") == [
        (0, Decimal("0.0035"), 4),
        (1, Decimal("0.5"), 4),
        (2, Decimal("0.0037"), 4),
    ]


async def test_a_refused_usage_stays_refused_whatever_is_billed_beside(tmp_path: Path) -> None:
    body = (
        '{"id":"r","model":"gpt-5","status":"completed","output":[{"type":"code_interpreter_call"}],'
        '"usage":{"input_tokens":-1,"output_tokens":1}}'
    )
    lake = Lake.open(await at_rest(calls_by(LIST, [completed(body, facts=call(path="/v1/responses"))]), tmp_path / "lake"))
    assert reprice(lake, RateBook.bundled(OwnPrices([OwnPrice(rates={"request": "0.5"})]).find)).differences == {}


def test_what_an_earlier_version_put_on_the_log_is_of_an_earlier_version_in_the_lake() -> None:
    """Its events come to rest after an update; they do not say what their cost rests on."""
    old = msgspec.json.encode(calls_by(LIST, many(1))[0])
    told = {name: value for name, value in msgspec.json.decode(old).items() if name not in {"price_basis", "rates", "price_context"}}
    event = msgspec.json.decode(msgspec.json.encode(told), type=CallPriced)
    assert calls_table([event]).column("price_basis").to_pylist() == [None]
