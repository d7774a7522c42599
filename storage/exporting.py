"""Rows of the lake, on their way into files: those of one table that meet conditions, as the views say them, of one moment.

A day is read after the other, each a batch at a time, so that memory is bounded by a day's joins and not by the lake. The files were listed
once at the beginning: what others write meanwhile is not in it. Within a day the rows come as the files have them.
"""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`, or the wall of `condition.py`

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import NoReturn

import duckdb
import pyarrow as pa
from msgspec import Struct, structs

from eventlog.events import Organization
from storage import bodies_beside
from storage.carried import quoted
from storage.condition import checked_condition
from storage.engine import LAKE_MOVED, OUT_OF_MEMORY, EngineLimits, deadline, engine_of, literal
from storage.export_forms import Form, projected
from storage.lake import Lake
from storage.refusal import Refusal, Refused
from storage.snapshots import Snapshots
from storage.sources import Source, Sources
from storage.views import VIEWS, Column, some_calls_sql

TIMES: Mapping[str, str] = {
    "calls": "created_at",
    "bodies": "created_at",
    "feedback": "given_at",
    "dead_letters": "at",
    "cost_history": "created_at",
}
"""What can be exported, and by which of its times it is chosen, and lies in days."""
TOGETHER = 2_048
"""Rows of a batch: what the engine makes at once. Larger ones take more memory, and no less time."""
LIMITS = EngineLimits(memory_bytes=512 << 20, threads=1, timeout_s=timedelta(days=7).total_seconds(), keeps_files=False)
"""Measured over 10 M calls, 300,000 a day, a tenth of them rated: 450 to 500 MB of memory in all, where two threads take more, and as long.
A single day of 3 M calls takes 750 MB: ratings are looked up by the day's calls.
"""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which rows of which table, and what of them."""

    table: str = "calls"
    columns: tuple[str, ...] = ()
    """None: all."""
    bodies: bool = False
    """Of calls: what was asked and answered, too."""
    organization: Organization | None = None
    """None: all of them."""
    since: datetime | None = None
    before: datetime | None = None
    models: tuple[str, ...] = ()
    """One of these names, or patterns with * and ?."""
    equal: Mapping[str, tuple[str, ...]] = {}
    """By column: one of these."""
    properties: Sequence[tuple[str, str]] = ()
    """Each of these."""
    where: str | None = None
    """A condition in SQL. It may read the views."""


class Part(Struct, frozen=True):
    """A day of the table: its files, and those of what is joined with it."""

    day: date | None
    sources: Sources


class Export:
    """One, of a lake as it is when this is made. Blocks. Close it at the end."""

    def __init__(self, lake: Lake, wanted: Wanted, form: Form) -> None:
        """Raises Refused for what cannot be asked for."""
        self._wanted, self._form = wanted, form
        self._columns = chosen_columns(wanted, form)
        self._beside = bodies_beside.finish_of(form, self._columns) if wanted.bodies or form is Form.HELICONE else None
        self._engine = engine_of(lake, LIMITS)
        try:
            self._named = self._views_named()
            read = {wanted.table, *self._named, *(["bodies"] if self._beside else [])}
            self._sources = Snapshots(lake).sources({table for name in read for table in VIEWS[name].reads})
            self._condition = " AND ".join(conditions(wanted)) or "true"
            self.parts = parts_of(wanted, self._sources)
            self.schema: pa.Schema = next(self.batches(Part(None, _emptied(self._sources)))).schema
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._engine.close()

    def count(self) -> Iterator[int]:
        """Rows of each part, one after the other. Raises Refused."""
        with self._connection() as connection:
            for part in self.parts:
                [[rows]] = connection.execute(f"SELECT count(*) FROM {self._rows(part)}").fetchall()
                yield rows

    def batches(self, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of a part, for a writer of the form; at least one batch, if an empty one. Raises Refused."""
        with self._connection() as connection:
            selected = projected(self._form, self._columns) if self._beside is None else "*"
            with closing(connection.sql(f"SELECT {selected} FROM {self._rows(part)}").to_arrow_reader(TOGETHER)) as reader:
                if self._beside is None:
                    yield pa.RecordBatch.from_pylist([], reader.schema)
                    yield from reader
                    return
                bodies = VIEWS["bodies"].sql(part.sources, self._wanted.organization)
                with self._connection() as beside:
                    yield from bodies_beside.read(beside, reader, bodies, self._beside)

    def _rows(self, part: Part) -> str:
        table, organization = self._wanted.table, self._wanted.organization
        build = some_calls_sql if table == "calls" else VIEWS[table].sql
        return f"({build(part.sources, organization)}) AS {table} WHERE {self._condition}"

    def _views_named(self) -> frozenset[str]:
        if self._wanted.where is None:
            return frozenset()
        with self._engine.connection() as parser:
            return checked_condition(self._wanted.where, parser, views=VIEWS.keys())

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One that has the views that the condition names, over all their files."""
        try:
            with self._engine.connection() as connection, deadline(connection, LIMITS.timeout_s):
                for name in self._named:
                    connection.execute(f"CREATE TEMP VIEW {name} AS {VIEWS[name].sql(self._sources, self._wanted.organization)}")
                yield connection
        except Refused as refused:
            raise Refused(_TOLD.get(refused.refusal.code, refused.refusal)) from None


_TOLD = {
    LAKE_MOVED.code: Refusal(
        code=LAKE_MOVED.code,
        message="A file of the lake cannot be read: it was replaced longer ago than files are kept, or it is damaged.",
        fix="Export in parts, with --since and --before; `heliograph lake` names files that are missing or damaged.",
        status=503,
    ),
    OUT_OF_MEMORY.code: Refusal(
        code=OUT_OF_MEMORY.code,
        message="A day of it needs more memory than an export is given.",
        fix="Ask for fewer columns, or leave a condition away that reads other tables.",
        status=422,
    ),
}


def chosen_columns(wanted: Wanted, form: Form) -> tuple[Column, ...]:
    """In the order asked for. Raises Refused."""
    if wanted.table not in TIMES:
        _refuse("--table", f"{wanted.table} is none that can be exported.", f"There are {', '.join(TIMES)}.")
    if wanted.table != "calls" and (wanted.bodies or form is Form.HELICONE):
        _refuse("--table", f"Bodies come with calls, not with {wanted.table}.", "Export calls, or --table bodies alone.")
    if form is Form.HELICONE and wanted.columns:
        _refuse("--columns", "The form helicone has fields of its own, all of them.", "Leave --columns away, or choose jsonl.")
    known = {column.name: column for column in VIEWS[wanted.table].columns}
    for name in wanted.columns:
        _known(name, "--columns", known, wanted.table)
    chosen = [known[name] for name in dict.fromkeys(wanted.columns)] or list(known.values())
    return (*chosen, *(bodies_beside.COLUMNS if wanted.bodies else ()))


def _known(name: str, option: str, known: Mapping[str, Column], table: str) -> None:
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else "docs/tables.md lists them."
        _refuse(option, f"{table} has no column {name!r}.", hint)


def conditions(wanted: Wanted) -> Iterator[str]:
    """Raises Refused for one on a column that the table has not."""
    time = quoted(TIMES[wanted.table])
    if wanted.since is not None:
        yield f"{time} >= {_time(wanted.since)}"
    if wanted.before is not None:
        yield f"{time} < {_time(wanted.before)}"
    columns = [*(["model"] if wanted.models else []), *wanted.equal, *(["properties"] if wanted.properties else [])]
    known = {column.name for column in VIEWS[wanted.table].columns}
    for name in columns:
        if name not in known:
            fix = 'Say it of calls: --where "request_id IN (SELECT request_id FROM calls WHERE …)".'
            _refuse(name, f"A condition on {name} is one on calls; {wanted.table} has no such column.", fix)
    if wanted.models:
        yield " OR ".join(f"lower(model) GLOB {literal(model.lower().replace('[', '[[]'))}" for model in wanted.models).join("()")
    for name, values in wanted.equal.items():
        yield f"{name} IN ({', '.join(map(literal, values))})"
    for key, value in wanted.properties:
        yield f"properties[{literal(key.lower())}] = {literal(value)}"
    if wanted.where is not None:
        yield f"({wanted.where}\n)"


def _time(at: datetime) -> str:
    return f"TIMESTAMP {literal(at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' '))}"


def parts_of(wanted: Wanted, sources: Sources) -> tuple[Part, ...]:
    """The days, oldest first, in which rows may be. Feedback is joined from all days: it may come long after the call."""
    daily = [name for name in VIEWS[wanted.table].reads if name != "feedback" or wanted.table == "feedback"]
    days = {file.day for name in daily for file in sources[name].files}
    if None in days:
        return (Part(None, sources),)
    first, last = (None if at is None else at.astimezone(UTC).date() for at in (wanted.since, wanted.before))
    within = sorted(day for day in days if day and (first is None or first <= day) and (last is None or day <= last))
    return tuple(Part(day, {name: _of(source, day, {*daily, "bodies"}, name) for name, source in sources.items()}) for day in within)


def _of(source: Source, day: date, daily: Set[str], name: str) -> Source:
    if name not in daily:
        return source
    return structs.replace(source, files=tuple(file for file in source.files if file.day == day))


def _emptied(sources: Sources) -> Sources:
    return {name: structs.replace(source, files=()) for name, source in sources.items()}


def _refuse(option: str, message: str, fix: str) -> NoReturn:
    raise Refused(Refusal(code="invalid_field", message=message, fix=fix, field=option))
