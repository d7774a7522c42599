"""Models: what each was asked and cost, by which price, and which have none."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from eventlog.events import DEFAULT_ORGANIZATION, Organization
from storage.dashboard import figures, units
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.pricing import InForce, Pricing, Rate
from storage.rest.sql import Row, Sql

EXAMPLE = "input=2.5,output=10"
_SHORT = {
    "input_mtok": "in",
    "output_mtok": "out",
    "cache_read_mtok": "cached",
    "input": "in",
    "output": "out",
    "cache_read": "cached",
    "request": "a call",
    "requests": "a call",
}
"""Rates that are shown at once; the others when the pointer rests on them."""


class Seen(Struct, frozen=True, kw_only=True):
    """A model of a provider with its figures, and its price."""

    row: Row
    share: float | None
    """Of the cost of all."""
    bar: float
    """Its cost in percent of the largest."""
    price: InForce | None
    """None where nobody here knows prices."""
    short: tuple[tuple[str, str], ...] = ()
    """The rates that matter most: (what, USD)."""


def command(provider: str | None, model: str | None, rates: str = EXAMPLE) -> str:
    """What sets a price, for a shell."""
    said = ["heliograph", "prices", "set", rates]
    said += ["--provider", provider] if provider else []
    said += ["--model", model] if model else []
    return shlex.join(said)


def short(rates: Sequence[Rate]) -> tuple[tuple[str, str], ...]:
    found = {_SHORT[rate.name]: rate.usd for rate in rates if rate.name in _SHORT}
    return tuple((name, units.money(float(found[name]))) for name in dict.fromkeys(_SHORT.values()) if name in found)


def seen(rows: Sequence[Row], pricing: Pricing | None, organization: Organization, at: datetime) -> list[Seen]:
    total = sum(float(row["cost_usd"] or 0) for row in rows)
    largest = max((float(row["cost_usd"] or 0) for row in rows), default=0.0)
    made = []
    for row in rows:
        cost = float(row["cost_usd"] or 0)
        price = None
        if pricing is not None and row["model"] and row["provider"]:
            price = pricing.in_force(organization, row["provider"], row["model"], at)
        made.append(
            Seen(
                row=row,
                share=cost / total if total and row["cost_usd"] is not None else None,
                bar=round(cost / largest * 100, 2) if largest else 0.0,
                price=price,
                short=short(price.rates) if price else (),
            )
        )
    return made


def _pricing(asking: Asking) -> Pricing | None:
    found: Pricing | None = getattr(asking.request.app.state, "pricing", None)
    return found


def reasons(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Models without a price, each with its reason and the command that gives it one.

    `helps`: whether that would do. Tokens that nobody counted have no cost by any price.
    """
    return [_reason(row) for row in rows]


def _reason(row: Row) -> dict[str, Any]:
    told = (row["reason"] or "no reason is known").removeprefix("unpriced: ")
    uncounted = told.startswith(("no usage reported", "nothing was heard"))
    return dict(row) | {"told": told, "helps": not uncounted, "set": command(row["provider"], row["model"])}


async def _unpriced(asking: Asking) -> Shown:
    rows = await asking.rows(figures.unpriced_models(asking.view, asking.period))
    return {"rows": reasons(rows), "calls": sum(row["calls"] for row in rows)}


async def _models(asking: Asking) -> Shown:
    rows = await asking.rows(figures.by_model(asking.view, asking.period))
    whose = asking.organization or DEFAULT_ORGANIZATION
    listed = seen(rows, _pricing(asking), whose, asking.now)
    return {"models": listed, "more": rows[0]["found"] - len(rows) if rows else 0}


async def _own(asking: Asking) -> Shown:
    pricing = _pricing(asking)
    own = None if pricing is None else pricing.own(asking.organization)
    return {"known": own is not None, "prices": [_told(each) for each in own or ()], "example": command("openai", "gpt-4o*")}


def _told(price: Mapping[str, Any]) -> dict[str, Any]:
    """With its span, and how it is taken away."""
    since, until = (str(price[name])[:10] if price[name] else "" for name in ("from", "until"))
    span = f"{since or 'always'} – {until or 'on'}" if since or until else "always"
    remove = shlex.join(["heliograph", "prices", "remove", price["id"]]) if price["id"] else ""
    return dict(price) | {"span": span, "remove": remove}


def _file(asking: Asking) -> Sql:
    return figures.by_model(asking.view, asking.period, limit=100_000)


def _unpriced_file(asking: Asking) -> Sql:
    return figures.unpriced_models(asking.view, asking.period, limit=100_000)


PAGE = Page(
    name="models",
    title="Models",
    path="models",
    key="m",
    icon="models",
    template="ops.html",
    panels=(
        Panel(name="unpriced", title="Without a price", template="models_unpriced.html", draw=_unpriced, height="s", csv=_unpriced_file),
        Panel(name="models", title="Models", template="models.html", draw=_models, height="l", csv=_file),
        Panel(name="own", title="Prices of your own", template="models_own.html", draw=_own, height="s", live=False),
    ),
)
