"""Questions about calls that rollups can answer: what an aggregate over `calls` comes to is taken from what was added up before.

    SELECT model, count(*), sum(cost_usd) FROM calls WHERE created_at >= '2026-03-01' GROUP BY model

reads every call; asked of rollups, a row for each day and model. Here it is decided from the syntax tree whether a question allows that,
and it is written anew over rows that stand for many calls: `count(*)` becomes the sum of how many. Allowed is what comes to the same to the
last digit: one SELECT over `calls`, grouped or added up as a whole; conditions and groups over what rollups keep apart (`DIMENSIONS`) and
whole hours; sums, counts and extremes of what they add up. Whatever else stands in a question, it is asked of calls. What is to be
approximate only, as `approx_quantile(latency_ms, 0.95)`, sketches tell within 1 %.
"""

from collections.abc import Iterator, Set
from functools import cache
from typing import Any

import duckdb
from msgspec import Struct

from storage.rollups.measures import DIMENSIONS, MEASURES, SKETCHES
from storage.syntax import Tree, function_of, nodes, scanned, serialized

TABLE = "calls"
TIME = "created_at"
DEEPEST = 3_000
"""Nodes of a question that is looked at: it is walked by recursion."""
_LONGER = frozenset({"day", "week", "month", "quarter", "year"})
_NOW = frozenset({"now", "get_current_timestamp", "transaction_timestamp", "current_timestamp", "today", "current_date"})
_PLAIN = frozenset({"BETWEEN", "CASE", "CAST", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR", "PARAMETER", "TYPE"})
MARK = "__"
"""Columns of ours begin so, and no name of a question that is answered by them."""

_SIGNS = {
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_LESSTHAN": "<",
}
_TURNED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}

_SUMS = frozenset(name for name, measure in MEASURES.items() if measure.over_calls == f"sum({name})")
_COUNTS = {
    "cost_usd": "sum(__calls) - sum(__unpriced)",
    "total_tokens": "sum(__calls) - sum(__uncounted)",
    "latency_ms": "sum(__latency_calls)",
    "ttft_ms": "sum(__ttft_calls)",
}
"""How many calls have one."""
_EXTREMES = {measure.over_calls: f"{measure.merges_by}({MARK}{name})" for name, measure in MEASURES.items() if measure.merges_by != "sum"}
"""By the aggregate over calls, that over rows."""
_FLAGS = {
    column: f"{MARK}{name}"
    for column in ("cache_hit", "stream", "rate_limited")
    for name, measure in MEASURES.items()
    if measure.over_calls == f"count(*) FILTER ({column})"
}
"""Of how many calls it is true."""
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_FORMS = {
    **{f"count {name}": f"CAST(coalesce({of}, 0) AS BIGINT)" for name, of in _COUNTS.items()},
    **{f"flag {name}": f"CAST(coalesce(sum({of}), 0) AS BIGINT)" for name, of in _FLAGS.items()},
    "count": "CAST(coalesce(sum(__calls), 0) AS BIGINT)",
    "count x": "CAST(coalesce(sum(__calls) FILTER (__x IS NOT NULL), 0) AS BIGINT)",
    "sum x": "sum(CAST(__x AS HUGEINT) * __calls)",
    "avg x": "CAST(sum(CAST(__x AS HUGEINT) * __calls) AS DOUBLE) / sum(__calls) FILTER (__x IS NOT NULL)",
    "any x": "CAST(any_value(__x) AS DOUBLE)",
    "x": "__x",
    "and": "__x AND __y",
}
_SKETCHED = {column: sketch for sketch, column in SKETCHES.items()}


class Quantile(Struct, frozen=True):
    """What a sketch is asked."""

    sketch: str
    share: float
    """Of the values that lie below."""


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
    sums: bool
    """Whether it adds up or compares more than these quantiles."""
    quantiles: tuple[Quantile, ...]
    """Those that it reads, as the columns `__q0`, `__q1` and so on of one row of each group."""
    groups: tuple[Tree, ...]
    """What it groups by, where it reads quantiles."""
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
        self._hourly = self._adds = self._sums = False
        self._quantiles: list[Quantile] = []

    def asked(self) -> Aggregated:
        tree = self._tree
        self._look_at_shape()
        bounds, conditions = self._where()
        select = [self._turned(item) for item in tree["select_list"]]
        turned = {
            **tree,
            "select_list": [{**item, "alias": item.get("alias") or f"{MARK}{place}"} for place, item in enumerate(select)],
            "where_clause": _all_of(conditions),
            **{part: self._turned(tree[part]) for part in ("group_expressions", "having", "modifiers")},
        }
        if not self._adds and not tree["group_expressions"]:
            raise _Other
        read = frozenset(name.removeprefix(MARK) for node in nodes(turned) for name in node.get("column_names", ()))
        return Aggregated(
            tree=turned,
            bounds=bounds,
            hourly=self._hourly,
            measures=read & MEASURES.keys(),
            sums=self._sums,
            quantiles=tuple(self._quantiles),
            groups=tuple(self._groups()) if self._quantiles else (),
            name=self._name,
        )

    def _look_at_shape(self) -> None:
        tree = self._tree
        if scanned(tree) not in ([TABLE], ["main", TABLE]):
            raise _Other
        self._name = tree["from_table"]["alias"] or TABLE
        named = {name for node in nodes(tree) for name in (*node.get("column_names", ()), node.get("alias") or "")}
        if any(name.startswith(MARK) for name in named):
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
        return all(each["class"] in _PLAIN and function_of(each) in self._plain | _NOW | {None} for each in nodes(node) if "class" in each)

    def _must_be_kept_apart(self, node: Tree) -> None:
        """It is about what rollups keep apart."""
        for each in nodes(node):
            if each.get("class") == "COLUMN_REF":
                if self._column(each) not in DIMENSIONS:
                    raise _Other
            elif "class" in each and (each["class"] not in _PLAIN or function_of(each) not in self._plain | {None}):
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
        if (name := function_of(part)) in _AGGREGATES and part["class"] == "FUNCTION":
            self._adds = True
            return {**self._added(name, part), "alias": part["alias"]}
        if part["class"] not in _PLAIN or name not in self._plain | {None}:
            raise _Other
        return {name: self._turned(value) for name, value in part.items()}

    def _is_piece(self, node: Tree) -> bool:
        """Whether it is the hour, the day or a longer piece of time that a call was made in."""
        if function_of(node) in {"date_trunc", "datetrunc"} and len(node["arguments"]) == 2:
            unit, of = (each["expression"] for each in node["arguments"])
            said = unit.get("literal", {}).get("text", "").lower() if unit["class"] == "CONSTANT" else ""
            if self._column(of) == TIME and said in _LONGER | {"hour"}:
                self._hourly |= said == "hour"
                return True
        return node["class"] == "CAST" and self._column(node["child"]) == TIME and node["type_expr"].get("type_name") == "DATE"

    def _added(self, name: str, node: Tree) -> Tree:
        """An aggregate."""
        if node["order_bys"]["orders"] or node.get("schema"):
            raise _Other
        of = [each["expression"] for each in node["arguments"]]
        if name == "approx_quantile":
            return self._quantile(node, of)
        self._sums = True
        if len(of) > 1:
            raise _Other
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
        return self._summed(name, node, condition)

    def _summed(self, name: str, node: Tree, condition: Tree | None) -> Tree:
        """A sum, a count or an extreme of all calls that a condition about their keys lets through."""
        of = [each["expression"] for each in node["arguments"]]
        column = self._column(of[0]) if of else ""
        if name == "count_star" or (
            name == "count" and (not of or (of[0]["class"] == "CONSTANT" and of[0]["literal"].get("kind") == "INTEGER"))
        ):
            return _written("count", condition)
        if name == "sum" and column in _SUMS:
            return _written(f"sum(__{column})", condition)
        if name == "count" and column in _COUNTS:
            return _written(f"count {column}", condition)
        if (extreme := f"{name}({column})") in _EXTREMES:
            return _written(_EXTREMES[extreme], condition)
        if not of:
            raise _Other
        self._must_be_kept_apart(of[0])
        if name in {"min", "max"}:
            return node
        whole = of[0]["class"] == "CAST" and of[0]["type_expr"].get("type_name") in _INTEGERS
        if name != "count" and not whole:
            raise _Other
        return _written(f"{name} x", condition, of[0])

    def _quantile(self, node: Tree, of: list[Tree]) -> Tree:
        """One of durations, by a share that stands there."""
        if node["filter"] or node["distinct"] or len(of) != 2:
            raise _Other
        sketch, share = _SKETCHED.get(self._column(of[0])), _number(of[1])
        if sketch is None or share is None or not 0 <= share <= 1:
            raise _Other
        self._quantiles.append(Quantile(sketch, share))
        column = {**_forms()["x"], "column_names": [f"{MARK}q{len(self._quantiles) - 1}"]}
        return _written("any x", None, column)

    def _groups(self) -> Iterator[Tree]:
        """What its groups have in common, expressions that are named by their place or by another name included."""
        tree, listed = self._tree, self._tree["select_list"]
        if tree["aggregate_handling"] == "FORCE_AGGREGATES":
            yield from (each for each in listed if not any(function_of(node) in _AGGREGATES for node in nodes(each)))
            return
        if tree["group_sets"] not in ([], [list(range(len(tree["group_expressions"])))]):
            raise _Other
        for each in tree["group_expressions"]:
            place, name = _number(each), each["column_names"][-1].lower() if each["class"] == "COLUMN_REF" else ""
            if place is not None:
                yield from listed[int(place) - 1 : int(place)]
            elif name in self._given - self._columns:
                yield next(item for item in listed if (item.get("alias") or "").lower() == name)
            else:
                yield each

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


_AGGREGATES = frozenset({"count_star", "count", "sum", "avg", "min", "max", "approx_quantile"})


def _number(node: Tree) -> float | None:
    """What a number that stands there is."""
    said = node["literal"] if node["class"] == "CONSTANT" else {}
    return float(said["text"]) if said.get("kind") in {"INTEGER", "NUMERIC"} else None


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
    written: Tree = put_in(_forms()[form], argument)
    for node in nodes(written):
        if node.get("class") == "FUNCTION" and node["function_name"] in {"sum", "min", "max"}:
            node["filter"] = _all_of([each for each in (node["filter"], condition) if each is not None])
    return written


def put_in(part: Any, argument: Tree | None) -> Any:
    """A copy of a tree, with an expression in the place of `__x`."""
    if isinstance(part, list):
        return [put_in(each, argument) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("column_names") == ["__x"]:
        return argument
    return {name: put_in(value, argument) for name, value in part.items()}


@cache
def _forms() -> dict[str, Tree]:
    """The trees of all expressions that may be put in."""
    said = dict(_FORMS)
    said |= {text: text for text in (*(f"sum(__{name})" for name in _SUMS), *_EXTREMES.values())}
    with duckdb.connect(":memory:") as engine:
        tree = serialized(engine, f"SELECT {', '.join(said.values())}")
    return dict(zip(said, tree["select_list"], strict=True))
