"""Syntax trees of SQL, as DuckDB's `json_serialize_sql` writes them."""

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import msgspec

Tree = dict[str, Any]
"""A node, or all of a SELECT."""


def nodes(part: Any) -> Iterator[Tree]:
    """Every object of a tree, or of several, however deep. Iteratively: a deep tree must not end in a RecursionError."""
    rest: list[Any] = [part]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            yield item
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)


def function_of(node: Tree) -> str | None:
    """The function that a node calls, lower-case."""
    return node["function_name"].lower() if "function_name" in node else None


def scanned(tree: Tree) -> list[str]:
    """The path of the one table that a SELECT reads, as it is and with nothing before it, lower-case; empty where it reads otherwise."""
    table = tree.get("from_table") or {}
    if (
        tree.get("type") != "SELECT_NODE"
        or tree["cte_map"]["map"]
        or tree["qualify"]
        or tree["sample"]
        or table.get("type") != "BASE_TABLE"
    ):
        return []
    if table.get("sample") or table.get("column_name_alias") or table.get("at_clause"):
        return []
    return [part.lower() for part in table["qualified_name"]["path"]]


def serialized(connection: duckdb.DuckDBPyConnection, sql: str) -> Tree:
    """The tree of one SELECT of ours."""
    [[text]] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    tree: Tree = msgspec.json.decode(text)["statements"][0]["node"]
    return tree


def parameters_of(part: Any) -> frozenset[str]:
    """The identifiers of the parameters in it."""
    return frozenset(node["identifier"] for node in nodes(part) if node.get("class") == "PARAMETER")


def text_of(connection: duckdb.DuckDBPyConnection, tree: Tree) -> str:
    """A SELECT as SQL, its parameters by their identifiers."""
    named = [{"key": name, "value": n} for n, name in enumerate(sorted(parameters_of(tree)), 1)]
    written = msgspec.json.encode({"error": False, "statements": [{"node": tree, "named_param_map": named}]}).decode()
    [[text]] = connection.execute("SELECT json_deserialize_sql(?::JSON)", [written]).fetchall()
    return str(text)


def values_of(part: Any, parameters: Any) -> dict[str, Any] | None:
    """The values of the parameters in it, of those that a question was sent with, by place or by name; None where one is missing."""
    named: Mapping[str, Any] = parameters if isinstance(parameters, Mapping) else {str(n): each for n, each in enumerate(parameters, 1)}
    asked = parameters_of(part)
    return {name: named[name] for name in asked} if asked <= named.keys() else None
