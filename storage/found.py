"""The first of the two questions that `storage/few.py` makes of one, asked; and which files the second has to read."""

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import duckdb
import msgspec
from msgspec import structs

from storage.engine import literal
from storage.few import MOST, FewCalls, Finding
from storage.sources import Source

NEWEST_DAYS = 2
"""Days that are looked through first for the newest calls."""


def found(connection: duckdb.DuckDBPyConnection, asked: Finding, parameters: Any) -> FewCalls | None:
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


def few_calls(
    few: Finding,
    parameters: Any,
    sources: Mapping[str, Source],
    laid_out: Callable[[Mapping[str, Source], Set[str]], AbstractContextManager[duckdb.DuckDBPyConnection]],
) -> FewCalls | None:
    """The calls that a question shows, where they are few: of the newest days, where enough are in those, else of all."""
    most = _how_many(few, parameters)
    newest = None if most is None else _of_newest_days(sources)
    if most is not None and newest is not None:
        with laid_out(newest, frozenset()) as connection:
            calls = found(connection, few, parameters)
        if calls is not None and len(calls.call_ids) >= most:
            return calls
    with laid_out(sources, frozenset()) as connection:
        return found(connection, few, parameters)


def _how_many(asked: Finding, parameters: Any) -> int | None:
    """How many of the newest calls a question shows; None where it shows others, or does not say."""
    if not isinstance(asked.newest, str):
        return asked.newest
    said = (_values(asked, parameters) or {}).get(asked.newest)
    return said if type(said) is int else None


def _of_newest_days(sources: Mapping[str, Source]) -> dict[str, Source] | None:
    """The calls of the newest days alone; None where there are hardly others."""
    days = sorted({file.day for file in sources["calls"].files if file.day is not None}, reverse=True)
    if len(days) < 2 * NEWEST_DAYS:
        return None
    newest = set(days[:NEWEST_DAYS])
    narrowed = {
        name: structs.replace(sources[name], files=tuple(file for file in sources[name].files if file.day in newest), partial=True)
        for name in ("calls", "amendments")
    }
    return {**sources, **narrowed}


def judging(connection: duckdb.DuckDBPyConnection, feedback: Source, request_ids: Sequence[str]) -> Source:
    """Of the table `feedback` the files that say something of these requests. One column tells, and the others are the larger part."""
    if not request_ids or not feedback.files:
        return structs.replace(feedback, files=(), partial=True)
    paths, listed = (", ".join(map(literal, each)) for each in ([file.path for file in feedback.files], request_ids))
    scan = f"read_parquet([{paths}], hive_partitioning = false)"
    told = {name for (name,) in connection.execute(f"SELECT DISTINCT filename FROM {scan} WHERE request_id IN ({listed})").fetchall()}  # noqa: S608
    files = tuple(file for file in feedback.files if file.path in told)
    return structs.replace(feedback, files=files, partial=True) if len(files) == len(told) else feedback


def _found(rows: Sequence[tuple[Any, ...]]) -> FewCalls:
    call_ids, request_ids, times = zip(*rows, strict=True) if rows else ((), (), ())
    return FewCalls(
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
