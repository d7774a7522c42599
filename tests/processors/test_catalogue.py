"""The models of the price list, gathered from those who sell them."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import pytest

from processors.pricing.catalogue import Model, models_at
from processors.pricing.rates import RateBook
from processors.usage import Usage

AT = datetime(2026, 11, 1, tzinfo=UTC)


@cache
def known() -> dict[str, Model]:
    return {model.id: model for model in models_at(AT)}


MAKERS = {
    "of its maker": ("gpt-4o-mini", "openai"),
    "whoever sells it besides": ("claude-sonnet-4-5", "anthropic"),
    "by its name": ("meta-llama/llama-3.1-8b-instruct", "meta-llama"),
    "of one whom nobody names a maker": ("llama-3.1-70b-versatile", "groq"),
}


@pytest.mark.parametrize(("model", "maker"), MAKERS.values(), ids=MAKERS)
def test_whose_it_is(model: str, maker: str) -> None:
    assert known()[model].maker == maker


def test_its_rates_are_those_that_calls_are_priced_by() -> None:
    """For each seller of each model, short prompts and long ones."""
    book, compared = RateBook.bundled(), 0
    for model in list(known().values())[::20]:
        for seller in model.sellers:
            for rates in seller.rates:
                if rates.amounts.keys() < {"input_mtok", "output_mtok"}:
                    continue
                prompt = rates.above + 1000
                if len(seller.rates) > 1 and prompt > max(each.above for each in seller.rates) + 1000:
                    continue
                price = book.price(Usage(input=prompt, output=10), provider=seller.id, model=model.id, at=AT)
                if price.cost is None or "requests_kcount" in price.rates:
                    continue
                assert price.cost == (prompt * rates.amounts["input_mtok"] + 10 * rates.amounts["output_mtok"]) / 1_000_000, model
                compared += 1
    assert compared > 50


def test_steps_free_models_and_what_is_counted_by_the_thousand() -> None:
    models = known().values()
    assert any(len(seller.rates) > 1 and seller.rates[0].above == 0 < seller.rates[1].above for model in models for seller in model.sellers)
    free = [seller for model in models if model.id.endswith(":free") for seller in model.sellers]
    assert free
    assert all(seller.rates[0].amounts == {"input_mtok": 0, "output_mtok": 0} for seller in free)
    (openai,) = [seller for seller in known()["gpt-4o-mini"].sellers if seller.id == "openai"]
    assert openai.rates[0].amounts["web_searches_kcount"] == Decimal(10_000)


def test_each_is_there_once_and_has_a_seller() -> None:
    models = models_at(AT)
    ids = [model.id for model in models]
    assert ids == sorted(set(ids))
    assert all(model.sellers and model.name and model.maker for model in models)
    assert any(model.context_tokens is None for model in models)
