"""Days that are over are settled: what stands of each call is written anew, in an order in which people look for calls of that age.

All rows of the day go into one file. Those of yesterday are sorted by organization and time, as young calls are read newest first; a day
later they are sorted once more, by organization, user, session and time: a user's calls of a month are in one row group a day, and Bloom
filters find the row group of a call, a request or a session. The rows that amendments put in the place of others are folded in; those that
stood there before go to `superseded`, from which `cost_history` is told.

Three commits, each of which leaves the views as they were: figures of before, the day, the amendments that are no longer needed. Whoever is
killed in between is followed by another who does the same again.
"""

# ruff: noqa: S608 the names are those of declared columns, the texts pass `literal`

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

import duckdb
import pyarrow as pa
import structlog
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from msgspec import Struct, structs

from storage import schema
from storage.engine import Engine, EngineLimits, engine_of, literal
from storage.lake import Lake
from storage.replacing import source_of
from storage.sources import Source, scan_sql
from storage.views import current_calls_sql
from storage.writing import HOOKS, append, settled, settled_rows

log = structlog.get_logger()


class Order(StrEnum):
    """How the rows of a day that is over are sorted; the value is what the Delta application is called that says so."""

    BY_TIME = "in-time"
    BY_USER = "settled"


SORTED: Mapping[Order, tuple[str, ...]] = {Order.BY_TIME: schema.SORTED_BY["calls"], Order.BY_USER: schema.SETTLED_BY}
KEPT_BY_TIME = 2
"""Days, today among them, whose calls are read in the order of time."""
LATE_FILES = 8
"""More files than this that came to a settled day later are worth writing it anew."""
ONE_FILE = 1 << 40
"""Bytes: a settled day is one file."""
SLICE_ROWS = 1_500_000
"""Calls that are sorted at once: three times as many do not find room in the memory of `LIMITS`."""
SAMPLE = 10_000
_ASCENDING = "ASC NULLS LAST"
LIMITS = EngineLimits(memory_bytes=512 << 20, threads=1, timeout_s=timedelta(days=1).total_seconds())


class DayFiles(Struct, frozen=True):
    """What a table's snapshot holds of a day."""

    files: int
    newest: datetime
    """When the last of them was written. UTC."""


def due(
    calls: Mapping[date, DayFiles],
    amendments: Mapping[date, DayFiles],
    settled: Mapping[date, Order],
    today: date,
    now: datetime,
    quiet: timedelta,
) -> list[date]:
    """The days to settle: over, not yet in their order or changed since, and left alone for as long as `quiet`. The newest come first.

    What is amended of yesterday is folded in when its order changes, not before.
    """
    found = []
    for day, held in calls.items():
        order = order_of(day, today)
        changed = settled.get(day) is not order or held.files > 1 + LATE_FILES or (order is Order.BY_USER and day in amendments)
        newest = max(each.newest for each in (held, amendments.get(day, held)))
        if day < today and changed and now - newest >= quiet:
            found.append(day)
    return sorted(found, reverse=True)


def order_of(day: date, today: date) -> Order:
    """What a day's calls are to be sorted by once it is over."""
    return Order.BY_USER if day <= today - timedelta(days=KEPT_BY_TIME) else Order.BY_TIME


def days_due(lake: Lake, today: date, now: datetime, *, quiet: timedelta | None = None) -> list[date]:
    """What is to be settled now, after the lake's own `quiet` or another. Blocks."""
    calls, least = lake.table("calls"), lake.config.settle_quiet if quiet is None else quiet
    return due(days_of(calls), days_of(lake.table("amendments")), settled_days(calls), today, now, least)


def settled_days(calls: DeltaTable) -> dict[date, Order]:
    """Those that were settled once, and how; rows may have come to them since."""
    found = {}
    for day in days_of(calls):
        for order in (Order.BY_USER, Order.BY_TIME):
            if calls.transaction_version(app_id(day, order)) is not None:
                found[day] = order
                break
    return found


def app_id(day: date, order: Order) -> str:
    """The Delta application whose transaction says that a day was settled."""
    return f"{order.value}/{day.isoformat()}"


def days_of(snapshot: DeltaTable) -> dict[date, DayFiles]:
    actions = snapshot.get_add_actions(flatten=True)
    found: dict[date, DayFiles] = {}
    for day, written in zip(*(actions.column(name).to_pylist() for name in ("partition.day", "modification_time")), strict=True):
        at, before = _aware(written), found.get(day)
        found[day] = DayFiles(1, at) if before is None else DayFiles(before.files + 1, max(before.newest, at))
    return found


def _aware(written: datetime | int) -> datetime:
    if isinstance(written, int):
        return datetime.fromtimestamp(written / 1000, UTC)
    return written if written.tzinfo else written.replace(tzinfo=UTC)


def settle(lake: Lake, day: date, order: Order = Order.BY_USER) -> bool:
    """Settles one day; False where others changed it meanwhile, and it is left for the next time. Blocks."""
    amendments, calls = (lake.table(each) for each in ("amendments", "calls"))
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        engine = engine_of(lake, LIMITS, spill=folder)
        try:
            return _Day(lake, day, order, calls, amendments, engine).settle()
        except CommitFailedError as error:
            log.info("settling_lost", day=str(day), error=str(error))
            return False
        except (duckdb.Error, DeltaError, OSError) as error:  # a file of it cannot be read: the other days do not wait for that
            log.error("day_not_settled", day=str(day), error=str(error))
            return False
        finally:
            engine.close()


class _Day:
    """One day, as two snapshots have it."""

    def __init__(self, lake: Lake, day: date, order: Order, calls: DeltaTable, amendments: DeltaTable, engine: Engine) -> None:
        self._lake, self._day, self._order, self._engine = lake, day, order, engine
        self._calls, self._amendments = calls, amendments
        self._live, self._amended = of_day(source_of(lake, "calls", calls), day), of_day(source_of(lake, "amendments", amendments), day)

    def settle(self) -> bool:
        if not self._live.files and not self._amended.files:
            return False
        if self._amended.files:
            self._keep_history()
        self._write()
        if self._amended.files:
            self._forget_amendments()
        return True

    def _keep_history(self) -> None:
        live, amended = (scan_sql(each, each.files, None) for each in (self._live, self._amended))
        rows = f"SELECT * FROM ({amended}) WHERE revision > 0"
        sql = f"""
            SELECT *, {_day_sql(self._day)} FROM (
                SELECT * FROM ({live}) SEMI JOIN ({rows}) replaced USING (call_id) UNION ALL BY NAME {rows}
            ) QUALIFY row_number() OVER (PARTITION BY call_id ORDER BY revision DESC, amended_at DESC) > 1"""
        with self._engine.connection() as connection:
            found = connection.sql(sql).to_arrow_table()
        if found.num_rows:
            append(self._lake.table("superseded"), shaped(found), CommitProperties(max_commit_retries=5))

    def _write(self) -> None:
        count = sum(file.rows for file in self._live.files)
        with self._engine.connection() as connection:
            batches = _of_rows(settled_rows(count), self._in_order(connection, count))
            rows = pa.RecordBatchReader.from_batches(schema.CALLS, map(_cast, batches))
            write_deltalake(
                self._calls,
                rows,
                mode="overwrite",
                predicate=f"day = '{self._day.isoformat()}'",
                target_file_size=ONE_FILE,
                writer_properties=settled(count),
                post_commithook_properties=HOOKS,
                commit_properties=CommitProperties(app_transactions=[Transaction(app_id(self._day, self._order), 1)], max_commit_retries=5),
            )

    def _in_order(self, connection: duckdb.DuckDBPyConnection, count: int) -> Iterator[pa.RecordBatch]:
        """What stands of all calls, sorted: slice by slice, each of which memory holds, however many calls the day has."""
        columns = ", ".join(f'"{field.name}"' for field in schema.CALLS if field.name != "day")
        order = SORTED[self._order]
        key = f"create_sort_key({', '.join(f'{name}, {literal(_ASCENDING)}' for name in order)})"
        calls = current_calls_sql(self._live, self._amended, None)
        for since, before in pairwise((None, *_cuts(connection, f"SELECT {key} FROM ({calls})", -(-count // SLICE_ROWS)), None)):
            bounds = [(sign, cut) for sign, cut in ((">=", since), ("<", before)) if cut is not None]
            within = " AND ".join(f"{key} {sign} ?" for sign, _ in bounds) or "true"
            sql = f"SELECT {columns}, {_day_sql(self._day)} FROM ({calls}) WHERE {within} ORDER BY {', '.join(order)}"
            yield from connection.sql(sql, params=[cut for _, cut in bounds] or None).to_arrow_reader(settled_rows(count))

    def _forget_amendments(self) -> None:
        """Those that were read, as whole files."""
        self._amendments.delete(f"day = '{self._day.isoformat()}'", post_commithook_properties=HOOKS)


def _cuts(connection: duckdb.DuckDBPyConnection, keys: str, slices: int) -> list[bytes]:
    """Keys between which about as many rows lie, one fewer than there are slices: from a sample, which is the same each time."""
    if slices < 2:
        return []
    found = connection.execute(f"{keys} USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (1)").fetchall()
    sampled = sorted(key for (key,) in found)
    return sorted({sampled[len(sampled) * number // slices] for number in range(1, slices)}) if sampled else []


def _of_rows(rows: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """As many in each batch, but for the last: a batch is a row group, which Delta's writer may move, but does not tear apart."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(each.num_rows for each in held) >= rows:
            table = pa.Table.from_batches(held)
            yield from table.slice(0, rows).combine_chunks().to_batches()
            held = table.slice(rows).to_batches()
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def of_day(source: Source, day: date) -> Source:
    """What a table has of one day."""
    return structs.replace(source, files=tuple(file for file in source.files if file.day == day))


def shaped(found: pa.Table) -> pa.Table:
    """Calls in the declared order and types."""
    return pa.Table.from_arrays([found.column(field.name).cast(field.type) for field in schema.CALLS], schema=schema.CALLS)


def _cast(batch: pa.RecordBatch) -> pa.RecordBatch:
    [made] = shaped(pa.Table.from_batches([batch])).combine_chunks().to_batches() or [batch.slice(0, 0)]
    return made


def _day_sql(day: date) -> str:
    return f"DATE '{day.isoformat()}' AS day"


def settle_all(lake: Lake, today: date, now: datetime) -> list[date]:
    """Whatever is due. Answers the days that were settled. Blocks."""
    return [day for day in days_due(lake, today, now) if settle(lake, day, order_of(day, today))]
