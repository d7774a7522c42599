"""A condition that somebody wrote, to stand behind WHERE: one expression, within the wall that questions have."""

from collections.abc import Set
from typing import Any, NoReturn

import duckdb
import msgspec
from msgspec import structs

from storage.refusal import Refusal, Refused
from storage.sandbox import checked

_BEFORE, _BEHIND = "SELECT (", "\n)"
"""The line end closes a comment that the condition ends with."""
_TUPLE = "row"
"""What brackets are around nothing, or around several."""


def checked_condition(sql: str, connection: duckdb.DuckDBPyConnection, *, views: Set[str]) -> frozenset[str]:
    """The views that a condition reads in its own SELECTs. Raises Refused for what is no single condition, or may not run.

    `connection` only lends its parser.
    """
    try:
        statement = checked(f"{_BEFORE}{sql}{_BEHIND}", connection, views=views)
    except Refused as refused:
        _refuse(refused.refusal)
    if _frame(sql, connection) != _frame("true", connection):
        _refuse(
            Refusal(
                code="invalid_sql",
                message="This is not one condition.",
                fix="Write what stands behind WHERE, such as status >= 400 AND model = 'gpt-4o'.",
            )
        )
    return statement.tables


def _frame(sql: str, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """All that the statement around a condition says, but for the condition."""
    [[text]] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"{_BEFORE}{sql}{_BEHIND}"]).fetchall()
    node: dict[str, Any] = msgspec.json.decode(text)["statements"][0]["node"]
    return node | {"select_list": [(each["alias"], each.get("function_name") == _TUPLE) for each in node.get("select_list", [])]}


def _refuse(refusal: Refusal) -> NoReturn:
    at = refusal.position
    position = None if at is None else max(0, at - len(_BEFORE))
    raise Refused(structs.replace(refusal, field="where", position=position)) from None
