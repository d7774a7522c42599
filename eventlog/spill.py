"""Durable ground in front of Kafka: what Kafka does not acknowledge in time goes to disk, and from there to Kafka when it can.

While nothing is spilled, appends go to Kafka. One message that is not acknowledged turns everything behind it, on all partitions, into the
spill: readers take a number that is not above the highest that they saw for a repeat, so nothing may overtake. A task drains the spill in
its order. Appends go to Kafka again only when the spill is empty and nothing from it is in flight.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from eventlog import spill_folder
from eventlog.codec import Message
from eventlog.port import LogCorrupt, LogUnavailable, LogWriter, MessageTooLarge, NotAcknowledged
from eventlog.spill_drain import Grounds, Pace, Spill, attempt, set_aside
from eventlog.spill_folder import CORRUPT
from eventlog.spill_orphans import Orphans, leave
from eventlog.spill_state import SpillConfig, SpillState, Tally, fit

log = structlog.get_logger()

LAST_BYTES = 1 << 20
"""When no more than this is left and the drain flows, appends wait for it: else a busy producer would stay ahead of the drain for ever."""


class SpillingWriter:
    """A LogWriter. Open it after a fork, once for each process, and close it; what is spilled then waits on disk for the next run."""

    def __init__(self, live: LogWriter, patient: LogWriter, grounds: Grounds) -> None:
        self._live = live
        self._patient = patient
        self._grounds = grounds
        self._tally = grounds.tally
        self._turn = asyncio.Lock()
        """Whoever holds it may append what is new, to Kafka or to the spill, and may find that the spill is empty."""
        self._own: Spill | None = None
        self._unusable = ""
        """Why the spill could not be opened."""
        self._since: float | None = None
        self._drained_events = 0
        """Of those spilled: how many were behind us when the last drain ended."""
        self._begun = asyncio.Event()
        self._orphans = Orphans(grounds, patient)
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @classmethod
    async def open(
        cls,
        live: LogWriter,
        config: SpillConfig,
        *,
        patient: LogWriter | None = None,
        counts: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.time,
    ) -> "SpillingWriter":
        """Takes over both writers. Raises nothing for a directory that cannot be used: the log and `state` say so.

        `live` is a writer that soon says LogUnavailable or NotAcknowledged; `patient` one that waits long enough for the largest message to
        travel, and sends what was spilled. `counts` tells each topic's partitions, as far as the cluster was reached.
        """
        grounds = Grounds(config=config, counts=counts, tally=Tally(), clock=clock)
        writer = cls(live, patient or live, grounds)
        await writer._start()
        return writer

    @property
    def state(self) -> SpillState:
        now = self._grounds.clock()
        spills = [spill for spill in (self._own, self._orphans.open) if spill is not None and spill.messages]
        begun = [spill.oldest_at for spill in spills if spill.oldest_at is not None]
        oldest = min(begun if self._since is None or begun else [self._since], default=now)
        return SpillState(
            spilling=self._since is not None,
            since=self._since,
            messages=sum(spill.messages for spill in spills),
            bytes=self._held_bytes,
            oldest_s=max(0.0, now - oldest),
            spilled_events=self._tally.spilled_events,
            dropped=dict(self._tally.dropped),
            put_aside=self._tally.put_aside,
            corrupt=self._tally.corrupt,
            reason=self._tally.reason or self._unusable,
        )

    async def append(self, messages: Sequence[Message]) -> None:
        """Durable on return, on Kafka or on disk. Raises LogUnavailable when neither can take it, UnknownTopic."""
        if self._closed:
            raise RuntimeError("the writer is closed")
        async with self._turn:
            left = messages if self._since is not None else await self._append_live(messages)
            if left:
                await self._spill(left)

    async def append_straight(self, messages: Sequence[Message]) -> None:
        """Durable in the log itself on return: neither spilled, nor ahead of what is. Raises LogUnavailable, UnknownTopic, MessageTooLarge.

        For batches whose maker offers them again: those behind them may go to another ingress, whose log is not away.
        """
        if self._closed:
            raise RuntimeError("the writer is closed")
        async with self._turn:
            if self._since is not None:
                raise LogUnavailable("the log is away, and what was spilled goes first")
            await self._live.append(messages)

    async def close(self) -> None:
        """What is spilled stays. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._turn:
            await self._live.close()
            if self._patient is not self._live:
                await self._patient.close()
            if self._own is not None:
                await leave(self._own)
            await self._orphans.close()

    async def _start(self) -> None:
        try:
            await self._orphans.look()
            await self._ground()
        except LogUnavailable as error:
            log.error("spill_unusable", error=str(error))
        self._tasks = [asyncio.create_task(self._drain()), asyncio.create_task(self._orphans.drain())]

    # Appending

    async def _append_live(self, messages: Sequence[Message]) -> Sequence[Message]:
        """What Kafka did not acknowledge."""
        try:
            await self._live.append(messages)
        except NotAcknowledged as error:
            self._tally.fails(error)
            return error.left
        except (LogUnavailable, MessageTooLarge) as error:
            self._tally.fails(error)
            return messages
        return ()

    async def _spill(self, messages: Sequence[Message]) -> None:
        fitted = fit(messages, self._held_bytes, self._grounds.config.limit_bytes)
        own = await self._ground()
        try:
            await own.append(fitted.messages)
        except LogCorrupt as error:
            own.damage = error
            self._begun.set()
            raise LogUnavailable(str(error)) from error  # until the drain, which may be using it, has put it aside
        self._tally.spilled_events += sum(message.count for message in messages)
        if fitted.bodies:
            if not self._tally.dropped["body_over_spill"]:
                log.error("spill_gives_up_bodies", limit_bytes=self._grounds.config.limit_bytes, see="HELIOGRAPH_SPILL__BYTES")
            self._tally.dropped["body_over_spill"] += fitted.bodies
        if self._since is None:
            self._since = self._grounds.clock()
            log.warning("log_spills", error=self._tally.reason)
            self._begun.set()

    @property
    def _held_bytes(self) -> int:
        return (self._own.bytes if self._own else 0) + self._orphans.bytes

    async def _ground(self) -> Spill:
        """The spill of this run. Raises LogUnavailable."""
        if self._own is None:
            try:
                self._own = await _made(self._grounds)
            except LogUnavailable as error:
                self._unusable = str(error)
                raise
            self._unusable = ""
        return self._own

    # Draining

    async def _drain(self) -> None:
        while True:
            await self._begun.wait()
            pace = Pace.after_failure()
            while (own := self._own) is not None and self._begun.is_set():
                pace = await self._round(own, pace)

    async def _round(self, own: Spill, pace: Pace) -> Pace:
        if own.damage is not None:
            async with self._turn:
                await self._start_anew(own, own.damage)
            return pace
        if pace.flows and own.bytes <= LAST_BYTES:
            async with self._turn:
                while pace.flows and not pace.empty:
                    pace = await attempt(own, self._live, pace)
                if pace.empty:
                    self._resume()
            return pace
        await asyncio.sleep(pace.pause_s)
        return await attempt(own, self._patient, pace)

    def _resume(self) -> None:
        self._since = None
        self._begun.clear()
        self._tally.flows()
        log.info("spill_drained", spilled_events=self._tally.spilled_events - self._drained_events)
        self._drained_events = self._tally.spilled_events

    async def _start_anew(self, own: Spill, damage: LogCorrupt) -> None:
        """What was in a damaged spill is behind us: what comes now goes to Kafka, or into a new one."""
        await own.close()
        await set_aside(own.claim, CORRUPT, str(damage), own.messages, self._tally)
        self._own, self._since = None, None
        self._begun.clear()
        self._drained_events = self._tally.spilled_events


async def _made(grounds: Grounds) -> Spill:
    claim = await asyncio.to_thread(spill_folder.new, grounds.config.directory)
    try:
        return await Spill.open(claim, grounds)
    except BaseException:
        spill_folder.release(claim)
        raise
