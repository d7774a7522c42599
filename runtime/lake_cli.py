"""`heliograph lake`: what the lake is made of, for people; its files, and its views as SQL, for other programs."""

import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import reduce
from itertools import repeat
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.bar import Bar
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

from eventlog.events import Organization
from runtime.asking import existing_lake
from runtime.moments import now
from runtime.options import ALL
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.lake import Lake
from storage.lake_state import Day, LakeState, TableState, months_of, state_of
from storage.schema import TABLES
from storage.snapshots import Snapshots
from storage.views import VIEWS

app = typer.Typer(invoke_without_command=True)

DataDir = Annotated[Path | None, typer.Option(help="Where log and lake lie (HELIOGRAPH_DATA_DIR).")]
BAR = 30
"""Characters of the longest bar."""
UNWELL = 1
"""The exit code where something is missing or damaged."""


@app.callback()
def lake(
    context: typer.Context,
    days: Annotated[int, typer.Option(help="So many of the newest days are shown one by one.", min=0)] = 14,
    check: Annotated[bool, typer.Option("--check", help="Read each file, too, to see whether it is whole.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON, all days too.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show how large the lake is, what came on which day, and what is wrong with it. Exit code 1 where something is."""
    if context.invoked_subcommand is not None:
        if data_dir is not None:
            raise Misconfigured(
                f"--data-dir belongs behind the command: heliograph lake {context.invoked_subcommand} --data-dir {data_dir}"
            )
        return
    found = state_of(_lake(data_dir), now(), check=check)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, emoji=False)
        show(found, console, days, now())
    if found.problems:
        raise typer.Exit(UNWELL)


def _lake(data_dir: Path | None) -> Lake:
    """Not opened: of one that is broken there is something to tell, too. Raises Misconfigured where there is none."""
    chosen = settings_by(data_dir=data_dir)
    made = Lake(chosen.storage())
    return made if made.exists() else existing_lake(chosen)


@app.command("files")
def files(
    table: Annotated[str, typer.Argument(help="calls, bodies, feedback, amendments or dead_letters.")], data_dir: DataDir = None
) -> None:
    """Print the live Parquet files of a table, one a line: what a reader of Parquet needs."""
    if table not in TABLES:
        raise Misconfigured(f"no table is named {table}; there are {', '.join(TABLES)}.")
    for path in Snapshots(existing_lake(settings_by(data_dir=data_dir))).paths(table):
        typer.echo(path)


@app.command("sql")
def sql(
    view: Annotated[str, typer.Argument(help=f"{', '.join(VIEWS)}.")],
    organization: Annotated[str, typer.Option(help="Whose rows; default: those of all.", show_default=False)] = ALL,
    data_dir: DataDir = None,
) -> None:
    """Print the SELECT that a view is, over the files of this moment: another DuckDB then sees amendments and ratings, too."""
    if view not in VIEWS:
        raise Misconfigured(f"no view is named {view}; there are {', '.join(VIEWS)}.")
    sources = Snapshots(existing_lake(settings_by(data_dir=data_dir))).sources(VIEWS[view].reads)
    typer.echo(VIEWS[view].sql(sources, None if organization == ALL else Organization(organization)))


def show(found: LakeState, console: Console, days: int, at: datetime) -> None:
    """All of it as tables."""
    console.print(f"[bold]{escape(found.uri)}[/]", soft_wrap=True)
    console.print(_tables(found, at))
    calls = found.table("calls").days
    if calls:
        newest = dict(list(calls.items())[-days:]) if days else {}
        console.print(_over_time(found, {f"{day:%a %Y-%m-%d}": (day,) for day in newest}, "day (UTC)"), end="")
        months = {month: tuple(day for day in calls if day.replace(day=1) == month) for month in months_of(calls)}
        console.print(_over_time(found, {f"{month:%Y-%m}": days for month, days in months.items()}, "month"))
    console.print(" · ".join(_summary(found)), soft_wrap=True)
    for problem in found.problems:
        console.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    if not found.problems:
        console.print("[green]✓[/] Every live file is there, and as long as it was written.")


RIGHT = ("rows", "size", "files", "days", "to merge", "kept for readers", "version", "since checkpoint")


def _tables(found: LakeState, at: datetime) -> Table:
    shown = Table("table", *(Column(name, justify="right") for name in RIGHT), "newest row")
    for each in found.tables:
        shown.add_row(each.name, *(["?"] * len(RIGHT) if each.unreadable else _figures(each)), _age(each.newest, at))
    return shown


def _figures(each: TableState) -> list[str]:
    whole = each.whole
    since = "" if each.version is None else f"{each.version - (each.checkpoint or 0):,}"
    sizes = [f"{whole.rows:,}", decimal(whole.bytes), f"{whole.files:,}", f"{len(each.days):,}"]
    return [*sizes, f"{each.unmerged_days or ''}", decimal(each.replaced_bytes), "" if each.version is None else f"{each.version:,}", since]


def _age(newest: datetime | None, at: datetime) -> str:
    if newest is None:
        return ""
    seconds = max(0, int((at - newest).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{newest:%Y-%m-%d %H:%M:%S} UTC, {seconds // length} {unit} ago"
    return f"{newest:%Y-%m-%d %H:%M:%S} UTC, {seconds} s ago"


def _over_time(found: LakeState, spans: Mapping[str, tuple[date, ...]], name: str) -> Table:
    """Of each span its calls with a bar, their files, and their bodies."""
    shown = Table(name, Column("calls", justify="right"), Column("", width=BAR), *(Column(each, justify="right") for each in OF_SPAN))
    summed = {
        label: {each.name: reduce(Day.plus, map(each.days.get, days, repeat(Day())), Day()) for each in found.tables}
        for label, days in spans.items()
    }
    most = max((each["calls"].rows for each in summed.values()), default=0)
    for label, each in summed.items():
        calls = each["calls"]
        average = decimal(calls.bytes // calls.rows) if calls.rows else ""
        sizes = (
            f"{calls.files:,}",
            decimal(calls.bytes),
            average,
            decimal(each["bodies"].bytes),
            f"{each['amendments'].rows or '':,}" if each["amendments"].rows else "",
        )
        shown.add_row(label, f"{calls.rows:,}", Bar(most, 0, calls.rows, width=BAR, color="cyan"), *sizes)
    return shown


OF_SPAN = ("files", "size", "a call", "bodies", "amended")


def _summary(found: LakeState) -> Iterator[str]:
    yield f"{decimal(sum(each.whole.bytes for each in found.tables))} in all"
    if found.call_bytes is not None:
        yield f"{found.call_bytes:,.0f} bytes a call"
    if found.body_bytes:
        yield f"{found.body_bytes:,.0f} bytes of bodies a call"
    if amended := found.table("amendments"):
        yield f"{amended.whole.rows:,} amendments of {len(amended.days)} days laid over at each question"
