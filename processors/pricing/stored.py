"""A stored call, priced again: the bill that its row keeps, by what is known today."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from eventlog.events import Organization, Outcome, PriceBasis, TokenUsage
from processors.pricing.bill import Bill, price_of
from processors.pricing.invoice import usage_of_tokens
from processors.pricing.rates import Price, RateBook

AS_IT_IS = frozenset({PriceBasis.FREE, PriceBasis.ELSEWHERE, PriceBasis.CALL})
"""What no rate that is known later can change: it is not billed, or not with this call, or the call said itself what it costs."""
REFUSED = "usage refused, "
UNPRICED = "unpriced: "


class Stored(Struct, frozen=True, kw_only=True):
    """What a row keeps of a call's cost, and of what it was worked out from."""

    organization: Organization
    provider: str
    model: str | None
    created_at: datetime
    """Aware."""
    target_url: str
    known: bool
    """Its answer came in a shape that we know."""
    outcome: Outcome
    usage: TokenUsage | None
    basis: PriceBasis | None
    """None in a row that was written before it was kept."""
    source: str
    note: str | None
    context: Mapping[str, str]
    stated_cost: Decimal | None
    logged: bool = False
    """It was told of afterwards."""


def priced_again(row: Stored, rates: RateBook, given_again: Stored | None = None) -> Price | None:
    """What it costs, or of a hit of our own cache would have cost. None: that cannot be told better than it was.

    `given_again` is the call whose answer a hit gave.
    """
    if row.basis is None or row.basis in AS_IT_IS:
        return None
    if row.basis is not PriceBasis.CACHE:
        return price_of(bill_of(row), rates)
    if given_again is None or given_again.basis is None or given_again.basis in AS_IT_IS:
        return None
    asked = replace(given_again, organization=row.organization, provider=row.provider, model=row.model, created_at=row.created_at)
    return price_of(bill_of(asked), rates)


def bill_of(row: Stored) -> Bill:
    refused = row.usage is None and row.source.startswith(f"{UNPRICED}{REFUSED}")
    missing = row.source.removeprefix(UNPRICED) if row.source.startswith(UNPRICED) else "no usage reported"
    return Bill(
        organization=row.organization,
        provider=row.provider,
        model=row.model,
        at=row.created_at,
        target_url=row.target_url,
        usage=None if row.usage is None else usage_of_tokens(row.usage),
        missing=missing,
        refused=refused,
        answered=row.known,
        known=row.known,
        completed=row.outcome is Outcome.COMPLETED,
        context=tuple(row.context.items()),
        stated_cost=row.stated_cost,
        logged=row.logged,
        beside=None if (row.note or "").startswith(REFUSED) else row.note,
    )
