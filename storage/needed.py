"""Which columns that are gathered from feedback a question needs: where it needs none, its view of `calls` is a plain scan.

The engine would have to see by itself that a join adds nothing, and does not always. A question that names neither ratings nor scores, nor
anything that stands for all columns, can do without them: they are NULL in its view.
"""

from collections.abc import Iterator, Set
from typing import Any

from msgspec import Struct

from storage.syntax import Tree, nodes

RATED = frozenset({"rating", "scores"})
PROPERTIES = "properties"
JUDGED = RATED | {PROPERTIES}
"""Columns of `calls` that are gathered from feedback; properties, where any were given afterwards."""

_ALL = frozenset({"STAR", "POSITIONAL_REFERENCE"})
_WIDE = frozenset({"SHOW_REF", "PIVOT"})


CALLS = "calls"


def needed(tree: Tree) -> frozenset[str]:
    """Of `JUDGED`, what a question may show or decide by."""
    found: set[str] = set()
    for node, scope in _scoped(tree):
        if is_wide(node, scope.names, all_columns=scope.of_calls):
            return JUDGED
        found.update(name.lower() for name in (*node.get("column_names", ()), *node.get("using_columns", ())))
    return JUDGED & found


class _Scope(Struct, frozen=True):
    """What a part of a question can name."""

    names: frozenset[str] = frozenset()
    """Of tables that its SELECT, or one around it, reads from."""
    of_calls: bool = False
    """Whether its own SELECT reads from calls themselves: `*` over another SELECT is no more than what that one shows."""

    def inside(self, select: Tree) -> "_Scope":
        own = list(_own(select.get("from_table")))
        named = {name.lower() for node in own for name in tables_of(node)}
        return _Scope(self.names | named, any(_kind(node) == "BASE_TABLE" and CALLS in map(str.lower, tables_of(node)) for node in own))


def _scoped(tree: Tree) -> Iterator[tuple[Tree, _Scope]]:
    """Every node, and what it can name. Iteratively, as `nodes`."""
    rest: list[tuple[Any, _Scope]] = [(tree, _Scope())]
    while rest:
        item, scope = rest.pop()
        if isinstance(item, dict):
            inner = scope.inside(item) if _kind(item) == "SELECT_NODE" else scope
            yield item, inner
            rest.extend((each, inner) for each in item.values())
        elif isinstance(item, list):
            rest.extend((each, scope) for each in item)


def _own(part: Any) -> Iterator[Tree]:
    """The nodes of a FROM, without those of SELECTs in it."""
    rest = [part]
    while rest:
        item = rest.pop()
        if isinstance(item, dict) and _kind(item) != "SELECT_NODE":
            yield item
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)


def tables_of(node: Tree) -> Iterator[str]:
    """The names by which the rows of a table can be called as a whole."""
    if isinstance(node.get("qualified_name"), dict):
        yield from node["qualified_name"]["path"][-1:]
    if _kind(node) in {"BASE_TABLE", "SUBQUERY", "TABLE_FUNCTION", "JOIN", "EXPRESSION_LIST"} and node.get("alias"):
        yield node["alias"]
    if isinstance(ctes := node.get("cte_map"), dict):
        yield from (entry["key"] for entry in ctes["map"])


def _kind(node: Tree) -> str:
    """Of a node of the tree; what is no node, such as a constant, has a type that is a tree itself."""
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def is_wide(node: Tree, tables: Set[str], *, all_columns: bool = True) -> bool:
    """Whether it stands for columns that it does not name. `all_columns`: whether `*` does."""
    if (
        (all_columns and node.get("class") in _ALL)
        or _kind(node) in _WIDE
        or node.get("ref_type") == "NATURAL"
        or node.get("column_name_alias")
    ):
        return True
    names = node.get("column_names", ())
    return bool(names) and names[-1].lower() in tables


def shows_tables(tree: Any) -> bool:
    """Whether a question lists what there is on its connection."""
    return any(node.get("type") == "SHOW_REF" for node in nodes(tree))
