"""The first wall around SQL that others wrote: what a statement may be, decided before it runs.

DuckDB's own parser reads the statement and its syntax tree is walked against lists of what is known to be harmless: kinds of nodes,
tables, table functions. What is not listed is refused. Functions that return a value are the exception, there are eight hundred:
those are refused that reach beyond the rows, and a test fails when the engine learns one that nobody looked at. The second wall is
the engine's own lock (`engine.py`).
"""

import re
from collections.abc import Iterator, Set
from typing import Any, NoReturn

import duckdb
import msgspec
from msgspec import Struct

from storage.refusal import Refusal, Refused
from storage.syntax import Tree, nodes

MAX_SQL_CHARACTERS = 100_000

TABLE_FUNCTIONS = frozenset(
    {"generate_series", "generate_subscripts", "json_each", "json_tree", "range", "regexp_split_to_table", "unnest"}
)

FORBIDDEN_FUNCTIONS = frozenset({
    # the engine's own state, and state that outlives a query
    "current_connection_id", "current_query_id", "current_setting", "current_transaction_id", "txid_current",
    "currval", "getenv", "getvariable", "nextval", "setseed", "setval", "write_log",
    # take bytes for internal state
    "combine", "combine_aggr", "finalize", "to_aggregate_state",
    # SQL inside SQL, and the text of views
    "histogram_values", "json_execute_serialized_sql", "json_serialize_plan", "query", "query_table",
    "current_query", "pg_get_constraintdef", "pg_get_expr", "pg_get_viewdef",
    # what the engine knows of a column, of rows that are filtered away too
    "stats",
    # hold a thread for nothing
    "pg_sleep", "sleep_ms",
})  # fmt: skip
FORBIDDEN_PREFIXES = ("__", "duckdb_", "pragma_", "read_", "parquet_", "sniff_")

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TABLE_NODES = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "SHOW_REF", "PIVOT"})
_DETAILS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
_ORDERS = frozenset({"ASCENDING", "DESCENDING", "ORDER_DEFAULT"})
_KNOWN_TYPES = _QUERY_NODES | _TABLE_NODES | _DETAILS | _ORDERS
_KNOWN_CLASSES = frozenset({
    "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA", "LAMBDA_REF",
    "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW",
})  # fmt: skip
_SHOWABLE = frozenset({"tables", "databases", "__show_tables_expanded"})
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?(?=[A-Z(])", re.IGNORECASE)
_NO_POSITION = 1 << 63

_decode = msgspec.json.Decoder().decode


class Statement(Struct, frozen=True, kw_only=True):
    """One statement that may run."""

    sql: str
    tables: frozenset[str]
    """The views it reads, lower-case; all of them when it asks which there are."""
    tree: Tree
    """Of the SELECT that it is, or that is to be explained."""
    explained: bool = False


def checked(sql: str, connection: duckdb.DuckDBPyConnection, *, views: Set[str], explain: bool = True) -> Statement:
    """The statement, if it only reads, and only `views`. Raises Refused.

    `connection` only lends its parser; nothing is run on it but `json_serialize_sql`. `explain` off refuses EXPLAIN, whose estimates are
    made from the rows of all organizations.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        _refuse(
            "invalid_sql",
            f"The statement has {len(sql)} characters; at most {MAX_SQL_CHARACTERS} are taken.",
            "Pass long values as parameters.",
        )
    if "\0" in sql:
        _refuse("invalid_sql", "The statement holds a NUL character.", "Leave it out.", position=sql.index("\0"))
    prefix = _EXPLAIN.match(sql)
    if prefix and not explain:
        _refuse("not_read_only", "EXPLAIN is not available to a single organization.", "Ask the question itself.", position=0)
    offset = prefix.end() if prefix else 0
    tree = _tree_of(sql[offset:], connection, offset)
    walk = _Walk(views=views, offset=offset)
    walk.check(tree)
    return Statement(sql=sql, tables=frozenset(walk.read), tree=tree, explained=bool(prefix))


def _tree_of(sql: str, connection: duckdb.DuckDBPyConnection, offset: int) -> dict[str, Any]:
    """The syntax tree of the one SELECT that `sql` must be."""
    [[text]] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    try:
        answer = _decode(text)
    except (RecursionError, msgspec.DecodeError):
        _refuse("invalid_sql", "The statement is nested too deeply.", "Split it with WITH; write long chains as IN (…) or concat(…).")
    if answer["error"]:
        _refuse_unread(sql, answer, connection, offset)
    return _only(answer["statements"])


def _refuse_unread(sql: str, answer: dict[str, Any], connection: duckdb.DuckDBPyConnection, offset: int) -> NoReturn:
    """`sql` does not parse, or it parses and is no SELECT."""
    if answer["error_type"] == "not implemented":
        _refuse_kind([_kind_of(statement) for statement in connection.extract_statements(sql)])
    position = int(answer.get("position", 0)) + offset
    _refuse("invalid_sql", answer["error_message"], "Correct the statement at the position given; it is DuckDB SQL.", position=position)


def _kind_of(statement: duckdb.Statement) -> str:
    """DuckDB's Python does not know all kinds of its own statements (2.0: UPDATE EXTENSIONS), and says so by a ValueError."""
    try:
        return str(statement.type).rpartition(".")[2]
    except ValueError:
        return "OTHER"


def _only(statements: list[dict[str, Any]]) -> dict[str, Any]:
    if not statements:
        _refuse("invalid_sql", "There is no statement.", "Send one SELECT, such as SELECT count(*) FROM calls.")
    if len(statements) > 1:
        _refuse(
            "not_read_only",
            f"There are {len(statements)} statements; one is taken at a time.",
            "Send each statement in a request of its own.",
        )
    node: dict[str, Any] = statements[0]["node"]
    return node


def _refuse_kind(kinds: list[str]) -> NoReturn:
    if kinds == ["MULTI"]:
        message = "A PIVOT that finds its columns by itself creates a type first."
        _refuse("not_read_only", message, "Name the values: PIVOT calls ON model IN ('a', 'b') USING count(*).")
    message = f"A statement of the kind {', '.join(sorted(set(kinds)))} is not answered here; a question never changes anything."
    _refuse("not_read_only", message, "Send one SELECT, DESCRIBE, SUMMARIZE or SHOW TABLES.")


def _refuse(code: str, message: str, fix: str, *, position: int | None = None) -> NoReturn:
    raise Refused(Refusal(code=code, message=message, fix=fix, field="sql", position=position))


class _Walk:
    """One pass over a syntax tree, every node of it, iteratively: a deep tree must not end in a RecursionError."""

    def __init__(self, *, views: Set[str], offset: int) -> None:
        self.views = views
        self.offset = offset
        self.read: set[str] = set()
        self.named: set[str] = set()

    def check(self, tree: dict[str, Any]) -> None:
        every = list(nodes(tree))
        self.named = {_plain(name) for node in every for name in _names_given(node)}
        for node in every:
            self._node(node)

    def _node(self, node: dict[str, Any]) -> None:
        if "class" in node:
            self._expression(node)
        elif isinstance(kind := node.get("type"), str):
            self._structure(node, kind)

    def _structure(self, node: dict[str, Any], kind: str) -> None:
        if kind not in _KNOWN_TYPES:
            self._refuse_node(node, kind)
        if kind == "BASE_TABLE":
            self._table(node)
        elif kind == "SHOW_REF":
            self._show(node)
        elif kind == "TABLE_FUNCTION":
            self._table_function(node)

    def _expression(self, node: dict[str, Any]) -> None:
        if node["class"] not in _KNOWN_CLASSES:
            self._refuse_node(node, node["class"])
        if "function_name" in node:
            self._function(node)

    def _function(self, node: dict[str, Any]) -> None:
        name = node["function_name"].lower()
        if node["schema"] or node["catalog"]:
            self._refuse("forbidden_function", f"The function {name} is named with a schema.", "Write its name alone.", node)
        if name in FORBIDDEN_FUNCTIONS or name.startswith(FORBIDDEN_PREFIXES):
            self._refuse("forbidden_function", f"The function {name} reaches beyond the rows and is not available.", "Leave it out.", node)

    def _table_function(self, node: dict[str, Any]) -> None:
        name = node["function"].get("function_name", "").lower()
        if name not in TABLE_FUNCTIONS:
            self._refuse(
                "forbidden_function",
                f"The table function {name} is not available: questions read the views, no files and no settings.",
                f"Read from {self._views_text()}; of table functions there are {', '.join(sorted(TABLE_FUNCTIONS))}.",
                node,
            )

    def _table(self, node: dict[str, Any]) -> None:
        path = [part.lower() for part in node["qualified_name"]["path"]]
        name = path[-1]
        if len(path) == 1 and name in self.named:
            self.read |= {name} & self.views  # a view may hide behind a name given by WITH, which is defined by reading it
        elif name in self.views and path[:-1] in ([], ["main"]):
            self.read.add(name)
        else:
            self._refuse("unknown_table", f"There is no table {'.'.join(path)!r}.", f"Read from {self._views_text()}.", node)

    def _show(self, node: dict[str, Any]) -> None:
        if node["query"] is not None:
            return
        name = node["table_name"].strip('"').lower()
        if name in self.views:
            self.read.add(name)
        elif node["show_type"] == "SHOW_SPECIAL" and name in _SHOWABLE:
            self.read |= self.views
        else:
            self._refuse("unknown_table", f"There is nothing to show by the name {name!r}.", "Send SHOW TABLES, or DESCRIBE calls.", node)

    def _refuse_node(self, node: dict[str, Any], kind: str) -> NoReturn:
        """A writing statement inside WITH, or a construct nobody has looked at."""
        words = kind.removesuffix("_QUERY_NODE").removesuffix("_NODE").replace("_", " ")
        self._refuse("not_read_only", f"{words} is not answered here; questions only read.", "Write it as a SELECT.", node)

    def _refuse(self, code: str, message: str, fix: str, node: dict[str, Any]) -> NoReturn:
        at = node.get("query_location", _NO_POSITION)
        _refuse(code, message, fix, position=at + self.offset if at < _NO_POSITION else None)

    def _views_text(self) -> str:
        return ", ".join(sorted(self.views))


def _names_given(node: dict[str, Any]) -> Iterator[str]:
    """The names that a node's WITH gives to queries."""
    if isinstance(ctes := node.get("cte_map"), dict):
        yield from (entry["key"] for entry in ctes["map"])


def _plain(name: str) -> str:
    """A name for a query that cannot be taken for a file or for one of the engine's own tables where it is not in scope.

    That is why scopes need not be followed here: used out of its scope, such a name is a table that does not exist.
    """
    lower = name.lower()
    if not lower.replace(" ", "_").isidentifier() or lower.startswith(("duckdb_", "pg_", "pragma_", "sqlite_")):
        _refuse(
            "invalid_sql",
            f"WITH may not give the name {name!r}.",
            "Use letters, digits and underscores, and none of DuckDB's own prefixes.",
        )
    return lower
