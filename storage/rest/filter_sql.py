"""A filter's tree as a condition of SQL: one expression, its values beside it.

What is not there is neither equal to anything nor greater nor smaller, and contains nothing: `not-equals` and `not-contains` hold of it.
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Callable, Mapping

from msgspec import structs

from storage.rest.fields import OF_A_CALL, Kind
from storage.rest.filter_tree import Both, Node, Operator, Predicate
from storage.rest.sql import EVERY, NONE, Sql, all_of, joined, time, value

_COMPARED = {Operator.EQUALS: "=", Operator.GTE: ">=", Operator.LTE: "<=", Operator.GT: ">", Operator.LT: "<"}
BEGAN = Sql("created_at")
_MATCHED = {Operator.LIKE: "LIKE", Operator.ILIKE: "ILIKE"}
_OPPOSITES = {
    Operator.NOT_EQUALS: Operator.EQUALS,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
    Operator.NOT_NULL: Operator.IS_NULL,
    Operator.NOT_EMPTY: Operator.IS_EMPTY,
}

Wrapped = Callable[[Predicate, Sql], Sql]
"""What becomes of the condition that a test is, where it stands."""


def _as_it_is(_predicate: Predicate, condition: Sql) -> Sql:
    return condition


def condition(node: Node, wrapped: Wrapped = _as_it_is, *, within: Sql = EVERY) -> Sql:
    """True of the rows that the filter is for. Of others it is false or NULL: nothing stands in the way of a scan that passes over them.

    `within`: a condition on `created_at` that stands beside it. Bodies are sought in those times, and in those that the filter bounds.
    """
    return _part(node, wrapped, all_of([within, *_bounds(node)]))


def _bounds(node: Node) -> list[Sql]:
    """What all rows of the filter must meet of the time when a call began, which is that of its bodies too."""
    if isinstance(node, Predicate):
        bounding = node.table in OF_A_CALL and node.field.sql == BEGAN and node.operator in _COMPARED  # a session's beginning is another
        return [_held(node)] if bounding else []
    return [bound for part in node.parts for bound in _bounds(part)] if isinstance(node, Both) else []


def _part(node: Node, wrapped: Wrapped, within: Sql) -> Sql:
    if isinstance(node, Predicate):
        return wrapped(node, _condition(node, within))
    parts = [_part(part, wrapped, within) for part in node.parts]
    if isinstance(node, Both):
        parts = [part for part in parts if part != EVERY]
        return joined(" AND ", map(_bracketed, parts)) if parts else EVERY
    if EVERY in parts:
        return EVERY
    return joined(" OR ", map(_bracketed, parts)) if parts else NONE


def _bracketed(part: Sql) -> Sql:
    return "(" + part + ")"


def _condition(predicate: Predicate, within: Sql) -> Sql:
    opposite = _OPPOSITES.get(predicate.operator)
    if opposite is not None:
        return "NOT coalesce(" + _condition(structs.replace(predicate, operator=opposite), within) + ", false)"
    return _in_bodies(predicate, within) if predicate.field.body is not None else _held(predicate)


def _in_bodies(predicate: Predicate, within: Sql) -> Sql:
    """A call has no row there when its body was not kept."""
    bodies = f"SELECT call_id FROM bodies WHERE side = '{predicate.field.body}' AND (" + within + ") AND "
    if predicate.operator in {Operator.IS_NULL, Operator.IS_EMPTY}:
        return "call_id NOT IN (" + bodies + f"{predicate.field.sql.text} {_SAID[predicate.operator]})"
    return "call_id IN (" + bodies + _held(predicate) + ")"


_SAID: Mapping[Operator, str] = {Operator.IS_NULL: "IS NOT NULL", Operator.IS_EMPTY: "<> ''"}


def _held(predicate: Predicate) -> Sql:
    field, operator = predicate.field, predicate.operator
    if operator is Operator.IS_NULL:
        return field.sql + " IS NULL"
    if operator is Operator.IS_EMPTY:
        return "coalesce(" + field.sql + ("" if field.kind is Kind.TEXT else "::VARCHAR") + ", '') = ''"
    if field.kind is Kind.TEXT:
        return _told(predicate, str(predicate.value))
    return field.sql + f" {_COMPARED[operator]} " + (time(str(predicate.value)) if field.kind is Kind.TIME else value(predicate.value))


def _told(predicate: Predicate, text: str) -> Sql:
    field, operator = predicate.field, predicate.operator
    if operator is Operator.CONTAINS:
        return "contains(lower(" + field.sql + "), lower(" + value(text) + "))"
    return field.sql + f" {_MATCHED.get(operator, '=')} " + value(text.lower() if field.lower else text)
