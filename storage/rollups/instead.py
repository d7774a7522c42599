"""A question that rollups can answer (`aggregated.py`), written over their rows and those of the calls at both ends of its time."""

# ruff: noqa: S608 SQL is made of names of ours and of times

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import duckdb
from msgspec import Struct

from storage.carried import quoted
from storage.rollups.aggregated import MARK, TABLE, TIME, Aggregated, put_in
from storage.rollups.measures import KEYS
from storage.rollups.quantiles import quantile_rows, sketches_of
from storage.rollups.shaping import view_of_calls
from storage.rollups.spans import Sources, Span, divided
from storage.sources import timestamp
from storage.syntax import Tree, serialized, text_of, values_of

WORTH = 1_000_000
"""Calls that need not be read, from which on rollups answer sooner: for fewer it takes as long to ask of three tables."""
_WHOLE = frozenset({"TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "DATE", "VARCHAR"})
"""Types of what `created_at` is compared with that hold no parts of a microsecond, or lose them in the comparison."""
VIEWS = ("calls_by_hour", "calls_by_day")


class Written(Struct, frozen=True):
    """A question that rollups answer, as SQL over `tables`."""

    sql: str
    values: dict[str, Any]
    """Of its parameters, by their identifiers."""
    tables: frozenset[str]


def written(connection: duckdb.DuckDBPyConnection, asked: Aggregated, parameters: Any, calls: Callable[[Span], int]) -> Written | None:
    """The question, once it is known which time it is about; None where that holds no whole hour, or few calls, or is not to be told.

    `connection` works out what `created_at` is compared with; `calls` tells how many there are at most. Raises duckdb.InterruptException.
    """
    if calls(Span(None, None)) < WORTH or (values := values_of(asked.tree, parameters)) is None:
        return None
    try:
        span = between((sign, _instant(connection, each, parameters)) for sign, each in asked.bounds)
        found = divided(span, least_days=None if asked.hourly else 1)
        spared = calls(span) - sum(map(calls, found.calls))  # of the days at its ends all calls are read
        if (found.hours is None and found.days is None) or max(0, spared) < WORTH:
            return None
        rows = rows_sql(found, {name: f"{MARK}{name}" for name in asked.measures})
        if asked.quantiles:
            told = quantile_rows(connection, asked, rows_sql(found, {name: name for name in sketches_of(asked)}))
            rows = f"SELECT * FROM ({rows}) UNION ALL BY NAME SELECT * FROM ({told})" if asked.sums else told
        table = serialized(connection, f"SELECT 1 FROM ({rows}) AS {quoted(asked.name)}")["from_table"]
        sql = text_of(connection, {**asked.tree, "from_table": table})
    except duckdb.InterruptException:
        raise
    except (duckdb.Error, OverflowError, ValueError):
        return None
    return Written(sql, values, frozenset({TABLE, *(name for name in VIEWS if name in sql)}))


def _instant(connection: duckdb.DuckDBPyConnection, expression: Tree, parameters: Any) -> datetime:
    """What an expression that reads no column comes to. Raises ValueError where that is no time."""
    values = values_of(expression, parameters)
    if values is None:
        raise ValueError("a parameter has no value")
    [[at, kind]] = connection.execute(text_of(connection, put_in(_as_time(), expression)), values or None).fetchall()
    if not isinstance(at, datetime) or at.tzinfo is not None or kind not in _WHOLE:
        raise ValueError("no time, or one between two microseconds")
    return at


@cache
def _as_time() -> Tree:
    with duckdb.connect(":memory:") as engine:
        return serialized(engine, "SELECT CAST(__x AS TIMESTAMP), typeof(__x)")


def between(bounds: Iterable[tuple[str, datetime]]) -> Span:
    """The times that satisfy all comparisons, which are with whole microseconds, as all times of calls are."""
    step, compared = timedelta(microseconds=1), list(bounds)
    since = [at if sign == ">=" else at + step for sign, at in compared if sign in {">=", ">"}]
    before = [at if sign == "<" else at + step for sign, at in compared if sign in {"<", "<="}]
    return Span(max(since, default=None), min(before, default=None))


def rows_sql(found: Sources, columns: Mapping[str, str]) -> str:
    """The rows that stand for the calls of the question, with some of what is told of them, each under another name."""
    told = ", ".join((*KEYS, *(f"{name} AS {other}" for name, other in sorted(columns.items()))))
    selects = []
    if found.days is not None:
        selects.append(f"SELECT day AS {TIME}, {told} FROM calls_by_day WHERE {_inside(found.days, 'day')}")
    if found.hours is not None:
        others = "" if found.days is None else f" AND NOT ({_inside(found.days, 'hour')})"
        selects.append(f"SELECT hour AS {TIME}, {told} FROM calls_by_hour WHERE {_inside(found.hours, 'hour')}{others}")
    for span in found.calls:
        rows = view_of_calls(f"SELECT * FROM {TABLE} WHERE {_inside(span, TIME)}", "hour")
        selects.append(f"SELECT hour AS {TIME}, {told} FROM ({rows})")
    return " UNION ALL ".join(selects)


def _inside(span: Span, column: str) -> str:
    """As text, as the question's own parameters have their places already."""
    bounds = ((">=", span.since), ("<", span.before))
    return " AND ".join(f"{column} {sign} {timestamp(at)}" for sign, at in bounds if at is not None) or "true"
