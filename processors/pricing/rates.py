"""What tokens cost: the dated price list of `genai-prices`, as data that was installed with the program. No network, no update.

`RateBook.price` gives the same figure as `genai_prices.calc_price`, some thirty times faster: what depends on provider, model, day
and tier is worked out once into a `Card`, and a call only adds up its lines. The list finds models by its own rules (aliases,
dated suffixes, one provider reselling another's models).

Source of the arithmetic: genai-prices 0.2.3, `ModelPrice.calc_price` and `decompose.compute_leaf_values` (read 2026-11-24).
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from math import prod

import genai_prices
from genai_prices import types as listed
from genai_prices.data import providers as bundled_providers
from msgspec import Struct

from eventlog.events import Organization, PriceBasis
from eventlog.own_prices import OwnPrice
from eventlog.own_rates import OwnRates
from processors.dialects.reading import PriceContext
from processors.pricing.cards import ONE, Card, Unpriced, card_of, own_card
from processors.pricing.locations import LOCATION
from processors.usage import Usage

NAMES = {
    "bedrock": "aws",
    "gemini": "google",
    "vertex": "google",
    "x": "x-ai",
    "xai": "x-ai",
}
"""Providers whom the price list calls otherwise. All other names must be its own: a host that merely resembles one is somebody else."""

MAKERS = {"google": "google/"}
"""What stands before a model's name where its seller sells others' models as well (Vertex in OpenAI's shape), and not in the list."""

LISTS_FEW_TIERS = frozenset({"aws", "google"})
"""Who bills each service tier otherwise, while the list has few of them: a tier without a price is not known, rather than as usual."""

BATCH = ("processing", "batch")
"""Half the price, or whatever the list says; never the whole."""

MODEL_LIMIT = 256
"""Characters of a model's name; nobody lists longer ones."""
MEMO_LIMIT = 4096
"""Cards and listings kept. Callers choose model names, so there is no end of them."""

NEVER_UNIFORM = frozenset({"openai", "azure"})
"""Where audio never costs what text costs, nor cached text what fresh text costs: a card without a rate for it is incomplete."""

SURCHARGES = {("anthropic", "inference_geo", "us"): Decimal("1.1"), ("google", LOCATION, None): Decimal("1.1")}
"""What the price list leaves out: by seller and context (None: whatever it says), what the rates of all tokens are multiplied by.
Sources: Anthropic docs, "Data residency", section on pricing (read 2026-11-24); of locations see `locations`."""

NO_RATES: dict[str, str] = {}


class Price(Struct, frozen=True):
    """`cost` in USD, exact; None when not known, and then `source` begins with `unpriced:` and says why."""

    cost: Decimal | None
    source: str
    basis: PriceBasis = PriceBasis.UNKNOWN
    rates: dict[str, str] = NO_RATES
    """By which it was worked out, by the price list's names."""


OwnPriceFor = Callable[[Organization, str, str, datetime], OwnPrice | None]
"""The rates that were set for an organization, a provider, a model, and a time; None where none were."""


def no_own_price(_organization: Organization, _provider: str, _model: str, _at: datetime) -> OwnPrice | None:
    return None


class Listing(Struct, frozen=True):
    """A model that the price list knows, and who sells it."""

    provider: listed.Provider
    model: listed.ModelInfo
    by_the_hour: tuple[listed.TimeOfDateConstraint, ...]
    """Some prices change with the time of day; then the day alone does not decide."""


def unpriced(reason: str) -> Price:
    return Price(None, f"unpriced: {reason}")


class RateBook:
    """Prices of many calls. Not shared between threads."""

    def __init__(self, providers: Iterable[listed.Provider], version: str, own_price_for: OwnPriceFor = no_own_price) -> None:
        self.own_price_for = own_price_for
        self._providers = list(providers)
        self._by_id = {provider.id: provider for provider in self._providers}
        self._version = version
        self._listings: dict[tuple[str, str, str], Listing | Unpriced] = {}
        self._cards: dict[tuple[str, str, str, int, PriceContext, tuple[bool, ...]], Card | Unpriced] = {}
        self._own: dict[tuple[str, tuple[tuple[str, str], ...]], Card] = {}

    @classmethod
    def bundled(cls, own_price_for: OwnPriceFor = no_own_price) -> "RateBook":
        """The list that came with the installed package, and the prices that were set besides."""
        return cls(bundled_providers, genai_prices.__version__, own_price_for)

    def price(self, usage: Usage, *, provider: str, model: str, at: datetime, target_url: str = "", context: PriceContext = ()) -> Price:
        """What `usage` cost at the time `at` (aware). `provider` is our name for it or a host; `context` as in `Reading.context`."""
        if at.tzinfo is not UTC:
            at = at.astimezone(UTC)
        place = "" if provider in self._by_id or provider in NAMES else target_url.partition("?")[0]
        card = self._card(provider, place, model, at, context)
        if isinstance(card, Unpriced):
            return unpriced(card.reason)
        if usage.audio_seconds is None:
            if not card.prices_tokens:
                return unpriced(f"{card.name} is not priced by tokens")
        elif not card.prices_seconds:
            return unpriced(f"{card.name} is not priced by the second")
        if not card.prices_audio and (usage.audio_input or usage.audio_output):
            return unpriced(f"{card.name} has no rate for audio")
        if usage.cache_read and not card.prices_cached:
            return unpriced(f"{card.name} has no rate for cached tokens")
        if usage.web_searches and not card.prices_searches:
            return unpriced(f"{card.name} has no rate for searches in the web")
        if usage.file_searches and not card.prices_file_searches:
            return unpriced(f"{card.name} has no rate for searches in files")
        cost = card.cost_of(usage)
        if isinstance(cost, Unpriced):
            return unpriced(cost.reason)
        return Price(cost, card.source_of(usage.input), PriceBasis.LIST, card.rates_for(usage.input))

    def cards_of(self, provider: str, model: str, at: datetime) -> list[Card] | Unpriced:
        """The rates of a model as the list has them: as usual, then for each tier that it knows."""
        listing = self._listing(provider, "", model)
        if isinstance(listing, Unpriced):
            return listing
        tiers = {tuple(entry.when.items()): None for entry in listing.model.price_variants or () if entry.when}
        cards = [self._card(provider, "", model, at.astimezone(UTC), context) for context in ((), *tiers)]
        found = [card for card in cards if isinstance(card, Card)]
        return found or next(card for card in cards if isinstance(card, Unpriced))

    def price_by(self, own: OwnRates, usage: Usage | None, *, source: str, basis: PriceBasis = PriceBasis.CALL) -> Price:
        """What `usage` cost by rates that somebody stated; parts without a rate cost what the whole does. A call's alone needs no usage."""
        key = (source, tuple(own.items()))
        card = self._own.get(key)
        if card is None:
            if len(self._own) >= MEMO_LIMIT:
                self._own.clear()
            card = self._own[key] = own_card(own, source)
        if usage is None:
            return Price(card.fixed, card.source, basis, card.in_force[-1]) if not card.lines else unpriced("no usage reported")
        cost = card.cost_of(usage)
        return unpriced(cost.reason) if isinstance(cost, Unpriced) else Price(cost, card.source, basis, card.in_force[-1])

    def _card(self, provider: str, place: str, model: str, at: datetime, context: PriceContext) -> Card | Unpriced:
        listing = self._listing(provider, place, model)
        if isinstance(listing, Unpriced):
            return listing
        hours = tuple(constraint.active(at) for constraint in listing.by_the_hour) if listing.by_the_hour else ()
        key = (provider, place, model, at.toordinal(), context, hours)
        card = self._cards.get(key)
        if card is None:
            card = self._cards_with_room()[key] = self._new_card(listing, at, context)
        return card

    def _cards_with_room(self) -> dict[tuple[str, str, str, int, PriceContext, tuple[bool, ...]], Card | Unpriced]:
        if len(self._cards) >= MEMO_LIMIT:
            self._cards.clear()
        return self._cards

    def _new_card(self, listing: Listing, at: datetime, context: PriceContext) -> Card | Unpriced:
        provider, model = listing.provider, listing.model
        own = any(model is other for other in provider.models)
        tiers = tuple(pair for pair in context if (provider.id, pair[0], None) not in SURCHARGES)
        prices = model.get_prices(at, dict(tiers) if own else None)
        name = f"{provider.id}/{model.id}"
        apart = tiers if provider.id in LISTS_FEW_TIERS else tuple(pair for pair in tiers if pair == BATCH)
        if apart and (unlisted := _unlisted(model, at, apart) if own else apart):
            return Unpriced(f"{name} has no listed price for {', '.join(f'{key} {value}' for key, value in unlisted)}")
        since = _since(model, at)
        identity = [f"genai-prices {self._version}: {name}", *(f"{key} {value}" for key, value in context)]
        if since is not None:
            identity.insert(1, f"since {since}")
        identity += [f"{'within' if span.active(at) else 'outside'} {_hours(span)}" for span in listing.by_the_hour]
        times = prod((_surcharge(provider.id, *pair) for pair in context), start=ONE)
        return card_of(prices, name=name, source=", ".join(identity), uniform=provider.id not in NEVER_UNIFORM, times=times)

    def _listing(self, provider: str, place: str, model: str) -> Listing | Unpriced:
        key = (provider, place, model)
        listing = self._listings.get(key)
        if listing is None:
            if len(model) > MODEL_LIMIT or len(place) > 4 * MODEL_LIMIT:
                return Unpriced("no model has so long a name")
            if len(self._listings) >= MEMO_LIMIT:
                self._listings.clear()
            listing = self._listings[key] = self._look_up(provider, place, model)
        return listing

    def _look_up(self, provider: str, place: str, model: str) -> Listing | Unpriced:
        seller = self._seller(provider, place)
        if seller is None:
            return Unpriced(f"the price list does not know the provider {provider}")
        found = seller.find_model(model.removeprefix(MAKERS.get(seller.id, "")), all_providers=self._providers)
        if found is None:
            return Unpriced(f"the price list does not know the model {model} of {seller.id}")
        return Listing(seller, found, tuple(_hourly(found)))

    def _seller(self, provider: str, place: str) -> listed.Provider | None:
        """By name, else by the price list's own patterns of API addresses."""
        known = self._by_id.get(NAMES.get(provider, provider))
        if known is not None or not place:
            return known
        return next((other for other in self._providers if _serves(other, place)), None)


def _surcharge(seller: str, key: str, value: str) -> Decimal:
    return SURCHARGES.get((seller, key, value)) or SURCHARGES.get((seller, key, None), ONE)


def _serves(provider: listed.Provider, url: str) -> bool:
    return re.match(provider.api_pattern, url) is not None


def _hourly(model: listed.ModelInfo) -> Iterable[listed.TimeOfDateConstraint]:
    dated = model.prices if isinstance(model.prices, list) else []
    for entry in (*dated, *(model.price_variants or ())):
        if isinstance(entry.constraint, listed.TimeOfDateConstraint):
            yield entry.constraint


def _hours(span: listed.TimeOfDateConstraint) -> str:
    return f"{span.start_time:%H:%M} to {span.end_time:%H:%M} UTC"


def _unlisted(model: listed.ModelInfo, at: datetime, context: PriceContext) -> PriceContext:
    """What of the context no price in force speaks of."""
    begun = (entry for entry in model.price_variants or () if entry.constraint is None or entry.constraint.active(at))
    known = {pair for entry in begun if entry.when.items() <= dict(context).items() for pair in entry.when.items()}
    return tuple(pair for pair in context if pair not in known)


def _since(model: listed.ModelInfo, at: datetime) -> date | None:
    """The day that the price in force began, where the list says so."""
    for entry in reversed(model.prices) if isinstance(model.prices, list) else ():
        if entry.constraint is None or entry.constraint.active(at):
            return entry.constraint.start_date if isinstance(entry.constraint, listed.StartDateConstraint) else None
    return None
