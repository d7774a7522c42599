"""The live files of the lake's tables, each as of its newest commit, with what Delta's log knows of each."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from threading import Lock
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import structlog
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from storage.lake import Lake
from storage.refusal import Refusal, Refused
from storage.rollups.coverage import read_index
from storage.schema import MADE_KEY, TABLES, VERSION
from storage.sources import LiveFile, Source

log = structlog.get_logger()

_DAY = re.compile(r"day=(\d{4}-\d\d-\d\d)/")
READ_IN_ORDER = ("amendments", "calls", "superseded")
"""Settling moves rows on from the first of these to the next, and takes them away behind: a row that moves meanwhile is then read twice,
which changes no answer, and not passed over. Other tables may be read at any time."""
COUNTS_PROPERTIES = "property_count"
"""The column of `feedback` that tells of the map beside it."""


class Snapshots:
    """The live files of the lake's tables, each as of its newest commit. May be used by several threads."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._open: dict[str, DeltaTable] = {}
        self._listed: dict[str, Source] = {}
        """As they were listed last."""
        self._lock = Lock()

    def sources(self, tables: Iterable[str]) -> dict[str, Source]:
        with self._lock:
            return {table: self._source(table) for table in sorted(tables, key=_turn_of)}

    def paths(self, table: str) -> list[str]:
        """The live files of one table, oldest day first."""
        return [file.path for file in self.sources([table])[table].files]

    def uri_of(self, table: str) -> str:
        return self._lake.uri_of(table)

    def _source(self, table: str) -> Source:
        try:
            snapshot = self._newest(table)
            version = snapshot.version()
            known = self._listed.get(table)
            if known is None or known.version != version:
                files = live_files(snapshot, self._lake.uri_of(table))
                parts = read_index(self._lake, files) if table == "rollups" else ()
                whole = snapshot.metadata().configuration.get(MADE_KEY) == str(VERSION)
                known = self._listed[table] = Source(schema=TABLES[table], files=files, version=version, whole=whole, parts=parts)
        except TableNotFoundError:
            return Source(schema=TABLES[table])
        except (DeltaError, OSError) as error:
            log.error("lake_unreadable", table=table, error=str(error))
            raise Refused(LAKE_UNREADABLE) from error
        return known

    def _newest(self, table: str) -> DeltaTable:
        known = self._open.pop(table, None)
        if known:
            with suppress(DeltaError):  # the log between then and now may be gone: opened anew, it is read from its last checkpoint
                if not self._lake.is_newest(table, known.version()):
                    known.update_incremental()
                self._open[table] = known
                return known
        self._listed.pop(table, None)
        self._open[table] = self._lake.table(table)
        return self._open[table]


def _turn_of(table: str) -> int:
    return READ_IN_ORDER.index(table) if table in READ_IN_ORDER else len(READ_IN_ORDER)


def live_files(snapshot: DeltaTable, folder: str) -> tuple[LiveFile, ...]:
    """The files of a snapshot of the table in `folder`, oldest day first. Blocks."""
    added = pa.table(snapshot.get_add_actions())
    paths, giving = added.column("path").to_pylist(), _may_give_properties(added)
    abandoned = [lowest is not None and lowest < 0 for lowest in _statistics(added, "min", "revision")]
    amended = [highest is not None and highest > 0 for highest in _statistics(added, "max", "revision")]
    rows, newest = added.column("num_records").to_pylist(), _statistics(added, "max", "created_at")
    return tuple(sorted(map(partial(live_file, folder), paths, giving, abandoned, amended, rows, newest), key=lambda file: file.path))


def _may_give_properties(added: pa.Table) -> list[bool]:
    """Of each file: not, where Delta's log says that all its rows count 0 of them. Of the maps themselves it says nothing."""
    lacking, most = (_statistics(added, kind, COUNTS_PROPERTIES) for kind in ("null_count", "max"))
    return [not (nulls == 0 and count == 0) for nulls, count in zip(lacking, most, strict=True)]


def _statistics(added: pa.Table, kind: str, column: str) -> list[Any]:
    """Of each file, about a column."""
    told = added.column(kind).combine_chunks() if kind in added.schema.names else None
    if told is None or told.type.get_field_index(column) < 0:
        return [None] * added.num_rows
    found: list[Any] = told.field(column).to_pylist()
    return found


def live_file(
    folder: str,
    path: str,
    may_give_properties: bool = True,
    holds_abandoned: bool = False,
    holds_amended: bool = False,
    rows: int | None = None,
    newest: datetime | None = None,
) -> LiveFile:
    """A file by the name it has on disk, and its day. `path` is as Delta's log has it: relative and percent-encoded.

    Not by the URI that delta-rs makes of both: that encodes the folder too, and a folder with a space in its name is then not found.
    """
    day = _DAY.match(path)
    of = date.fromisoformat(day[1]) if day else None
    last = None if newest is None else newest.replace(tzinfo=None)
    return LiveFile(f"{folder}/{unquote(path)}", of, may_give_properties, holds_abandoned, holds_amended, rows or 0, last)


LAKE_UNREADABLE = Refusal(
    code="lake_unreadable",
    message="The lake cannot be read.",
    fix="Look at the server's log, which says why, and at the folder that HELIOGRAPH_DATA_DIR or HELIOGRAPH_LAKE_URI names.",
    status=503,
)
