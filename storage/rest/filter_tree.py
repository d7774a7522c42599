"""The filter of a question, read: a tree of predicates. Pure; what is wrong is named by its path.

A node is `"all"`, `{}`, `{"left": …, "operator": "and"|"or", "right": …}`, or a leaf `{table: {column: {operator: value}}}`. A leaf that
says several things means all of them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from storage.rest.fields import Column, Field, HasKey, Keyed, Kind, Table
from storage.rest.sql import Value

MOST_TESTS = 1000
MOST_DEPTH = 50
"""Of nodes whose operator is another than that of the node around them; chains of the same one may be as long as there may be tests."""
MOST_CHARACTERS = 10_000
"""Of one value."""

NULL = "null"
EMPTY = "__empty__"
"""Said instead of a value."""


class Operator(StrEnum):
    """As filters write them; the last four are what `null` and `__empty__` make of `equals` and `not-equals`."""

    EQUALS = "equals"
    NOT_EQUALS = "not-equals"
    LIKE = "like"
    ILIKE = "ilike"
    CONTAINS = "contains"
    NOT_CONTAINS = "not-contains"
    GTE = "gte"
    LTE = "lte"
    GT = "gt"
    LT = "lt"
    IS_NULL = "is null"
    NOT_NULL = "is not null"
    IS_EMPTY = "is empty"
    NOT_EMPTY = "is not empty"


_EITHER = {Operator.EQUALS, Operator.NOT_EQUALS}
_ORDERED = {Operator.GTE, Operator.LTE, Operator.GT, Operator.LT}
OPERATORS: Mapping[Kind, frozenset[Operator]] = {
    Kind.TEXT: frozenset(_EITHER | {Operator.LIKE, Operator.ILIKE, Operator.CONTAINS, Operator.NOT_CONTAINS}),
    Kind.NUMBER: frozenset(_EITHER | _ORDERED),
    Kind.TIME: frozenset(_EITHER | _ORDERED),
    Kind.BOOLEAN: frozenset(_EITHER),
}
_UNSAID = {
    (NULL, Operator.EQUALS): Operator.IS_NULL,
    (NULL, Operator.NOT_EQUALS): Operator.NOT_NULL,
    (EMPTY, Operator.EQUALS): Operator.IS_EMPTY,
    (EMPTY, Operator.NOT_EQUALS): Operator.NOT_EMPTY,
}


class Predicate(Struct, frozen=True):
    """One column against one value. Times are ISO 8601, UTC without a zone."""

    field: Field
    table: str
    operator: Operator
    value: Value = None


class Both(Struct, frozen=True):
    """All of the parts hold; of none, always."""

    parts: "tuple[Node, ...]" = ()


class Either(Struct, frozen=True):
    """One of the parts holds, or more."""

    parts: "tuple[Node, ...]"


Node = Predicate | Both | Either
ALL = Both()


def parts_of(node: Node) -> tuple[Node, ...]:
    """What must all hold."""
    return node.parts if isinstance(node, Both) else (node,)


def tables_of(node: Node) -> set[str]:
    """Which tables it asks about."""
    return {node.table} if isinstance(node, Predicate) else set().union(*map(tables_of, node.parts))


class BadFilter(Exception):
    """What a filter says cannot be meant. `field` is its path in the body."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def read(said: Any, tables: Mapping[str, Table], *, path: str = "filter") -> Node:
    """The tree. Raises BadFilter."""
    return _Reader(tables).node(said, path, 0)


class _Reader:
    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._tests = 0

    def node(self, said: Any, path: str, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise BadFilter(path, f"is nested more than {MOST_DEPTH} times")
        if said in ("all", {}):
            return ALL
        if not isinstance(said, dict):
            raise BadFilter(path, 'must be "all", a branch {"left", "operator", "right"} or a leaf {table: {column: {operator: value}}}')
        return self._branch(said, path, depth) if said.keys() & {"left", "operator", "right"} else self._leaf(said, path)

    def _branch(self, said: dict[str, Any], path: str, depth: int) -> Node:
        operator = _operator_of(said, path)
        parts, waiting = [], [(said, path)]
        while waiting:  # a chain of the same operator, however long, is one node
            each, where = waiting.pop()
            if isinstance(each, dict) and each.get("operator") == operator and _operator_of(each, where):
                waiting += [(each["right"], f"{where}.right"), (each["left"], f"{where}.left")]
            else:
                parts.append(self.node(each, where, depth + 1))
        return Both(tuple(parts)) if operator == "and" else Either(tuple(parts))

    def _leaf(self, said: dict[str, Any], path: str) -> Node:
        tests: list[Predicate] = []
        for table, columns in said.items():
            where = f"{path}.{_shown(table)}"
            if table not in self._tables:
                raise BadFilter(where, f"is no table that can be asked about; there are {', '.join(self._tables)}")
            for column, operators, at in _entries(columns, where, "column"):
                tests += self._tests_of(table, self._column(table, column, at), operators, at)
        self._tests += len(tests)
        if self._tests > MOST_TESTS:
            raise BadFilter(path, f"is one test too many; at most {MOST_TESTS} are taken")
        return tests[0] if len(tests) == 1 else Both(tuple(tests))

    def _column(self, table: str, name: str, path: str) -> Column:
        columns = self._tables[table]
        keyed = columns.get("*")
        if isinstance(keyed, Keyed):
            return keyed.at(name)
        if name not in columns:
            raise BadFilter(path, f"is no column of {table}; there are {', '.join(columns)}")
        return columns[name]

    def _tests_of(self, table: str, column: Column, said: Any, path: str) -> Iterator[Predicate]:
        if isinstance(column, Keyed):
            for key, operators, at in _entries(said, path, "key"):
                yield from self._tests_of(table, column.at(key), operators, at)
            return
        for name, value, at in _entries(said, path, "operator"):
            yield _has(table, column, name, value, at) if isinstance(column, HasKey) else _test(table, column, name, value, at)


def _operator_of(said: dict[str, Any], path: str) -> str:
    """Of a branch that is whole."""
    for name in ("left", "operator", "right"):
        if name not in said:
            raise BadFilter(f"{path}.{name}", "is missing")
    operator = said["operator"]
    if operator not in {"and", "or"} if isinstance(operator, str) else True:
        raise BadFilter(f"{path}.operator", "must be and, or or")
    return str(operator)


def _entries(said: Any, path: str, kind: str) -> Iterator[tuple[str, Any, str]]:
    """Name, what is said of it, and its path."""
    if not isinstance(said, dict) or not said:
        raise BadFilter(path, f"must be an object that names a {kind}")
    for name, value in said.items():
        _text(name, f"{path}.{_shown(name)}")
        yield name, value, f"{path}.{_shown(name)}"


def _shown(name: str) -> str:
    """As an answer can hold it."""
    sayable = name.encode("utf-8", "replace").decode()
    return sayable if len(sayable) <= 100 else f"{sayable[:100]}…"


def _has(table: str, column: HasKey, name: str, value: Any, path: str) -> Predicate:
    if name not in _EITHER:
        raise BadFilter(path, "is no operator here; there are equals, not-equals")
    field = column.keyed.at(_text(value, path))
    return Predicate(field, table, Operator.NOT_NULL if name == Operator.EQUALS else Operator.IS_NULL)


def _test(table: str, field: Field, name: str, value: Any, path: str) -> Predicate:
    may = OPERATORS[field.kind]
    if name not in may:
        raise BadFilter(path, f"is no operator of a {field.kind}; there are {', '.join(sorted(may))}")
    operator = Operator(name)
    unsaid = _UNSAID.get((value, operator)) if isinstance(value, str) else None
    if value is None and operator in _EITHER:
        unsaid = _UNSAID[NULL, operator]
    if unsaid is not None:
        return Predicate(field, table, unsaid)
    return Predicate(field, table, operator, _VALUES[field.kind](value, path))


def _text(value: Any, path: str) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        raise BadFilter(path, "must be text")
    if len(value) > MOST_CHARACTERS:
        raise BadFilter(path, f"has {len(value)} characters; at most {MOST_CHARACTERS} are taken")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadFilter(path, "holds half of a character") from None
    return value


def _number(value: Any, path: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise BadFilter(path, "must be a number") from None
    if not math.isfinite(number):
        raise BadFilter(path, "must be a number that is finite")
    return number


def _boolean(value: Any, path: str) -> bool:
    spelled = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(spelled, bool):
        raise BadFilter(path, "must be true or false")
    return spelled


def instant(value: Any, path: str) -> str:
    """ISO 8601, without a zone in UTC, as the lake has times. Raises BadFilter."""
    try:
        if not isinstance(value, str):
            raise ValueError
        moment = datetime.fromisoformat(value.strip())
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise BadFilter(path, "must be a time such as 2026-01-31T00:00:00Z") from None
    return moment.isoformat(sep=" ")


_VALUES: Mapping[Kind, Callable[[Any, str], Value]] = {Kind.TEXT: _text, Kind.NUMBER: _number, Kind.TIME: instant, Kind.BOOLEAN: _boolean}
