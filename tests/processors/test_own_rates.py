"""What a call costs by rates that it states itself: `Helicone-Cost-Override`. The sums are worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.events import CallPriced, Outcome
from eventlog.own_rates import UNITS, checked_rates, parse_rates, told
from processors.pricing.cards import OWN_KEYS
from processors.pricing.rates import RateBook
from processors.usage import Usage
from tests.processors.events import call, completed
from tests.processors.test_calls import row_of

RATES = RateBook.bundled()
USAGE = Usage(input=1_000, output=100, cache_read=400, cache_write=50, cache_write_1h=20, reasoning=60, audio_input=10, audio_output=5)
CASES = {
    "input=2,output=10": "0.003",
    "input=0,output=0": "0",
    "request=0.01": "0.01",
    "input=2,output=10,request=0.01": "0.013",
    "input=2,output=10,cache_read=0.5": "0.0024",  # 600 at 2, 400 at 0.5, 100 at 10
    "input=2,output=10,cache_read=0.5,cache_write=4": "0.0025",  # 550 at 2, 400 at 0.5, 50 at 4, 100 at 10
    "input=2,output=10,cache_write=4,cache_write_1h=8": "0.00318",  # 950 at 2, 30 at 4, 20 at 8, 100 at 10
    "input=2,output=10,reasoning=20": "0.0036",  # 40 at 10, 60 at 20
}


@pytest.mark.parametrize("rates", CASES)
def test_the_sum_by_hand(rates: str) -> None:
    price = RATES.price_by(parse_rates(rates), USAGE, source="s")
    assert (price.cost, price.source) == (Decimal(CASES[rates]), "s")


def row(rates: str, body: str | None, *, outcome: Outcome = Outcome.COMPLETED, provider: str = "openai") -> CallPriced:
    facts = call(provider, model="nobody-knows-1", cost_override=parse_rates(rates))
    return row_of(completed(body, facts=facts, outcome=outcome))


COUNTED = '{"model": "nobody-knows-1", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}'


@pytest.mark.parametrize("provider", ["openai", "ollama", "openrouter", "somebody.example.com"])
def test_it_wins_over_every_other_price(provider: str) -> None:
    found = row("input=2,output=10", COUNTED, provider=provider)
    assert (found.cost_usd, found.price_source) == ("0.003", "Helicone-Cost-Override: input=2,output=10")


def test_what_nobody_counted_is_not_known() -> None:
    without = row("input=2,output=10", '{"model": "m"}')
    assert (without.cost_usd, without.price_source) == (None, "unpriced: no usage reported")
    assert row("request=0.25", '{"model": "m"}').cost_usd == "0.25"


def test_a_call_that_failed_or_broke_off_costs_what_is_known_of_it() -> None:
    assert row("request=0.25", None, outcome=Outcome.UNREACHABLE).cost_usd is None
    assert row("request=0.25", '{"model": "m"', outcome=Outcome.INTERRUPTED_BY_PROVIDER).cost_usd is None
    assert row("input=2,output=10", COUNTED, outcome=Outcome.PROVIDER_ERROR).cost_usd == "0.003"


def test_counts_that_cannot_be_true_have_no_price() -> None:
    found = row("request=1", '{"usage": {"prompt_tokens": -1, "completion_tokens": 1}}')
    assert found.cost_usd is None
    assert found.price_source is not None
    assert found.price_source.startswith("unpriced: usage refused")


@pytest.mark.parametrize("rates", [{"input": "x", "output": "1"}, {"prompt": "1"}, {"input": "1"}, {"request": "-1"}])
def test_an_event_of_somebody_else_may_state_what_is_no_rate(rates: dict[str, str]) -> None:
    found = row_of(completed(COUNTED, facts=call(cost_override=rates)))
    assert found.cost_usd is None
    assert found.price_source is not None
    assert found.price_source.startswith("unpriced: Helicone-Cost-Override ")


def test_every_rate_that_may_be_said_is_priced() -> None:
    assert OWN_KEYS.keys() == UNITS.keys()


amounts = st.decimals(min_value=0, max_value=1_000_000, places=9).map(lambda amount: f"{amount:f}")
rates = st.dictionaries(st.sampled_from(sorted(UNITS)), amounts, min_size=1).map(lambda said: said | {"input": "1", "output": "2"})


@given(rates)
def test_what_is_told_is_read_as_the_same(said: dict[str, str]) -> None:
    assert parse_rates(told(checked_rates(said))) == checked_rates(said)


@given(rates)
def test_no_rate_makes_a_price_below_zero(said: dict[str, str]) -> None:
    price = RATES.price_by(said, USAGE, source="s")
    assert price.cost is None or price.cost >= 0
