"""Which rows stand where amendments are, looked up once for each commit, so that questions need not compare the ids of calls.

A view that joins calls with what may replace them takes the engine longer to plan than most questions take to run. Amendments of days that
are not settled yet are mostly few: then it is told here which live rows they stand for and which of them stand, and the view is a scan that
passes over the former, and one of the latter. Files never change, so of each it is looked up once.
"""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import NamedTuple

import duckdb
from msgspec import structs

from storage.engine import literal
from storage.sources import Hidden, LiveFile, Shown, Source, Standing, changed_days, timestamp

MOST = 400
"""Amendments, and rows that they may replace. Where there are more, views compare ids: a list that long takes as long to plan."""


class Row(NamedTuple):
    """One row of a call that has several, or may have. Times are UTC without a zone."""

    call_id: str
    organization: str
    created_at: datetime
    revision: int
    amended_at: datetime | None
    path: str
    place: int
    """In its file, from 0."""


class Standings:
    """Of the newest snapshots. May be used by several threads."""

    def __init__(self) -> None:
        self._last: tuple[tuple[str, ...], Standing | None] = ((), Standing())
        """What stands, and the files that tell it."""
        self._known: dict[tuple[str, str], list[Row]] = {}
        """The rows of a file that satisfy a condition."""
        self._lock = Lock()

    def told(self, connection: duckdb.DuckDBPyConnection, sources: Mapping[str, Source]) -> dict[str, Source]:
        """The sources, of which that of the amendments knows what stands; as they are, where that is not told or takes too many rows.

        Raises duckdb.Error when a file cannot be read. Blocks.
        """
        calls, amendments = sources.get("calls"), sources.get("amendments")
        if calls is None or amendments is None or not (calls.whole and amendments.whole):
            return dict(sources)
        with self._lock:
            standing = self._standing(connection, calls, amendments)
        return {**sources, "amendments": structs.replace(amendments, standing=standing)}

    def _standing(self, connection: duckdb.DuckDBPyConnection, calls: Source, amendments: Source) -> Standing | None:
        days = changed_days(calls, amendments)
        if not days:
            return Standing()
        touched = [file for file in calls.files if file.day in days]
        if None in days or sum(file.rows for file in amendments.files) > MOST:
            return None
        telling = tuple(file.path for file in (*touched, *amendments.files))
        if telling != self._last[0]:
            self._last = (telling, self._looked_up(connection, touched, amendments.files))
        return self._last[1]

    def _looked_up(
        self, connection: duckdb.DuckDBPyConnection, touched: Sequence[LiveFile], amendments: Sequence[LiveFile]
    ) -> Standing | None:
        before, self._known = self._known, {}

        def rows(files: Sequence[LiveFile], condition: str) -> list[Row]:
            for file in files:
                key = (file.path, condition)
                self._known[key] = before[key] if key in before else _rows(connection, file, condition)
            return [row for file in files for row in self._known[file.path, condition]]

        amended = rows(amendments, "true")
        given_up = rows([file for file in touched if file.holds_abandoned], "revision < 0")
        times = {row.created_at for row in (*amended, *given_up)}
        if len(given_up) > MOST:
            return None
        if not times:
            return Standing()
        live = rows(touched, f"created_at IN ({', '.join(map(timestamp, sorted(times)))})")
        return None if len(live) + len(amended) > MOST else standing(live, amended)


def standing(live: Iterable[Row], amended: Iterable[Row]) -> Standing:
    """Of each call the row of the highest revision stands; of two alike the live one, then the one that was amended last. Pure.

    `live`: the live rows that were made at the same time as one of the amendments, whichever call they are of.
    """
    lives, instead = _by_call(live), _by_call(amended)
    hidden: list[Row] = []
    shown: list[Row] = []
    for call in lives.keys() | instead.keys():
        ours, others = lives.get(call, []), instead.get(call, [])
        best = max(row.revision for row in (*ours, *others))
        hidden.extend(row for row in ours if row.revision < best)
        if not any(row.revision == best for row in ours):
            shown.append(max((row for row in others if row.revision == best), key=_last_amended))
    gone = set(hidden)
    standing_at = {(row.created_at, row.revision) for rows in lives.values() for row in rows if row not in gone}
    return Standing(
        hidden=tuple(Hidden(row.organization, row.revision, row.created_at, row.call_id) for row in sorted(hidden, key=_in_order)),
        shown=tuple(Shown(row.organization, row.path, row.place, row.call_id) for row in sorted(shown, key=_in_order)),
        by_id=any((row.created_at, row.revision) in standing_at for row in hidden),
    )


def _in_order(row: Row) -> tuple[str, str, int]:
    return (row.organization, row.path, row.place)


def _last_amended(row: Row) -> tuple[datetime, str, int]:
    return (row.amended_at or row.created_at, row.path, row.place)


def _by_call(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    found: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.organization, row.call_id].append(row)
    return found


def _rows(connection: duckdb.DuckDBPyConnection, file: LiveFile, condition: str) -> list[Row]:
    """Where there are more than are listed anyway, some of them."""
    found = connection.execute(f"""
        SELECT call_id, organization, created_at, revision, amended_at, filename, file_row_number
        FROM read_parquet({literal(file.path)}, hive_partitioning = false) WHERE {condition} LIMIT {MOST + 1}""").fetchall()
    return list(map(Row._make, found))
