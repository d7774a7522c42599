"""Maintenance in a process of its own, for as long as there is something to do.

A merge takes a few hundred megabytes and gives little of it back to the system; when its process ends, all of it is given back. Its
priority is lower than that of whoever serves calls.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec
import structlog
from deltalake.exceptions import DeltaError

from eventlog.erasure import Erasure
from eventlog.lifetimes import Lifetimes
from eventlog.waiting import stopped_within
from storage import lean, telemetry
from storage.abandoned import Watch, Window, write_abandoned
from storage.config import StorageConfig
from storage.erased_late import sweep
from storage.jobs import book_jobs
from storage.lake import Lake
from storage.log_lines import from_stderr, to_stderr
from storage.maintenance import Merge, maintain, tidy, work_of
from storage.retention import Removed, expire
from storage.rollups.making import Due, roll_up, rollups_due
from storage.settling import days_due, settle_all

log = structlog.get_logger()

VACUUM_SECONDS = 600.0
EXPIRY_SECONDS = 3600.0
"""Between two rounds of retention; what is decided anew is carried out in the next round."""
SWEEP_SECONDS = 3600.0
"""Between two looks for rows that came though they were erased."""
LOOK_SECONDS = 300.0
"""Between two looks for abandoned calls, at the longest."""
NICENESS = 10
LONGEST = 500
"""Characters of an error."""

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True):
    """What a round is to do."""

    config: StorageConfig
    today: date
    tidy: bool
    abandoned: Window | None = None
    """When the calls began whose end is to be looked for."""
    lifetimes: Lifetimes | None = None
    """What has been kept longer is to go."""
    erasures: tuple[Erasure, ...] = ()
    """What they cover is to go, if it came in spite of them."""


class Done(msgspec.Struct, frozen=True):
    """What a round did."""

    merges: list[Merge]
    abandoned: int = 0
    booked: int = 0
    settled: int = 0
    expired: list[Removed] = []
    rolled_up: int = 0
    """Days."""
    failed: dict[str, str] = {}
    """By step, why it was not done: the others do not wait for it."""


class UpkeepFailed(Exception):
    """The process that should have maintained the lake ended without an answer; the message is its last words."""


async def run_upkeep(
    lake: Lake,
    *,
    stop: asyncio.Event,
    clock: Callable[[], float],
    behind: Callable[[], timedelta],
    ours: Callable[[], bool] = lambda: True,
    lifetimes: Callable[[], Lifetimes | None] = lambda: None,
    erasures: Callable[[], Sequence[Erasure]] = tuple,
) -> None:
    """Merges, tidies, rolls up and looks for abandoned calls in the background until `stop` is set, whenever it is `ours` to do.

    `behind` is how far the slowest reader of the log is; `lifetimes` is None while it is not known how long rows stay. A failure is logged
    and tried again later; nothing depends on it.
    """
    deadline = lake.config.call_deadline
    watch, expiry, last_tidy, last_look = Watch(deadline), Expiry(), clock(), 0.0
    last_sweep = clock()
    while not await stopped_within(stop, lake.config.maintenance_seconds):
        if not ours():
            continue
        now = clock()
        at = datetime.fromtimestamp(now, UTC)
        looks = now - last_look >= min(LOOK_SECONDS, deadline.total_seconds() / 4)
        window = watch.window(at, behind()) if looks else None
        tidies, sweeps = now - last_tidy >= VACUUM_SECONDS, now - last_sweep >= SWEEP_SECONDS
        late = tuple(each for each in erasures() if each.until > at) if sweeps else ()
        order = Order(lake.config, at.date(), tidies, window, expiry.wanted(lifetimes(), now), late)
        failed: Mapping[str, str] = {}
        try:
            asked = order.tidy or looks or order.lifetimes is not None or bool(order.erasures)
            if asked or await asyncio.to_thread(_has_work, lake, order.today, at):
                failed = await _round(order, stop)
        except (UpkeepFailed, DeltaError, OSError) as error:
            log.warning("maintenance_failed", error=str(error))
            continue
        for step, why in failed.items():
            log.warning("maintenance_failed", step=step, error=why)
        if order.tidy and "tidy" not in failed:
            last_tidy = now
        if sweeps and "sweep" not in failed:
            last_sweep = now
        if order.lifetimes is not None and "expire" not in failed:
            expiry.carried_out(order.lifetimes, now)
        if order.abandoned is not None and "look" not in failed:
            watch.looked(order.abandoned)
            last_look = now


def _has_work(lake: Lake, today: date, now: datetime) -> bool:
    return bool(work_of(lake, today) or days_due(lake, today, now) or rollups_due(lake, today))


class Expiry:
    """When retention is to be carried out: every hour, and soon after it was decided anew."""

    def __init__(self) -> None:
        self._last: tuple[Lifetimes, float] | None = None

    def wanted(self, lifetimes: Lifetimes | None, now: float) -> Lifetimes | None:
        """What is to be carried out now. `now` is in seconds."""
        if lifetimes is None or not lifetimes.anything:
            return None
        if self._last is not None and self._last[0] == lifetimes and now - self._last[1] < EXPIRY_SECONDS:
            return None
        return lifetimes

    def carried_out(self, lifetimes: Lifetimes, now: float) -> None:
        self._last = lifetimes, now


async def _round(order: Order, stop: asyncio.Event) -> Mapping[str, str]:
    """One round, given up when `stop` comes: a merge that was not committed has changed nothing, and its files are removed later.

    Answers which steps failed, and why. Raises UpkeepFailed.
    """
    process = await asyncio.create_subprocess_exec(
        *lean.command("storage.upkeep"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=lean.environment(),
    )
    answer = asyncio.ensure_future(process.communicate(msgspec.json.encode(order)))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({answer, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not answer.done():
            process.kill()
    out, err = await answer
    others = from_stderr(err)
    if stop.is_set():
        return {}
    if process.returncode != 0:
        raise UpkeepFailed("".join(others[-1:])[:LONGEST])
    done = msgspec.json.decode(out, type=Done)
    for work in done.merges:
        telemetry.COMPACTIONS.labels(work.table).inc()
    telemetry.ABANDONED.inc(done.abandoned)
    telemetry.JOB_ROWS.inc(done.booked)
    telemetry.SETTLED_DAYS.inc(done.settled)
    for removed in done.expired:
        telemetry.EXPIRED_ROWS.labels(removed.table).inc(removed.rows)
    telemetry.ROLLUPS.inc(done.rolled_up)
    return done.failed


class _Steps:
    """Each is tried, whatever became of those before."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}

    def tried(self, step: str, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and tried again in the next round
            self.failed[step] = f"{type(error).__name__}: {error}"[:LONGEST]
            return otherwise


def main(given: bytes) -> Done:
    """What the process does: an order in, what was done out."""
    order = msgspec.json.decode(given, type=Order)
    lake, steps, window = Lake(order.config), _Steps(), order.abandoned
    now = datetime.fromtimestamp(time.time(), UTC)
    expired = list[Removed]()
    if (lives := order.lifetimes) is not None:
        expired = steps.tried("expire", lambda: expire(lake, lives, order.today), expired)
    for erasure in order.erasures:
        steps.tried("sweep", partial(sweep, lake, erasure), None)
    merges = steps.tried("merge", lambda: maintain(lake, order.today), list[Merge]())
    if order.tidy:
        steps.tried("tidy", lambda: tidy(lake), None)
    abandoned = booked = 0
    if window is not None:
        abandoned = steps.tried("look", lambda: write_abandoned(lake, window), 0)
        booked = steps.tried("book", lambda: book_jobs(lake, order.today, now), 0)
    settled = len(steps.tried("settle", lambda: settle_all(lake, order.today, now), list[date]()))
    rolled_up = len(steps.tried("roll up", lambda: roll_up(lake, order.today), list[Due]()))
    return Done(merges, abandoned, booked, settled, expired, rolled_up, steps.failed)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    os.nice(NICENESS)
    to_stderr()  # the answer goes the other way
    sys.stdout.buffer.write(msgspec.json.encode(main(sys.stdin.buffer.read())))
