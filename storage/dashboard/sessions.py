"""Sessions: what belongs together, as a table that is sorted and filtered, and by the names that sessions were given."""

from msgspec import Struct

from storage.dashboard import sending, session_figures
from storage.dashboard.breakdown import any_calls
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.session_figures import SORTS, WITHOUT_NAME
from storage.dashboard.state import View
from storage.rest.sql import Sql

SORT, NAMED, ONLY, AT = "sort", "named", "only", "at"
PAGE_ROWS = 50
FARTHEST = 10_000
"""Sessions that can be paged to; farther back there is the time range."""


class Heading(Struct, frozen=True, kw_only=True):
    """The head of a column."""

    title: str
    sort: str
    wanted: str
    """What its link asks for."""
    sorting: str = ""
    """As `aria-sort` says it; empty where another column decides."""
    numeric: bool = True


class Order(Struct, frozen=True):
    """By what a table is sorted."""

    by: str = "start"
    descending: bool = True

    @property
    def said(self) -> str:
        return self.by if self.descending else f"{self.by}.up"


TITLES = {
    "name": "Session",
    "start": "Start",
    "duration": "Duration",
    "calls": "Calls",
    "cost": "Cost",
    "tokens": "Tokens",
    "errors": "Errors",
    "users": "User",
}


def order_of(view: View) -> Order:
    """`sort=cost` is the most expensive first, `sort=cost.up` the cheapest."""
    name, _, way = view.get(SORT, "start").partition(".")
    return Order(name, way != "up") if name in SORTS and way in {"", "up"} else Order()


def headings(order: Order) -> list[Heading]:
    made = []
    for sort, title in TITLES.items():
        chosen = order.by == sort
        wanted = Order(sort, descending=not order.descending if chosen else sort != "name")
        sorting = ("descending" if order.descending else "ascending") if chosen else ""
        made.append(Heading(title=title, sort=sort, wanted=wanted.said, sorting=sorting, numeric=sort not in {"name", "start", "users"}))
    return made


def at_of(view: View) -> int:
    said = view.get(AT)
    return min(int(said), FARTHEST) if said.isascii() and said.isdigit() and len(said) < 9 else 0


def _chosen(asking: Asking) -> Sql:
    view = asking.view
    return session_figures.sessions(view, asking.period, named=view.get(NAMED), failed=view.get(ONLY) == "errors")


async def _kinds(asking: Asking) -> Shown:
    found = await asking.rows(session_figures.kinds(session_figures.sessions(asking.view, asking.period)))
    total = found[0] if found else None
    return {
        "total": total if total and total["sessions"] else None,
        "kinds": found[1:],
        "named": asking.view.get(NAMED),
        "WITHOUT_NAME": WITHOUT_NAME,
    }


async def _list(asking: Asking) -> Shown:
    order, at = order_of(asking.view), at_of(asking.view)
    rows = await asking.rows(
        session_figures.listed(_chosen(asking), sort=order.by, descending=order.descending, limit=PAGE_ROWS, offset=at)
    )
    found = rows[0]["found"] if rows else 0
    return {
        "rows": rows,
        "found": found,
        "headings": headings(order),
        "at": at,
        "earlier": str(max(0, at - PAGE_ROWS)) if at else None,
        "later": str(at + PAGE_ROWS) if at + len(rows) < min(found, FARTHEST) else None,
        "only": asking.view.get(ONLY),
        "named": asking.view.get(NAMED),
        "narrowed": bool(at or asking.view.get(ONLY) or asking.view.get(NAMED)),
        "snippets": [] if rows or not await any_calls(asking) else sending.with_headers(asking, sending.SESSION),
        "WITHOUT_NAME": WITHOUT_NAME,
    }


def _file(asking: Asking) -> Sql:
    order = order_of(asking.view)
    return session_figures.listed(_chosen(asking), sort=order.by, descending=order.descending, limit=10_000)


def _kinds_file(asking: Asking) -> Sql:
    return session_figures.kinds(session_figures.sessions(asking.view, asking.period), limit=10_000)


PAGE = Page(
    name="sessions",
    title="Sessions",
    path="sessions",
    key="s",
    icon="sessions",
    template="sessions.html",
    own=(SORT, NAMED, ONLY, AT),
    panels=(
        Panel(name="kinds", title="By name", template="sessions_kinds.html", draw=_kinds, height="s", csv=_kinds_file),
        Panel(name="list", title="Sessions", template="sessions_list.html", draw=_list, height="l", csv=_file),
    ),
)
