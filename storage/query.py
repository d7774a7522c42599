"""Answers to SQL: a checked statement, run over the lake as it is now.

`run_query` asks once. `Questions` keeps an engine and the snapshots between questions: a question sees every commit made before it was
asked, and costs no more than its scan. Both answer in this process, where a few functions of DuckDB know no limit; the query port asks a
`Pool` of other processes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

import duckdb
import pyarrow as pa
import structlog
from msgspec import Struct, structs

from eventlog.events import Organization
from storage.carried import projection
from storage.engine import LAKE_DAMAGED, LAKE_MOVED, EngineLimits, deadline, engine_of, literal
from storage.few import TABLE, finding
from storage.found import few_calls, plain_functions
from storage.given import Given
from storage.judgements import Judgements
from storage.laid_out import LaidOut
from storage.lake import Lake
from storage.needed import JUDGED, PROPERTIES, RATED, needed, shows_tables
from storage.refusal import Refusal, Refused
from storage.rollups.aggregated import Aggregated, aggregated
from storage.rollups.instead import Written, written
from storage.rollups.spans import Span
from storage.sandbox import Statement, checked
from storage.set_aside import SetAside
from storage.snapshots import Snapshots
from storage.sources import Source
from storage.standing import Standings
from storage.views import VIEWS, few_calls_sql

Value = str | int | float | bool | datetime | None
Parameters = Sequence[Value] | Mapping[str, Value]
"""For `?` and `$1` in order, or for `$name` by name."""

log = structlog.get_logger()

T = TypeVar("T")

_BATCH_ROWS = 2048


class Limits(Struct, frozen=True, kw_only=True):
    """What one question may cost, and how many may be answered at once."""

    timeout_s: float = 30.0
    rows: int = 100_000
    """More rows are cut off, and the answer says so."""
    result_bytes: int = 256 << 20
    """An answer that is larger, as Arrow or written out, is refused. It is held as both: give four times as much memory."""
    memory_bytes: int = 1 << 30
    """Of all questions together."""
    threads: int = 2
    at_once: int = 3
    waiting: int = 64
    """Questions beyond those answered and these waiting are refused."""
    start_s: float = 60.0
    """How long one whose turn has come waits for a process to be there."""


class QueryResult(Struct, frozen=True, kw_only=True):
    """The rows of an answer."""

    table: pa.Table
    types: tuple[str, ...]
    """DuckDB's name of each column's type."""
    truncated: bool
    """There were more rows than the limit."""
    elapsed_ms: float
    unread: tuple[str, ...] = ()
    """Files of the lake that cannot be read: what is in them is not in the answer."""


class Found(Struct, frozen=True, kw_only=True):
    """An answer that is being found."""

    schema: pa.Schema
    types: tuple[str, ...]
    """DuckDB's name of each column's type."""
    batches: "Cut"
    unread: tuple[str, ...] = ()
    """Files of the lake that cannot be read."""


class Cut:
    """Batches of rows, of each question once: at most as many rows as the limits allow. Raises Refused when they are too large."""

    def __init__(self, batches: Iterable[pa.RecordBatch], limits: Limits) -> None:
        self._batches, self._limits = batches, limits
        self.rows = 0
        self.truncated = False
        """There were more, which is known at the end."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        size = 0
        for batch in self._batches:
            kept = batch.slice(0, self._limits.rows - self.rows)
            size += kept.nbytes
            if size > self._limits.result_bytes:
                raise Refused(too_large(self._limits))
            self.rows += kept.num_rows
            yield kept
            if kept.num_rows < batch.num_rows:
                self.truncated = True
                return


TRIES = 3


class Questions:
    """A lake that can be asked. Thread-safe; close it at the end."""

    def __init__(self, lake: Lake, limits: Limits = Limits()) -> None:  # noqa: B008 frozen
        self.limits = limits
        self.snapshots = Snapshots(lake)
        engine = EngineLimits(memory_bytes=limits.memory_bytes, threads=limits.threads, timeout_s=limits.timeout_s)
        self._engine = engine_of(lake, engine)
        self._laid_out = LaidOut(self._engine)
        self._aside = SetAside(lake)
        self._standings, self._judgements, self._given = Standings(), Judgements(), Given()

    def ask(self, sql: str, *, organization: Organization | None = None, parameters: Parameters = ()) -> QueryResult:
        """The answer to one SELECT over the rows of `organization`; None, of all. Raises Refused."""
        started = time.perf_counter()

        def whole(answer: Found) -> QueryResult:
            table = pa.Table.from_batches(answer.batches, answer.schema)
            took = (time.perf_counter() - started) * 1000
            return QueryResult(table=table, types=answer.types, truncated=answer.batches.truncated, elapsed_ms=took, unread=answer.unread)

        return self.pass_on(sql, whole, organization=organization, parameters=parameters)

    def pass_on(
        self,
        sql: str,
        take: Callable[[Found], T],
        *,
        organization: Organization | None = None,
        parameters: Parameters = (),
        again: Callable[[], bool] = lambda: True,
    ) -> T:
        """What `take` makes of the answer, whose rows it is given while they are found. Raises Refused, also in the midst of them.

        Where the lake moved meanwhile it is called a second time, unless `again` says no; and once more without files that cannot be read.
        """
        with self._engine.connection() as parser, deadline(parser, self.limits.timeout_s):
            statement = checked(sql, parser, views=VIEWS.keys(), explain=organization is None)
        added_up = _added_up(statement)
        for tried in range(TRIES):
            try:
                return self._pass_on(statement, added_up, take, organization, parameters)
            except Refused as refused:
                helped = self._set_aside(refused.refusal, self._tables(statement, added_up), first=not tried)
                if not helped or not again() or tried == TRIES - 1:
                    raise
        raise AssertionError("the last of them answers or raises")

    def interrupt(self) -> None:
        """Stops what is being answered now: it ends as if its time were over."""
        self._engine.interrupt()

    def close(self) -> None:
        self._laid_out.close()
        self._engine.close()

    def _set_aside(self, refusal: Refusal, tables: Set[str], *, first: bool) -> bool:
        """Whether a question that was refused may be answered now: because the lake moved, or without what cannot be read."""
        if refusal is LAKE_MOVED and first:
            return True
        if refusal not in (LAKE_MOVED, LAKE_DAMAGED):
            return False
        sources, reads = self.snapshots.sources(tables), partial(self._reads, time.perf_counter())
        return (refusal is LAKE_MOVED and self._aside.look(sources)) or self._aside.look(sources, reads)

    def _reads(self, began: float, path: str) -> bool:
        """Whether all of a file can be read. Raises Refused when looking, since `began`, takes longer than a question may."""
        left = max(0.0, self.limits.timeout_s - (time.perf_counter() - began))
        with self._engine.connection() as connection, deadline(connection, left):
            try:
                connection.execute(f"SELECT bit_xor(hash(whole)) FROM read_parquet({literal(path)}, hive_partitioning = false) whole")  # noqa: S608
            except duckdb.InterruptException:
                raise
            except duckdb.Error:
                return False
        return True

    @staticmethod
    def _tables(statement: Statement, added_up: Aggregated | None) -> set[str]:
        """All that it may read."""
        return {table for name in statement.tables for table in VIEWS[name].reads} | ({"rollups"} if added_up else set())

    def _standing(self, sources: dict[str, Source], seconds: float) -> dict[str, Source]:
        """With what stands where amendments are."""
        with self._engine.connection() as connection, deadline(connection, seconds):
            return self._standings.told(connection, sources)

    def _with_given(self, feedback: Source, seconds: float) -> Source:
        with self._engine.connection() as connection, deadline(connection, seconds):
            return self._given.told(connection, feedback)

    def _pass_on(
        self,
        statement: Statement,
        added_up: Aggregated | None,
        take: Callable[[Found], T],
        organization: Organization | None,
        parameters: Parameters,
    ) -> T:
        started = time.perf_counter()

        def left() -> float:
            return max(0.0, self.limits.timeout_s - (time.perf_counter() - started))

        sources, unread = self._aside.without(self.snapshots.sources(self._tables(statement, added_up)))
        if not unread:
            sources = self._standing(sources, left())
        take = _telling(unread, take)
        judged = _judged(sources)
        needs = needed(statement.tree) & judged
        few = finding(statement.tree, judged, plain_functions()) if needs and not statement.explained else None

        def laid_out(held: Mapping[str, Source], needs: Set[str]) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
            return self._laid_out.connection(held, statement.tables, organization, frozenset(needs), left())

        if (instead := self._instead(added_up, parameters, sources, left())) is not None:
            with self._laid_out.connection(sources, instead.tables, organization, frozenset(), left()) as connection:
                return take(self._found(connection, statement.sql, parameters, instead))
        calls = None if few is None else few_calls(few, parameters, sources, laid_out)
        if calls is None:
            if PROPERTIES in needs and not shows_tables(statement.tree):  # which would show the one that is joined
                sources |= {"feedback": self._with_given(sources["feedback"], left())}
            with laid_out(sources, needs) as connection:
                return take(self._found(connection, statement.sql, parameters))
        with self._engine.connection() as connection, deadline(connection, left()):
            sources |= {"feedback": self._judgements.about(connection, sources["feedback"], calls.request_ids)}
            connection.execute(f"CREATE TEMP VIEW {TABLE} AS {few_calls_sql(sources, organization, calls)}")
            return take(self._found(connection, statement.sql, parameters))

    def _instead(
        self, added_up: Aggregated | None, parameters: Parameters, sources: Mapping[str, Source], seconds: float
    ) -> Written | None:
        """How rollups are asked for the same, where there are any."""
        if added_up is None or not sources["rollups"].parts:
            return None
        with self._engine.connection() as connection, deadline(connection, seconds):
            return written(connection, added_up, parameters, partial(_calls_of, sources["calls"]))

    def _found(self, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters, instead: Written | None = None) -> Found:
        """The answer to `sql`; found by `instead`, where that has columns of the same types."""
        relation = _bound(connection, sql, parameters)
        types, names = tuple(str(kind) for kind in relation.types), relation.columns
        if instead is not None:
            relation = _alike(connection, instead, types) or relation
        if columns := projection(relation.types):
            relation = relation.project(columns)
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
        return Found(schema=schema, types=types, batches=Cut(_renamed(reader, schema), self.limits))


def _added_up(statement: Statement) -> Aggregated | None:
    """How a question about calls alone is asked of rollups, where it may be."""
    if statement.explained or statement.tables != {TABLE}:
        return None
    return aggregated(statement.tree, plain_functions(), _CALLS)


def _calls_of(source: Source, span: Span) -> int:
    """How many calls there are in the days of a time."""
    first, last = span.since or datetime.min, span.before or datetime.max  # noqa: DTZ901 as naive as the lake's times
    return sum(file.rows for file in source.files if file.day is None or first.date() <= file.day <= last.date())


_CALLS = frozenset(column.name for column in VIEWS[TABLE].columns)


def _renamed(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    return (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches)


def _telling(unread: tuple[str, ...], take: Callable[[Found], T]) -> Callable[[Found], T]:
    """`take`, with what an answer lacks."""
    return (lambda answer: take(structs.replace(answer, unread=unread))) if unread else take


def _judged(sources: Mapping[str, Source]) -> frozenset[str]:
    """The columns of calls that are gathered from feedback, of what there is."""
    files = sources["feedback"].files if "feedback" in sources else ()
    giving = any(file.may_give_properties for file in files)
    return JUDGED if giving else RATED if files else frozenset()


def _bound(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters) -> duckdb.DuckDBPyRelation:
    """The question, ready to stream. As a relation it is not copied; but it keeps the place of a fault to itself, which executing tells."""
    try:
        return connection.sql(sql, params=parameters or None)
    except (duckdb.BinderException, duckdb.CatalogException):
        connection.execute(sql, parameters or None)
        raise


def _alike(connection: duckdb.DuckDBPyConnection, instead: Written, types: tuple[str, ...]) -> duckdb.DuckDBPyRelation | None:
    """The question as rollups are asked it; None where its columns are of other types, or it cannot be asked."""
    with suppress(duckdb.BinderException, duckdb.CatalogException):
        relation = connection.sql(instead.sql, params=instead.values or None)
        return relation if tuple(str(kind) for kind in relation.types) == types else None
    return None


def too_large(limits: Limits) -> Refusal:
    return Refusal(
        code="result_too_large",
        message=f"The answer is larger than {limits.result_bytes >> 20} MiB.",
        fix="Ask for fewer columns (bodies are large), or add a LIMIT.",
        field="sql",
        status=422,
    )


def run_query(
    lake: Lake,
    sql: str,
    *,
    organization: Organization | None = None,
    limits: Limits = Limits(),  # noqa: B008 frozen
    parameters: Parameters = (),
) -> QueryResult:
    """The answer to one question, without a server. Raises Refused."""
    questions = Questions(lake, limits)
    try:
        return questions.ask(sql, organization=organization, parameters=parameters)
    finally:
        questions.close()
