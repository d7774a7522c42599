"""Prices as an operator sets, lists, checks and takes them away; a call's cost explained; stored calls priced again."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eventlog.events import Body, Organization, Outcome, ResponseCompleted
from runtime.cli import app
from runtime.settings import Misconfigured
from storage.lake import Lake
from tests.fakes.small_lake import SmallLake
from tests.processors.events import call, completed
from tests.runtime.test_repricing import LIST, asked, calls_by
from tests.storage.test_conservation import at_rest

Typed = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def typed(data: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(data))
    monkeypatch.setenv("HELIOGRAPH_API_PORT", "1")  # where nothing listens
    return lambda *words: CliRunner().invoke(app, list(words))


def prices(typed: Typed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(typed("prices", "list", "--format", "json").stdout)
    return found


def test_a_prices_life(typed: Typed) -> None:
    assert "There are none" in typed("prices", "list").stdout
    begun = typed("prices", "set", "input=2,output=8", "--provider", "OpenAI", "--model", "GPT-4o*", "--from", "2026-01-01")
    which, says = begun.stdout.split(": ", 1)
    assert says == "openai/gpt-4o* from 2026-01-01 costs input=2,output=8, USD for a million tokens.\n"
    (only,) = prices(typed)
    assert only == {
        "id": which,
        "organization": None,
        "provider": "openai",
        "model": "gpt-4o*",
        "from": "2026-01-01T00:00:00+00:00",
        "until": None,
        "rates": {"input": "2", "output": "8"},
        "by": "set",
    }
    again = typed("prices", "set", "request=0.01", "--provider", "openai", "--model", "gpt-4o*", "--from", "2026-01-01T00:00:00+00:00")
    assert again.stdout.startswith(f"{which}: ")
    assert [each["rates"] for each in prices(typed)] == [{"request": "0.01"}]  # in its place
    assert which in typed("prices", "list").stdout
    assert typed("prices", "remove", which).stdout == f"{which}: the price of openai/gpt-4o* from 2026-01-01 is gone.\n"
    assert prices(typed) == []
    gone = typed("prices", "remove", which)
    assert isinstance(gone.exception, Misconfigured)
    assert "`heliograph prices list` names them" in str(gone.exception)


def test_the_file_is_listed_beside_them_and_they_count_before_it(typed: Typed, data: Path) -> None:
    typed("prices", "set", "request=1", "--model", "m")
    (data / "prices.toml").write_text('[[price]]\nmodel = "m"\nrates = { request = 2 }\n[[price]]\nrates = { request = 3 }\n')
    assert [(each["model"], each["rates"]["request"], each["by"], each["id"] is None) for each in prices(typed)] == [
        ("m", "1", "set", False),
        ("m", "2", "file", True),
        ("*", "3", "file", True),
    ]
    assert typed("prices", "show", "OpenAI", "M").stdout == "own price for */m: request=1\n"
    assert typed("prices", "show", "openai", "n").stdout == "own price for */*: request=3\n"


def test_what_a_call_would_be_priced_by(typed: Typed) -> None:
    typed("prices", "set", "input=1,output=1", "--organization", "acme", "--until", "2026-01-01")
    assert typed("prices", "show", "ollama", "llama3").stdout == "runs locally: ollama bills nobody\n"
    listed = typed("prices", "show", "openai", "gpt-4o-2024-08-06", "--at", "2026-11-24").stdout
    assert listed.startswith("genai-prices ")
    assert "           2.5 USD for a million tokens: prompt\n" in listed
    assert "processing batch" in listed
    assert typed("prices", "show", "openai", "house-1").stdout.startswith("unpriced: the price list does not know the model house-1")
    acme = ("prices", "show", "ollama", "llama3", "--organization", "acme", "--at")
    assert typed(*acme, "2025-12-31T23:59:59").stdout == "own price for */* of acme until 2026-01-01: input=1,output=1\n"
    assert "runs locally" in typed(*acme, "2026-01-01").stdout


SET_REFUSED = {
    "half the rates": (("input=2",), "RATES needs both input and output"),
    "no rates": (("2,8",), "RATES has '2' where NAME=AMOUNT is expected"),
    "an unknown one": (("prompt=2",), "RATES has no rate named 'prompt'"),
    "one twice": (("request=2,request=3",), "RATES says request twice"),
    "no time": (("request=2", "--from", "yesterday"), "--from yesterday: not a time"),
    "a time beyond all years": (("request=2", "--until", "9999-12-31T23:59:59-05:00"), "--until 9999-12-31T23:59:59-05:00: not a time"),
    "backwards": (("request=2", "--from", "2026-02-01", "--until", "2026-01-01"), "from has to lie before until"),
    "a model without a name": (("request=2", "--model", ""), "model is a name or a pattern"),
    "a provider without one": (("request=2", "--provider", ""), "provider is a lower-case name"),
    "an organization without one": (("request=2", "--organization", ""), "organization is a name"),
    "what contradicts another": (("request=2", "--model", "gpt-?"), "It is not set: */gpt?4 and */gpt-? are equally specific"),
    "what overlaps in time": (("request=2", "--model", "gpt?4", "--from", "2026-01-01"), "End one before the other begins"),
}


@pytest.mark.parametrize(("words", "why"), SET_REFUSED.values(), ids=SET_REFUSED)
def test_what_is_not_set(typed: Typed, words: tuple[str, ...], why: str) -> None:
    typed("prices", "set", "request=1", "--model", "gpt?4")
    refused = typed("prices", "set", *words)
    assert isinstance(refused.exception, Misconfigured)
    assert why in str(refused.exception)
    assert [each["model"] for each in prices(typed)] == ["gpt?4"]


def test_a_file_is_checked_before_it_is_put_in_place(typed: Typed, tmp_path: Path, data: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('[[price]]\nrates = { request = 3 }\n[[price]]\nmodel = "m"\nrates = { input = 2.10, output = 8 }\n')
    good = typed("prices", "check", str(file))
    assert good.stdout == "*/m: input=2.10,output=8\n*/*: request=3\n"
    assert good.stderr == f"{file} is good: 2 prices, the most specific first.\n"
    assert prices(typed) == []
    file.write_text("[[price]]\nrates = { request = -3 }\n")
    for words in (("prices", "check", str(file)), ("prices", "check", str(tmp_path)), ("prices", "check")):
        bad = typed(*words)
        assert isinstance(bad.exception, Misconfigured)
    assert "new.toml: [[price]] 1: rates: the price has '-3' for request" in str(typed("prices", "check", str(file)).exception)
    assert str(bad.exception) == f"{data / 'prices.toml'}: there is no such file."
    (data / "prices.toml").write_bytes(b"\xff")
    assert isinstance(typed("prices", "check").exception, Misconfigured)
    assert isinstance(typed("prices", "list").exception, Misconfigured)


def test_prices_are_listed_in_two_ways(typed: Typed) -> None:
    refused = typed("prices", "list", "--format", "csv")
    assert isinstance(refused.exception, Misconfigured)
    assert "table or json" in str(refused.exception)


HOUSE = '{"model": "house-1", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}'
PARTS = """{"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 1000, "completion_tokens": 100,
"prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 60}}}"""
UNTOLD = '{"model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there"}}]}'
QUESTION = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello"}]}'


def world() -> list[ResponseCompleted]:
    """One call of each kind."""
    first = call(call_id="first", request_id="r-first")
    later = first.created_at + timedelta(seconds=1)
    return [
        completed(facts=first),
        completed(facts=call(call_id="again", request_id="r-first", created_at=later), cache_hit=True, cache_reference_id="first"),
        completed(PARTS, facts=call(call_id="parts", request_id="r-parts")),
        completed(HOUSE, facts=call(call_id="house", request_id="r-house", model="house-1")),
        completed(
            HOUSE, facts=call(call_id="stated", request_id="r-stated", cost_override={"input": "1", "output": "2", "request": "0.25"})
        ),
        completed(UNTOLD, facts=call(call_id="untold", request_id="r-untold"), request=Body(text=QUESTION, size=len(QUESTION))),
        completed(None, facts=call(call_id="away", request_id="r-away"), outcome=Outcome.UNREACHABLE, status=None),
        completed(facts=call("ollama", call_id="local", request_id="r-local")),
        completed(facts=call(call_id="theirs", request_id="r-theirs", organization=Organization("acme"))),
    ]


@pytest.fixture
def lake(data: Path) -> Lake:
    return Lake.open(asyncio.run(at_rest(calls_by(LIST, world()), data / "lake")))


def rows_of(shown: str) -> dict[str, list[str]]:
    """Of a table, each by its first cell."""
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if line.startswith("│")]
    return {first: others for first, *others in cells}


INVOICES: dict[str, tuple[str, dict[str, list[str]]]] = {
    "first": (
        "Price    genai-prices",
        {
            "prompt": ["1,000", "tokens", "2.5", "million tokens", "0.0025"],
            "answer": ["100", "tokens", "10", "million tokens", "0.0010"],
            "total": ["", "", "", "", "0.0035"],
            "booked": ["", "", "", "", "0.0035"],
        },
    ),
    "parts": (
        "Counted  by the provider",
        {
            "prompt, the rest": ["600", "tokens", "2.5", "million tokens", "0.0015"],
            "answer": ["100", "tokens", "10", "million tokens", "0.0010"],
            "prompt, read from the cache": ["400", "tokens", "1.25", "million tokens", "0.0005"],
            "total": ["", "", "", "", "0.0030"],
            "booked": ["", "", "", "", "0.0030"],
        },
    ),
    "stated": (
        "Price    Helicone-Cost-Override: input=1,output=2,request=0.25",
        {
            "prompt": ["1,000", "tokens", "1", "million tokens", "0.0010"],
            "answer": ["100", "tokens", "2", "million tokens", "0.0002"],
            "each call": ["1", "calls", "250", "thousand calls", "0.2500"],
            "total": ["", "", "", "", "0.2512"],
            "booked": ["", "", "", "", "0.2512"],
        },
    ),
    "local": (
        "Price    runs locally: ollama bills nobody",
        {
            "on hardware of your own": ["1", "calls", "0", "call", "0.00"],
            "total": ["", "", "", "", "0.00"],
            "booked": ["", "", "", "", "0.00"],
        },
    ),
    "again": (
        "The cache saved 0.0035 USD, which call first would have cost again.",
        {
            "from Heliograph's cache": ["1", "calls", "0", "call", "0.00"],
            "total": ["", "", "", "", "0.00"],
            "booked": ["", "", "", "", "0.00"],
        },
    ),
}


@pytest.mark.parametrize(("which", "says", "table"), [(name, *each) for name, each in INVOICES.items()], ids=INVOICES)
def test_a_call_explained(lake: Lake, typed: Typed, which: str, says: str, table: dict[str, list[str]]) -> None:
    shown = typed("prices", "explain", which)
    assert shown.exit_code == 0, shown.exception
    assert says in shown.stdout
    assert {first: others for first, others in rows_of(shown.stdout).items() if first != "for"} == table
    told = json.loads(typed("prices", "explain", which, "--format", "json").stdout)
    assert sum(Decimal(line["amount_usd"]) for line in told["lines"]) == Decimal(told["total_usd"]) == Decimal(told["cost_usd"])
    for line in told["lines"]:
        per = {"million tokens": 1_000_000, "thousand calls": 1_000, "call": 1}[line["per"]]
        assert Decimal(line["count"]) * Decimal(line["rate_usd"]) / per == Decimal(line["amount_usd"])


WITHOUT_A_COST = {
    "house": "the price list does not know the model house-1 of openai",
    "away": "no usage reported, unreachable",
}


@pytest.mark.parametrize(("which", "why"), WITHOUT_A_COST.items(), ids=WITHOUT_A_COST)
def test_a_call_without_a_cost_says_why(lake: Lake, typed: Typed, which: str, why: str) -> None:
    shown = typed("prices", "explain", which)
    assert shown.stdout.endswith(f"\nNo cost is booked: {why}.\n")
    told = json.loads(typed("prices", "explain", which, "--format", "json").stdout)
    assert (told["lines"], told["total_usd"], told["cost_usd"], told["reason"]) == ([], None, None, f"unpriced: {why}")


def test_an_estimate_says_how_it_was_counted(lake: Lake, typed: Typed) -> None:
    shown = typed("prices", "explain", "untold").stdout
    assert "\nCounted  here, an estimate: counted by o200k_base; " in shown
    assert rows_of(shown)["answer"][0] == "2"


def test_a_hit_was_counted_by_nobody(lake: Lake, typed: Typed) -> None:
    assert "Counted" not in typed("prices", "explain", "again").stdout


def test_a_request_id_is_its_newest_call(lake: Lake, typed: Typed) -> None:
    assert typed("prices", "explain", "r-first").stdout.startswith("Call     again, ")


def test_another_organizations_call_is_named_by_it(lake: Lake, typed: Typed) -> None:
    nobodys = typed("prices", "explain", "theirs")
    assert isinstance(nobodys.exception, Misconfigured)
    assert "--organization names another's" in str(nobodys.exception)
    for whose in ("acme", "all"):
        assert "organization acme" in typed("prices", "explain", "theirs", "--organization", whose).stdout
    assert isinstance(typed("prices", "explain", "x' OR true --", "--organization", "all").exception, Misconfigured)


def test_a_row_of_an_earlier_version_is_not_explained(data: Path, typed: Typed) -> None:
    world = SmallLake(data / "lake")
    world.add("calls", {"call_id": "a", "created_at": "2026-11-24T12:00:00Z", "cost_usd": "1", "price_source": "genai-prices 0.1"})
    assert "1.000000000000 USD are booked: the row was written by an earlier version" in typed("prices", "explain", "a").stdout


def test_a_figure_that_nobody_booked_is_noticed(data: Path, typed: Typed) -> None:
    world = SmallLake(data / "lake")
    row = {"call_id": "a", "created_at": "2026-11-24T12:00:00Z", "cost_usd": "1", "price_basis": "list", "usage_source": "provider"}
    world.add("calls", row | {"prompt_tokens": 5, "completion_tokens": 0, "rates": {"input_mtok": "2", "output_mtok": "8"}})
    changed = typed("prices", "explain", "a").exception
    assert isinstance(changed, Misconfigured)
    assert "the row was changed by something else than Heliograph" in str(changed)


def test_where_there_is_no_lake(typed: Typed) -> None:
    for words in (("prices", "explain", "x"), ("reprice", "--from", "2026-01-01")):
        assert isinstance(typed(*words).exception, Misconfigured)


def standing(lake: Lake, which: str) -> tuple[Any, ...]:
    return asked(lake, f"SELECT revision, cost_usd, cost_saved_usd, price_basis FROM calls WHERE call_id = '{which}'")[0]


def test_stored_calls_follow_a_price_that_is_set(lake: Lake, typed: Typed, data: Path) -> None:
    typed("prices", "set", "input=1.5,output=6", "--model", "house-*")
    (data / "prices.toml").write_text('[[price]]\nprovider = "openai"\nmodel = "gpt-4o-*"\nrates = { input = 2, output = 8 }\n')
    looked = typed("reprice", "--from", "2026-11-01", "--dry-run")
    assert rows_of(looked.stdout)["total"] == ["", "6", "0.0100425", "0.010534", "+0.0004915", "1"]
    assert "replaced" not in looked.stdout
    assert lake.table("amendments").to_pyarrow_dataset().count_rows() == 0
    assert standing(lake, "house") == (0, None, None, "unknown")

    done = typed("reprice", "--from", "2026-11-01")
    assert rows_of(done.stdout) == rows_of(looked.stdout)
    assert "rows are replaced. The figures before are in the table cost_history." in done.stdout
    assert standing(lake, "house") == (1, Decimal("0.0021"), None, "own")
    assert standing(lake, "stated") == (0, Decimal("0.2512"), None, "call")
    assert standing(lake, "again") == (1, Decimal(0), Decimal("0.0028"), "cache")
    assert asked(lake, "SELECT revision, cost_usd FROM cost_history WHERE call_id = 'first' ORDER BY 1") == [
        (0, Decimal("0.0035")),
        (1, Decimal("0.0028")),
    ]
    assert "the cost of none changes" in typed("reprice", "--from", "2026-11-01").stdout
    shown = typed("prices", "explain", "house").stdout
    assert "Price    own price for */house-*: input=1.5,output=6\n" in shown
    assert "\nRevision 1: an earlier figure was replaced; the table cost_history has it\n" in shown
    assert rows_of(shown)["booked"][-1] == "0.0021"


def test_a_price_that_is_taken_away_leaves_calls_without_a_cost(lake: Lake, typed: Typed) -> None:
    which = typed("prices", "set", "input=1.5,output=6", "--model", "house-*").stdout.split(":")[0]
    typed("reprice", "--from", "2026-11-01")
    typed("prices", "remove", which)
    assert standing(lake, "house") == (1, Decimal("0.0021"), None, "own")
    assert "1 calls lose their cost" in typed("reprice", "--from", "2026-11-01").stderr
    assert standing(lake, "house") == (2, None, None, "unknown")


def test_which_calls_are_priced_again_is_said(lake: Lake, typed: Typed) -> None:
    typed("prices", "set", "request=1")
    for words, calls in {
        ("--model", "house-?"): "1",
        ("--provider", "ollama"): "1",
        ("--organization", "acme"): "1",
        ("--to", "2026-11-24"): None,
    }.items():
        shown = typed("reprice", "--from", "2026-11-01", "--dry-run", *words).stdout
        assert rows_of(shown).get("total", ["", None])[1] == calls, words
    for time in ("soon", "9999-12-31T23:59:59-05:00"):
        assert isinstance(typed("reprice", "--from", time).exception, Misconfigured)
    assert typed("reprice").exit_code == 2
