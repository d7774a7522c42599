"""Which files of `feedback` say something of a few requests, remembered from one question to the next.

A judgement may be given long after its call, so the files of all days may hold one. Reading one column of each takes longer than finding
the calls; but files never change, so eight bytes for each of their rows are kept instead.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from threading import Lock
from typing import Any, TypeAlias

import duckdb
from msgspec import structs

from storage.engine import literal
from storage.sources import LiveFile, Source

MOST = 2_000_000
"""Rows that are kept in mind, of the newest files: 16 MB. What is older is always read."""

Hashes: TypeAlias = "array[int]"
"""In order, 64 bits each."""


class Judgements:
    """Of one lake. May be used by several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: dict[str, Hashes] = {}
        """Of each file the hashes of its requests."""
        self._lock = Lock()

    def about(self, connection: duckdb.DuckDBPyConnection, feedback: Source, request_ids: Sequence[str]) -> Source:
        """The table without the files that say nothing of these requests. Raises duckdb.Error when one cannot be read. Blocks."""
        if not request_ids or not feedback.files:
            return structs.replace(feedback, files=(), partial=True)
        asked = _hashes(connection, "FROM (SELECT unnest(?) AS request_id)", [list(request_ids)])
        with self._lock:
            self._remember(connection, feedback.files)
            files = tuple(file for file in feedback.files if file.path not in self._held or _meet(self._held[file.path], asked))
        return structs.replace(feedback, files=files, partial=True)

    def _remember(self, connection: duckdb.DuckDBPyConnection, files: Sequence[LiveFile]) -> None:
        """Of the newest files, and no longer of those that are gone."""
        left, chosen = self._most, []
        for file in reversed(files):
            left -= file.rows
            if left < 0:
                break
            chosen.append(file.path)
        held, self._held = self._held, {}
        for path in chosen:
            known = held.get(path)
            self._held[path] = (
                _hashes(connection, f"FROM read_parquet({literal(path)}, hive_partitioning = false)") if known is None else known
            )


def _hashes(connection: duckdb.DuckDBPyConnection, source: str, parameters: Sequence[Any] = ()) -> Hashes:
    found = connection.sql(f"SELECT DISTINCT hash(request_id) AS of {source} ORDER BY 1", params=parameters or None).to_arrow_reader()
    return array("Q", (each for batch in found for each in batch.column("of").to_pylist()))


def _meet(held: Hashes, asked: Hashes) -> bool:
    """Whether any of the few is among the many."""
    return any((place := bisect_left(held, each)) < len(held) and held[place] == each for each in asked)
