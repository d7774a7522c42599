"""Prices as the dashboard shows them: what is in force for a model, and those of one's own."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from eventlog.events import Organization
from eventlog.own_rates import UNITS
from processors.pricing.bill import LOCAL
from processors.pricing.cards import Unpriced
from processors.pricing.invoice import rate_told
from processors.pricing.rates import RateBook
from runtime.prices import Prices, shown
from storage.dashboard.pricing import InForce, Rate


class PriceDesk:
    """`known`: whether it is heard already what was set."""

    def __init__(self, prices: Prices, known: Callable[[], bool]) -> None:
        self._prices, self._heard = prices, known
        self._book: RateBook | None = None

    def in_force(self, organization: Organization, provider: str, model: str, at: datetime) -> InForce:
        own = self._prices.find(organization, provider.lower(), model, at)
        if own is not None:
            rates = tuple(Rate(usd, f"own: {UNITS.get(name, name)}", name) for name, usd in own.rates.items())
            return InForce(basis="own", source=own.source, rates=rates)
        if provider.lower() in LOCAL:
            return InForce(basis="local", source=f"runs locally: {provider.lower()} bills nobody")
        self._book = self._book or RateBook.bundled()
        cards = self._book.cards_of(provider.lower(), model, at)
        if isinstance(cards, Unpriced):
            return InForce(basis="unknown", source=cards.reason)
        if not cards:
            return InForce(basis="unknown", source="the price list has no rates for it")
        card = cards[0]
        rates = tuple(Rate(usd, rate_told(name), name) for name, usd in card.rates_for(1).items())
        return InForce(basis="list", source=card.source_of(1), rates=rates, steps=bool(card.steps))

    def own(self, organization: Organization | None) -> Sequence[dict[str, Any]] | None:
        if not self._heard():
            return None
        listed = [shown(price, by) for price, by in self._prices.listed]
        return listed if organization is None else [each for each in listed if each["organization"] in {None, organization}]
