"""Questions of the page of calls. Each shows few calls out of one scan, in a shape that the engine answers by finding those first."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Sequence
from datetime import datetime, timedelta

from storage.dashboard.call_columns import Column, for_file, selected
from storage.dashboard.call_order import Mark, Order, beyond, ordered
from storage.dashboard.figures import within
from storage.dashboard.state import View
from storage.dashboard.zones import Period, instant
from storage.rest.sql import Sql, all_of, time, value, values

FILE_ROWS = 10_000
LATE = timedelta(hours=2)
"""How long a call may take and still be seen to arrive."""
OVERLAP = timedelta(seconds=30)
"""Calls come to rest in batches, not in the order in which they ended."""


def page_of(view: View, period: Period, columns: Sequence[Column], order: Order, mark: Mark | None, size: int) -> Sql:
    """One row more than `size`, where there are more. Those before a mark come backwards."""
    conditions = [within(view, period), *([beyond(order, mark)] if mark else [])]
    by = ordered(order, backwards=mark is not None and not mark.behind)
    shown = selected(columns) + ("" if order.name == "time" else f", {order.column} AS ordered_by")
    return "SELECT " + shown + " FROM calls WHERE " + all_of(conditions) + f" ORDER BY {by} LIMIT " + value(size + 1)


def file_of(view: View, period: Period, columns: Sequence[Column], order: Order) -> Sql:
    return (
        "SELECT "
        + for_file(columns)
        + " FROM calls WHERE "
        + within(view, period)
        + f" ORDER BY {ordered(order)} LIMIT "
        + value(FILE_ROWS)
    )


def arrived(view: View, columns: Sequence[Column], now: datetime, ended: datetime, limit: int) -> Sql:
    """The calls that ended last, of those that ended at `ended` or a little before, or later."""
    times = ["created_at >= " + instant(min(now, ended) - LATE), "completed_at >= " + instant(ended - OVERLAP)]
    conditions = [*times, view.condition()]
    return "SELECT " + selected(columns) + " FROM calls WHERE " + all_of(conditions) + " ORDER BY completed_at DESC LIMIT " + value(limit)


def said_in(forms: Sequence[str], window: Period, limit: int) -> Sql:
    """Calls in whose bodies one of the forms of a text stands, in whatever case, newest first."""
    holds = [f"contains(lower({column}), lower(" + value(form) + "))" for form in forms for column in ("text", "assembled", "tail")]
    anywhere = Sql(" OR ".join(f"coalesce({each.text}, false)" for each in holds), tuple(said for each in holds for said in each.values))
    return (
        "SELECT call_id, max(created_at) AS created_at FROM bodies WHERE "
        + all_of([window.contains(), anywhere])
        + " GROUP BY call_id ORDER BY 2 DESC, 1 DESC LIMIT "
        + value(limit)
    )


def those(view: View, columns: Sequence[Column], ids: Sequence[str], first: str, last: str) -> Sql:
    """Of these calls, made from `first` to `last`, the ones that the view is about."""
    between = "created_at BETWEEN " + time(first) + " AND " + time(last)
    conditions = ["call_id IN " + values(ids), between, view.condition()]
    return "SELECT " + selected(columns) + " FROM calls WHERE " + all_of(conditions) + " ORDER BY created_at DESC, call_id DESC"
