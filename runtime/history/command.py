"""`heliograph demo history`: a lake of a made-up past, so that everything can be looked at without a provider."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from deltalake import CommitProperties

from processors.pricing.rates import RateBook
from runtime.bars import bar
from runtime.compacting import compact_lake
from runtime.history.making import Part, Wanted, history
from runtime.keys_cli import check_organization
from runtime.lakes import lake_opened
from runtime.moments import moment, now
from runtime.settings import Misconfigured, settings_by
from storage.lake import Lake
from storage.writing import append

CALLS, DAYS, BODIES, SEED = 100_000, 30, 10_000, 1
LONGEST = 3660


def demo_history(
    calls: Annotated[int, typer.Option(min=1, help="How many calls; 1_000_000 is a number too.")] = CALLS,
    days: Annotated[int, typer.Option(min=1, max=LONGEST, help="Over how many days.")] = DAYS,
    until: Annotated[str | None, typer.Option(help="When the newest call was made: 2026-03-01, UTC. Else now.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another history; the same one, with --until, the same rows.")] = SEED,
    bodies: Annotated[int, typer.Option(min=0, help="So many of the newest calls have requests and answers to read.")] = BODIES,
    organization: Annotated[str, typer.Option(help="Whose calls they are.")] = "default",
    add: Annotated[bool, typer.Option("--add", help="Add to a lake that has calls already.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where the lake lies (HELIOGRAPH_DATA_DIR).")] = None,
) -> None:
    """Write a made-up history into the lake: models, users, sessions, errors, caches, feedback. Nothing is sent anywhere."""
    check_organization(organization)
    end = moment(until, "--until") or now()
    begin = _begin(end, days)
    with lake_opened():
        lake = Lake.open(settings_by(data_dir=data_dir).storage())
    before = _rows(lake)
    if before and not add:
        raise Misconfigured(
            f"The lake in {lake.directory()} has {before:,} calls already. Add made-up ones with --add, or name another --data-dir."
        )
    wanted = Wanted(calls=calls, begin=begin, end=end, organization=organization, seed=seed, bodies=bodies, after=before)
    began = time.monotonic()
    write(lake, wanted)
    with bar() as shown:
        compact_lake(lake, now(), shown)
    took = time.monotonic() - began
    typer.echo(f"{calls:,} calls of {days} days are in {lake.directory()}, in {took:.1f} s. Look at them: heliograph up.")


def write(lake: Lake, wanted: Wanted) -> None:
    """All of it, in commits by day."""
    with bar() as shown:
        task = shown.add_task("calls", total=wanted.calls)
        for part in history(wanted, RateBook.bundled()):
            commit(lake, part)
            shown.advance(task, part.span.calls)


def commit(lake: Lake, part: Part) -> None:
    """A commit for each table."""
    for name, rows in part.tables.items():
        if rows.num_rows:
            append(lake.table(name), rows, CommitProperties())


def _rows(lake: Lake) -> int:
    return sum(count or 0 for count in lake.table("calls").get_add_actions(flatten=True).column("num_records").to_pylist())


def _begin(end: datetime, days: int) -> datetime:
    try:
        return end - timedelta(days=days)
    except OverflowError:
        raise Misconfigured(f"--until {end}: no calendar has the {days} days before it.") from None
