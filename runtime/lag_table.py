"""How far behind each reader is, as a table for people, a progress view for a terminal, and JSON for programs. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eventlog.port import Lag

ROLES = {"calls": "processors", "feedback": "processors", "sink": "sink", "webhooks": "webhooks"}
"""Which role reads as which group."""


class Behind(Struct, frozen=True):
    """A reader on one partition."""

    role: str
    reader: str
    topic: str
    partition: int
    messages: int
    seconds: float
    """Age of the oldest message it has not read."""


class Sum(Struct, frozen=True):
    """A reader on all partitions of a topic."""

    role: str
    reader: str
    topic: str
    partitions: int
    messages: int
    seconds: float


class Progress(Struct):
    """What a view remembers: the most that each (reader, topic) was behind since it began, and where it stood at the look before."""

    most: dict[tuple[str, str], int] = {}
    before: dict[tuple[str, str], int] = {}


def behind(measured: Mapping[str, Sequence[Lag]]) -> list[Behind]:
    """By group: what the log says of it."""
    return [
        Behind(ROLES.get(group, group), group, each.topic, each.partition, each.messages, round(each.seconds, 3))
        for group, lags in measured.items()
        for each in sorted(lags, key=lambda lag: (lag.topic, lag.partition))
    ]


def sums(rows: Sequence[Behind]) -> list[Sum]:
    found: dict[tuple[str, str], list[Behind]] = {}
    for row in rows:
        found.setdefault((row.reader, row.topic), []).append(row)
    return [
        Sum(own[0].role, reader, topic, len(own), sum(each.messages for each in own), max(each.seconds for each in own))
        for (reader, topic), own in found.items()
    ]


def as_json(rows: Sequence[Behind]) -> bytes:
    told = {"messages": sum(row.messages for row in rows), "seconds": max((row.seconds for row in rows), default=0.0), "lags": rows}
    return msgspec.json.format(msgspec.json.encode(told))


def as_table(rows: Sequence[Behind]) -> Table:
    table = Table("role", "reader", "topic")
    for name in ("partition", "messages", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.role, row.reader, row.topic, str(row.partition), str(row.messages), f"{row.seconds:.1f}")
    return table


def as_progress(rows: Sequence[Behind], progress: Progress, elapsed_s: float) -> RenderableType:
    """A bar for each reader and topic: how much of what it was most behind it has caught up. `progress` takes note of this look.

    `elapsed_s` is the time since the look before; at the first, 0.
    """
    table = Table("role", "topic", "caught up", box=None, pad_edge=False)
    for name in ("messages", "oldest", "change", "done in"):
        table.add_column(name, justify="right")
    for row in sums(rows):
        key = (row.reader, row.topic)
        most = progress.most[key] = max(row.messages, progress.most.get(key, 0))
        gained = (progress.before[key] - row.messages) / elapsed_s if key in progress.before and elapsed_s > 0 else None
        progress.before[key] = row.messages
        bar = ProgressBar(
            total=max(most, 1), completed=most - row.messages if most else 1, width=24, complete_style="cyan", finished_style="green"
        )
        table.add_row(row.role, row.topic, bar, str(row.messages), _age(row.seconds), _change(gained), _left(row.messages, gained))
    total = sum(row.messages for row in rows)
    return Group(table, Text(f"\n{total} messages behind. Ctrl-C ends this view.", style="dim"))


def _age(seconds: float) -> str:
    return "" if not seconds else _span(seconds)


def _change(gained: float | None) -> str:
    """Messages per second: minus is what one wants to see."""
    return "" if gained is None or abs(gained) < 0.05 else f"{-gained:+.1f}/s"


def _left(messages: int, gained: float | None) -> str:
    return "" if not messages or gained is None or gained < 0.05 else _span(messages / gained)


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
