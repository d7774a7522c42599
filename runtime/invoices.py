"""A call's cost as an invoice, from a row of `calls`: for `heliograph prices explain`, and for `GET /v1/calls/{id}/price`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from eventlog.events import PriceBasis
from processors.pricing.cards import plain
from processors.pricing.invoice import Booked, Invoice, NotExplained, invoice_of
from storage.rows import usage_in

ABOUT = ("call_id", "organization", "created_at", "provider", "model", "price_source", "price_basis", "price_context", "price_note")
"""What an invoice repeats of its row."""


class Explained(Struct, frozen=True, kw_only=True):
    """What is booked for a call, and its invoice; or, where there is none, the reason."""

    booked: Booked
    invoice: Invoice | None = None
    reason: str | None = None


def explained(row: Mapping[str, Any]) -> Explained:
    """Of a row as JSON has it, with decimals as text."""
    booked = Booked(
        cost=None if row["cost_usd"] is None else Decimal(row["cost_usd"]),
        source=row["price_source"],
        basis=None if row["price_basis"] is None else PriceBasis(row["price_basis"]),
        rates=row["rates"] or {},
        usage=usage_in(row),
    )
    try:
        return Explained(booked=booked, invoice=invoice_of(booked))
    except NotExplained as error:
        return Explained(booked=booked, reason=str(error))


def invoice_json(row: Mapping[str, Any], found: Explained) -> dict[str, Any]:
    """Amounts are text: all their digits are meant."""
    invoice, cost = found.invoice, found.booked.cost
    return {
        **{name: row[name] for name in ABOUT},
        "lines": [
            {
                "for": line.label,
                "count": str(line.count),
                "unit": line.unit,
                "rate_usd": plain(line.rate),
                "per": line.per,
                "amount_usd": plain(line.amount),
            }
            for line in (() if invoice is None else invoice.lines)
        ],
        "total_usd": None if invoice is None else plain(invoice.total),
        "cost_usd": None if cost is None else plain(cost),
        "reason": found.reason,
    }
