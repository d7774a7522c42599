"""`heliograph lag`: how far behind every reader of the log is."""

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.live import Live
from rich.text import Text

from eventlog.port import Log, LogUnavailable
from eventlog.waiting import stopped_within
from processors.webhooks import telling
from runtime.lag_table import Behind, Progress, as_json, as_progress, as_table, behind
from runtime.observing import observed
from runtime.settings import Settings, settings_by


class LagFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


def lag(
    form: Annotated[LagFormat, typer.Option("--format", help="A table for people, or JSON for programs.")] = LagFormat.TABLE,
    once: Annotated[bool, typer.Option("--once", help="Look once, also on a terminal.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of the view on a terminal.")] = 2.0,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded log lies (HELIOGRAPH_DATA_DIR).")] = None,
) -> None:
    """Tell how far behind each role is, by topic and partition, in messages and seconds. On a terminal a view that goes on until Ctrl-C."""
    chosen, live = settings_by(data_dir=data_dir), sys.stdout.isatty() and not once and form is LagFormat.TABLE
    uvloop.run(_watch(chosen, every) if live else _tell(chosen, form))


def reads_of(chosen: Settings) -> Mapping[str, Sequence[str]]:
    """The topics of each group. Asked of the roles themselves, which every other command can do without loading."""
    reads: Mapping[str, Sequence[str]] = import_module("runtime.sink_side" if chosen.on_kafka else "runtime.pipeline").READS
    return {**reads, telling.GROUP: telling.READS}


async def _tell(chosen: Settings, form: LagFormat) -> None:
    async with observed(chosen) as log:
        rows = await _measured(log, chosen)
    if form is LagFormat.JSON:
        typer.echo(as_json(rows).decode())
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(as_table(rows))


async def _watch(chosen: Settings, every_s: float) -> None:
    stop, progress = asyncio.Event(), Progress()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    looked: float | None = None
    async with observed(chosen) as log:
        with Live(auto_refresh=False) as view:
            while not stop.is_set():
                try:
                    rows, now = await _measured(log, chosen), time.monotonic()
                    view.update(as_progress(rows, progress, 0.0 if looked is None else now - looked), refresh=True)
                    looked = now
                except LogUnavailable as error:
                    view.update(Text(f"{error}; trying again", style="red"), refresh=True)
                await stopped_within(stop, every_s)


async def _measured(log: Log, chosen: Settings) -> list[Behind]:
    return behind({group: await log.lag(group, topics) for group, topics in reads_of(chosen).items()})
