"""`heliograph backup` and `restore`: the lake, the log of one machine, and on Kafka the topics that hold what is nowhere else.

The log is copied first and the lake after it. What the log had forgotten by then is in the lake; what the lake has beyond the log's copy is
known by its batch ids when it is read again. What says that a copy is whole is written last.
"""

import asyncio
import base64
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from pyarrow import fs
from rich.progress import Progress, TaskID

from eventlog.codec import Record
from eventlog.control import Saying, say
from eventlog.embedded_copy import copy_log, has_log
from eventlog.port import Log, Place
from eventlog.retained import retained
from eventlog.topics import CONTROL, PROMPTS, TOPICS
from runtime.observing import observed
from runtime.settings import Misconfigured, Settings
from storage.backup import NotEmpty, TableCopied, copy_lake, put_back, refuse_unless_empty, restoring
from storage.lake import Lake

T = TypeVar("T")

MANIFEST = "backup.json"
KEPT_FILES = {CONTROL.name: "control.jsonl", PROMPTS.name: "prompts.jsonl"}
"""Compacted topics: the newest record of each key is all there is to know."""
FORMAT = 1
APPEND_BYTES = 1 << 20


class Manifest(Struct, frozen=True, kw_only=True):
    """What a copy says of itself."""

    format: int
    heliograph: str
    at: datetime
    tables: list[TableCopied]
    log_bytes: int | None
    """None where the log is Kafka's."""


class Kept(Struct, frozen=True):
    """A record of a compacted topic."""

    partition: int
    key: str
    value: str
    """Base64."""
    headers: tuple[tuple[str, str], ...] = ()


def back_up(chosen: Settings, folder: Path, bar: Progress) -> Manifest:
    """Copies everything into `folder`, while anything runs. Raises Misconfigured for what an operator can change."""
    lake = _existing_lake(chosen)
    with _naming(folder):
        refuse_unless_empty(fs.LocalFileSystem(), str(folder.resolve()))
        _made(folder)
        log_bytes = None
        if chosen.on_kafka:
            for topic, name in KEPT_FILES.items():
                (folder / name).write_bytes(b"".join(asyncio.run(_with_log(chosen, partial(_newest, topic)))))
        elif has_log(chosen.log_dir):
            log_bytes = copy_log(chosen.log_dir, folder / "log")
        tables = copy_lake(lake, fs.LocalFileSystem(), str(folder.resolve() / "lake"), _step(bar))
        made = Manifest(
            format=FORMAT, heliograph=version("heliograph"), at=datetime.fromtimestamp(time.time(), UTC), tables=tables, log_bytes=log_bytes
        )
        (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return made


def restore(chosen: Settings, folder: Path, bar: Progress) -> Manifest:
    """Puts a copy back where the settings say that data lie, and where nothing may lie yet. Raises Misconfigured."""
    manifest = _manifest(folder)
    if not chosen.on_kafka and has_log(chosen.log_dir):
        raise Misconfigured(f"{chosen.log_dir} holds an event log. Restore into another directory (--data-dir), or move it away.")
    lake = Lake(chosen.storage())
    with _naming(folder), restoring(lake):
        put_back(lake, fs.LocalFileSystem(), str(folder.resolve() / "lake"), _step(bar))
        if chosen.on_kafka:
            found = {topic: _kept_in(folder / name) for topic, name in KEPT_FILES.items()}
            asyncio.run(_with_log(chosen, partial(_give_back, found)))
        elif has_log(folder / "log"):
            copy_log(folder / "log", chosen.log_dir)
    return manifest


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"DIR {folder} cannot be made: {error.strerror}. Name a directory on a disk that can be written.") from error


def _existing_lake(chosen: Settings) -> Lake:
    lake = Lake(chosen.storage())
    if not lake.exists():
        raise Misconfigured(
            f"{lake.directory()} holds no lake. Name its place with --data-dir, HELIOGRAPH_DATA_DIR or HELIOGRAPH_LAKE_URI."
        )
    return lake


def _manifest(folder: Path) -> Manifest:
    try:
        found = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise Misconfigured(
            f"{folder} holds no whole backup: {MANIFEST} is missing or unreadable. `heliograph backup` writes it last."
        ) from None
    if found.format != FORMAT:
        raise Misconfigured(f"{folder} is a backup of format {found.format}, this program reads {FORMAT}. Use the Heliograph that made it.")
    return found


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """What goes wrong with files is the operator's to mend."""
    try:
        yield
    except NotEmpty as error:
        raise Misconfigured(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"{folder}: {error}. What was copied until then is not whole; remove it and try again.") from error


def _step(bar: Progress) -> Callable[[str, int, int], None]:
    tasks: dict[str, TaskID] = {}

    def step(table: str, done: int, whole: int) -> None:
        if table not in tasks:
            tasks[table] = bar.add_task(table)
        bar.update(tasks[table], completed=done, total=whole)

    return step


def _kept_in(file: Path) -> list[Kept]:
    """Nothing, of a backup that was made before there was such a topic."""
    return [msgspec.json.decode(line, type=Kept) for line in file.read_bytes().splitlines()] if file.exists() else []


async def _with_log(chosen: Settings, work: Callable[[Log], Awaitable[T]]) -> T:
    async with observed(chosen, topics=tuple(TOPICS)) as events:
        return await work(events)


async def _newest(topic: str, events: Log) -> list[bytes]:
    newest: dict[tuple[Place, str | None], Record] = {}
    async with aclosing(retained(events, topic, group=f"backup.{secrets.token_hex(8)}")) as parts:
        async for part in parts:
            for record in part.records:
                key = record.place, record.message.key
                newest.pop(key, None)  # whoever comes after others stays after them
                newest[key] = record
    return [msgspec.json.encode(_kept(record)) + b"\n" for record in newest.values() if record.message.value]


def _kept(record: Record) -> Kept:
    message = record.message
    return Kept(message.partition, message.key or "", base64.b64encode(message.value).decode(), message.headers)


async def _give_back(kept: Mapping[str, Sequence[Kept]], events: Log) -> None:
    for topic in kept:
        if any((await events.ends(topic)).values()):
            raise Misconfigured(f"{topic} is not empty on this cluster. Restore into a cluster, or a topic prefix, of its own.")
    for topic, records in kept.items():
        for some in _appends(records):
            await say(events, some, topic)


def _appends(records: Sequence[Kept]) -> Iterator[list[Saying]]:
    """So much at a time as a cluster takes in a moment."""
    some: list[Saying] = []
    for each in records:
        some.append(Saying(each.partition, each.key, base64.b64decode(each.value), each.headers))
        if sum(len(saying.value) for saying in some) >= APPEND_BYTES:
            yield some
            some = []
    if some:
        yield some
