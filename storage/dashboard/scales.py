"""Axes: round steps for numbers in their units, and what stands under the pieces of a time series. Pure."""

import math
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from storage.dashboard.zones import DAY, MONTH, WEEK, Step

_TIMES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 1.2e5, 3e5, 6e5, 1.2e6, 1.8e6, 3.6e6, 7.2e6, 3.6e7)


def ticks(largest: float, unit: str, wanted: int = 4) -> list[float]:
    """From 0 upwards in round steps, the last at or above `largest`."""
    if not math.isfinite(largest) or largest <= 0:
        return [0.0, 1.0]
    least = largest / wanted
    if unit == "size":
        step = 2.0 ** max(0, math.ceil(math.log2(least)))
    elif unit == "duration" and least > _TIMES_MS[0] and least <= _TIMES_MS[-1]:
        step = next(each for each in _TIMES_MS if each >= least)
    else:
        power = 10.0 ** math.floor(math.log10(least))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))
        if unit == "count":
            step = max(1.0, math.ceil(step))
    return [step * number for number in range(max(1, math.ceil(largest / step - 1e-9)) + 1)]


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def day_text(at: date) -> str:
    return f"{at.day} {MONTHS[at.month - 1]}"


def short(at: datetime, step: Step, zone: ZoneInfo) -> str:
    """Under an axis."""
    local = at.astimezone(zone)
    if step.calendar == MONTH:
        return f"{MONTHS[local.month - 1]} {local.year}"
    if step.calendar:
        return day_text(local)
    return day_text(local) if local.hour == local.minute == 0 else f"{local:%H:%M}"


def full(at: datetime, until: datetime, step: Step, zone: ZoneInfo) -> str:
    """Beside a number: the whole piece, with its offset where the clock was set in it or near it."""
    local, end = at.astimezone(zone), until.astimezone(zone)
    if step.calendar == MONTH:
        return f"{MONTHS[local.month - 1]} {local.year}"
    if step.calendar == WEEK:
        return f"Week of {day_text(local)} {local.year}"
    if step.calendar == DAY:
        return f"{('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')[local.weekday()]}, {day_text(local)} {local.year}"
    return f"{day_text(local)}, {local:%H:%M}–{end:%H:%M}"


def places(count: int, wanted: int = 6) -> list[int]:
    """Which pieces get a label: evenly, and few enough not to touch."""
    every = max(1, math.ceil(count / wanted))
    return list(range(0, count, every))


def labelled(cuts: Sequence[datetime], step: Step, zone: ZoneInfo, wanted: int = 7) -> list[int]:
    """Places of labels under a time axis: round local times where there are some, else evenly."""
    if step.calendar or len(cuts) <= wanted:
        return places(len(cuts), wanted)
    locals_ = [at.astimezone(zone) for at in cuts]
    for minutes in (5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 5760):
        found = [number for number, at in enumerate(locals_) if _is_round(at, minutes)]
        if len(found) <= wanted:
            return found or places(len(cuts), wanted)
    return places(len(cuts), wanted)


def _is_round(at: datetime, minutes: int) -> bool:
    if minutes <= 1440:
        return (at.hour * 60 + at.minute) % minutes == 0
    return at.hour == at.minute == 0 and at.toordinal() % (minutes // 1440) == 0
