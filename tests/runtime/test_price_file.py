"""`prices.toml` as people write it: what it says, what is wrong with it in words that help, and that a change counts."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from eventlog.events import Organization
from eventlog.own_prices import OwnPrice
from runtime import price_file
from runtime.price_file import LIMIT, BadPrices, PriceFile, parse_prices
from runtime.prices import Prices
from runtime.prices import price_file as chosen_file
from runtime.settings import Misconfigured, Settings

RATES = "rates = { input = 2, output = 8 }"
AT = datetime(2026, 3, 1, tzinfo=UTC)

GOOD: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "nothing": ("", []),
    "a comment": ("# none yet\n", []),
    "for every call": (f"[[price]]\n{RATES}", [{"model": "*", "rates": {"input": "2", "output": "8"}}]),
    "all of it": (
        f'[[price]]\norganization = "acme"\nprovider = "OpenAI"\nmodel = "GPT-4o*"\nfrom = 2026-01-01\nuntil = 2026-07-01\n{RATES}',
        [
            {
                "organization": "acme",
                "provider": "openai",
                "model": "gpt-4o*",
                "since": datetime(2026, 1, 1, tzinfo=UTC),
                "until": datetime(2026, 7, 1, tzinfo=UTC),
            }
        ],
    ),
    "two": (f'[[price]]\nmodel = "a"\n{RATES}\n[[price]]\nmodel = "b"\n{RATES}', [{"model": "a"}, {"model": "b"}]),
    "one after the other": (
        f"[[price]]\nuntil = 2026-01-01\n{RATES}\n[[price]]\nfrom = 2026-01-01\n{RATES}",
        [{"until": datetime(2026, 1, 1, tzinfo=UTC)}, {"since": datetime(2026, 1, 1, tzinfo=UTC)}],
    ),
    "a time in UTC": (f"[[price]]\nfrom = 2026-01-01T12:00:00Z\n{RATES}", [{"since": datetime(2026, 1, 1, 12, tzinfo=UTC)}]),
    "a time elsewhere": (f"[[price]]\nfrom = 2026-01-01T12:00:00+02:00\n{RATES}", [{"since": datetime(2026, 1, 1, 10, tzinfo=UTC)}]),
    "a time of nowhere is UTC": (f"[[price]]\nfrom = 2026-01-01T12:00:00\n{RATES}", [{"since": datetime(2026, 1, 1, 12, tzinfo=UTC)}]),
    "a blank between": (f"[[price]]\nfrom = 2026-01-01 12:00:00\n{RATES}", [{"since": datetime(2026, 1, 1, 12, tzinfo=UTC)}]),
    "a table of rates": ("[[price]]\n[price.rates]\nrequest = 0.01", [{"rates": {"request": "0.01"}}]),
    "lines of Windows": (f'[[price]]\r\nmodel = "m"\r\n{RATES}\r\n', [{"model": "m"}]),
}


@pytest.mark.parametrize(("text", "prices"), GOOD.values(), ids=GOOD)
def test_what_is_good(text: str, prices: list[dict[str, Any]]) -> None:
    found = parse_prices(text)
    assert len(found) == len(prices)
    for each, expected in zip(found, prices, strict=True):
        assert {name: getattr(each, name) for name in expected} == expected


AMOUNTS = {
    "2.10": "2.10",
    "0.1": "0.1",
    "0.000000001": "0.000000001",
    "2": "2",
    "0": "0",
    "1e-3": "0.001",
    "2.5e2": "250",
    "1_000": "1000",
    '"2.10"': "2.10",
    "1000000": "1000000",
}


@pytest.mark.parametrize(("said", "amount"), AMOUNTS.items(), ids=AMOUNTS)
def test_amounts_are_exact(said: str, amount: str) -> None:
    (found,) = parse_prices(f"[[price]]\nrates = {{ input = {said}, output = 8 }}")
    assert found.rates == {"input": amount, "output": "8"}


BAD = {
    "no TOML": ("price: 3", "it is no TOML: .*line 1"),
    "an unknown table": (f"[[prices]]\n{RATES}", "it has 'prices'; it holds .*price.* entries and nothing else"),
    "one bracket": (f"[price]\n{RATES}", r"each price begins with \[\[price\]\]"),
    "a list": ("price = [1]", r"\[\[price\]\] 1: it is no table"),
    "an unknown field": (
        f'[[price]]\n{RATES}\n[[price]]\nmodle = "m"\n{RATES}',
        r"\[\[price\]\] 2: it has 'modle'; fields are organization, ",
    ),
    "no rates": ('[[price]]\nmodel = "m"', r"\[\[price\]\] 1: rates are missing, such as rates = \{"),
    "rates as text": ('[[price]]\nrates = "input=2,output=8"', r"\[\[price\]\] 1: rates is a table, such as"),
    "half the rates": ("[[price]]\nrates = { input = 1 }", r"\[\[price\]\] 1: rates: the price needs both input and output"),
    "none in the table": ("[[price]]\nrates = {}", r"\[\[price\]\] 1: rates: the price says no rate"),
    "an unknown rate": ("[[price]]\nrates = { prompt = 1 }", r"\[\[price\]\] 1: rates: the price has no rate named 'prompt'; names are "),
    "a rate that is true": ("[[price]]\nrates = { request = true }", r"\[\[price\]\] 1: rates: request is a number, in USD"),
    "a rate of rates": ("[[price]]\nrates = { request = { a = 1 } }", r"\[\[price\]\] 1: rates: request is a number"),
    "below zero": ("[[price]]\nrates = { request = -1 }", r"rates: the price has '-1' for request: an amount is plain digits in USD"),
    "nan": ("[[price]]\nrates = { request = nan }", "has 'NaN' for request"),
    "inf": ("[[price]]\nrates = { request = -inf }", "has '-Infinity' for request"),
    "a million and one": ("[[price]]\nrates = { request = 1000001 }", "has '1000001' for request"),
    "ten digits behind the point": ("[[price]]\nrates = { request = 1e-10 }", "has '0.0000000001' for request"),
    "more digits than a memory has": ("[[price]]\nrates = { request = 1e999999999 }", "for request: an amount"),
    "less than anything": ("[[price]]\nrates = { request = 1e-999999999 }", "for request: an amount"),
    "a number of 5,000 digits": (f"[[price]]\nrates = {{ request = {'9' * 5_000} }}", "it is no TOML"),
    "a model without a name": (f'[[price]]\nmodel = ""\n{RATES}', r"\[\[price\]\] 1: model is a name or a pattern"),
    "a model that is a number": (f"[[price]]\nmodel = 4\n{RATES}", r"\[\[price\]\] 1: model is a text in quotes"),
    "an organization without one": (
        f'[[price]]\norganization = ""\n{RATES}',
        r"\[\[price\]\] 1: organization is a name of 1 to 256 characters; leave it out",
    ),
    "providers": (f'[[price]]\nprovider = ["a"]\n{RATES}', r"\[\[price\]\] 1: provider is a text in quotes"),
    "a day in quotes": (f'[[price]]\nfrom = "2026-01-01"\n{RATES}', r"\[\[price\]\] 1: from is a day or a time without quotes"),
    "a time without a day": (f"[[price]]\nuntil = 12:00:00\n{RATES}", r"\[\[price\]\] 1: until is a day or a time"),
    "a day that is none": (f"[[price]]\nfrom = 2026-02-30\n{RATES}", "it is no TOML: .*line 2"),
    "an end beyond all years": (f"[[price]]\nuntil = 9999-12-31T23:59:59-05:00\n{RATES}", r"\[\[price\]\] 1: until lies beyond"),
    "an end before its begin": (
        f"[[price]]\nfrom = 2026-02-01\nuntil = 2026-01-01\n{RATES}",
        r"\[\[price\]\] 1: from has to lie before until",
    ),
    "two that contradict": (
        f'[[price]]\nmodel = "gpt-?"\n{RATES}\n[[price]]\nmodel = "gpt?4"\n{RATES}',
        r"\*/gpt-\? and \*/gpt\?4 are equally specific .* End one before the other begins",
    ),
    "a table twice": (f"[[price]]\n{RATES}\n{RATES}", "it is no TOML"),
    "nested too deeply": ("a = " + "[" * 100_000, "it is no TOML"),
}


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_what_is_bad(text: str, why: str) -> None:
    with pytest.raises(BadPrices, match=why):
        parse_prices(text)


def price_of_model(model: str) -> str:
    return f'[[price]]\nmodel = "{model}"\n{RATES}\n'


def test_a_file_that_nobody_named_need_not_be(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    file = PriceFile(path, must_exist=False)
    file.read()
    assert file.prices == ()
    with pytest.raises(BadPrices, match="there is no such file"):
        PriceFile(path, must_exist=True).read()


def too_large(path: Path) -> None:
    path.write_text("#" * (LIMIT + 1))


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "it cannot be read: Is a directory"),
    "no UTF-8": (lambda path: path.write_bytes(b"\xff"), "it is no UTF-8"),
    "too large": (too_large, "it has more than 4,194,304 bytes"),
    "a circle": (lambda path: path.symlink_to(path), "it cannot be read: Too many levels"),
}


@pytest.mark.parametrize(("made", "why"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read(made: Callable[[Path], object], why: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    made(path)
    with pytest.raises(BadPrices, match=why):
        PriceFile(path, must_exist=False).read()


def test_a_start_names_the_file_and_the_command(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[price]")
    with pytest.raises(Misconfigured, match=r"prices\.toml: each price begins .* `heliograph prices check`"):
        chosen_file(Settings(data_dir=tmp_path))
    with pytest.raises(Misconfigured, match=r"elsewhere\.toml: there is no such file"):
        chosen_file(Settings(data_dir=tmp_path, prices_file=tmp_path / "elsewhere.toml"))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


def refused() -> float | None:
    return REGISTRY.get_sample_value("heliograph_prices_file_refused")


async def test_a_change_counts_and_a_broken_one_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_file, "LOOK_EVERY_S", 0.01)
    path = tmp_path / "prices.toml"
    file = PriceFile(path, must_exist=False)
    file.read()
    following = asyncio.create_task(file.follow())

    def say(text: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(text)
        fresh.replace(path)

    def models() -> list[str]:
        return [each.model for each in file.prices]

    say(price_of_model("a"))
    await until(lambda: models() == ["a"])
    say("[[price]]\nrates = 3\n")
    await until(lambda: refused() == 1)
    assert models() == ["a"]
    os.truncate(path, 0)
    path.write_text(price_of_model("b"))
    await until(lambda: models() == ["b"])
    await until(lambda: refused() == 0)
    path.unlink()
    await until(lambda: models() == [])
    path.mkdir()
    await until(lambda: refused() == 1)
    path.rmdir()
    say(price_of_model("c"))
    await until(lambda: models() == ["c"])
    assert not following.done()
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_a_file_that_somebody_named_and_took_away_goes_on_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_file, "LOOK_EVERY_S", 0.01)
    path = tmp_path / "mine.toml"
    path.write_text(price_of_model("a"))
    file = PriceFile(path, must_exist=True)
    file.read()
    following = asyncio.create_task(file.follow())
    path.unlink()
    await until(lambda: refused() == 1)
    assert [each.model for each in file.prices] == ["a"]
    path.write_text(price_of_model("b"))
    await until(lambda: [each.model for each in file.prices] == ["b"])
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


def test_what_was_set_counts_before_the_file_and_both_are_heard_anew(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(price_of_model("m") + price_of_model("other"))
    file = PriceFile(path, must_exist=False)
    file.read()
    decided: tuple[OwnPrice, ...] = ()
    prices = Prices(file, lambda: decided)

    def found(model: str = "m") -> dict[str, str] | None:
        own = prices.find(Organization("acme"), "openai", model, AT)
        return None if own is None else own.rates

    assert found() == {"input": "2", "output": "8"}
    assert prices.known is prices.known  # made once, for every call asks
    decided = (OwnPrice(model="m", rates={"request": "1"}),)
    assert (found(), found("other")) == ({"request": "1"}, {"input": "2", "output": "8"})
    path.write_text(price_of_model("n"))
    file.read()
    assert (found(), found("other"), found("n")) == ({"request": "1"}, None, {"input": "2", "output": "8"})
    decided = ()
    assert found() is None
