"""The first of the two questions that `storage/few.py` makes of one, asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from datetime import date, datetime
from functools import cache
from itertools import accumulate
from typing import Any

import duckdb
from msgspec import structs

from storage.few import MOST, FewCalls, Finding
from storage.sources import LiveFile, Source
from storage.syntax import text_of, values_of

NEWEST_DAYS = 2
"""Days that are looked through for the newest calls before all are."""
NEWEST_ROWS = 50_000
"""Of the newest files so many rows, or a few more, are looked through before."""


def found(connection: duckdb.DuckDBPyConnection, asked: Finding, parameters: Any) -> FewCalls | None:
    """The calls that a question shows, over the view `calls` of `connection`; None where it is better asked as it stands.

    A question that fails is one of those: what is wrong with it is told by itself. Raises duckdb.InterruptException.
    """
    values = values_of(asked.tree, parameters)
    if values is None:
        return None
    try:
        rows = connection.execute(f"SELECT * FROM ({text_of(connection, asked.tree)}) LIMIT {MOST + 1}", values or None).fetchall()  # noqa: S608 ours
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
    if most is not None:
        for newest, behind in _newest(sources):
            with laid_out(newest, frozenset()) as connection:
                calls = found(connection, few, parameters)
            if calls is None:
                return None
            if len(calls.call_ids) >= most and (behind is None or calls.first is None or calls.first > behind):
                return calls
    with laid_out(sources, frozenset()) as connection:
        return found(connection, few, parameters)


def _how_many(asked: Finding, parameters: Any) -> int | None:
    """How many of the newest calls a question shows; None where it shows others, or does not say."""
    if not isinstance(asked.newest, str):
        return asked.newest
    said = (values_of(asked.tree, parameters) or {}).get(asked.newest)
    return said if type(said) is int else None


def _newest(sources: Mapping[str, Source]) -> Iterator[tuple[dict[str, Source], datetime | None]]:
    """Sources with the newest calls alone, more each time, and the time up to which others may have been made; none where hardly worth it.

    By files, where it is known which rows stand; else a day has to be looked at as a whole.
    """
    calls, days = sources["calls"], sorted({file.day for file in sources["calls"].files if file.day is not None}, reverse=True)
    dated = [(file.newest, file) for file in calls.files if file.newest is not None]
    files = [file for _, file in sorted(dated, key=lambda each: (each[0], each[1].path), reverse=True)]
    before = list(accumulate((file.rows for file in files), initial=0))
    few = next((many for many, rows in enumerate(before) if rows >= NEWEST_ROWS), len(files))
    if sources["amendments"].standing is not None and len(files) == len(calls.files) and sum(before[-1:]) > 2 * before[few]:
        yield _of_files(sources, set(files[:few])), files[few].newest
    if len(days) >= 2 * NEWEST_DAYS:
        newest = set(days[:NEWEST_DAYS])
        yield _of_files(sources, {file for file in calls.files if file.day in newest}), None


def _of_files(sources: Mapping[str, Source], files: Set[LiveFile]) -> dict[str, Source]:
    """These calls, and the amendments of their days and later ones."""
    oldest = min((file.day for file in files if file.day is not None), default=date.min)
    return {
        **sources,
        "calls": _partly(sources["calls"], lambda file: file in files),
        "amendments": _partly(sources["amendments"], lambda file: file.day is None or file.day >= oldest),
    }


def _partly(source: Source, holds: Callable[[LiveFile], bool]) -> Source:
    return structs.replace(source, files=tuple(filter(holds, source.files)), partial=True)


def _found(rows: Sequence[tuple[Any, ...]]) -> FewCalls:
    call_ids, request_ids, times = zip(*rows, strict=True) if rows else ((), (), ())
    return FewCalls(
        call_ids=tuple(call_ids),
        request_ids=tuple(dict.fromkeys(each for each in request_ids if each is not None)),
        days=frozenset(at.date() for at in times),
        first=min(times, default=None),
        last=max(times, default=None),
    )


@cache
def plain_functions() -> frozenset[str]:
    """The functions that make one value of those of a single row, and the same one each time."""
    with duckdb.connect(":memory:") as engine:
        names = engine.execute("""
            SELECT function_name FROM duckdb_functions() GROUP BY 1
            HAVING bool_and(function_type = 'scalar' AND stability IN ('CONSISTENT', 'CONSISTENT_WITHIN_QUERY'))""").fetchall()
    return frozenset(name for (name,) in names) - {"error", "alias"}
