"""The page of calls: a table with chosen columns in a chosen order, a search in what was said, and calls as they arrive."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from storage.dashboard import call_list, figures
from storage.dashboard.body_search import CHARACTERS, SAID, search
from storage.dashboard.call_columns import COLUMN, KNOWN, Column, chosen, listed
from storage.dashboard.call_order import AT, SORT, Order, mark_at, mark_of, mark_text, order_of
from storage.dashboard.call_tail import SINCE, tail
from storage.dashboard.first_call import snippets
from storage.dashboard.page import Asking, Own, Page, Panel, Shown
from storage.dashboard.span import Span
from storage.rest.sql import Row, Sql

SIZE, SIZES = "rows", (50, 100, 200)
CALL, TAIL = "call", "tail"
"""Parameters: the call that stands open beside the table, and whether new ones are shown as they arrive."""


def size_of(asking: Asking) -> int:
    said = asking.view.get(SIZE)
    return int(said) if said in {str(each) for each in SIZES} else SIZES[0]


def _chosen(asking: Asking) -> tuple[tuple[Column, ...], Order]:
    return chosen(asking.view.all(COLUMN)), order_of(asking.view.get(SORT))


async def _list(asking: Asking) -> Shown:
    view, (columns, order), size = asking.view, _chosen(asking), size_of(asking)
    mark = mark_of(view, order)
    rows = await asking.rows(call_list.page_of(view, asking.period, columns, order, mark, size))
    if not rows and mark is None:
        return await _nothing(asking)
    more, rows = len(rows) > size, rows[:size]
    backwards = mark is not None and not mark.behind
    rows = rows[::-1] if backwards else rows
    further = more if not backwards else True
    earlier = mark is not None and (more or not backwards)
    ended = max((row["completed_at"] for row in rows if row["completed_at"]), default="")
    return {
        "columns": columns,
        "order": order,
        "heads": [_head(column, order) for column in columns],
        "listed": listed(rows, columns, asking),
        "next": _place(asking, rows, order, behind=True) if further and rows else None,
        "previous": _place(asking, rows, order, behind=False) if earlier and rows else None,
        "first": mark is not None,
        "ended": ended,
        "nothing": False,
    }


def _head(column: Column, order: Order) -> dict[str, Any]:
    """A click gives the column's order; a second one turns it round."""
    standing = column.sort != "" and column.sort == order.name
    wanted = Order(column.sort, not order.falling if standing else True) if column.sort else None
    sorting = ("descending" if order.falling else "ascending") if standing else ""
    return {
        "column": column,
        "wanted": wanted.text if wanted and wanted != Order() else None,
        "sorts": wanted is not None,
        "sorting": sorting,
    }


def _place(asking: Asking, rows: Sequence[Row], order: Order, *, behind: bool) -> str:
    return mark_text(mark_at(rows[-1 if behind else 0], order, behind=behind), asking.view, order)


async def _nothing(asking: Asking) -> Shown:
    newest = await asking.rows(figures.newest())
    app, host = asking.request.app, asking.request.url.hostname or "localhost"
    return {
        "nothing": True,
        "newest": newest[0]["created_at"] if newest else None,
        "longer": replace(asking.view, span=Span(preset="90d")),
        "unfiltered": replace(asking.view, filters=(), search=""),
        "snippets": snippets(host, app.state.dashboard.proxy_port, by_key=not app.state.admission.open),
    }


def _file(asking: Asking) -> Sql:
    columns, order = _chosen(asking)
    return call_list.file_of(asking.view, asking.period, columns, order)


async def _sums(asking: Asking) -> Shown:
    return {"total": (await asking.rows(figures.totals(asking.view, asking.period)))[0]}


async def _shell(asking: Asking) -> Shown:
    columns, order = _chosen(asking)
    said = asking.view.get(SAID)
    return {
        "said": said[:CHARACTERS],
        "columns": columns,
        "heads": [_head(column, Order("", True)) for column in columns],
        "shown_names": [column.name for column in columns],
        "known": list(KNOWN.values()),
        "property_columns": [column for column in columns if column.name not in KNOWN],
        "own_columns": bool(asking.view.all(COLUMN)),
        "order": order,
        "size": size_of(asking),
        "sizes": SIZES,
        "file_rows": call_list.FILE_ROWS,
        "ends": asking.view.span.until is not None and asking.view.span.until <= asking.now,
        "open_call": asking.view.get(CALL),
        "tailing": asking.view.get(TAIL) == "on",
    }


PAGE = Page(
    name="calls",
    title="Calls",
    path="calls",
    key="c",
    icon="calls",
    template="calls.html",
    own=(COLUMN, SORT, AT, SIZE, CALL, TAIL, SAID, SINCE),
    shell=_shell,
    panels=(
        Panel(name="sums", title="Sums", template="calls_sums.html", draw=_sums, height="s"),
        Panel(name="list", title="Calls", template="calls_list.html", draw=_list, height="l", csv=_file, live=False),
    ),
    answers=(Own(name="tail", answer=tail), Own(name="search", answer=search)),
)
