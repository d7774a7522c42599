"""The lake's tables as a question reads them: live files with what is known of each, and the scan of them as SQL."""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime
from typing import NamedTuple

import pyarrow as pa
from msgspec import Struct, structs

from eventlog.events import Organization
from storage.carried import quoted
from storage.engine import literal
from storage.rollups.coverage import Part


class LiveFile(Struct, frozen=True):
    """One Parquet file of a table's snapshot."""

    path: str
    day: date | None = None
    """The day that all its rows are of."""
    may_give_properties: bool = True
    """Of feedback: whether a row of it gives any, as far as Delta's log tells."""
    holds_abandoned: bool = False
    """Of calls: whether rows of abandoned calls were folded into it."""
    holds_amended: bool = False
    """Of calls: whether rows that replaced others were folded into it."""
    rows: int = 0
    newest: datetime | None = None
    """Of calls: when the last of them was made. UTC without a zone; None where Delta's log does not tell."""


class Hidden(NamedTuple):
    """A live row for which another stands."""

    organization: str
    revision: int
    created_at: datetime
    call_id: str


class Shown(NamedTuple):
    """An amendment that stands: where it is."""

    organization: str
    path: str
    place: int
    """The row in its file, from 0."""
    call_id: str


class Standing(Struct, frozen=True, kw_only=True):
    """What stands in the days that have amendments (`storage/standing.py`)."""

    hidden: tuple[Hidden, ...] = ()
    shown: tuple[Shown, ...] = ()
    by_id: bool = False
    """A row that stands was made at the same time as a hidden one of its revision, so that only ids tell them apart."""

    def of(self, call_ids: Set[str]) -> "Standing":
        """What is known of these calls."""
        hidden, shown = (tuple(row for row in rows if row.call_id in call_ids) for rows in (self.hidden, self.shown))
        return structs.replace(self, hidden=hidden, shown=shown)


class Source(Struct, frozen=True, kw_only=True):
    """A table of the lake as it is now: its declared columns and its live files."""

    schema: pa.Schema
    files: tuple[LiveFile, ...] = ()
    version: int | None = None
    """Of the snapshot; None where there is no table."""
    whole: bool = False
    """Each file has all the declared columns: the engine need not be told them, which takes it as long as a small question."""
    partial: bool = False
    """Files that cannot be read are left out."""
    parts: tuple[Part, ...] = ()
    """Of rollups: what they were made of."""
    standing: Standing | None = None
    """Of amendments: what stands, where it was looked up."""
    given: pa.Table | None = None
    """Of feedback: the properties that calls were given, where they were put together."""


Sources = Mapping[str, Source]
"""By the name of the lake's table: calls, amendments, superseded, feedback, bodies, dead_letters."""


def duckdb_type(kind: pa.DataType) -> str:
    """The DuckDB name of a declared Arrow type. Raises TypeError for one that no table of ours has."""
    if pa.types.is_map(kind):
        return f"MAP({duckdb_type(kind.key_type)}, {duckdb_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {duckdb_type(field.type)}' for field in kind)})"
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz is None else "TIMESTAMP WITH TIME ZONE"
    if pa.types.is_dictionary(kind):
        return duckdb_type(kind.value_type)
    if str(kind) not in _TYPES:
        raise TypeError(f"no DuckDB type is declared for the Arrow type {kind}")
    return _TYPES[str(kind)]


_TYPES = {
    "string": "VARCHAR",
    "large_string": "VARCHAR",
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date32[day]": "DATE",
    "binary": "BLOB",
    "large_binary": "BLOB",
}

PARTITION = "day"
"""In the path of a file, not in it."""


def changed_days(calls: Source, amendments: Source) -> set[date | None]:
    """The days in which rows may stand for others: those of amendments, and those to which calls came after they were given up."""
    files = Counter(file.day for file in calls.files)
    return {file.day for file in amendments.files} | {file.day for file in calls.files if file.holds_abandoned and files[file.day] > 1}


def timestamp(at: datetime) -> str:
    """A time without a zone as SQL."""
    return f"TIMESTAMP {literal(at.isoformat(sep=' '))}"


def scan_sql(source: Source, files: Sequence[LiveFile], organization: Organization | None) -> str:
    """The rows of some of a table's files; typed and empty when there are none. Columns that an older file lacks are NULL.

    The newest file comes first: a question for the newest rows then has them early, and the scan passes over the rest.
    """
    paths = ", ".join(literal(file.path) for file in reversed(files))
    declared = [(field.name, duckdb_type(field.type)) for field in source.schema if field.name != PARTITION]
    if not paths:
        nulls = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in declared)
        return f"SELECT {nulls} WHERE false"
    if source.whole:
        scan = f"SELECT {', '.join(quoted(name) for name, _ in declared)} FROM read_parquet([{paths}], hive_partitioning = false)"
    else:
        told = ", ".join(
            f"{literal(name)}: {{name: {literal(name)}, type: {literal(kind)}, default_value: NULL}}" for name, kind in declared
        )
        scan = f"SELECT * FROM read_parquet([{paths}], schema = MAP {{{told}}})"
    return scan if organization is None else f"{scan} WHERE organization = {literal(organization)}"
