"""What one call costs: whose word counts, and in which order.

1. What providers do not bill costs nothing, and what they bill with another call is not booked with this one, whatever rates are stated.
2. The call's own rates (`Helicone-Cost-Override`), then those that were set for its organization.
3. What ran locally costs nothing; where the provider, or whoever logged the call afterwards, says what it cost, that is the cost.
4. The price list, unless something else than tokens was billed beside them.

Pure, and the same when a stored call is priced again: a `Bill` is made of an event, or of a row.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from eventlog.events import Organization, PriceBasis
from eventlog.own_rates import FILE_SEARCH, REQUEST, WEB_SEARCH, OwnRates, checked_rates, told
from processors.dialects.reading import PriceContext
from processors.pricing.rates import BATCH, Price, RateBook, unpriced
from processors.usage import Usage

STATES_ITS_PRICE = {
    "openrouter": "stated by openrouter",
    "openrouter.ai": "stated by openrouter.ai",
    "perplexity": "stated by perplexity",
    "x": "stated by x",
    "deepinfra": "estimated by deepinfra",
}
"""Providers who report what they charge, in USD, and in what words we say so. Others use the same fields for other things.

DeepInfra calls its figure an estimate, and nobody else has a better one.
"""

STATED_BY_LOGGER = "stated by the logger"

LOCAL = frozenset({"ollama", "vllm", "lmstudio", "llamacpp", "localai"})
"""Servers that run on hardware of one's own and bill nobody. The name of the configured upstream decides, not its address."""

NO_RATES: OwnRates = {}
MOST = 1_000_000
"""USD."""


class Bill(Struct, frozen=True, kw_only=True):
    """All that decides what a call costs."""

    organization: Organization
    provider: str
    model: str | None
    """The name it is priced by."""
    at: datetime
    """When it began, aware."""
    target_url: str
    usage: Usage | None
    missing: str
    """Why there is no usage, where there is none."""
    refused: bool = False
    """The provider reported one that cannot be true."""
    answered: bool
    """A provider answered, in whatever shape."""
    known: bool
    """And the shape is one that we know: it is a call of a model."""
    completed: bool
    """In full, and without an error: what is billed by the call is billed."""
    context: PriceContext = ()
    call_rates: OwnRates = NO_RATES
    """What the call states itself."""
    stated_cost: Decimal | None = None
    """USD that the provider says it charged, or of a call that was told of afterwards, its logger."""
    logged: bool = False
    """It was told of afterwards."""
    free: str | None = None
    """Why nothing is billed."""
    elsewhere: str | None = None
    """Why it is billed with another call."""
    beside: str | None = None
    """Why tokens do not tell all that is billed."""


def price_of(bill: Bill, rates: RateBook) -> Price:
    price = _price_of(bill, rates)
    if price.cost is not None and price.cost >= MOST:
        return unpriced(f"a cost of {MOST:,} USD or more for one call is a fault: {price.source}")
    return price


def _price_of(bill: Bill, rates: RateBook) -> Price:
    if bill.free is not None:
        return Price(Decimal(0), f"free: {bill.free}", PriceBasis.FREE)
    if bill.elsewhere is not None and not bill.refused:
        return Price(None, f"unpriced: {bill.elsewhere}", PriceBasis.ELSEWHERE)
    if bill.call_rates and bill.answered:
        return _by_call_rates(bill, rates)
    if bill.known and bill.model is not None:
        own = rates.own_price_for(bill.organization, bill.provider, bill.model, bill.at)
        if own is not None:
            return _by(own.rates, bill, rates, source=own.source, basis=PriceBasis.OWN)
    if bill.provider in LOCAL and bill.known:
        return Price(Decimal(0), f"runs locally: {bill.provider} bills nobody", PriceBasis.LOCAL)
    if bill.stated_cost is not None and bill.provider in STATES_ITS_PRICE:
        return Price(bill.stated_cost, STATES_ITS_PRICE[bill.provider], PriceBasis.STATED)
    if bill.stated_cost is not None and bill.logged:
        return Price(bill.stated_cost, STATED_BY_LOGGER, PriceBasis.STATED)
    if bill.beside is not None and not bill.refused:
        return unpriced(bill.beside)
    return _by_list(bill, rates)


def _by_call_rates(bill: Bill, rates: RateBook) -> Price:
    try:
        checked_rates(bill.call_rates)
    except ValueError as error:  # a caller is told at once; an event may come from elsewhere
        return unpriced(f"Helicone-Cost-Override {error}")
    return _by(bill.call_rates, bill, rates, source=f"Helicone-Cost-Override: {told(bill.call_rates)}", basis=PriceBasis.CALL)


def _by(own: Mapping[str, str], bill: Bill, rates: RateBook, *, source: str, basis: PriceBasis) -> Price:
    """By rates that somebody stated. What an error or a broken answer without usage costs, nobody knows."""
    if bill.usage is None and (bill.refused or not bill.completed):
        return unpriced(bill.missing)
    if own.keys() != {REQUEST} and (reason := _beyond(bill, own)) is not None:
        return unpriced(f"{reason}: {source}")
    return rates.price_by(own, bill.usage, source=source, basis=basis)


def _beyond(bill: Bill, own: Mapping[str, str]) -> str | None:
    """What is billed that rates of tokens do not tell of. A price for each call is all of it."""
    if bill.beside is not None:
        return bill.beside
    if BATCH in bill.context:
        return "a batch has a price of its own, which the rates do not state"
    usage = bill.usage
    if usage is None:
        return None
    if usage.audio_seconds is not None:
        return "the rates have none for seconds"
    if (usage.web_searches and WEB_SEARCH not in own) or (usage.file_searches and FILE_SEARCH not in own):
        return "the rates have none for searches"
    return None


def _by_list(bill: Bill, rates: RateBook) -> Price:
    if bill.usage is None:
        return unpriced(bill.missing)
    if bill.model is None:
        return unpriced("neither request nor answer names a model")
    return rates.price(bill.usage, provider=bill.provider, model=bill.model, at=bill.at, target_url=bill.target_url, context=bill.context)
