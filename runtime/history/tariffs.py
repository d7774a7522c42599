"""What made-up calls cost: the rates of the bundled price list, worked out once for a model and a day, and exact in whole columns."""

from datetime import datetime
from decimal import Decimal

import numpy as np
from msgspec import Struct

from eventlog.events import PriceBasis
from processors.pricing.cards import Card, Unpriced
from processors.pricing.rates import RateBook
from processors.usage import Usage
from runtime.history.arrow import Flags, Ints
from runtime.history.cast import Model

FEMTO = 10**15
PER_PICO = FEMTO // 10**12
A_TOKEN = Usage(input=1, output=0)

Counts = dict[str, Ints]
"""Tokens by the names of `Usage`; 0 where none are reported."""


class Tariff(Struct, frozen=True):
    """How one model is priced on one day. `card` is None where it is not."""

    card: Card | None
    sources: tuple[str, ...]
    """By the step of the prompt's length: the longest first, as the card has them."""
    rates: tuple[dict[str, str], ...]

    @property
    def basis(self) -> PriceBasis:
        return PriceBasis.UNKNOWN if self.card is None else PriceBasis.LIST

    def step_of(self, prompt: Ints) -> Ints:
        """Which of `sources` and `rates` a prompt of so many tokens has."""
        steps = () if self.card is None else self.card.steps
        return np.select([prompt > above for above in steps], list(range(len(steps))), len(steps)).astype(np.int64) if steps else prompt * 0

    def cost_of(self, counts: Counts) -> Ints:
        """Millionths of millionths of a USD, rounded as the lake's column is. Only where there is a card."""
        prompt = counts["input"]
        if self.card is None:
            return prompt * 0
        total = prompt * 0 + femto(self.card.fixed)
        for line in self.card.lines:
            amount = sum((counts[field] * times for field, times in line.terms if field in counts), prompt * 0)
            rate = np.full(len(prompt), femto(line.rate), np.int64)
            for above, dearer in reversed(line.steps):
                rate[prompt > above] = femto(dearer)
            total = total + amount * rate
        return _rounded(total)


def tariff_of(book: RateBook, model: Model, at: datetime) -> Tariff:
    found = book.cards_of(model.provider, model.answers_as, at)
    if isinstance(found, Unpriced):
        price = book.price(A_TOKEN, provider=model.provider, model=model.answers_as, at=at, target_url=model.origin + model.path)
        return Tariff(None, (price.source,), ({},))
    card = found[0]
    lengths = [above + 1 for above in card.steps] + [0]
    return Tariff(card, tuple(map(card.source_of, lengths)), tuple(map(card.rates_for, lengths)))


def femto(amount: Decimal) -> int:
    """In units that hold every listed rate of a token. Raises ValueError for a finer one."""
    whole = amount * FEMTO
    if whole != int(whole):
        raise ValueError(f"a rate of {amount} USD is finer than a femto-dollar")
    return int(whole)


def _rounded(total: Ints) -> Ints:
    """Half to even."""
    whole, rest = np.divmod(total, PER_PICO)
    up: Flags = (rest * 2 > PER_PICO) | ((rest * 2 == PER_PICO) & (whole % 2 == 1))
    return whole + up
