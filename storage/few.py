"""Questions that show a few calls: the calls are found first, and only what they need is joined and read.

What was said of a call afterwards, its ratings and scores, is gathered from all feedback there is: for a question such as
`SELECT * FROM calls WHERE user_id = … ORDER BY created_at DESC LIMIT 50` that would be a hundred times the work of finding the fifty.
So a question of that shape is asked twice, on the same snapshots: once for the ids alone, from columns that need no feedback; then as
it stands, over a view that holds nothing but those calls and the feedback about them. The answer is the same: the calls that the second
finds are those that the first found.

Here it is decided, from the syntax tree, whether a question has that shape: one scan of `calls`, every row of its answer a call, and
nothing of what is judged in its conditions or its order.
"""

from collections.abc import Iterator, Set
from datetime import date, datetime

from msgspec import Struct

from storage.needed import is_wide, tables_of
from storage.syntax import Tree, function_of, nodes, scanned

TABLE = "calls"
MOST = 5_000
"""Calls that are still few. A question that shows more is asked once, over everything."""
_NEEDED = ("call_id", "request_id", "created_at")


class Finding(Struct, frozen=True, kw_only=True):
    """The question for the ids alone."""

    tree: Tree
    newest: int | str | None = None
    """So many of the newest calls, or as the parameter of this identifier says: so it is asked of the newest days first."""


class FewCalls(Struct, frozen=True, kw_only=True):
    """The calls that a question is about."""

    call_ids: tuple[str, ...]
    request_ids: tuple[str, ...]
    days: frozenset[date]
    first: datetime | None
    last: datetime | None
    """When they were made, UTC without a zone; None where there are none."""


def finding(tree: Tree, judged: Set[str], plain: Set[str]) -> Finding | None:
    """How to ask for the calls that a question shows; None where it has another shape.

    `judged`: the columns that are gathered from feedback. `plain`: functions of one row, that answer the same each time.
    """
    if not (_is_plain(tree) and _shows_calls(tree["select_list"], plain) and _bounded(tree)):
        return None
    given_names = {item["alias"].lower() for item in tree["select_list"] if item.get("alias")}
    decides, tables = [tree["where_clause"], *_orders(tree)], {name.lower() for name in tables_of(tree["from_table"])}
    if any(is_wide(node, tables) or not _decidable(node, judged | given_names, plain) for node in nodes(decides)):
        return None
    asked = {**tree, "select_list": [_column(name) for name in _NEEDED], "modifiers": _modifiers(tree)}
    return Finding(tree=asked, newest=_newest(asked["modifiers"]))


def _is_plain(tree: Tree) -> bool:
    """One scan of the table, nothing grouped, nothing sampled."""
    return (
        scanned(tree) == [TABLE]
        and not any(tree[name] for name in ("group_expressions", "group_sets", "having"))
        and tree["aggregate_handling"] == "STANDARD_HANDLING"
        and all(modifier["type"] == "ORDER_MODIFIER" or _is_plain_limit(modifier) for modifier in tree["modifiers"])
    )


def _is_plain_limit(modifier: Tree) -> bool:
    """So many rows, said outright: a count that is asked for, and a share, would be of the few."""
    said = [modifier.get("limit"), modifier.get("offset")]
    if modifier["type"] != "LIMIT_MODIFIER" or modifier["limit_type"] != "ROW_COUNT":
        return False
    return all(each is None or each.get("class") in {"CONSTANT", "PARAMETER"} for each in said)


def _bounded(tree: Tree) -> bool:
    """It has a condition or a limit: what shows all calls does not show a few."""
    return tree["where_clause"] is not None or any(modifier["type"] == "LIMIT_MODIFIER" for modifier in tree["modifiers"])


def _shows_calls(select_list: list[Tree], plain: Set[str]) -> bool:
    """Each row of the answer is one of the table's."""
    return all(node.get("class") not in {"WINDOW", "SUBQUERY"} and function_of(node) in plain | {None} for node in nodes(select_list))


def _decidable(node: Tree, beyond: Set[str], plain: Set[str]) -> bool:
    """Whether this part of a condition or an order means the same without what is `beyond` it."""
    if node.get("class") in {"WINDOW", "SUBQUERY", "LAMBDA", "LAMBDA_REF"}:
        return False
    return not _names(node) & beyond and function_of(node) in plain | {None}


def _orders(tree: Tree) -> Iterator[Tree]:
    for modifier in tree["modifiers"]:
        for order in modifier.get("orders", ()):
            expression = order["expression"]
            # a bare number, or ALL, names columns by their place in the answer
            yield {"class": "STAR"} if expression.get("class") in {"CONSTANT", "STAR"} else expression


def _newest(modifiers: list[Tree]) -> int | str | None:
    """How many calls are shown, where those are the newest."""
    order, limit = ([each for each in modifiers if each["type"] == f"{kind}_MODIFIER"] for kind in ("ORDER", "LIMIT"))
    if not order or not limit:
        return None
    first, many = order[0]["orders"][0], limit[0]["limit"]
    if first["type"] != "DESCENDING" or first["expression"].get("column_names", [""])[-1].lower() != "created_at":
        return None
    if many["class"] == "PARAMETER":
        return str(many["identifier"])
    said = many.get("literal", {})
    return int(said["text"]) if said.get("kind") == "INTEGER" else None


def _modifiers(tree: Tree) -> list[Tree]:
    """As they stand; without a limit, where it passes over rows first: those are passed over by the second question."""
    return [modifier for modifier in tree["modifiers"] if modifier["type"] != "LIMIT_MODIFIER" or modifier.get("offset") is None]


def _names(node: Tree) -> frozenset[str]:
    """Of a column: its own, and those of its table or its field."""
    return frozenset(name.lower() for name in node["column_names"]) if node.get("class") == "COLUMN_REF" else frozenset()


def _column(name: str) -> Tree:
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": [name]}
