"""A filter's tree as a condition of SQL: one expression, its values beside it.

What is not there is neither equal to anything nor greater nor smaller, and contains nothing: `not-equals` and `not-contains` hold of it.
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Callable, Mapping

from msgspec import structs

from storage.rest.fields import Kind
from storage.rest.filter_tree import Both, Node, Operator, Predicate
from storage.rest.sql import EVERY, NONE, Sql, joined, time, value

_COMPARED = {Operator.EQUALS: "=", Operator.GTE: ">=", Operator.LTE: "<=", Operator.GT: ">", Operator.LT: "<"}
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


def condition(node: Node, wrapped: Wrapped = _as_it_is) -> Sql:
    """True of the rows that the filter is for. Of others it is false or NULL: nothing stands in the way of a scan that passes over them."""
    if isinstance(node, Predicate):
        return wrapped(node, _condition(node))
    parts = [condition(part, wrapped) for part in node.parts]
    if isinstance(node, Both):
        parts = [part for part in parts if part != EVERY]
        return joined(" AND ", map(_bracketed, parts)) if parts else EVERY
    if EVERY in parts:
        return EVERY
    return joined(" OR ", map(_bracketed, parts)) if parts else NONE


def _bracketed(part: Sql) -> Sql:
    return "(" + part + ")"


def _condition(predicate: Predicate) -> Sql:
    opposite = _OPPOSITES.get(predicate.operator)
    if opposite is not None:
        return "NOT coalesce(" + _condition(structs.replace(predicate, operator=opposite)) + ", false)"
    return _in_bodies(predicate) if predicate.field.body is not None else _held(predicate)


def _in_bodies(predicate: Predicate) -> Sql:
    """A call has no row there when its body was not kept."""
    bodies = f"SELECT call_id FROM bodies WHERE side = '{predicate.field.body}' AND "
    if predicate.operator in {Operator.IS_NULL, Operator.IS_EMPTY}:
        return Sql(f"call_id NOT IN ({bodies}{predicate.field.sql.text} {_SAID[predicate.operator]})")
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
