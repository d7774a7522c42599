"""Making rollups: what is due, and carrying it out, a day in one commit.

A closed day becomes one part, made of all its files. An open day has two: one of the files that compaction leaves alone, and one of the
others, which is made anew whenever those were merged; and only when enough rows are in neither. What a part says already is not read again.
"""

# ruff: noqa: S608 SQL is made of names of ours; paths and ids pass `literal`

from collections.abc import Iterable, Sequence
from datetime import date

import duckdb
import pyarrow as pa
import structlog
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from msgspec import Struct, structs

from storage.engine import Engine, EngineLimits, engine_of
from storage.lake import Lake
from storage.rollups.coverage import INDEX_DAY, Covered, Part, contested_days, covered, folders_of, index_rows, read_index
from storage.rollups.measures import KEYS, MEASURES, ROLLUPS, SKETCHES
from storage.rollups.shaping import Given, rolled_up, view_of_calls
from storage.rollups.shown import rows_sql
from storage.schema import CALLS
from storage.snapshots import live_file
from storage.snapshots import live_files as files_of
from storage.sources import LiveFile, Source, duckdb_type, scan_sql
from storage.views import current_calls_sql
from storage.writing import HOOKS, WRITING_SUMS

log = structlog.get_logger()

TABLE = "rollups"
LOOSE_ROWS = 50_000
"""An open day with more rows than this in no rollup gets one."""
ROUND_ROWS = 5_000_000
"""After so many rows the rest is left to the next round, so that nothing else waits long."""
SETTLED, LOOSE = 0, 1
LIMITS = EngineLimits(memory_bytes=1 << 30, timeout_s=3600.0)


class Due(Struct, frozen=True):
    """A day whose rollup is to be made, or taken away when nothing is left of the day."""

    day: date
    rows: int
    """That are to be read for it."""


class CallsFile(Struct, frozen=True):
    """A live file of `calls`."""

    file: LiveFile
    rows: int
    size: int


class Facts(Struct, frozen=True):
    """What there is now."""

    calls: tuple[CallsFile, ...]
    amendments: tuple[LiveFile, ...]
    rollups: Source

    def covered(self) -> Covered:
        return covered(self.rollups.parts, (each.file for each in self.calls), self.amendments)


class Plan(Struct, frozen=True):
    """How a part comes to be."""

    number: int
    files: tuple[LiveFile, ...]
    """All that it will stand for."""
    kept: tuple[Part, ...]
    """Parts that it takes over."""

    @property
    def fresh(self) -> list[LiveFile]:
        """The files that have to be read."""
        named = {path for part in self.kept for path in part.calls}
        return [file for file in self.files if file.path not in named]


def due(facts: Facts, today: date) -> list[Due]:
    """The days to be rolled up, newest first."""
    found = facts.covered()
    rest = {file.path for file in found.rest}
    uncovered: dict[date, int] = {}
    for each in facts.calls:
        if each.file.path in rest and each.file.day is not None:
            uncovered[each.file.day] = uncovered.get(each.file.day, 0) + each.rows
    useless = {file.day for file in facts.rollups.files if file.day is not None} - {part.day for part in found.parts}
    wanted = {day for day, rows in uncovered.items() if day < today or rows > LOOSE_ROWS} | useless
    left = {INDEX_DAY} | contested_days((each.file for each in facts.calls), facts.amendments)
    return [Due(day, uncovered.get(day, 0)) for day in sorted(wanted - left, reverse=True)]


def plans(facts: Facts, day: date, today: date, settled_bytes: int) -> list[Plan]:
    """The parts that a day is to have."""
    ours = [each for each in facts.calls if each.file.day == day]
    whole = day < today or any(each.file.holds_abandoned for each in ours)
    groups: dict[int, list[LiveFile]] = {}
    for each in ours:
        groups.setdefault(SETTLED if whole or each.size >= settled_bytes else LOOSE, []).append(each.file)
    good = [part for part in facts.covered().parts if part.day == day]
    made = []
    for number, files in sorted(groups.items()):
        paths = set() if any(file.holds_abandoned for file in files) else {file.path for file in files}
        made.append(Plan(number, tuple(files), tuple(part for part in good if part.calls <= paths)))
    return made


def facts_of(lake: Lake, snapshot: DeltaTable) -> Facts:
    """`snapshot` is of the rollups. Blocks."""
    calls, folder = lake.table("calls"), lake.uri_of("calls")
    actions = pa.table(calls.get_add_actions(flatten=True))
    columns = (actions.column(name).to_pylist() for name in ("path", "num_records", "size_bytes"))
    told = {live_file(folder, path).path: (rows or 0, size) for path, rows, size in zip(*columns, strict=True)}
    listed = [CallsFile(file, *told[file.path]) for file in files_of(calls, folder)]
    amendments = files_of(lake.table("amendments"), lake.uri_of("amendments"))
    files = files_of(snapshot, lake.uri_of(TABLE))
    return Facts(tuple(listed), amendments, Source(schema=ROLLUPS, files=files, parts=read_index(lake, files)))


def rollups_due(lake: Lake, today: date) -> list[Due]:
    """What a round would do. Blocks."""
    return due(facts_of(lake, lake.table(TABLE)), today)


def roll_up(lake: Lake, today: date, *, rows: int = ROUND_ROWS) -> list[Due]:
    """Makes rollups of about so many rows, the newest days first. Blocks. Answers what was done; another call does what is left."""
    snapshot = lake.table(TABLE)
    facts = facts_of(lake, snapshot)
    wanted, done = due(facts, today), list[Due]()
    if not wanted:
        return []
    engine = engine_of(lake, LIMITS)
    try:
        for work in wanted:
            if done and sum(each.rows for each in done) + work.rows > rows:
                break
            try:
                facts = _rolled(lake, engine, snapshot, facts, work.day, today)
            except CommitFailedError as error:  # others make rollups too
                log.info("rollup_lost", day=str(work.day), error=str(error))
                break
            except (duckdb.Error, OSError) as error:  # what was to be read was replaced, or cannot be read: the other days do not wait
                log.warning("day_unreadable", day=str(work.day), error=str(error))
                continue
            done.append(work)
    finally:
        engine.close()
    return done


def _rolled(lake: Lake, engine: Engine, snapshot: DeltaTable, facts: Facts, day: date, today: date) -> Facts:
    """One day's rollup put in the place of the one before. Answers what there is now."""
    made = [_made(engine, facts, day, plan) for plan in plans(facts, day, today, lake.config.target_file_bytes // 2)]
    parts = [*(part for part in facts.rollups.parts if part.day != day), *(part for part, _ in made)]
    index = index_rows(parts, ROLLUPS, folders_of(lake))
    write_deltalake(
        snapshot,
        pa.concat_tables([*(rows for _, rows in made), index]),
        mode="overwrite",
        predicate=f"day = '{day.isoformat()}' OR day = '{INDEX_DAY.isoformat()}'",
        post_commithook_properties=HOOKS,
        writer_properties=WRITING_SUMS,
    )
    files = files_of(snapshot, lake.uri_of(TABLE))
    return structs.replace(facts, rollups=structs.replace(facts.rollups, files=files, parts=tuple(parts)))


def _made(engine: Engine, facts: Facts, day: date, plan: Plan) -> tuple[Part, pa.Table]:
    amendments = tuple(file for file in facts.amendments if file.day == day)
    amended = scan_sql(Source(schema=CALLS), amendments, None)
    fresh = current_calls_sql(Source(schema=CALLS, files=tuple(plan.fresh)), Source(schema=CALLS), None)
    standing = f"SELECT * FROM ({fresh}) ANTI JOIN (SELECT call_id FROM ({amended}) WHERE revision > 0) USING (call_id)"
    abandoned = f"SELECT DISTINCT call_id FROM ({amended}) WHERE revision < 0 AND call_id IN (SELECT call_id FROM ({fresh}))"
    with engine.connection() as connection:
        answered = {call_id for part in plan.kept for call_id in part.answered}
        if amendments:
            answered |= {call_id for (call_id,) in connection.execute(abandoned).fetchall()}
        hours = view_of_calls(standing if amendments else fresh, "hour")
        if plan.kept:
            hours = rolled_up([Given(hours, calls=False), Given(_hours(facts.rollups, plan.kept), calls=False)], ("hour", *KEYS))
        connection.register("hours", connection.sql(hours).to_arrow_table())
        days = rolled_up([Given("SELECT date_trunc('day', hour) AS day, * FROM hours", calls=False)], ("day", *KEYS))
        shaped = f"{_shaped('hours', 'hour')} UNION ALL BY NAME {_shaped(f'({days})', 'day')}"
        rows = connection.sql(f"SELECT * FROM ({shaped}) ORDER BY grain, organization, begins").to_arrow_table()
    part = Part(day, plan.number, _paths(plan.files), _paths(amendments), tuple(sorted(answered)))
    return part, _in_schema(rows, part)


def _hours(rollups: Source, parts: Sequence[Part]) -> str:
    rows = rows_sql(rollups, parts, lambda source, files: scan_sql(source, files, None))
    return f"SELECT begins AS hour, * FROM ({rows}) WHERE grain = 'hour'"


def _shaped(rows: str, grain: str) -> str:
    sums = (f"CAST({name} AS {duckdb_type(measure.kind)}) AS {name}" for name, measure in MEASURES.items())
    columns = (f"'{grain}' AS grain", f"{grain} AS begins", *KEYS, *sums, *SKETCHES)
    return f"SELECT {', '.join(columns)} FROM {rows}"


def _paths(files: Iterable[LiveFile]) -> frozenset[str]:
    return frozenset(file.path for file in files)


def _in_schema(rows: pa.Table, part: Part) -> pa.Table:
    """With the part's number and day, and nothing in the columns of the index."""
    known = {"part": part.number, "day": part.day}
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.array([known.get(field.name)] * rows.num_rows, field.type)
        for field in ROLLUPS
    ]
    return pa.Table.from_arrays(columns, schema=ROLLUPS)
