"""The first of the two questions that `storage/few.py` makes of one, asked."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import duckdb
import msgspec

from storage.few import MOST, Finding, Found


def found(connection: duckdb.DuckDBPyConnection, asked: Finding, parameters: Any) -> Found | None:
    """The calls that a question shows, over the view `calls` of `connection`; None where it is better asked as it stands.

    A question that fails is one of those: what is wrong with it is told by itself. Raises duckdb.InterruptException.
    """
    values = _values(asked, parameters)
    if values is None:
        return None
    try:
        rows = connection.execute(f"SELECT * FROM ({_text(connection, asked)}) LIMIT {MOST + 1}", values or None).fetchall()  # noqa: S608 ours
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        return None
    return None if len(rows) > MOST else _found(rows)


def _found(rows: Sequence[tuple[Any, ...]]) -> Found:
    call_ids, request_ids, times = zip(*rows, strict=True) if rows else ((), (), ())
    return Found(
        call_ids=tuple(call_ids),
        request_ids=tuple(dict.fromkeys(each for each in request_ids if each is not None)),
        days=frozenset(at.date() for at in times),
        first=min(times, default=None),
        last=max(times, default=None),
    )


def _values(asked: Finding, parameters: Any) -> dict[str, Any] | None:
    """Those that the first question has; None where one is missing."""
    named: Mapping[str, Any] = parameters if isinstance(parameters, Mapping) else {str(n): each for n, each in enumerate(parameters, 1)}
    return {name: named[name] for name in asked.parameters} if asked.parameters <= named.keys() else None


def _text(connection: duckdb.DuckDBPyConnection, asked: Finding) -> str:
    statement = {"node": asked.tree, "named_param_map": [{"key": name, "value": n} for n, name in enumerate(sorted(asked.parameters), 1)]}
    tree = msgspec.json.encode({"error": False, "statements": [statement]}).decode()
    [[text]] = connection.execute("SELECT json_deserialize_sql(?::JSON)", [tree]).fetchall()
    return str(text)


@cache
def plain_functions() -> frozenset[str]:
    """The functions that make one value of those of a single row, and the same one each time."""
    with duckdb.connect(":memory:") as engine:
        names = engine.execute("""
            SELECT function_name FROM duckdb_functions() GROUP BY 1
            HAVING bool_and(function_type = 'scalar' AND stability IN ('CONSISTENT', 'CONSISTENT_WITHIN_QUERY'))""").fetchall()
    return frozenset(name for (name,) in names) - {"error"}
