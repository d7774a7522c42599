"""The views `calls_by_hour` and `calls_by_day`: rows of the rollups that may be used, and rows made of whatever else is live."""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from msgspec import structs

from storage.engine import literal
from storage.rollups.coverage import Part, covered
from storage.rollups.measures import KEYS, KEYS_TOLD, MEASURES, READ, SKETCH_TOLD
from storage.rollups.shaping import view_of_calls, view_of_rows

if TYPE_CHECKING:
    from storage.sources import LiveFile, Source

GRAINS = ("hour", "day")
DESCRIPTIONS = {
    "hour": "Calls added up by hour, as they stand. What was added up before is kept, so a question for sums or quantiles over long times "
    "reads few rows. Of an hour and provider there may be several rows with the same names: add them up.",
    "day": "The same by day.",
}


def columns(grain: str) -> Mapping[str, tuple[str, str]]:
    """Type and meaning of each."""
    keys = {name: ("INTEGER" if name == "status" else "VARCHAR", KEYS_TOLD[name]) for name in KEYS}
    sums = {name: (measure.type, measure.description) for name, measure in MEASURES.items()}
    sketches = {name: ("MAP(INTEGER, BIGINT)", told) for name, told in SKETCH_TOLD.items()}
    return {grain: ("TIMESTAMP", f"When the {grain} began. UTC."), **keys, **sums, **sketches}


def sql_of(
    sources: Mapping[str, "Source"],
    grain: str,
    scan: Callable[["Source", Sequence["LiveFile"]], str],
    current: Callable[["Source", "Source"], str],
) -> str:
    """The SELECT that a view is. `scan` reads files of a table, `current` calls as they stand; both of one organization, or all."""
    found = covered(sources["rollups"].parts, sources["calls"].files, sources["amendments"].files)
    calls = current(_narrow(sources["calls"], found.rest), _narrow(sources["amendments"], sources["amendments"].files))
    if found.answered:
        calls = f"SELECT * FROM ({calls}) WHERE NOT (revision < 0 AND call_id IN ({', '.join(map(literal, found.answered))}))"
    if not found.parts:
        return view_of_calls(calls, grain)
    rows = view_of_rows(rows_sql(sources["rollups"], found.parts, scan), grain)
    return f"{rows} UNION ALL {view_of_calls(calls, grain)}" if found.rest or sources["amendments"].files else rows


def _narrow(source: "Source", files: Sequence["LiveFile"]) -> "Source":
    """With the columns that are added up, and those that tell which row of a call stands. A plan of fewer columns is made faster."""
    return structs.replace(source, files=tuple(files), schema=pa.schema([field for field in source.schema if field.name in READ]))


def rows_sql(rollups: "Source", parts: Sequence[Part], scan: Callable[["Source", Sequence["LiveFile"]], str]) -> str:
    """The rows of some parts."""
    days = {part.day for part in parts}
    rows = scan(rollups, [file for file in rollups.files if file.day in days])
    others = [part for part in rollups.parts if part.day in days and part not in parts]
    unused = (f"(part = {part.number} AND CAST(begins AS DATE) = DATE '{part.day.isoformat()}')" for part in others)
    return f"SELECT * FROM ({rows}) WHERE NOT ({' OR '.join(unused)})" if others else rows
