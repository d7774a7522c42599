"""The costs of stored calls, worked out anew: rows that replace rows, and nothing else about a call changed.

A day is read from a snapshot and written on the same snapshot: where anybody wrote in between, it is read again. A row whose cost stays the
same is left alone, so whatever was interrupted is taken up again by the same command, and a row is never amended twice for one change. The
figures before stay in the lake.
"""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from msgspec import Struct, structs

from eventlog.events import PriceBasis
from storage.engine import Engine, EngineLimits, engine_of, literal
from storage.lake import Lake
from storage.replacing import changes_of, replaced, source_of
from storage.rows import COUNT_COLUMNS
from storage.sources import Source
from storage.views import current_calls_sql
from storage.writing import append

READ = (
    *("call_id", "organization", "created_at", "provider", "model", "target_url", "dialect", "outcome", "revision", "source"),
    *("usage_source", "usage_method", "audio_seconds", *COUNT_COLUMNS),
    *("cost_usd", "cost_saved_usd", "price_source", "price_basis", "price_context", "price_note", "stated_cost_usd", "rates"),
    "cache_reference_id",
)
"""What a price is worked out from, and what was booked."""
TOGETHER = 10_000
"""Rows that are read at once."""
WRITTEN_AT_ONCE = 100_000
LIMITS = EngineLimits(memory_bytes=2 << 30, timeout_s=timedelta(days=7).total_seconds())

Row = Mapping[str, Any]
"""A call as it stands, by the columns in `READ`."""


class Chosen(Struct, frozen=True, kw_only=True):
    """Which calls are priced anew. Aware times."""

    since: datetime
    before: datetime | None = None
    organization: str | None = None
    provider: str | None = None
    model: str | None = None
    """A name, or a pattern with * and ?."""


class Change(Struct, frozen=True, kw_only=True):
    """What a call costs by today's knowledge."""

    call_id: str
    revision: int
    cost: Decimal | None
    saved: Decimal | None
    source: str
    basis: PriceBasis
    rates: Mapping[str, str]


class Moved(Exception):
    """Others wrote to the amendments after the day was read: a replay, maintenance, another of these. Read it again."""

    retryable = True


class Repricing:
    """Of one lake. Blocks. Close it at the end."""

    def __init__(self, lake: Lake, chosen: Chosen) -> None:
        self._lake, self._chosen = lake, chosen
        self._engine = engine_of(lake, LIMITS)

    def close(self) -> None:
        self._engine.close()

    def days(self) -> list[tuple[date, int]]:
        """Those that hold calls of the span, and how many rows each was written with."""
        found: dict[date, int] = {}
        actions = self._lake.table("calls").get_add_actions(flatten=True).select(["partition.day", "num_records"])
        for day, rows in zip(*(column.to_pylist() for column in actions.columns), strict=True):
            if self._in_span(day):
                found[day] = found.get(day, 0) + (rows or 0)
        return sorted(found.items())

    def _in_span(self, day: date) -> bool:
        since, before = self._chosen.since.astimezone(UTC), self._chosen.before
        return since.date() <= day and (before is None or datetime(day.year, day.month, day.day, tzinfo=UTC) < before)

    def day(self, day: date) -> "Day":
        """As it is now."""
        return Day(self._lake, self._engine, self._chosen, day)


class Day:
    """One day's calls, of a snapshot."""

    def __init__(self, lake: Lake, engine: Engine, chosen: Chosen, day: date) -> None:
        self._engine, self._day = engine, day
        self._amendments: DeltaTable = lake.table("amendments")
        live, amended = source_of(lake, "calls"), source_of(lake, "amendments", self._amendments)
        self._whole = current_calls_sql(live, amended, None)
        self._current = current_calls_sql(_of(live, day), _of(amended, day), None)
        self._condition = " AND ".join(_conditions(chosen))

    def rows(self) -> Iterator[list[Row]]:
        """The calls that are chosen, some thousands at a time."""
        yield from self._read(f"SELECT {', '.join(READ)} FROM ({self._current}) WHERE {self._condition}")

    def references(self) -> dict[str, Row]:
        """The calls whose answers were given again on this day, as they stand, on whatever day they were made."""
        hits = f"SELECT DISTINCT cache_reference_id FROM ({self._current}) WHERE cache_reference_id IS NOT NULL AND {self._condition}"
        found = self._read(f"SELECT {', '.join(READ)} FROM ({self._whole}) WHERE call_id IN ({hits})")
        return {row["call_id"]: row for rows in found for row in rows}

    def _read(self, sql: str) -> Iterator[list[Row]]:
        with self._engine.connection() as connection:
            reader: pa.RecordBatchReader = connection.sql(sql).to_arrow_reader(TOGETHER)
            with closing(reader):
                for batch in reader:
                    yield batch.to_pylist()

    def write(self, changes: Sequence[Change], now: datetime) -> None:
        """In one commit, on what was read. Raises Moved."""
        with self._engine.connection() as connection:
            rows = replaced(connection, self._current, _table(changes, now))
        try:
            append(self._amendments, rows, CommitProperties(max_commit_retries=0))
        except CommitFailedError as error:
            raise Moved(str(error)) from error


def _of(source: Source, day: date) -> Source:
    return structs.replace(source, files=tuple(file for file in source.files if file.day == day))


def _conditions(chosen: Chosen) -> Iterator[str]:
    """A call that is known only by its request has no cost, whatever is known of prices."""
    yield "revision >= 0"
    yield f"created_at >= {_time(chosen.since)}"
    if chosen.before is not None:
        yield f"created_at < {_time(chosen.before)}"
    for column, value in (("organization", chosen.organization), ("provider", chosen.provider)):
        if value is not None:
            yield f"{column} = {literal(value)}"
    if chosen.model is not None:
        yield f"lower(model) GLOB {literal(chosen.model.lower().replace('[', '[[]'))}"


def _time(at: datetime) -> str:
    return f"TIMESTAMP {literal(at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' '))}"


def _table(changes: Sequence[Change], now: datetime) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "call_id": [change.call_id for change in changes],
        "revision": [change.revision for change in changes],
        "cost_usd": [change.cost for change in changes],
        "cost_saved_usd": [change.saved for change in changes],
        "price_source": [change.source for change in changes],
        "price_basis": [change.basis.value for change in changes],
        "rates": [list(change.rates.items()) for change in changes],
    }
    return changes_of(columns, now)
