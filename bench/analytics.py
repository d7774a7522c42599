"""`python -m bench.analytics`: ten questions over ten million calls, beside an embedded ClickHouse on the same rows, by turns.

Ours are asked of the SQL views, with ratings, scores, given properties and amendments laid over the calls; then of the query port over
HTTP, while its memory is watched. ClickHouse is asked of its plain table, and where ours tells of ratings, of a view that joins them too.
Answers are compared before anything is measured. Each round asks about another user, session and call. Two threads each.

    python -m bench.analytics [--calls 10000000] [--days 30] [--rounds 5] [--lake DIR] [--clickhouse DIR] [--overview /dashboard]

`--lake` and `--clickhouse` keep what was made there, and use it the next time.
"""

import argparse
import asyncio
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb
import httpx2 as httpx
import psutil
import pyarrow as pa
from msgspec import Struct, field
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import port
from bench.clickhouse import ORDER, THREADS, ClickHouse
from bench.questions import PANELS, QUESTIONS, Ask, Question, difference, values_of
from eventlog.events import Organization
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits, Questions

OWN = Organization("default")
LIMITS = Limits(threads=THREADS, timeout_s=600)
"""Whatever takes long is measured, not refused."""
QUICK_MS = 20.0
"""No slower than ClickHouse, or this quick, is what is asked for."""
PAGE_MS, MOST_BYTES, MOST_MEMORY = 500, 100, 600 << 20

Values = Sequence[Mapping[str, str]]


class Took(Struct, frozen=True):
    """Milliseconds."""

    wall: float
    cpu: float = 0.0
    """Of all threads of this process."""


class Times(Struct):
    """What one question took: the first time it was asked, and after that."""

    first: Took | None = None
    later: list[Took] = field(default_factory=list)

    def add(self, took: Took) -> None:
        if self.first:
            self.later.append(took)
        else:
            self.first = took

    @property
    def median(self) -> float:
        return statistics.median(took.wall for took in self.later) if self.later else math.nan

    @property
    def cpu(self) -> float:
        return statistics.median(took.cpu for took in self.later) if self.later else math.nan


class Measured(Struct):
    """One question in both engines."""

    question: Question
    ours: Times = field(default_factory=Times)
    theirs: Times = field(default_factory=Times)
    rated: Times = field(default_factory=Times)
    """Theirs, with ratings joined."""
    over_http: Times = field(default_factory=Times)


def timed(ask: Ask, sql: str) -> Took:
    began, worked = time.perf_counter(), time.process_time()
    ask(sql)
    return Took((time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000)


def lake_in(folder: Path, calls: int, days: int) -> str:
    """The lake of a folder; made there by `heliograph demo history`, which leaves it as upkeep does, where there is none."""
    for each in (folder, folder / "lake"):
        if (each / "calls" / "_delta_log").is_dir():
            return str(each)
    made = [sys.executable, "-m", "runtime.cli", "demo", "history", "--calls", str(calls), "--days", str(days), "--bodies", "0"]
    subprocess.run([*made, "--data-dir", str(folder)], check=True)
    return str(folder / "lake")


def bytes_of(lake: Lake) -> int:
    """Of all live files but those of bodies."""
    tables = ("calls", "amendments", "feedback")
    return sum(sum(pa.table(lake.table(name).get_add_actions()).column("size_bytes").to_pylist()) for name in tables)


def agreed(question: Question, values: Mapping[str, str], ours: Ask, theirs: Ask) -> list[str]:
    """What is not alike."""
    mine = ours(question.for_ours(values))
    tables = ("calls", "calls_rated") if question.rated else ("calls",)
    found = {table: difference(mine, theirs(question.for_theirs(values, table)), question) for table in tables}
    return [f"{question.name}, {table}: {told}" for table, told in found.items() if told]


def by_turns(questions: Sequence[Question], values: Values, ours: Ask, theirs: Ask) -> list[Measured]:
    found = [Measured(question) for question in questions]
    for each in track(values, description="asking by turns", transient=True):
        for measured in found:
            question = measured.question
            measured.ours.add(timed(ours, question.for_ours(each)))
            measured.theirs.add(timed(theirs, question.for_theirs(each, "calls")))
            if question.rated:
                measured.rated.add(timed(theirs, question.for_theirs(each, "calls_rated")))
    return found


def over_http(lake_uri: str, found: Sequence[Measured], values: Values, page: str | None) -> list[str]:
    """Asks the same of the query port, and tells of its page and its memory."""
    panels = [question.for_ours({}) for question in PANELS]
    with port.query_port(lake_uri) as (base, pid), port.Memory(pid) as memory:
        with httpx.Client(base_url=base, timeout=port.PATIENCE_S) as client:
            for each in track(values, description="asking over HTTP", transient=True):
                for measured in found:
                    measured.over_http.add(Took(port.asked(client, measured.question.for_ours(each))))
        asked = [asyncio.run(port.together(base, panels)) for _ in values]
        told = [_page_line("an overview page's questions", min(answered for _, answered in asked), [took for took, _ in asked])]
        if page is not None:
            pages = [asyncio.run(port.page_complete(base, page)) for _ in values]
            told.append(_page_line(page, pages[-1][1], [took for took, _ in pages]))
    proportional, resident = port.megabytes((memory.proportional, memory.resident))
    return [*told, f"memory of the query port's processes, at most: {proportional} (resident {resident}; asked: {MOST_MEMORY >> 20} MiB)"]


def _page_line(name: str, panels: int, times: Sequence[float]) -> str:
    first, *later = times
    half = statistics.median(later)
    return f"{name}, {panels} panels over HTTP, until all are there: first {first:,.0f} ms, then {half:,.0f} ms (asked: {PAGE_MS} ms)"


def reach(ours: float, theirs: float, rated: float | None) -> str:
    """How it stands to what is asked."""
    if ours <= theirs:
        return "yes"
    if ours <= QUICK_MS:
        return f"yes, ≤ {QUICK_MS:.0f} ms"
    return "with ratings" if rated is not None and ours <= rated else "no"


def table_of(found: Sequence[Measured]) -> Table:
    table = Table(title="milliseconds", title_justify="left")
    table.add_column("question")
    for name in ("first", "median", "CPU", "over HTTP", "ClickHouse first", "median", "CPU", "with ratings", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("reached")
    for each in found:
        rated = each.rated.median if each.question.rated else None
        ours, theirs = each.ours.median, each.theirs.median
        mine = (_first(each.ours), ours, each.ours.cpu, each.over_http.median)
        shown = [
            *map(_ms, (*mine, _first(each.theirs), theirs, each.theirs.cpu)),
            "" if rated is None else _ms(rated),
            f"{ours / theirs:.2f}",
        ]
        table.add_row(each.question.name, *shown, reach(ours, theirs, rated))
    return table


def _first(times: Times) -> float:
    return times.first.wall if times.first else 0.0


def _ms(took: float) -> str:
    return f"{took:,.0f}" if took >= 10 else f"{took:.1f}"


def machine(clickhouse: str) -> str:
    memory, load = psutil.virtual_memory().total / 2**30, os.getloadavg()[0]
    programs = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}, ClickHouse {clickhouse}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f}; {programs}; {THREADS} threads each"


def counted(ask: Ask) -> Mapping[str, int]:
    """How many rows of each kind."""
    (calls,) = ask("SELECT count(*) AS calls, count(*) FILTER (WHERE revision > 0) AS amended FROM calls").to_pylist()
    (given,) = ask("SELECT count(*) AS judged, count(*) FILTER (WHERE property_count > 0) AS giving FROM feedback").to_pylist()
    return {**calls, **given}


def run(lake_uri: str, folder: Path, rounds: int, page: str | None, say: Callable[[object], None]) -> int:
    """The whole of it. Answers the exit code: 1 where the engines disagree."""
    lake = Lake.existing(StorageConfig(lake_uri=lake_uri))
    questions = Questions(lake, LIMITS)

    def ours(sql: str) -> pa.Table:
        return questions.ask(sql, organization=OWN).table

    with ClickHouse(folder) as clickhouse:
        rows = counted(ours)
        calls = rows["calls"]
        if clickhouse.holds() != calls:
            began = time.monotonic()
            clickhouse.load(lake, partial(track, description="loading, by day", transient=True))
            say(f"loaded in {time.monotonic() - began:.0f} s")
        values = values_of(ours, rounds + 1)
        say(machine(clickhouse.version()))
        say(f"{calls:,} calls, {rows['amended']:,} amended, {rows['judged']:,} times feedback, {rows['giving']:,} of them give properties")
        mine, theirs = bytes_of(lake) / calls, clickhouse.bytes_of_calls() / calls
        order = ", ".join(ORDER)
        say(f"bytes a call without bodies: {mine:.0f} (asked: {MOST_BYTES}); in ClickHouse, ordered by ({order}), {theirs:.0f}")
        clickhouse.run("SYSTEM STOP MERGES")
        apart = [told for question in (*QUESTIONS, *PANELS) for told in agreed(question, values[-1], ours, clickhouse.ask)]
        if apart:
            say("\n".join(["The engines do not agree:", *apart]))
            return 1
        questions.close()
        questions = Questions(lake, LIMITS)
        found = by_turns(QUESTIONS, values, ours, clickhouse.ask)
        panels = by_turns(PANELS, values, ours, clickhouse.ask)
    questions.close()
    mine, theirs = (sum(times) for times in zip(*((each.ours.median, each.theirs.median) for each in panels), strict=True))
    try:
        say("\n".join(over_http(lake_uri, found, values, page)))
    finally:
        say(table_of(found))
    say(f"an overview page's {len(panels)} questions one after the other: {mine:,.0f} ms; ClickHouse {theirs:,.0f} ms")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lake", type=Path, help="Where the lake is, or is to be made; else it is made, and removed at the end.")
    parser.add_argument("--clickhouse", type=Path, help="Where ClickHouse keeps its rows; else they are removed at the end.")
    parser.add_argument("--overview", help="A page of the dashboard to be fetched with its panels: /dashboard.")
    chosen = parser.parse_args()
    say = partial(Console(highlight=False, width=150).print, markup=False)
    with tempfile.TemporaryDirectory() as folder:
        lake_uri = lake_in(chosen.lake or Path(folder) / "data", chosen.calls, chosen.days)
        sys.exit(run(lake_uri, chosen.clickhouse or Path(folder) / "clickhouse", chosen.rounds, chosen.overview, say))


if __name__ == "__main__":
    main()
