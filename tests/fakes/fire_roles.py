"""The processes that write to one lake at once, each killed at any moment and started again. All go on until they are killed."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import structlog
from deltalake.exceptions import DeltaError

from eventlog.embedded import EmbeddedLog
from eventlog.erasure import About, erasure
from eventlog.events import PriceBasis
from storage.erasing import Subject, erase, find
from storage.lake import Lake
from storage.leftovers import purge
from storage.removing import FilesMoved
from storage.repricing import Change, Chosen, Day, Moved, Repricing
from storage.schema import TABLES
from storage.settling import settle_all
from storage.sink import run_sink
from storage.upkeep import Order, main
from tests.fakes import fire_rows as rows
from tests.fakes.fire_field import Field, Known
from tests.fakes.fire_readers import read

AT_ONCE = 300
"""Rows of one commit of a repricing: small, so that kills and other commits come in between."""
PASSES = 6


def sink(field: Field) -> None:
    """Reads all partitions, as every other does too: who was not told that another took over is such a one."""
    asyncio.run(_sink(field, asyncio.Event()))


def drained(field: Field) -> None:
    """A sink that ends when all that is on the log has come to rest."""
    asyncio.run(drained_to_the_end(field))


async def drained_to_the_end(field: Field) -> None:
    stop = asyncio.Event()
    stop.set()
    await _sink(field, stop)


async def _sink(field: Field, stop: asyncio.Event) -> None:
    log = await EmbeddedLog.open(field.log, partitions=rows.PARTITIONS)
    try:
        lake = await asyncio.to_thread(Lake.open, field.config)
        await run_sink(log, lake, field.config, assemble=lambda _: None, stop=stop, erasures=Known(field))
    finally:
        await log.close()


def upkeep(field: Field) -> None:
    while True:
        upkeep_once(field)
        field.tell("upkeep rounds")
        time.sleep(0.2)


def upkeep_once(field: Field, *, sweeps: bool = False) -> None:
    late = tuple(each.erasure for each in field.subjects()) if sweeps else ()
    order = Order(field.config, field.today, tidy=True, lifetimes=rows.LIFETIMES, erasures=late)
    with _lost_to_a_pull(field):
        done = main(msgspec.json.encode(order))
        field.tell("merges", count=len(done.merges))
        field.tell("settled days", count=done.settled)
        field.tell("expired rows", count=sum(each.rows for each in done.expired))


def settle_once(field: Field) -> None:
    lake, now = Lake(field.config), datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=1)
    settle_all(lake, field.today, now)


def vacuum(field: Field) -> None:
    """As tidying does it, but after a grace of seconds."""
    lake = Lake(field.config)
    while field.grace_s is not None:
        time.sleep(field.grace_s / 10)
        for name in TABLES:
            table, since = lake.table(name), time.time() - field.grace_s
            entries = (field.folder / "lake" / name / "_delta_log").glob("*.json")
            recent = {int(entry.stem) for entry in entries if entry.stat().st_mtime >= since}
            # the version before those was the newest one when the grace began
            keep = sorted({*recent, max(0, min(recent, default=table.version()) - 1)})
            with suppress(DeltaError):  # a version whose entry is gone
                gone = table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, keep_versions=keep)
                field.tell("vacuumed files", count=len(gone))


def reprice(field: Field) -> None:
    """One level after the other, each over all days."""
    while True:
        with _lost_to_a_pull(field):
            field.tell("repriced rows", count=reprice_once(field))
            field.raise_level(field.level() + 1)
        time.sleep(3.0)


def reprice_once(field: Field) -> int:
    begin = datetime(field.today.year, field.today.month, field.today.day, tzinfo=UTC) - timedelta(days=rows.DAYS)
    written = 0
    with closing(Repricing(Lake.open(field.config), Chosen(since=begin))) as repricing:
        for number, _ in repricing.days():
            while True:
                try:
                    for part in _parts(repricing.day(number), field.level()):
                        written += part
                    break
                except Moved:
                    field.tell("repricings lost")
    return written


def _parts(day: Day, level: int) -> Iterator[int]:
    waiting = [change for some in day.rows() for row in some if (change := _change(row, level)) is not None]
    for at in range(0, len(waiting), AT_ONCE):
        some = waiting[at : at + AT_ONCE]
        day.write(some, datetime.fromtimestamp(time.time(), UTC))
        yield len(some)


def _change(row: object, level: int) -> Change | None:
    assert hasattr(row, "__getitem__")
    [number] = rows.numbers_of([row["call_id"]])
    cost = Decimal(int(number % 97 + 1) * (1 + level)) / 1_000_000
    if row["cost_usd"] == cost:
        return None
    told = {"source": f"level {level}", "basis": PriceBasis.LIST, "rates": {}}
    return Change(call_id=row["call_id"], revision=max(0, row["revision"]) + 1, cost=cost, saved=None, **told)


def eraser(field: Field) -> None:
    """One user after another is forgotten; whoever was begun with and not ended is taken up again, as by the same command."""
    time.sleep(1.0)
    while True:
        done = {each["said"] for each in field.told() if each["kind"] == "erasures"}
        left = [each for each in field.subjects() if each.value not in done]
        if not left and len(done) < rows.USERS * 2:
            left = [_decided(field, len(done) * 7 % (3 * rows.USERS))]
        for subject in left:
            with _lost_to_a_pull(field):
                erase_one(field, subject)
                field.tell("erasures", subject.value)
        time.sleep(4.0)


def _decided(field: Field, user: int) -> Subject:
    now = datetime.fromtimestamp(time.time(), UTC)
    about = erasure(About.USER, rows.organization_of(user), [rows.user_name(user)], before=now, until=now + timedelta(days=1))
    subject = Subject(about, rows.user_name(user))
    field.forget(subject)
    return subject


def erase_one(field: Field, subject: Subject) -> None:
    """In passes, until one finds nothing, as the command does it."""
    lake, known = Lake(field.config), None
    for _ in range(PASSES):
        known = find(lake, subject, known)
        if not known.any:
            break
        erase(lake, subject, known, lambda _table, _rows: None)
        time.sleep(0.5)
    if field.grace_s is None:
        field.tell("pulling")
        purge(lake, at_once=True)
        field.tell("pulled")


class _lost_to_a_pull:  # noqa: N801 a context, read as a word
    """Files that were removed at once may have been somebody's: he gives up and begins again, as any process that upkeep starts."""

    def __init__(self, field: Field) -> None:
        self._field = field

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, FilesMoved):
            self._field.tell("removals lost")
            return True
        if isinstance(error, Exception) and self._field.pulled_since(self._began):
            self._field.tell("rounds lost to files removed at once", f"{type(error).__name__}: {error}")
            return True
        return False


ROLES: dict[str, Callable[[Field], None]] = {
    "sink-1": sink,
    "sink-2": sink,
    "upkeep": upkeep,
    "vacuum": vacuum,
    "repricer": reprice,
    "eraser": eraser,
    "reader-1": read,
    "reader-2": read,
}


def play(role: str, field: Field) -> None:
    """In a process of its own. What goes wrong is told, and ends it."""
    said = os.open(field.folder / f"{role}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        ROLES.get(role, drained)(field)
    except BaseException as error:
        field.tell("broken", f"{role}: {type(error).__name__}: {error}")
        raise
