"""From a call's facts to the log, in batches, never in a call's way.

Events wait in lanes, one for each topic and partition. A lane's waiting events become a batch, with the lane's next number, only at the
moment they are handed to the log; from then on the batch is never altered: when the log refuses it, the same batch is offered again
until it is taken. So numbers have no gaps, whatever was shed before, and a batch that was kept although its acknowledgement was lost comes
again under the same number. What waits is bounded by bytes: bodies are given up before facts, requests before responses.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from os import urandom

import structlog
from msgspec import Struct

from eventlog.bodies import without_body
from eventlog.codec import BatchId, Message, encode_event
from eventlog.events import FeedbackGiven, RequestReceived, ResponseCompleted
from eventlog.port import LogUnavailable, LogWriter
from eventlog.topics import FEEDBACK, REQUESTS, RESPONSES, partition_of
from ingress.config import EmitterLimits
from ingress.lanes import Lane, Taken
from ingress.numbered import Append, append_numbered
from ingress.numbered import Event as Numberable
from ingress.telemetry import Telemetry

log = structlog.get_logger()

Emitted = RequestReceived | ResponseCompleted | FeedbackGiven

BACKOFF_S, BACKOFF_MAX_S = 0.05, 2.0
ORDER_OF_LOSS = (REQUESTS.name, RESPONSES.name, FEEDBACK.name)
"""A completed response is self-contained, so requests are given up first."""


class EmitterState(Struct, frozen=True, kw_only=True):
    """How the emitter fares, for `/readyz`."""

    log_taking: bool
    waiting_events: int
    waiting_bytes: int
    shed_bodies: int
    """Events that went to the log without their body, since the start."""
    lost_events: int
    """Events that never went, since the start."""


class Emitter:
    """Lives on one event loop. `epoch` is one run of one process.

    `partitions` tells how many each topic has. A mapping may change while the emitter lives: later events go by what it says then.
    """

    def __init__(
        self,
        writer: LogWriter,
        partitions: int | Mapping[str, int] = 1,
        epoch: str | None = None,
        *,
        limits: EmitterLimits | None = None,
        telemetry: Telemetry | None = None,
        straight: Append | None = None,
    ) -> None:
        """`straight` appends to the log itself, where `writer` has other ground in front of it."""
        self._writer = writer
        self._straight = straight or writer.append
        self._partitions = partitions
        self.epoch = epoch or urandom(16).hex()
        self._limits = limits or EmitterLimits()
        self._telemetry = telemetry or Telemetry()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._requests = self._lane(REQUESTS.name, 0)
        self._responses = self._lane(RESPONSES.name, 0)
        self._single = partitions == 1
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._attempt: list[Taken] = []
        self._wake = asyncio.Event()
        self._failing = False
        self._shedding = False
        self._draining = False
        self._shed_bodies = 0
        self._lost = 0

    # For a call

    def emit(self, event: Emitted) -> None:
        """Takes an event. Never blocks, never raises: what cannot be kept is counted."""
        self._take(event)

    async def emit_durably(self, event: Emitted) -> bool:
        """Takes an event and waits until the log has it. False when it does not take it now; the event then still waits its turn."""
        return await self.emit_all_durably((event,))

    async def emit_all_durably(self, events: Sequence[Emitted]) -> bool:
        """Takes all of them and waits until the log has them. False when it does not take all now; they then still wait their turn."""
        lanes = dict.fromkeys(map(self._take, events))
        if None in lanes or self._failing:
            return False
        taken = [lane.watch_last() for lane in lanes if lane is not None]
        self._send_now()
        try:
            async with asyncio.timeout(self._limits.patience_s):
                return all([await each for each in taken])
        except TimeoutError:
            return False

    async def append_numbered(self, batch: BatchId, events: Sequence[Numberable]) -> bool:
        """Whether the log itself has the batch of a client, by the client's number. Raises TooMuch."""
        taken = await append_numbered(self._straight, batch, events, self._partitions, self._limits.event_bytes)
        if taken:
            for topic, kind in ((REQUESTS.name, RequestReceived), (RESPONSES.name, ResponseCompleted)):
                self._telemetry.events_emitted(topic, sum(isinstance(event, kind) for event in events))
        return taken

    async def drain(self, timeout: float) -> bool:
        """Sends what waits. False when some of it could not be sent within `timeout` seconds: that much is lost, and counted."""
        self._draining = True
        deadline = asyncio.get_running_loop().time() + timeout
        while self._waiting or self._attempt:
            self._send_now()
            sending = self._sending
            if sending is None or asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.wait([sending], timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        return await self._give_up()

    @property
    def state(self) -> EmitterState:
        waiting = sum(len(lane) for lane in self._lanes.values()) + sum(taken.message.count for taken in self._attempt)
        return EmitterState(
            log_taking=not self._failing,
            waiting_events=waiting,
            waiting_bytes=self._waiting,
            shed_bodies=self._shed_bodies,
            lost_events=self._lost,
        )

    # Gathering

    def _take(self, event: Emitted) -> Lane | None:
        try:
            line = encode_event(event)
        except (TypeError, ValueError, RecursionError) as error:
            self._count_lost("unencodable", 1)
            log.error("event_unencodable", kind=type(event).__name__, error=type(error).__name__)
            return None
        lane = self._lane_of(event)
        if len(line) > self._limits.event_bytes:
            bare = without_body(lane.topic, line)
            if not self._count_too_large(event, len(line), len(bare)):
                return None
            line = bare
        lane.put(line)
        self._waiting += len(line)
        if self._waiting > self._limits.waiting_bytes:
            self._shed()
        if lane.bytes >= self._limits.batch_bytes:
            self._send_now()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limits.linger_s, self._linger_is_over)
        return lane

    def _lane_of(self, event: Emitted) -> Lane:
        if self._single:
            if type(event) is ResponseCompleted:
                return self._responses
            if type(event) is RequestReceived:
                return self._requests
        if type(event) is FeedbackGiven:
            return self._lane(FEEDBACK.name, self._partition(FEEDBACK.name, event.organization, event.key))
        topic = RESPONSES.name if type(event) is ResponseCompleted else REQUESTS.name
        return self._lane(topic, self._partition(topic, event.call.organization, event.call.request_id))  # type: ignore[union-attr]

    def _partition(self, topic: str, organization: str, request_id: str) -> int:
        partitions = self._partitions if isinstance(self._partitions, int) else self._partitions[topic]
        return partition_of(organization, request_id, partitions)  # type: ignore[arg-type]

    def _lane(self, topic: str, partition: int) -> Lane:
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = Lane(topic, partition)
        return lane

    # Sending

    def _linger_is_over(self) -> None:
        self._timer = None
        self._send_now()

    def _send_now(self) -> None:
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())
            self._sending.add_done_callback(self._sent)

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._sending = None
        if not task.cancelled() and task.exception() is not None:
            log.error("emitter_fault", error=repr(task.exception()))
        if self._waiting and self._timer is None and not self._draining:
            self._timer = asyncio.get_running_loop().call_later(self._limits.linger_s, self._linger_is_over)

    async def _send(self) -> None:
        """Batch after batch, one append in flight, until no lane has a full batch, an old one, or somebody waiting."""
        pause = BACKOFF_S
        while self._attempt or self._close_batches():
            if await self._append([taken.message for taken in self._attempt]):
                self._acknowledge()
                pause = BACKOFF_S
                if not self._is_due():
                    return
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_MAX_S)

    def _is_due(self) -> bool:
        return self._draining or any(lane.bytes >= self._limits.batch_bytes or lane.watched for lane in self._lanes.values())

    def _close_batches(self) -> bool:
        """One batch for each lane in which something waits; numbered here."""
        self._attempt = [
            lane.take(BatchId(self.epoch, lane.numbered + 1), self._limits.batch_bytes) for lane in self._lanes.values() if lane
        ]
        self._waiting -= sum(taken.bytes for taken in self._attempt)
        return bool(self._attempt)

    async def _append(self, messages: Sequence[Message]) -> bool:
        try:
            await self._writer.append(messages)
        except LogUnavailable as error:
            self._log_fails(error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever the log does, calls go on, and what it refused is offered again
            self._log_fails(error)
            return False
        if self._failing:
            self._failing = self._shedding = False
            log.info("log_takes_again", waiting_bytes=self._waiting, lost_events=self._lost, shed_bodies=self._shed_bodies)
        return True

    def _acknowledge(self) -> None:
        attempt, self._attempt = self._attempt, []
        for taken in attempt:
            self._telemetry.events_emitted(taken.message.topic, taken.message.count)
            taken.lane.acknowledge(taken)

    def _log_fails(self, error: Exception) -> None:
        for taken in self._attempt:
            taken.lane.tell_refused()
        for lane in self._lanes.values():
            lane.tell_refused()
        if not self._failing:
            self._failing = True
            log.warning("log_takes_nothing", error=f"{type(error).__name__}: {error}", waiting_bytes=self._waiting)

    # Losing

    def _shed(self) -> None:
        """Gives up bodies, then events, oldest first, until what waits fits."""
        for give_up, reason in ((Lane.shed_body, "body_over_memory"), (Lane.shed_oldest, "event_over_memory")):
            for topic in ORDER_OF_LOSS:
                for lane in [lane for lane in self._lanes.values() if lane.topic == topic]:
                    while self._waiting > self._limits.waiting_bytes and (freed := give_up(lane)) is not None:
                        self._waiting -= freed
                        self._count_shed(reason)
                    if self._waiting <= self._limits.waiting_bytes:
                        return

    def _count_shed(self, reason: str) -> None:
        if not self._shedding:
            self._shedding = True
            log.error("events_shed", reason=reason, limit_bytes=self._limits.waiting_bytes)
        if reason == "body_over_memory":
            self._shed_bodies += 1
            self._telemetry.events_dropped(reason, 1)
        else:
            self._count_lost(reason, 1)

    def _count_too_large(self, event: Emitted, whole: int, bare: int) -> bool:
        """Whether it is small enough without its body."""
        fits = bare <= self._limits.event_bytes
        log.error("event_too_large", kind=type(event).__name__, bytes=whole, limit_bytes=self._limits.event_bytes, kept_without_body=fits)
        if fits:
            self._shed_bodies += 1
            self._telemetry.events_dropped("body_over_event_limit", 1)
        else:
            self._count_lost("event_over_limit", 1)
        return fits

    def _count_lost(self, reason: str, count: int) -> None:
        self._lost += count
        self._telemetry.events_dropped(reason, count)

    async def _give_up(self) -> bool:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        left = self.state.waiting_events
        if left:
            self._count_lost("shutdown", left)
            log.error("events_lost_at_shutdown", events=left, bytes=self._waiting)
        return not left


def now() -> float:
    """Seconds since 1970."""
    return time.time()
