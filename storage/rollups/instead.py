"""Questions about calls that rollups answer: what an aggregate over `calls` comes to is taken from what was added up before.

    SELECT model, count(*), sum(cost_usd) FROM calls WHERE created_at >= '2026-03-01' GROUP BY model

reads every call; asked of rollups, a row for each day and model. Here it is decided from the syntax tree whether a question allows that,
and it is written anew over rows that stand for many calls: `count(*)` becomes the sum of how many. Allowed is what comes to the same to the
last digit: one SELECT over `calls`, grouped or added up as a whole; conditions and groups over what rollups keep apart (`DIMENSIONS`) and
whole hours; sums, counts and extremes of what they add up. Whatever else stands in a question, it is asked of calls.
"""

# ruff: noqa: S608 SQL is made of names of ours and of times

from collections.abc import Callable, Iterator, Set
from copy import deepcopy
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import duckdb
from msgspec import Struct

from storage.carried import quoted
from storage.rollups.measures import DIMENSIONS, KEYS, MEASURES
from storage.rollups.shaping import view_of_calls
from storage.syntax import Tree, nodes, serialized, text_of, values_of

TABLE = "calls"
TIME = "created_at"
WORTH = 1_000_000
"""Calls of the days that are asked about, from which on rollups answer sooner: of fewer it takes as long to ask of three tables."""
DEEPEST = 3_000
"""Nodes of a question that is looked at: it is walked by recursion."""
HOURS, DAYS = VIEWS = ("calls_by_hour", "calls_by_day")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_LONGER = frozenset({"day", "week", "month", "quarter", "year"})
_NOW = frozenset({"now", "get_current_timestamp", "transaction_timestamp", "current_timestamp", "today", "current_date"})
_PLAIN = frozenset({"BETWEEN", "CASE", "CAST", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR", "PARAMETER", "TYPE"})
_MARK = "__"
"""Columns of ours begin so, and no name of a question that is answered by them."""

_SIGNS = {
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_LESSTHAN": "<",
}
_TURNED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}

_SUMS = frozenset(
    {
        "cost_usd",
        "cost_saved_usd",
        *(f"{kind}_tokens" for kind in ("prompt", "completion", "cache_read", "cache_write", "reasoning", "total")),
    }
)
_COUNTS = {
    "cost_usd": "sum(__calls) - sum(__unpriced)",
    "total_tokens": "sum(__calls) - sum(__uncounted)",
    "latency_ms": "sum(__latency_calls)",
    "ttft_ms": "sum(__ttft_calls)",
}
"""How many calls have one."""
_EXTREMES = {("min", "latency_ms"): "__latency_min_ms", ("max", "latency_ms"): "__latency_max_ms", ("max", TIME): "__newest_at"}
_FLAGS = {"cache_hit": "__cache_hits", "stream": "__streams", "rate_limited": "__rate_limited"}
"""Of how many calls it is true."""
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_FORMS = {
    **{f"count {name}": f"CAST(coalesce({of}, 0) AS BIGINT)" for name, of in _COUNTS.items()},
    **{f"flag {name}": f"CAST(coalesce(sum({of}), 0) AS BIGINT)" for name, of in _FLAGS.items()},
    "count": "CAST(coalesce(sum(__calls), 0) AS BIGINT)",
    "count x": "CAST(coalesce(sum(__calls) FILTER (__x IS NOT NULL), 0) AS BIGINT)",
    "sum x": "sum(__x * __calls)",
    "avg x": "CAST(sum(__x * __calls) AS DOUBLE) / sum(__calls) FILTER (__x IS NOT NULL)",
    "and": "__x AND __y",
    "instant": "CAST(__x AS TIMESTAMP)",
}


class Aggregated(Struct, frozen=True, kw_only=True):
    """A question over rows that stand for many calls."""

    tree: Tree
    """Without its conditions on the time, and with the table still to be put in."""
    bounds: tuple[tuple[str, Tree], ...]
    """What `created_at` is compared with: a sign, and an expression that reads no column."""
    hourly: bool
    """Hours are kept apart; else days."""
    measures: frozenset[str]
    """Those of `MEASURES` that it reads."""
    name: str
    """What it calls the table."""


class _Other(Exception):
    """It is another question."""


def aggregated(tree: Tree, plain: Set[str], columns: Set[str]) -> Aggregated | None:
    """How a question is asked of rollups; None where it is one for calls.

    `plain`: functions of one row that answer the same each time. `columns`: those of `calls`, which a name that the question gives must not
    be one of: it would be looked for among those first.
    """
    try:
        return _Question(tree, plain, columns).asked() if sum(1 for _ in nodes(tree)) <= DEEPEST else None
    except _Other:
        return None


class _Question:
    """One SELECT, while it is looked at."""

    def __init__(self, tree: Tree, plain: Set[str], columns: Set[str]) -> None:
        self._tree, self._plain = tree, plain
        self._given = frozenset(item["alias"].lower() for item in tree.get("select_list", ()) if item.get("alias"))
        self._columns = columns
        self._name = TABLE
        self._hourly = self._adds = False

    def asked(self) -> Aggregated:
        tree = self._tree
        self._look_at_shape()
        bounds, conditions = self._where()
        select = [self._turned(item) for item in tree["select_list"]]
        turned = {
            **tree,
            "select_list": [{**item, "alias": item.get("alias") or f"{_MARK}{place}"} for place, item in enumerate(select)],
            "where_clause": _all_of(conditions),
            **{part: self._turned(tree[part]) for part in ("group_expressions", "having", "modifiers")},
        }
        if not self._adds and not tree["group_expressions"]:
            raise _Other
        read = frozenset(name.removeprefix(_MARK) for node in nodes(turned) for name in node.get("column_names", ()))
        return Aggregated(tree=turned, bounds=bounds, hourly=self._hourly, measures=read & MEASURES.keys(), name=self._name)

    def _look_at_shape(self) -> None:
        tree = self._tree
        if tree.get("type") != "SELECT_NODE" or tree["cte_map"]["map"] or tree["qualify"] or tree["sample"]:
            raise _Other
        table = tree["from_table"]
        if table.get("type") != "BASE_TABLE" or table.get("sample") or table.get("column_name_alias") or table.get("at_clause"):
            raise _Other
        path = [part.lower() for part in table["qualified_name"]["path"]]
        if path[-1] != TABLE or path[:-1] not in ([], ["main"]):
            raise _Other
        self._name = table["alias"] or TABLE
        named = {name for node in nodes(tree) for name in (*node.get("column_names", ()), node.get("alias") or "")}
        if any(name.startswith(_MARK) for name in named):
            raise _Other
        for item in tree["select_list"]:
            alias = (item.get("alias") or "").lower()
            if alias in self._columns and alias != self._column(item):
                raise _Other

    def _where(self) -> tuple[tuple[tuple[str, Tree], ...], list[Tree]]:
        """What bounds the time, and the other conditions."""
        bounds: list[tuple[str, Tree]] = []
        others: list[Tree] = []
        for condition in _conditions(self._tree["where_clause"]):
            found = list(self._bounds(condition))
            bounds += found
            if not found:
                self._must_be_kept_apart(condition)
                others.append(condition)
        return tuple(bounds), others

    def _bounds(self, condition: Tree) -> Iterator[tuple[str, Tree]]:
        if condition["class"] == "COMPARISON" and condition["type"] in _SIGNS:
            sign = _SIGNS[condition["type"]]
            if self._column(condition["left"]) == TIME and self._is_fixed(condition["right"]):
                yield sign, condition["right"]
            elif self._column(condition["right"]) == TIME and self._is_fixed(condition["left"]):
                yield _TURNED[sign], condition["left"]
        elif condition["class"] == "BETWEEN" and condition["type"] == "COMPARE_BETWEEN" and self._column(condition["input"]) == TIME:
            ends = condition["lower"], condition["upper"]
            if all(map(self._is_fixed, ends)):
                yield from zip((">=", "<="), ends, strict=True)

    def _is_fixed(self, node: Tree) -> bool:
        """It reads no column."""
        return all(
            each["class"] in _PLAIN and self._function(each) in self._plain | _NOW | {None} for each in nodes(node) if "class" in each
        )

    def _must_be_kept_apart(self, node: Tree) -> None:
        """It is about what rollups keep apart."""
        for each in nodes(node):
            if each.get("class") == "COLUMN_REF":
                if self._column(each) not in DIMENSIONS:
                    raise _Other
            elif "class" in each and (each["class"] not in _PLAIN or self._function(each) not in self._plain | {None}):
                raise _Other

    def _turned(self, part: Any) -> Any:
        """The same over rows of rollups."""
        if isinstance(part, list):
            return [self._turned(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "class" not in part:
            return {name: self._turned(value) for name, value in part.items()}
        if self._is_piece(part):
            return part
        if part["class"] == "COLUMN_REF":
            named = part["column_names"]
            if self._column(part) not in DIMENSIONS and not (len(named) == 1 and named[0].lower() in self._given - self._columns):
                raise _Other
            return part
        if (name := self._function(part)) in _AGGREGATES and part["class"] == "FUNCTION":
            self._adds = True
            return {**self._added(name, part), "alias": part["alias"]}
        if part["class"] not in _PLAIN or name not in self._plain | {None}:
            raise _Other
        return {name: self._turned(value) for name, value in part.items()}

    def _is_piece(self, node: Tree) -> bool:
        """Whether it is the hour, the day or a longer piece of time that a call was made in."""
        if self._function(node) in {"date_trunc", "datetrunc"}:
            unit, *rest = (each["expression"] for each in node["arguments"])
            said = unit.get("literal", {}).get("text", "").lower() if unit["class"] == "CONSTANT" else ""
            if len(rest) == 1 and self._column(rest[0]) == TIME and said in _LONGER | {"hour"}:
                self._hourly |= said == "hour"
                return True
        return node["class"] == "CAST" and self._column(node["child"]) == TIME and node["type_expr"].get("type_name") == "DATE"

    def _added(self, name: str, node: Tree) -> Tree:
        """An aggregate."""
        if node["order_bys"]["orders"] or node.get("schema") or len(node["arguments"]) > 1:
            raise _Other
        of = [each["expression"] for each in node["arguments"]]
        column = self._column(of[0]) if of else ""
        measured, condition = self._filtered(node["filter"])
        if node["distinct"]:
            if measured or name not in {"count", "min", "max"}:
                raise _Other
            self._must_be_kept_apart(of[0])
            return node
        if measured:
            if name not in {"count", "count_star"} or of:
                raise _Other
            return _written(f"flag {measured}", condition)
        if name == "count_star" or (
            name == "count" and (not of or (of[0]["class"] == "CONSTANT" and of[0]["literal"].get("kind") == "INTEGER"))
        ):
            return _written("count", condition)
        if name == "sum" and column in _SUMS:
            return _written(f"sum(__{column})", condition)
        if name == "count" and column in _COUNTS:
            return _written(f"count {column}", condition)
        if (name, column) in _EXTREMES:
            return _written(f"{name}({_EXTREMES[name, column]})", condition)
        if not of:
            raise _Other
        self._must_be_kept_apart(of[0])
        if name in {"min", "max"}:
            return node
        whole = of[0]["class"] == "CAST" and of[0]["type_expr"].get("type_name") in _INTEGERS
        if name != "count" and not whole:
            raise _Other
        return _written(f"{name} x", condition, of[0])

    def _filtered(self, condition: Tree | None) -> tuple[str, Tree | None]:
        """A flag that calls are counted by, if there is one; and what else has to hold."""
        flags, others = [], []
        for each in _conditions(condition):
            if (column := self._column(each)) in _FLAGS:
                flags.append(column)
            else:
                self._must_be_kept_apart(each)
                others.append(each)
        if len(flags) > 1:
            raise _Other
        return "".join(flags), _all_of(others)

    def _column(self, node: Tree) -> str:
        """The name of the column of the table that it is; empty for all else."""
        if node.get("class") != "COLUMN_REF":
            return ""
        *table, name = (part.lower() for part in node["column_names"])
        return name if table in ([], [self._name.lower()]) else ""

    @staticmethod
    def _function(node: Tree) -> str | None:
        return node["function_name"].lower() if "function_name" in node else None


_AGGREGATES = frozenset({"count_star", "count", "sum", "avg", "min", "max"})


def _conditions(node: Tree | None) -> Iterator[Tree]:
    """Those that must all hold."""
    if node is None:
        return
    if node["class"] == "CONJUNCTION" and node["type"] == "CONJUNCTION_AND":
        for each in node["children"]:
            yield from _conditions(each)
    else:
        yield node


def _all_of(conditions: list[Tree]) -> Tree | None:
    if not conditions[1:]:
        return conditions[0] if conditions else None
    return {**_forms()["and"], "children": conditions}


def _written(form: str, condition: Tree | None, argument: Tree | None = None) -> Tree:
    """An expression of `_FORMS`, or of that text, whose sums heed a condition too."""
    known = deepcopy(_forms()[form])
    written: Tree = _put_in(known, argument)
    for node in nodes(written):
        if node.get("class") == "FUNCTION" and node["function_name"] in {"sum", "min", "max"}:
            node["filter"] = _all_of([each for each in (node["filter"], condition) if each is not None])
    return written


def _put_in(part: Any, argument: Tree | None) -> Any:
    if isinstance(part, list):
        return [_put_in(each, argument) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("column_names") == ["__x"]:
        return argument
    return {name: _put_in(value, argument) for name, value in part.items()}


@cache
def _forms() -> dict[str, Tree]:
    """The trees of all expressions that may be put in."""
    said = dict(_FORMS)
    said |= {text: text for text in (f"sum(__{name})" for name in _SUMS)}
    said |= {text: text for text in (f"{name}({column})" for (name, _), column in _EXTREMES.items())}
    with duckdb.connect(":memory:") as engine:
        tree = serialized(engine, f"SELECT {', '.join(said.values())}")
    return dict(zip(said, tree["select_list"], strict=True))


class Times(Struct, frozen=True):
    """Calls from one instant to before another, in UTC without a zone; None: without end."""

    since: datetime | None = None
    before: datetime | None = None


def between(bounds: list[tuple[str, datetime]]) -> Times:
    """The times that satisfy all comparisons. They are in whole microseconds."""
    step = timedelta(microseconds=1)
    since = [at if sign == ">=" else at + step for sign, at in bounds if sign in {">=", ">"}]
    before = [at if sign == "<" else at + step for sign, at in bounds if sign in {"<", "<="}]
    return Times(max(since, default=None), min(before, default=None))


class Parts(Struct, frozen=True, kw_only=True):
    """Where the calls of some time are taken from; each is in one of them."""

    days: Times | None = None
    hours: tuple[Times, ...] = ()
    calls: tuple[Times, ...] = ()


def parts(times: Times, *, hourly: bool) -> Parts | None:
    """Whole days from days, where hours are not kept apart, what is left of whole hours from hours, and the ends from calls.

    None where there is no whole hour.
    """
    hours = Times(_up(times.since, HOUR), _down(times.before, HOUR))
    if _empty(hours):
        return None
    ends = (Times(times.since, hours.since), Times(hours.before, times.before))
    calls = tuple(end for end in ends if end.since is not None and end.before is not None and not _empty(end))
    days = Times(_up(hours.since, DAY), _down(hours.before, DAY))
    if hourly or _empty(days):
        return Parts(hours=(hours,), calls=calls)
    rest = (Times(hours.since, days.since), Times(days.before, hours.before))
    return Parts(
        days=days,
        hours=tuple(each for each in rest if each.since is not None and each.before is not None and not _empty(each)),
        calls=calls,
    )


def _empty(times: Times) -> bool:
    return times.since is not None and times.before is not None and times.since >= times.before


def _down(at: datetime | None, step: timedelta) -> datetime | None:
    return None if at is None else at - (at - datetime.min) % step  # noqa: DTZ901 as naive as the lake's times


def _up(at: datetime | None, step: timedelta) -> datetime | None:
    return None if at is None else at + (datetime.min - at) % step  # noqa: DTZ901


def table_sql(asked: Aggregated, found: Parts) -> str:
    """The rows that stand for the calls of the question."""
    told = ", ".join((*KEYS, *(f"{name} AS {_MARK}{name}" for name in sorted(asked.measures))))
    grains = [("day", DAYS, found.days)] if found.days else []
    grains += [("hour", HOURS, each) for each in found.hours]
    selects = [f"SELECT {grain} AS {TIME}, {told} FROM {view} WHERE {_within(grain, times)}" for grain, view, times in grains]
    for times in found.calls:
        rows = view_of_calls(f"SELECT * FROM {TABLE} WHERE {_within(TIME, times)}", "hour")
        selects.append(f"SELECT hour AS {TIME}, {told} FROM ({rows})")
    return " UNION ALL ".join(selects)


def _within(column: str, times: Times) -> str:
    bounds = ((">=", times.since), ("<", times.before))
    return " AND ".join(f"{column} {sign} TIMESTAMP '{at.isoformat(sep=' ')}'" for sign, at in bounds if at is not None) or "true"


class Written(Struct, frozen=True):
    """A question that rollups answer, as SQL over `tables`."""

    sql: str
    values: dict[str, Any]
    """Of its parameters, by their identifiers."""
    tables: frozenset[str]


def written(connection: duckdb.DuckDBPyConnection, asked: Aggregated, parameters: Any, calls: Callable[[Times], int]) -> Written | None:
    """The question, once it is known which time it is about; None where that holds no whole hour, or few calls, or is not to be told.

    `connection` works out what `created_at` is compared with; `calls` tells how many there are at most. Raises duckdb.InterruptException.
    """
    try:
        bounds = [(sign, _instant(connection, each, parameters)) for sign, each in asked.bounds]
        times = between(bounds)
        found = parts(times, hourly=asked.hourly) if calls(times) >= WORTH else None
        values = values_of(asked.tree, parameters)
        if found is None or values is None:
            return None
        table = serialized(connection, f"SELECT 1 FROM ({table_sql(asked, found)}) AS {quoted(asked.name)}")["from_table"]
        sql = text_of(connection, {**asked.tree, "from_table": table})
    except duckdb.InterruptException:
        raise
    except (duckdb.Error, _Other, OverflowError, ValueError):
        return None
    return Written(sql, values, frozenset({TABLE, *(name for name in VIEWS if name in sql)}))


def _instant(connection: duckdb.DuckDBPyConnection, expression: Tree, parameters: Any) -> datetime:
    """What an expression that reads no column comes to."""
    if (values := values_of(expression, parameters)) is None:
        raise _Other
    form = deepcopy(_forms()["instant"])
    tree = {**_nothing(), "select_list": [_put_in(form, expression)]}
    [[at]] = connection.execute(text_of(connection, tree), values or None).fetchall()
    if not isinstance(at, datetime) or at.tzinfo is not None:
        raise _Other
    return at


@cache
def _nothing() -> Tree:
    """SELECT, of no table."""
    with duckdb.connect(":memory:") as engine:
        return serialized(engine, "SELECT 1")
