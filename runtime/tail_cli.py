"""`heliograph tail`: events as they come, from either log. It reads beside everybody else and leaves nothing behind."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from eventlog.codec import Positions, Record
from eventlog.port import LogReader, LogUnavailable, Place, Span
from eventlog.topics import NEEDED, TOPICS
from eventlog.waiting import stopped_within
from runtime.event_lines import Seen, json_line, seen_in, short_name, text_line
from runtime.filters import BadFilter, Filter, all_match, parse_filter
from runtime.observing import observed
from runtime.settings import Misconfigured, Settings, settings_by

POLL = timedelta(milliseconds=250)
POLL_BYTES = 1 << 20
AGAIN_S = 2.0
SPOKEN = tuple(topic.name for topic in TOPICS.values() if topic.event is not None)


class TailFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class AtTheEnd:
    """Begins where a log ends, or `last` messages before that on each partition; goes on where it was when partitions come back."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._reached: dict[Place, int] = {}

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        for place, span in spans.items():
            reached = self._reached.get(place)
            begin = span.next - self._last if reached is None or reached > span.next else reached
            self._reached[place] = max(span.first, begin)
        return {place: self._reached[place] for place in spans}

    async def taken(self, places: frozenset[Place]) -> None:
        """There is nothing to finish."""

    def read(self, record: Record) -> None:
        self._reached[record.place] = record.offset + 1


def tail(
    topic: Annotated[str | None, typer.Argument(help="One topic, such as calls or llm.calls.v1. Unset: all that tell of calls.")] = None,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", help="Only events where NAME=VALUE; also !=, ~ (contains), >, >=, <, <=. All must hold.")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="Begin with so many of the messages that are there already, of each partition.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    form: Annotated[TailFormat, typer.Option("--format", help="A line for people, or an object for programs.")] = TailFormat.TEXT,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded log lies (HELIOGRAPH_DATA_DIR).")] = None,
) -> None:
    """Show events as they come, from the embedded log or from Kafka, until Ctrl-C. Bodies are cut short."""
    chosen, topics = settings_by(data_dir=data_dir), _topics(topic)
    try:
        wanted = [parse_filter(text) for text in filters or ()]
    except BadFilter as error:
        raise Misconfigured(f"--filter: {error}") from error
    with contextlib.suppress(BrokenPipeError):
        uvloop.run(_follow(chosen, topics, wanted, last, count, _Printer(form)))
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us is gone; so is what we had to say


def _topics(name: str | None) -> tuple[str, ...]:
    """Raises Misconfigured."""
    if name is None:
        return SPOKEN
    for topic in TOPICS:
        if name in {topic, short_name(topic)}:
            return (topic,)
    raise Misconfigured(f"no topic is named {name}; there are {', '.join(map(short_name, TOPICS))}.")


class _Pipe(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process as failed; whoever reads no further has what they wanted."""
        raise BrokenPipeError


class _Printer:
    """Writes a line for each event, at once."""

    def __init__(self, form: TailFormat) -> None:
        self._form = form
        self._console = _Pipe(highlight=False, soft_wrap=not sys.stdout.isatty())

    def __call__(self, seen: Seen) -> None:
        if self._form is TailFormat.JSON:
            typer.echo(json_line(seen))
        else:
            self._console.print(text_line(seen))
        sys.stdout.flush()


async def _follow(chosen: Settings, topics: Sequence[str], filters: Sequence[Filter], last: int, count: int | None, show: _Printer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with observed(chosen, topics={*NEEDED, *topics}) as log:
        holder, shown = AtTheEnd(last), 0
        reader = await log.reader(topics, group=f"tail.{secrets.token_hex(8)}", holder=holder)
        try:
            while not stop.is_set():
                for record in await _next(reader, stop):
                    holder.read(record)
                    for seen in _chosen(seen_in(record), filters):
                        show(seen)
                        shown += 1
                        if shown == count:
                            return
        finally:
            await reader.close()


async def _next(reader: LogReader, stop: asyncio.Event) -> list[Record]:
    """What came, or nothing. A log that went away is waited for: it is said on standard error, where no event goes."""
    try:
        return await reader.poll(max_bytes=POLL_BYTES, timeout=POLL)
    except LogUnavailable as error:
        typer.echo(f"heliograph: {error}; trying again", err=True)
    await stopped_within(stop, AGAIN_S)
    return []


def _chosen(events: Iterator[Seen], filters: Sequence[Filter]) -> Iterator[Seen]:
    """What cannot be asked for its fields is shown only to those who ask for nothing."""
    for seen in events:
        if not filters or (seen.event is not None and all_match(filters, seen.event)):
            yield seen
