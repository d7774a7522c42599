"""What docs/prices.md shows is true: its file is read, its rules hold, its questions have answers, its commands print what stands there."""

import asyncio
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eventlog.events import Body, Organization, PriceBasis, ResponseCompleted
from eventlog.own_prices import OwnPrice, OwnPrices
from runtime.cli import app
from runtime.price_file import FIELDS, parse_prices
from storage.lake import Lake
from tests.processors.events import call, completed
from tests.runtime.test_prices_cli import QUESTION, UNTOLD
from tests.runtime.test_repricing import LIST, asked, calls_by
from tests.storage.test_conservation import at_rest

TEXT = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()
Typed = Callable[..., Result]


def blocks(language: str) -> list[str]:
    """A block without a language is what a command printed."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [text for of, text in found if of == language]


def output_with(text: str) -> str:
    (found,) = [block for block in blocks("") if text in block]
    return found


EXPLAINED = output_with("Call     ")
REPRICED = output_with("newly priced")
CLAUDES, AT = re.findall(r"^Call     (\S+), (\S+), completed", EXPLAINED)[0]
(HOUSES,) = re.findall(r"call_id = '([^']+)'", TEXT)
THAT_DAY = datetime.fromisoformat(AT)

MESSAGE = """{"type": "message", "model": "claude-3-5-sonnet-20241022", "content": [], "stop_reason": "end_turn",
"usage": {"input_tokens": 9, "cache_read_input_tokens": 2, "output_tokens": 10}}"""
FLEX = '{"model": "gpt-4o", "service_tier": "flex", "usage": {"prompt_tokens": 9, "completion_tokens": 10}}'


def answered(
    text: str, call_id: str, provider: str = "openai", model: str = "gpt-4o", path: str = "/v1/chat/completions"
) -> ResponseCompleted:
    return completed(text, facts=call(provider, path, call_id=call_id, request_id=f"r-{call_id}", model=model, created_at=THAT_DAY))


def house(call_id: str, prompt: int, answer: int) -> ResponseCompleted:
    counted = f'{{"model": "house-model-1", "usage": {{"prompt_tokens": {prompt}, "completion_tokens": {answer}}}}}'
    return answered(counted, call_id, model="house-model-1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def typed(data: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(data))
    monkeypatch.setenv("HELIOGRAPH_API_PORT", "1")  # where nothing listens
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def lake(data: Path) -> Lake:
    events = [
        answered(MESSAGE, CLAUDES, "anthropic", "claude-3-5-sonnet-20241022", "/v1/messages"),
        house(HOUSES, 9, 10),
        house("another-house", 14, 15),
        answered(FLEX, "flex"),
        answered('{"model": "x/y", "usage": {"prompt_tokens": 9, "completion_tokens": 10, "cost": 0.01}}', "router", "openrouter"),
        completed(UNTOLD, facts=call(call_id="untold", created_at=THAT_DAY), request=Body(text=QUESTION, size=len(QUESTION))),
    ]
    return Lake.open(asyncio.run(at_rest(calls_by(LIST, events), data / "lake")))


def test_what_the_commands_print(lake: Lake, typed: Typed) -> None:
    assert typed("prices", "explain", CLAUDES).stdout == EXPLAINED
    typed("prices", "set", "input=1.5,output=6", "--model", "house-model-*")
    assert typed("reprice", "--from", "2026-11-01").stdout == REPRICED


def test_every_question_has_an_answer(lake: Lake, typed: Typed) -> None:
    told = [row for sql in blocks("sql") if "IS NULL AND" in sql for row in asked(lake, sql)]
    assert told == [("openai", "house-model-1", "unpriced: the price list does not know the model house-model-1 of openai", 2, 48)]
    typed("prices", "set", "input=1.5,output=6", "--model", "house-model-*", "--organization", "default")
    typed("reprice", "--from", "2026-11-01")
    for sql in blocks("sql"):
        if "IS NULL AND" not in sql:
            assert asked(lake, sql), sql
    (tiers,) = [sql for sql in blocks("sql") if "service_tier" in sql]
    assert ("gpt-4o", "flex", 1) in [row[:3] for row in asked(lake, tiers)]
    (history,) = [sql for sql in blocks("sql") if HOUSES in sql]
    assert [row[:3] for row in asked(lake, history)] == [(0, None, "unknown"), (1, Decimal("0.0000735"), "own")]


def test_there_are_questions() -> None:
    assert len(blocks("sql")) >= 8


def test_every_command_can_be_typed(lake: Lake, typed: Typed, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prices.toml").write_text(blocks("toml")[0])
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words.pop(0) == "heliograph"
        done = typed(*words)
        if words[1] == "remove":
            assert "No price is set that is named" in str(done.exception)
        else:
            assert done.exit_code == 0, (line, done.exception)


(PRICES,) = (parse_prices(text) for text in blocks("toml"))
FOUND = {
    "this year": ("default", "openai", "gpt-4o-mini", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "2.00"),
    "the next": ("default", "openai", "gpt-4o-mini", datetime(2027, 1, 1, tzinfo=UTC), "1.80"),
    "before": ("default", "openai", "gpt-4o-mini", datetime(2025, 12, 31, tzinfo=UTC), None),
    "another seller": ("default", "azure", "gpt-4o-mini", THAT_DAY, None),
    "one's own model": ("default", "llm.example.com", "house-7b", THAT_DAY, "0.40"),
    "an organization's": ("acme", "llm.example.com", "house-7b", THAT_DAY, "0.50"),
}


@pytest.mark.parametrize(("whose", "provider", "model", "at", "rate"), FOUND.values(), ids=FOUND)
def test_its_file_says_what_it_says(whose: str, provider: str, model: str, at: datetime, rate: str | None) -> None:
    found = OwnPrices(PRICES).find(Organization(whose), provider, model, at)
    assert (None if found is None else found.rates["input"]) == rate


def test_every_basis_and_every_field_has_a_row() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", TEXT, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(named) == sorted(["price_basis", *PriceBasis, *FIELDS])


def test_its_examples_of_rules_hold() -> None:
    rates = {"request": "1"}
    known = OwnPrices([OwnPrice(model="gpt-4*", rates=rates), OwnPrice(model="gpt-4o*", rates=rates)])
    first = known.find(Organization("default"), "openai", "gpt-4o", THAT_DAY)
    assert first is not None
    assert first.model == "gpt-4o*"
