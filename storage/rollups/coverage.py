"""Which facts a rollup stands for, and whether it may.

A rollup of a day consists of parts, each made of files of `calls` that it names. Files never change, so as long as all of them are live, a
part says what they say. From it were left out the calls that the day's amendments replace, which it names too; those are few, and read when
the question is asked. So a part may be used while its files of `calls` are live and the day has the very amendments that it names. Whatever
else is live is read itself: late rows, what was merged anew, what an erasure left. No lock and no order of commits is needed, for a
question judges by the snapshots that it reads.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from msgspec import Struct
from pyarrow import fs

if TYPE_CHECKING:
    from storage.lake import Lake
    from storage.sources import LiveFile

log = structlog.get_logger()

INDEX_DAY = date(1970, 1, 1)
"""The partition with the index: a row for each part, all days together, so that one small file tells of a year. It is written in the same
commit as the rows of the part. This day's own calls, if a clock ever said so, have no rollup."""
INDEX = "index"
"""The grain of its rows."""


class Folders(Struct, frozen=True):
    """Where the files of the facts lie."""

    calls: str
    amendments: str


class Part(Struct, frozen=True):
    """Some of a day's calls, added up."""

    day: date
    number: int
    """Rows of it have it as their `part`."""
    calls: frozenset[str]
    """The paths of the files it was made of."""
    amendments: frozenset[str]
    """All that the day had."""
    answered: tuple[str, ...] = ()
    """Ids of calls that an amendment says were abandoned, whose end is among its calls after all."""


class Covered(Struct, frozen=True):
    """How the facts that are live now are to be read."""

    parts: tuple[Part, ...]
    """Those that may be used."""
    rest: tuple["LiveFile", ...]
    """The files of `calls` that are in none of them."""

    @property
    def answered(self) -> list[str]:
        return sorted({call_id for part in self.parts for call_id in part.answered})


def covered(parts: Iterable[Part], calls: Iterable["LiveFile"], amendments: Sequence["LiveFile"]) -> Covered:
    """Judged by what is live. A file is in one part at most.

    A day that has abandoned calls among its facts is taken whole or not at all: any other file of it may hold the end of such a call.
    """
    calls = tuple(calls)
    live, amended = _by_day(calls), _by_day(amendments)
    undivided = {file.day for file in calls if file.holds_abandoned}

    def may_be_used(part: Part) -> bool:
        ours = live.get(part.day, set())
        whole = part.calls == ours if part.day in undivided else part.calls <= ours
        return whole and part.amendments == amended.get(part.day, set())

    contested = contested_days(calls, amendments)
    used = () if None in amended else tuple(part for part in parts if part.day not in contested and may_be_used(part))
    named = {path for part in used for path in part.calls}
    return Covered(used, tuple(file for file in calls if file.path not in named))


def contested_days(calls: Iterable["LiveFile"], amendments: Iterable["LiveFile"]) -> set[date | None]:
    """Days with amendments beside rows into which others were folded before: which of them stands is only known by looking at both."""
    return {file.day for file in calls if file.holds_amended} & {file.day for file in amendments}


def _by_day(files: Iterable["LiveFile"]) -> dict[date | None, set[str]]:
    found: dict[date | None, set[str]] = {}
    for file in files:
        found.setdefault(file.day, set()).add(file.path)
    return found


def index_rows(parts: Iterable[Part], schema: pa.Schema, folders: Folders) -> pa.Table:
    """The index as rows of the table. Paths are kept as they are below the tables' folders, so a lake may be moved."""
    rows = [
        {
            "grain": INDEX,
            "part": part.number,
            "of_day": part.day,
            "calls_files": sorted(path.removeprefix(f"{folders.calls}/") for path in part.calls),
            "amendments_files": sorted(path.removeprefix(f"{folders.amendments}/") for path in part.amendments),
            "answered": list(part.answered),
            "day": INDEX_DAY,
        }
        for part in sorted(parts, key=lambda part: (part.day, part.number))
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def folders_of(lake: "Lake") -> Folders:
    return Folders(lake.uri_of("calls"), lake.uri_of("amendments"))


def read_index(lake: "Lake", files: Iterable["LiveFile"]) -> tuple[Part, ...]:
    """The parts that the files of a snapshot of the table tell of. Where they cannot be read, none is used. Blocks."""
    paths = [file.path for file in files if file.day == INDEX_DAY]
    if not paths:
        return ()
    try:
        where, root = lake.filesystem()
        rows = [row for path in paths for row in _index_rows(where, root + path.removeprefix(lake.directory()))]
    except (OSError, pa.ArrowException) as error:
        log.warning("rollups_unreadable", error=str(error))
        return ()
    folders = folders_of(lake)
    return tuple(
        Part(
            row["of_day"],
            row["part"],
            frozenset(f"{folders.calls}/{name}" for name in row["calls_files"]),
            frozenset(f"{folders.amendments}/{name}" for name in row["amendments_files"]),
            tuple(row["answered"]),
        )
        for row in rows
    )


def _index_rows(where: fs.FileSystem, path: str) -> list[dict[str, Any]]:
    columns = ["part", "of_day", "calls_files", "amendments_files", "answered"]
    rows: list[dict[str, Any]] = pq.read_table(path, columns=columns, filesystem=where, partitioning=None).to_pylist()
    return rows
