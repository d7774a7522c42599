"""The models that the price list knows, each with who sells it and at what rates: what a list of models is made of. Pure.

A model that several sell is one entry. Whose it is, is said by its name (`meta-llama/…`), or by its maker among its sellers.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from genai_prices.data import providers as bundled_providers
from genai_prices.types import ModelInfo, Provider
from msgspec import Struct

from processors.pricing.cards import Card, Unpriced
from processors.pricing.rates import RateBook

MAKERS = (
    *("openai", "anthropic", "google", "mistral", "meta", "cohere", "deepseek", "x-ai", "perplexity", "moonshotai", "minimax", "zai"),
    *("zhipuai", "voyageai", "arcee", "elevenlabs"),
)
"""Sellers of models that they made."""


FREE = {"input_mtok": Decimal(0), "output_mtok": Decimal(0)}


class Rates(Struct, frozen=True, kw_only=True):
    """USD for a million tokens, or searches, by the price list's names; for prompts of more than `above` tokens."""

    amounts: Mapping[str, Decimal]
    above: int = 0


class Seller(Struct, frozen=True, kw_only=True):
    """Who sells a model, and for how much: `rates` of the shortest prompts first."""

    id: str
    name: str
    rates: tuple[Rates, ...]


class Model(Struct, frozen=True, kw_only=True):
    """A model, by the name that calls ask for."""

    id: str
    name: str
    maker: str
    sellers: tuple[Seller, ...]
    description: str | None = None
    context_tokens: int | None = None
    """None: not known."""


def models_at(at: datetime, providers: Iterable[Provider] = bundled_providers, rates: RateBook | None = None) -> list[Model]:
    """All that have a price then, by their ids. `at` is aware."""
    book = RateBook.bundled() if rates is None else rates
    sold: dict[str, list[tuple[ModelInfo, Seller]]] = {}
    for provider in providers:
        for model, seller in _sold(provider, at, book):
            sold.setdefault(model.id, []).append((model, seller))
    return [_model(sold[id_]) for id_ in sorted(sold)]


def _sold(provider: Provider, at: datetime, book: RateBook) -> Iterator[tuple[ModelInfo, Seller]]:
    for model in provider.models:
        cards = book.cards_of(provider.id, model.id, at)
        if not isinstance(cards, Unpriced):
            yield model, Seller(id=provider.id, name=provider.name, rates=_rates(cards[0]))


def _rates(card: Card) -> tuple[Rates, ...]:
    """What a card has first is for the longest prompts. One without any line costs nothing, and says so."""
    if not card.lines:
        return (Rates(amounts=FREE),)
    steps = (*card.steps, 0)
    found = [Rates(amounts=_amounts(told), above=above) for above, told in zip(steps, card.in_force, strict=True)]
    return tuple(reversed(found))


def _amounts(told: Mapping[str, str]) -> dict[str, Decimal]:
    """What is counted by the thousand, by the million: as tokens are."""
    found = {name: Decimal(amount) for name, amount in told.items() if name.endswith(("_mtok", "_kcount"))}
    return {name: amount * 1000 if name.endswith("_kcount") else amount for name, amount in found.items()}


def _model(sold: list[tuple[ModelInfo, Seller]]) -> Model:
    sellers = sorted((seller for _, seller in sold), key=lambda seller: (_rank(seller.id), seller.id))
    of = {seller.id: model for model, seller in sold}
    best = of[sellers[0].id]
    maker, _, rest = best.id.partition("/")
    described = [of[seller.id] for seller in sellers]
    return Model(
        id=best.id,
        name=next((model.name for model in described if model.name), best.id),
        maker=maker if rest else sellers[0].id,
        sellers=tuple(sellers),
        description=next((model.description for model in described if model.description), None),
        context_tokens=next((model.context_window for model in described if model.context_window), None),
    )


def _rank(seller: str) -> int:
    return MAKERS.index(seller) if seller in MAKERS else len(MAKERS)
