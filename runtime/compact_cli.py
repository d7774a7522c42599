"""`heliograph compact`: what upkeep does by and by, at once."""

import time
from datetime import UTC, date, datetime, timedelta

import typer

from runtime.asking import existing_lake
from runtime.keys_cli import DataDir
from runtime.letters_cli import bar
from runtime.settings import settings_by
from storage.lake import Lake
from storage.maintenance import Merge, merged, tidy, work_of
from storage.schema import TABLES
from storage.settling import days_due, settle


def compact(data_dir: DataDir = None) -> None:
    """Merge small files, settle days that are over and remove what nobody reads any more, at once. Beside whatever runs."""
    lake = Lake.open(existing_lake(settings_by(data_dir=data_dir)).config)
    before, now = _files(lake), datetime.fromtimestamp(time.time(), UTC)
    steps: list[Merge | date] = [*work_of(lake, now.date()), *days_due(lake, now.date(), now, quiet=timedelta())]
    left: list[Merge | date] = []
    with bar() as shown:
        task = shown.add_task("compact", total=len(steps) + 1)
        for step in steps:
            shown.update(task, description=f"{step.table} {step.day}" if isinstance(step, Merge) else f"settle {step}")
            if not (merged(lake, step) if isinstance(step, Merge) else settle(lake, step)):
                left.append(step)
            shown.advance(task)
        shown.update(task, description="tidy")
        tidy(lake)
        shown.advance(task)
    typer.echo(f"{before} files became {_files(lake)}: {len(steps) - len(left)} steps.{_told(len(left))}")


def _told(left: int) -> str:
    return f" Others changed {left} of the days meanwhile; they are left for the next time." if left else ""


def _files(lake: Lake) -> int:
    return sum(len(lake.files(name)) for name in TABLES)
