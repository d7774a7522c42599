"""In which order calls are listed, and where a page of them begins: behind a call, by its own values, never by counting. Pure.

Calls of one value stand by time and id, so every call has one place; those whose value is not known come last, either way round.
"""

import hashlib
import re

from msgspec import Struct

from storage.dashboard.state import View
from storage.rest.sql import Row, Sql, all_of, joined, time, value

SORT, AT = "sort", "at"
"""Parameters of the page: the order, as `cost` or `cost.asc`, and where the page begins."""
COLUMNS = {
    "time": ("created_at", ""),
    "cost": ("cost_usd", "DECIMAL(18,12)"),
    "latency": ("latency_ms", "FLOAT"),
    "ttft": ("ttft_ms", "FLOAT"),
    "tokens": ("total_tokens", "BIGINT"),
}
"""Of each order its column, and the type by which a value of it is compared."""
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,40})?([eE][+-]?\d{1,3})?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")


class Order(Struct, frozen=True):
    """By which column, and whether its largest come first."""

    name: str = "time"
    falling: bool = True

    @property
    def text(self) -> str:
        return self.name if self.falling else f"{self.name}.asc"

    @property
    def column(self) -> str:
        return COLUMNS[self.name][0]


def order_of(said: str) -> Order:
    """What is not understood is the usual order."""
    name, _, way = said.partition(".")
    return Order(name, way != "asc") if name in COLUMNS and way in {"", "asc"} else Order()


class Mark(Struct, frozen=True):
    """A call by which a page begins: those `behind` it are shown, or those before it."""

    number: str
    """What it is ordered by; empty where that is not known, and for the order by time."""
    created_at: str
    call_id: str
    behind: bool = True


def about(view: View, order: Order) -> str:
    """What a mark is good for: another filter or order begins at its own first page."""
    said = repr((view.span.pairs(), sorted(each.pair for each in view.filters), view.search, view.organization, order.text))
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:8]


def mark_text(mark: Mark, view: View, order: Order) -> str:
    return "~".join((about(view, order), "b" if mark.behind else "f", mark.number, mark.created_at, mark.call_id))


def mark_of(view: View, order: Order) -> Mark | None:
    """None where the page begins at the first call, and where the mark belongs to another view."""
    parts = view.get(AT).split("~", 4)
    if len(parts) != 5 or parts[0] != about(view, order) or parts[1] not in "bf":
        return None
    _, way, number, created_at, call_id = parts
    known = _TIME.fullmatch(created_at) and (not number or (order.name != "time" and _NUMBER.fullmatch(number)))
    return Mark(number, created_at, call_id, way == "b") if known else None


def mark_at(row: Row, order: Order, *, behind: bool) -> Mark:
    number = "" if order.name == "time" or row["ordered_by"] is None else str(row["ordered_by"])
    return Mark(number, row["created_at"].removesuffix("Z"), row["call_id"], behind)


def ordered(order: Order, *, backwards: bool = False) -> str:
    """The ORDER BY."""
    falling = order.falling != backwards
    way, ties = ("DESC" if falling else "ASC"), ("ASC" if backwards else "DESC")
    if order.name == "time":
        return f"created_at {way}, call_id {way}"
    return f"{order.column} {way} NULLS {'FIRST' if backwards else 'LAST'}, created_at {ties}, call_id {ties}"


def beyond(order: Order, mark: Mark) -> Sql:
    """Holds for calls that come after the mark, or before it."""
    backwards = not mark.behind
    if order.name == "time":
        return _tied(mark, falling=order.falling != backwards)
    tied = _tied(mark, falling=not backwards)
    column, kind = COLUMNS[order.name]
    if not mark.number:
        unknown = all_of([Sql(f"{column} IS NULL"), tied])
        return f"({column} IS NOT NULL OR (" + unknown + "))" if backwards else unknown
    known = "CAST(" + value(mark.number) + f" AS {kind})"
    past = f"{column} {'<' if order.falling != backwards else '>'} " + known
    pieces = [past, all_of([f"{column} = " + known, tied])]
    return "(" + joined(" OR ", ["(" + piece + ")" for piece in ([*pieces, Sql(f"{column} IS NULL")] if not backwards else pieces)]) + ")"


def _tied(mark: Mark, *, falling: bool) -> Sql:
    """The bound on time stands alone too, so that files of other times are passed over."""
    sign = "<" if falling else ">"
    at = time(mark.created_at)
    same = all_of(["created_at = " + at, f"call_id {sign} " + value(mark.call_id)])
    return all_of([f"created_at {sign}= " + at, f"(created_at {sign} " + at + ") OR (" + same + ")"])
