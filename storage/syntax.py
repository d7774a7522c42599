"""Syntax trees of SQL, as DuckDB's `json_serialize_sql` writes them."""

from collections.abc import Iterator
from typing import Any

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
