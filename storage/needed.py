"""Which columns that are gathered from feedback a question needs: where it needs none, its view of `calls` is a plain scan.

The engine would have to see by itself that a join adds nothing, and does not always. A question that names neither ratings nor scores, nor
anything that stands for all columns, can do without them: they are NULL in its view.
"""

from collections.abc import Iterator, Set

from storage.syntax import Tree, nodes

RATED = frozenset({"rating", "scores"})
PROPERTIES = "properties"
JUDGED = RATED | {PROPERTIES}
"""Columns of `calls` that are gathered from feedback; properties, where any were given afterwards."""

_ALL = frozenset({"STAR", "POSITIONAL_REFERENCE"})
_WIDE = frozenset({"SHOW_REF", "PIVOT"})


def needed(tree: Tree) -> frozenset[str]:
    """Of `JUDGED`, what a question may show or decide by."""
    every = list(nodes(tree))
    tables = {name.lower() for node in every for name in tables_of(node)}
    if any(is_wide(node, tables) for node in every):
        return JUDGED
    named = {name.lower() for node in every for name in (*node.get("column_names", ()), *node.get("using_columns", ()))}
    return JUDGED & named


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


def is_wide(node: Tree, tables: Set[str]) -> bool:
    """Whether it stands for columns that it does not name."""
    if node.get("class") in _ALL or _kind(node) in _WIDE or node.get("ref_type") == "NATURAL" or node.get("column_name_alias"):
        return True
    names = node.get("column_names", ())
    return bool(names) and names[-1].lower() in tables
