"""What upkeep does to a lake by and by, done at once: small files merged, days settled, calls added up, old files removed."""

from datetime import date, datetime, timedelta

from msgspec import Struct
from rich.progress import Progress

from storage.lake import Lake
from storage.maintenance import Merge, merged, tidy, work_of
from storage.rollups.making import roll_up, rollups_due
from storage.settling import days_due, order_of, settle

AT_ONCE = 1_000_000
"""Rows that are added up between two looks at how far it is."""


class Compacted(Struct, frozen=True):
    """How many steps were done, and how many were left to others who changed the same day."""

    done: int
    left: int


def compact_lake(lake: Lake, now: datetime, shown: Progress) -> Compacted:
    """Blocks. Raises what a lake raises that is away; whatever was done stays."""
    today = now.date()
    steps: list[Merge | date] = [*work_of(lake, today), *days_due(lake, today, now, quiet=timedelta())]
    task, left = shown.add_task("compact", total=len(steps)), 0
    for step in steps:
        shown.update(task, description=f"{step.table} {step.day}" if isinstance(step, Merge) else f"settle {step}")
        left += not (merged(lake, step) if isinstance(step, Merge) else settle(lake, step, order_of(step, today)))
        shown.advance(task)
    rolled = roll_up_all(lake, today, shown)
    tidy(lake)
    return Compacted(len(steps) - left + rolled, left)


def roll_up_all(lake: Lake, today: date, shown: Progress) -> int:
    """Adds up whatever is not yet. Answers of how many days. Blocks."""
    task, days = shown.add_task("add up", total=len(rollups_due(lake, today))), 0
    while done := roll_up(lake, today, rows=AT_ONCE):
        days += len(done)
        shown.advance(task, len(done))
    return days
