"""What a lake looks like from outside: sizes, rows, days, and what is wrong with it.

Delta's log knows nearly all of it, and a listing of the folder the rest: no row is read, so a year of days takes no longer than its log.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import reduce
from typing import TypedDict
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError, TableNotFoundError
from msgspec import Struct
from pyarrow import fs

from storage.lake import Lake
from storage.maintenance import SizedFile, plan
from storage.migration import version_of
from storage.schema import SORTED_BY, TABLES

LATE_CHECKPOINT = 500
"""Commits since the last checkpoint, from which on opening a table is slow. One is made every fifty."""
_LOG = "_delta_log"


class File(Struct, frozen=True):
    """A live file, as Delta's log tells of it."""

    path: str
    """In the table's folder."""
    day: date
    bytes: int
    rows: int
    newest: datetime | None
    """The time of its newest row. UTC."""


class Day(Struct, frozen=True, kw_only=True):
    """A day of a table, or several."""

    files: int = 0
    bytes: int = 0
    rows: int = 0

    def plus(self, other: "Day") -> "Day":
        return Day(files=self.files + other.files, bytes=self.bytes + other.bytes, rows=self.rows + other.rows)


class TableState(Struct, frozen=True, kw_only=True):
    """One table."""

    name: str
    whole: Day = Day()
    days: Mapping[date, Day] = {}
    newest: datetime | None = None
    """The time of the newest row. UTC."""
    version: int | None = None
    """Of the newest commit."""
    schema_version: int | None = None
    checkpoint: int | None = None
    """The version of the last checkpoint, and when it was made."""
    checkpoint_at: datetime | None = None
    log_bytes: int = 0
    replaced_bytes: int = 0
    """Of files that are on disk and not live: merged away and kept for a while for those who read them, or left by a commit that failed."""
    unmerged_days: int = 0
    """Days with small files that wait to be merged."""
    missing: Sequence[str] = ()
    """Live files that are not there."""
    damaged: Sequence[str] = ()
    """Live files that are not what was written: of another size, or no Parquet."""
    unreadable: str | None = None
    """Why nothing is known of it."""


class LakeState(Struct, frozen=True, kw_only=True):
    """All tables, and what is made of them."""

    uri: str
    tables: Sequence[TableState]
    call_bytes: float | None = None
    """Average bytes of a call, without its bodies; None where there is no call."""
    body_bytes: float | None = None
    """Average bytes of a call's bodies."""
    problems: Sequence[str] = ()
    """What somebody has to look at."""

    def table(self, name: str) -> TableState:
        return next(table for table in self.tables if table.name == name)


def state_of(lake: Lake, now: datetime, *, check: bool = False) -> LakeState:
    """The lake as it is. `check` reads each file, too. Blocks.

    What cannot be read is told of its table; the others are told all the same.
    """
    tables = [_table(lake, name, now, check=check) for name in TABLES]
    calls, bodies = (next(each.whole for each in tables if each.name == name) for name in ("calls", "bodies"))
    return LakeState(
        uri=lake.directory(),
        tables=tables,
        call_bytes=calls.bytes / calls.rows if calls.rows else None,
        body_bytes=bodies.bytes / calls.rows if calls.rows else None,
        problems=[problem for table in tables for problem in problems_of(table)],
    )


def _table(lake: Lake, name: str, now: datetime, *, check: bool) -> TableState:
    try:
        snapshot = lake.table(name)
        files = tuple(live(name, pa.table(snapshot.get_add_actions(flatten=True))))
        system, root = lake.filesystem()
        on_disk = OnDisk(system, f"{root}/{name}")
        return TableState(
            **summed(files),
            **on_disk.judged(files, check=check),
            name=name,
            version=snapshot.version(),
            schema_version=version_of(snapshot),
            unmerged_days=len(plan(name, [SizedFile(file.day, file.bytes) for file in files], lake.config, now.date())),
        )
    except TableNotFoundError:
        return TableState(name=name)
    except (DeltaError, OSError) as error:
        return TableState(name=name, unreadable=str(error).strip().splitlines()[0])


def live(name: str, actions: pa.Table) -> Iterator[File]:
    """The live files of a table, out of what its log says."""
    columns = [actions.column(column).to_pylist() for column in ("path", "partition.day", "size_bytes", "num_records")]
    time = f"max.{SORTED_BY[name][-1]}"
    newest = actions.column(time).to_pylist() if time in actions.column_names else [None] * actions.num_rows
    for path, day, size, rows, last in zip(*columns, newest, strict=True):
        yield File(unquote(path), day, size, rows or 0, last and last.replace(tzinfo=UTC))


class Summed(TypedDict):
    whole: Day
    days: Mapping[date, Day]
    newest: datetime | None


def summed(files: Sequence[File]) -> Summed:
    """Files by day, oldest first, and all together."""
    days: dict[date, Day] = {}
    for file in sorted(files, key=lambda each: each.day):
        days[file.day] = days.get(file.day, Day()).plus(Day(files=1, bytes=file.bytes, rows=file.rows))
    return Summed(
        whole=reduce(Day.plus, days.values(), Day()), days=days, newest=max((file.newest for file in files if file.newest), default=None)
    )


def months_of(days: Mapping[date, Day]) -> dict[date, Day]:
    """By the first day of each month."""
    months: dict[date, Day] = {}
    for day, each in days.items():
        first = day.replace(day=1)
        months[first] = months.get(first, Day()).plus(each)
    return months


class Judged(TypedDict):
    checkpoint: int | None
    checkpoint_at: datetime | None
    log_bytes: int
    replaced_bytes: int
    missing: Sequence[str]
    damaged: Sequence[str]


class OnDisk:
    """A table's folder as it is listed."""

    def __init__(self, system: fs.FileSystem, folder: str) -> None:
        """Blocks. Raises OSError."""
        self._system, self._folder = system, folder
        found = system.get_file_info(fs.FileSelector(folder, recursive=True))
        self._infos = {info.path.removeprefix(f"{folder}/"): info for info in found if info.type is fs.FileType.File}

    def judged(self, files: Sequence[File], *, check: bool) -> Judged:
        """What is there, held against what should be."""
        there = [file for file in files if file.path in self._infos]
        damaged = [
            file.path for file in there if self._infos[file.path].size != file.bytes or (check and not self._reads(file.path, file.rows))
        ]
        made = self._checkpoint()
        parquet = sum(info.size for path, info in self._infos.items() if path.endswith(".parquet") and not path.startswith(_LOG))
        return Judged(
            checkpoint=made,
            checkpoint_at=None if made is None else self._made_at(f"{made:020}.checkpoint"),
            log_bytes=sum(info.size for path, info in self._infos.items() if path.startswith(_LOG)),
            replaced_bytes=parquet - sum(self._infos[file.path].size for file in there),
            missing=sorted({file.path for file in files} - self._infos.keys()),
            damaged=sorted(damaged),
        )

    def _checkpoint(self) -> int | None:
        if f"{_LOG}/_last_checkpoint" not in self._infos:
            return None
        with suppress(OSError, msgspec.MsgspecError), self._system.open_input_stream(f"{self._folder}/{_LOG}/_last_checkpoint") as file:
            return msgspec.json.decode(file.read(), type=_Checkpoint).version
        return None

    def _made_at(self, name: str) -> datetime | None:
        return next((info.mtime for path, info in self._infos.items() if path.startswith(f"{_LOG}/{name}")), None)

    def _reads(self, path: str, rows: int) -> bool:
        """All of it, page by page."""
        try:
            with pq.ParquetFile(f"{self._folder}/{path}", filesystem=self._system) as file:
                found: int = sum(batch.num_rows for batch in file.iter_batches())
        except (pa.ArrowException, OSError):
            return False
        return found == rows


class _Checkpoint(Struct):
    version: int


def problems_of(table: TableState) -> Iterator[str]:
    """What somebody has to look at, and what to do."""
    if table.unreadable is not None:
        yield f"{table.name}: its log cannot be read: {table.unreadable}. Restore a backup (heliograph restore)."
    for said, files in (("is missing", table.missing), ("is damaged", table.damaged)):
        for path in files:
            yield f"{table.name}: the file {path} {said}; its rows are missing from every answer. Put it back from a backup."
    behind = (table.version or 0) - (table.checkpoint or 0)
    if behind > LATE_CHECKPOINT:
        yield f"{table.name}: {behind} commits since the last checkpoint: it is slow to open. Does `heliograph up`, or a sink, run?"
