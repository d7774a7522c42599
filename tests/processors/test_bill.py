"""Whose word counts for what a call costs, and in which order."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventlog.events import Organization, PriceBasis
from eventlog.own_prices import OwnPrice, OwnPrices
from processors.pricing.bill import Bill, price_of
from processors.pricing.rates import RateBook
from processors.usage import Usage

LIST = RateBook.bundled()
SET = RateBook.bundled(OwnPrices([OwnPrice(organization=Organization("acme"), rates={"input": "1", "output": "2"})]).find)
BY_CALL = RateBook.bundled(OwnPrices([OwnPrice(rates={"request": "0.5"})]).find)
USAGE = Usage(input=1_000, output=100)
STATED = Decimal("0.07")
RATES = {"input": "2", "output": "10"}
BILL = Bill(
    organization=Organization("acme"),
    provider="openai",
    model="gpt-4o-2024-08-06",
    at=datetime(2026, 11, 24, tzinfo=UTC),
    target_url="https://api.openai.com/v1/chat/completions",
    usage=USAGE,
    missing="",
    answered=True,
    known=True,
    completed=True,
)

NOBODY: dict[str, Any] = {"provider": "somebody.example.com", "target_url": "https://somebody.example.com/v1"}
FREE, ELSEWHERE, BESIDE = {"free": "only counted"}, {"elsewhere": "billed with its batch"}, {"beside": "a search is billed too"}
CALL: dict[str, Any] = {"call_rates": RATES}
LOCAL, SAYS = {"provider": "ollama"}, {"provider": "openrouter", "stated_cost": STATED}
UNTOLD: dict[str, Any] = {"usage": None, "missing": "no usage reported"}
REFUSED: dict[str, Any] = {"usage": None, "refused": True, "missing": "usage refused, below 0"}
FAILED: dict[str, Any] = {**UNTOLD, "completed": False, "missing": "no usage reported, provider_error"}
NO_ANSWER: dict[str, Any] = {**FAILED, "answered": False, "known": False, "missing": "no usage reported, unreachable"}
STRANGE: dict[str, Any] = {**UNTOLD, "known": False, "model": None, "missing": "no model call that we know of"}

SECONDS: dict[str, Any] = {"usage": Usage(input=0, output=0, audio_seconds=Decimal(600))}
SEARCHES: dict[str, Any] = {"usage": Usage(input=1_000, output=100, web_searches=2)}
BATCHED: dict[str, Any] = {"context": (("processing", "batch"),)}

ORDER: dict[str, tuple[dict[str, Any], RateBook, str | None, PriceBasis]] = {
    "the price list": ({}, LIST, "0.0035", PriceBasis.LIST),
    "free before all": (FREE | CALL | SAYS, SET, "0", PriceBasis.FREE),
    "free before what is billed elsewhere": (FREE | ELSEWHERE, LIST, "0", PriceBasis.FREE),
    "elsewhere before rates that are stated": (ELSEWHERE | CALL | SAYS, SET, None, PriceBasis.ELSEWHERE),
    "elsewhere before what runs locally": (ELSEWHERE | LOCAL, LIST, None, PriceBasis.ELSEWHERE),
    "a call's rates before one's own": (CALL, SET, "0.003", PriceBasis.CALL),
    "a call's rates before what runs locally": (CALL | LOCAL, LIST, "0.003", PriceBasis.CALL),
    "a call's rates before what the provider states": (CALL | SAYS, LIST, "0.003", PriceBasis.CALL),
    "a call's rates where more is billed beside": (CALL | BESIDE, LIST, None, PriceBasis.UNKNOWN),
    "a call's price for each where more is billed beside": ({"call_rates": {"request": "0.2"}} | BESIDE, LIST, "0.2", PriceBasis.CALL),
    "a call's rates, and seconds": (CALL | SECONDS, LIST, None, PriceBasis.UNKNOWN),
    "a call's price for each, and seconds": ({"call_rates": {"request": "0.2"}} | SECONDS, LIST, "0.2", PriceBasis.CALL),
    "one's own, and searches in the web": (SEARCHES, SET, None, PriceBasis.UNKNOWN),
    "one's own, and searches in files": ({"usage": Usage(input=1_000, output=100, file_searches=2)}, SET, None, PriceBasis.UNKNOWN),
    "one's own, of a batch": (BATCHED, SET, None, PriceBasis.UNKNOWN),
    "the list's, of a batch": (BATCHED, LIST, "0.00175", PriceBasis.LIST),
    "more than any call costs": ({"call_rates": {"request": "1000000"}}, LIST, None, PriceBasis.UNKNOWN),
    "a cent less": ({"call_rates": {"request": "999999.99"}}, LIST, "999999.99", PriceBasis.CALL),
    "a call's rates for a model that has no name": (CALL | {"model": None}, LIST, "0.003", PriceBasis.CALL),
    "one's own before the list": ({}, SET, "0.0012", PriceBasis.OWN),
    "one's own before what runs locally": (LOCAL, SET, "0.0012", PriceBasis.OWN),
    "one's own before what the provider states": (SAYS, SET, "0.0012", PriceBasis.OWN),
    "one's own where more is billed beside": (BESIDE, SET, None, PriceBasis.UNKNOWN),
    "one's own for a model that nobody lists": ({"model": "house-1"}, SET, "0.0012", PriceBasis.OWN),
    "one's own of another organization": ({"organization": Organization("other")}, SET, "0.0035", PriceBasis.LIST),
    "one's own for a model that has no name": ({"model": None}, SET, None, PriceBasis.UNKNOWN),
    "what runs locally": (LOCAL, LIST, "0", PriceBasis.LOCAL),
    "what runs locally and states a cost": (LOCAL | {"stated_cost": STATED}, LIST, "0", PriceBasis.LOCAL),
    "what runs locally without usage": (LOCAL | UNTOLD, LIST, "0", PriceBasis.LOCAL),
    "what the provider states before the list": (SAYS, LIST, "0.07", PriceBasis.STATED),
    "what it states where more is billed beside": (SAYS | BESIDE, LIST, "0.07", PriceBasis.STATED),
    "what it states without usage": (SAYS | UNTOLD, LIST, "0.07", PriceBasis.STATED),
    "what somebody else states": ({"stated_cost": STATED}, LIST, "0.0035", PriceBasis.LIST),
    "more billed beside": (BESIDE, LIST, None, PriceBasis.UNKNOWN),
    "a provider that nobody lists": (NOBODY, LIST, None, PriceBasis.UNKNOWN),
    "no model": ({"model": None}, LIST, None, PriceBasis.UNKNOWN),
    "no usage": (UNTOLD, LIST, None, PriceBasis.UNKNOWN),
    "no usage, and rates by token": (UNTOLD | CALL, SET, None, PriceBasis.UNKNOWN),
    "no usage, and a price for each call": (UNTOLD, BY_CALL, "0.5", PriceBasis.OWN),
    "no usage, and the call's price for each": (UNTOLD | {"call_rates": {"request": "0.2"}}, BY_CALL, "0.2", PriceBasis.CALL),
    "usage, and a price for each call": ({}, BY_CALL, "0.5", PriceBasis.OWN),
    "usage refused": (REFUSED, LIST, None, PriceBasis.UNKNOWN),
    "usage refused, and a price for each call": (REFUSED, BY_CALL, None, PriceBasis.UNKNOWN),
    "usage refused, and the call's rates": (REFUSED | CALL, LIST, None, PriceBasis.UNKNOWN),
    "usage refused of what is billed elsewhere": (REFUSED | ELSEWHERE, LIST, None, PriceBasis.UNKNOWN),
    "usage refused where more is billed beside": (REFUSED | BESIDE, LIST, None, PriceBasis.UNKNOWN),
    "a failure, and a price for each call": (FAILED, BY_CALL, None, PriceBasis.UNKNOWN),
    "a failure that has usage": ({"completed": False}, BY_CALL, "0.5", PriceBasis.OWN),
    "no answer, and a price for each call": (NO_ANSWER, BY_CALL, None, PriceBasis.UNKNOWN),
    "no answer, and the call's rates": (NO_ANSWER | CALL, LIST, None, PriceBasis.UNKNOWN),
    "no answer of what runs locally": (NO_ANSWER | LOCAL, LIST, None, PriceBasis.UNKNOWN),
    "no call of a model": (STRANGE, BY_CALL, None, PriceBasis.UNKNOWN),
    "no call of a model, and a price of its own": (STRANGE | {"call_rates": {"request": "0.2"}}, LIST, "0.2", PriceBasis.CALL),
    "rates of a call that are none": ({"call_rates": {"request": "x"}}, BY_CALL, None, PriceBasis.UNKNOWN),
}


@pytest.mark.parametrize(("more", "rates", "usd", "basis"), ORDER.values(), ids=ORDER)
def test_whose_word_counts(more: dict[str, Any], rates: RateBook, usd: str | None, basis: PriceBasis) -> None:
    found = price_of(replace(BILL, **more), rates)
    assert (found.cost, found.basis) == (None if usd is None else Decimal(usd), basis), found.source
    assert (found.cost is None) == found.source.startswith("unpriced: ")


REASONS = {
    "free": (FREE, "free: only counted"),
    "elsewhere": (ELSEWHERE, "unpriced: billed with its batch"),
    "beside": (BESIDE, "unpriced: a search is billed too"),
    "refused": (REFUSED | BESIDE | ELSEWHERE, "unpriced: usage refused, below 0"),
    "untold": (UNTOLD, "unpriced: no usage reported"),
    "failed": (FAILED | CALL, "unpriced: no usage reported, provider_error"),
    "no model": ({"model": None}, "unpriced: neither request nor answer names a model"),
    "stated": (SAYS, "stated by openrouter"),
    "an estimate of theirs": ({"provider": "deepinfra", "stated_cost": STATED}, "estimated by deepinfra"),
    "a call's rates": (CALL, "Helicone-Cost-Override: input=2,output=10"),
    "rates that are none": ({"call_rates": {"input": "1"}}, "unpriced: Helicone-Cost-Override needs both input and output"),
}


@pytest.mark.parametrize(("more", "source"), REASONS.values(), ids=REASONS)
def test_the_source_says_it(more: dict[str, Any], source: str) -> None:
    assert price_of(replace(BILL, **more), LIST).source.startswith(source)


def test_the_rates_go_with_the_cost() -> None:
    found = {name: price_of(replace(BILL, **more), rates).rates for name, (more, rates, *_) in ORDER.items()}
    assert found["one's own before the list"] == {"input_mtok": "1", "output_mtok": "2"}
    assert found["a call's rates before one's own"] == {"input_mtok": "2", "output_mtok": "10"}
    assert found["usage, and a price for each call"] == {"requests_kcount": "500"}
    assert found["the price list"]["input_mtok"] == "2.5"
    assert not any(rates for name, rates in found.items() if ORDER[name][2] in {None, "0", "0.07"})


pieces = st.sampled_from([FREE, ELSEWHERE, BESIDE, CALL, LOCAL, SAYS, UNTOLD, REFUSED, FAILED, NO_ANSWER, STRANGE, NOBODY, {"model": None}])
books = st.sampled_from([LIST, SET, BY_CALL])


@given(st.lists(pieces, max_size=5), books)
def test_whatever_comes_together_has_a_cost_or_a_reason(chosen: list[dict[str, Any]], rates: RateBook) -> None:
    more: dict[str, Any] = {}
    for each in chosen:
        more |= each
    bill = replace(BILL, **more)
    found = price_of(bill, rates)
    assert (found.cost is None) == found.source.startswith("unpriced: ") == (found.basis in {PriceBasis.UNKNOWN, PriceBasis.ELSEWHERE})
    if bill.free is not None:
        assert (found.cost, found.basis) == (Decimal(0), PriceBasis.FREE)
    elif not bill.answered:
        assert found.basis not in {PriceBasis.CALL, PriceBasis.OWN, PriceBasis.LOCAL}
