"""What the page of health shows, out of numbers and states that others gathered. Pure."""

import shlex
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct

from storage.dashboard import units
from storage.exposed import Sample
from storage.lake_state import Day, LakeState, TableState
from storage.rest.sql import Row

LATE_S, VERY_LATE_S = 30.0, 300.0
"""A reader that is as far behind is looked at, and is in trouble."""
FRESH = timedelta(minutes=5)


class Reader(Struct, frozen=True, kw_only=True):
    """A group on a topic, all partitions together."""

    group: str
    topic: str
    partitions: int
    messages: int
    seconds: float
    """Age of the oldest message that it has not read."""

    @property
    def state(self) -> str:
        return "bad" if self.seconds >= VERY_LATE_S else "warn" if self.seconds >= LATE_S else "good"


def readers(samples: Iterable[Sample]) -> list[Reader]:
    """The one furthest behind first."""
    messages: dict[tuple[str, str], list[float]] = {}
    ages: dict[tuple[str, str], float] = {}
    for each in samples:
        key = (each.labels.get("group", ""), each.labels.get("topic", ""))
        if each.name == "heliograph_log_lag_messages":
            messages.setdefault(key, []).append(each.value)
        elif each.name == "heliograph_log_lag_seconds":
            ages[key] = max(ages.get(key, 0.0), each.value)
    made = [
        Reader(group=key[0], topic=key[1], partitions=len(own), messages=int(sum(own)), seconds=ages.get(key, 0.0))
        for key, own in messages.items()
    ]
    return sorted(made, key=lambda reader: (-reader.seconds, -reader.messages, reader.group, reader.topic))


WORRIES = {
    "heliograph_events_dropped_total": "events, or their bodies, were given up: the log took none for too long",
    "heliograph_sink_expired_total": "messages were forgotten by the log before the lake had them",
    "heliograph_sink_gaps_total": "batches were numbered and never came",
    "heliograph_sink_failures_total": "commits were not taken by the lake; they are tried again",
    "heliograph_cache_failures_total": "times nothing could be looked up in the cache, or kept there",
    "heliograph_limits_not_counted_total": "calls passed a limit that could not be counted",
    "heliograph_limits_counted_locally_total": "calls were counted on one machine alone, because Redis was away",
    "heliograph_webhook_dead_letters_total": "messages to webhooks were given up",
    "heliograph_prices_file_refused": "prices file cannot be read; the prices read before it count",
}
"""Counts since the processes started. Anything but 0 is worth a look."""


def worries(samples: Iterable[Sample]) -> list[tuple[str, str, str]]:
    """Those that are not 0: how many, of what, and the metric."""
    sums: dict[str, float] = {}
    for each in samples:
        if each.name in WORRIES:
            sums[each.name] = sums.get(each.name, 0.0) + each.value
    return [(units.count(sums[name]), told, name) for name, told in WORRIES.items() if sums.get(name)]


def total(samples: Iterable[Sample], name: str) -> float | None:
    """The sum over all labels; None where nobody tells it."""
    found = [each.value for each in samples if each.name == name]
    return sum(found) if found else None


def age(at: datetime | None, now: datetime) -> float | None:
    """Milliseconds since."""
    return None if at is None else max(0.0, (now - at) / timedelta(milliseconds=1))


class DayBar(Struct, frozen=True, kw_only=True):
    day: date
    calls: Day
    bodies: Day
    bar: float
    """Its calls in percent of the most."""


def days(state: LakeState, newest: int = 14) -> list[DayBar]:
    """The newest days that have calls, the newest first."""
    calls, bodies = state.table("calls").days, state.table("bodies").days
    shown = sorted(calls, reverse=True)[:newest]
    most = max((calls[day].rows for day in shown), default=0)
    return [
        DayBar(day=day, calls=calls[day], bodies=bodies.get(day, Day()), bar=round(calls[day].rows / most * 100, 2) if most else 0.0)
        for day in shown
    ]


def lake_size(tables: Sequence[TableState]) -> int:
    """Bytes on disk, with logs and files that are kept for readers."""
    return sum(each.whole.bytes + each.replaced_bytes + each.log_bytes for each in tables)


def letters(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Dead letters by reason and topic; the first of each reason with the command that tries all of it again."""
    made: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row in rows:
        command = shlex.join(["heliograph", "replay", "--dead-letters", "--reason", row["reason"]])
        made.append(dict(row) | {"replay": "" if row["reason"] in seen else command})
        seen.add(row["reason"])
    return made
