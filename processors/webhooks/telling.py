"""Reads calls as they are understood, and hands each to the couriers of the webhooks that want it.

A partition's position moves up to the first message of which something is still on its way: what was not delivered, and has no dead letter,
is read again after a crash, and sent under the same key. A message has a bounded time, so the position waits no longer than that.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import structlog

from eventlog.codec import BatchId, Message, Positions, Record, decode, message_of
from eventlog.events import CallPriced, DeadLetter, Source
from eventlog.port import Log, LogReader, LogWriter, NotAssigned, OffsetOutOfRange, Place, Span
from eventlog.replay import revision_of
from eventlog.topics import CALLS, DEAD_LETTERS
from eventlog.webhooks import Webhook
from processors.patience import Patience
from processors.webhooks import telemetry
from processors.webhooks.courier import Courier
from processors.webhooks.deliveries import Delivery, Lost, Origin, host_of
from processors.webhooks.messages import CallTold
from processors.webhooks.office import Office
from processors.webhooks.progress import Progress

GROUP = "webhooks"
READS = (CALLS.name,)
POLL_BYTES = 1 << 20
POLL = timedelta(milliseconds=250)
HISTORY_S = 86_400.0
"""A call that was told of so long after its end is history, such as one that was imported: nobody waits to hear of it."""
CATCH_UP_S = 240.0
"""So long after a start, what lay on the log before it is read no faster than webhooks take it. Kafka takes a reader that stands still for
five minutes for dead."""
TOGETHER = 500
"""Dead letters of one message."""
AGAIN_S = 5.0

logger = structlog.get_logger()


class Lettering:
    """Messages that were given up, until their dead letters are durable."""

    def __init__(self) -> None:
        self._waiting: list[tuple[DeadLetter, int, Callable[[], None]]] = []
        self._epoch, self._numbers = secrets.token_hex(16), {0: count(1)}

    def give_up(self, webhook: Webhook, delivery: Delivery, why: Lost, error: str) -> None:
        """As couriers tell it."""
        telemetry.LOST.labels(why.value).inc()
        origin, told = delivery.origin, delivery.told
        letter = DeadLetter(
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            index=origin.index,
            reason=why.value,
            error=f"webhook {webhook.id} at {host_of(webhook)}: {error}",
            at=datetime.fromtimestamp(origin.appended_at, UTC),
            organization=webhook.organization,
            call_id=told.call_id if isinstance(told, CallTold) else None,
        )
        self._waiting.append((letter, origin.partition, delivery.done))

    async def flush(self, writer: LogWriter, patience: Patience) -> None:
        while self._waiting:
            chosen = self._waiting[:TOGETHER]
            messages = list(self._messages(chosen))
            await patience.with_log(lambda messages=messages: writer.append(messages))  # type: ignore[misc]
            del self._waiting[: len(chosen)]
            for _, _, done in chosen:
                done()

    def _messages(self, chosen: Sequence[tuple[DeadLetter, int, Callable[[], None]]]) -> list[Message]:
        by_partition: dict[int, list[DeadLetter]] = {}
        for letter, partition, _ in chosen:
            by_partition.setdefault(partition, []).append(letter)
        return [
            message_of(DEAD_LETTERS, partition, BatchId(self._epoch, next(self._numbers.setdefault(partition, count(1)))), letters)
            for partition, letters in by_partition.items()
        ]


class Telling:
    """One reader of a group. `webhooks` answers those there are now."""

    def __init__(
        self,
        log: Log,
        webhooks: Callable[[], Mapping[str, Webhook]],
        office: Office,
        letters: Lettering,
        *,
        clock: Callable[[], float],
        on_change: Callable[[frozenset[Place]], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._log, self._webhooks, self._office, self._letters = log, webhooks, office, letters
        self._clock, self._on_change, self._sleep = clock, on_change, sleep
        self._patience = Patience(clock, sleep, step=GROUP)
        self._progress = Progress()
        self._began = clock()
        self._held: set[Place] = set()
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. What was not delivered by then is told by whoever reads next. Waits while the log is away."""
        self._stop = stop
        writer = await self._patience.with_log(self._log.writer)
        try:
            while not stop.is_set():
                try:
                    await self._read(writer)
                except OffsetOutOfRange as error:
                    logger.warning("webhooks_missed_calls", reason=str(error))
                    await self._sleep(AGAIN_S)
        finally:
            await writer.close()

    async def _read(self, writer: LogWriter) -> None:
        self._office.keep(self._webhooks())
        stood = await self._patience.with_log(lambda: self._log.positions(GROUP))
        holder = _Holder(self, stood)
        reader = await self._patience.with_log(lambda: self._log.reader(READS, group=GROUP, holder=holder))
        self._on_change(reader.assigned)
        committed: Positions = {}
        try:
            while not self._stop.is_set():
                records = await self._patience.with_log(lambda: reader.poll(max_bytes=POLL_BYTES, timeout=POLL))
                self._office.keep(self._webhooks())  # a webhook that was decided meanwhile is to hear of these
                for record in records:
                    if self._stop.is_set():
                        break
                    await self._take(record)
                    await asyncio.sleep(0)
                committed = await self._settle(reader, writer, committed)
            await self._office.close(seconds=AGAIN_S)
            await self._settle(reader, writer, committed)
        finally:
            await reader.close()

    async def _settle(self, reader: LogReader, writer: LogWriter, committed: Positions) -> Positions:
        """Letters are durable, then positions move."""
        await self._letters.flush(writer, self._patience)
        telemetry.WAITING.set(self._office.waiting)
        reached = {place: offset for place, offset in self._progress.positions.items() if place in reader.assigned}
        fresh = {place: offset for place, offset in reached.items() if committed.get(place) != offset}
        if fresh:
            try:
                await self._patience.with_log(lambda: reader.commit(fresh))
            except NotAssigned:
                return {}
        return reached

    async def _take(self, record: Record) -> None:
        place, since = record.place, self._office.since
        life = self._progress.life(place)
        if since is None or record.appended_at < since or revision_of(record.message) is not None:
            self._progress.took(place, record.offset, 0)
            return
        batch, _ = decode(CallPriced, record.message)  # what is no event has a dead letter of the sink's
        found = [(courier, index, event) for index, event in enumerate(batch.events) for courier in self._wanting(event, record)]
        self._progress.took(place, record.offset, len(found))
        done = partial(self._progress.done, place, record.offset, life)
        for courier, index, event in found:
            delivery = Delivery(
                key=f"{event.call.call_id}.{courier.webhook.id}",
                told=CallTold.of(event),
                origin=Origin(*place, record.offset, index, record.appended_at),
                done=done,
                wanted=lambda: self._progress.life(place) == life,
            )
            if record.appended_at < self._began:
                await self._without_haste(courier)
            if self._stop.is_set():
                return  # what was not offered is on its way: it is read again
            if not courier.offer(delivery):
                self._letters.give_up(courier.webhook, delivery, Lost.OVERLOADED, "too many messages waited for it")

    def _wanting(self, event: CallPriced, record: Record) -> list[Courier]:
        if event.call.source is not Source.PROXY and event.completed_at.timestamp() < record.appended_at - HISTORY_S:
            return []
        couriers = self._office.of(event.call.organization)
        return [each for each in couriers if each.webhook.created_at.timestamp() <= record.appended_at and each.webhook.wants(event)]

    async def _without_haste(self, courier: Courier) -> None:
        """What was missed while nobody read is not thrown at a webhook that would take it in time."""
        left = self._began + CATCH_UP_S - self._clock()
        if courier.takes and left > 0:
            waits = [asyncio.ensure_future(courier.room()), asyncio.ensure_future(self._stop.wait())]
            try:
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()

    def given(self, spans: Mapping[Place, Span], stood: Mapping[Place, int]) -> Positions:
        """These partitions are ours. Where the log no longer has what the group would read next, the next that it has is read."""
        for place in spans:
            self._progress.forget(place)
        self._held |= set(spans)
        self._on_change(frozenset(self._held))
        within = {place: min(max(stood[place], span.first), span.next) for place, span in spans.items() if place in stood}
        return {place: offset for place, offset in within.items() if offset != stood[place]}

    def taken(self, places: frozenset[Place]) -> None:
        for place in places:
            self._progress.forget(place)
        self._held -= places
        self._on_change(frozenset(self._held))


class _Holder:
    def __init__(self, telling: Telling, stood: Mapping[Place, int]) -> None:
        self._telling, self._stood = telling, dict(stood)

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        positions = self._telling.given(spans, self._stood)
        for place in spans:  # who holds it next time begins where the group stands then
            self._stood.pop(place, None)
        return positions

    async def taken(self, places: frozenset[Place]) -> None:
        self._telling.taken(places)
