"""A ranking as bars: the values of a field with their share of the largest, and what stands beside. Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from storage.dashboard import units
from storage.dashboard.filters import Filter
from storage.dashboard.units import Number
from storage.rest.sql import Row


class Rank(Struct, frozen=True, kw_only=True):
    """One value of a field."""

    text: str
    """`Not given` where calls have none."""
    filter: Filter | None
    """By which these calls are found; None where none can say so."""
    bar: float
    """In percent of the longest."""
    value: str
    """What it is ranked by, with its unit."""
    notes: tuple[str, ...]
    errors: str = ""
    """The share of its calls that failed; empty where none did."""
    bad: bool = False
    """It is a share to look at."""


_MEASURES: dict[str, tuple[str, Any]] = {
    "cost": ("cost_usd", units.money),
    "calls": ("calls", units.count),
    "tokens": ("total_tokens", units.count),
    "errors": ("errors", units.count),
    "latency": ("p95_ms", units.duration),
}
NOT_GIVEN = "Not given"
BAD = 0.1


class Ranked(Struct, frozen=True, kw_only=True):
    ranks: tuple[Rank, ...] = ()
    more: int = 0
    """Values that are not shown."""


def ranked(rows: Sequence[Row], field: str, key: str = "", *, by: str) -> Ranked:
    name, form = _MEASURES[by]
    largest = max((float(row[name] or 0) for row in rows), default=0.0)
    ranks = tuple(_rank(row, field, key, by, row[name], form, largest) for row in rows)
    return Ranked(ranks=ranks, more=more(rows))


def more(rows: Sequence[Row]) -> int:
    """How many there are beside those that are shown."""
    return max(0, rows[0]["found"] - len(rows)) if rows else 0


def named(value: Any, field: str, key: str = "") -> tuple[str, Filter | None]:
    """What a value is called, and the filter that finds its calls; None where none can say so."""
    if value is None:
        return NOT_GIVEN, Filter(field, None, key)
    return str(value) or "(empty)", None if value == "" else Filter(field, str(value), key)


def bar(part: Any, largest: float) -> float:
    """In percent of the longest."""
    return round(float(part or 0) / largest * 100, 2) if largest else 0.0


def _rank(row: Row, field: str, key: str, by: str, measured: Number, form: Any, largest: float) -> Rank:
    text, wanted = named(row["value"], field, key)
    failed = row["errors"] / row["calls"]
    notes = [f"{units.count(row['calls'])} calls"] if by != "calls" else []
    notes += [units.money(row["cost_usd"])] if by not in {"cost"} and row["cost_usd"] is not None else []
    notes += [f"{units.count(row['unpriced'])} unpriced"] if row["unpriced"] else []
    return Rank(
        text=text,
        filter=wanted,
        bar=bar(measured, largest),
        value=form(measured),
        notes=tuple(notes),
        errors=f"{units.percent(failed)} errors" if row["errors"] else "",
        bad=failed >= BAD,
    )
