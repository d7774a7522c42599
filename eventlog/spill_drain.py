"""One spill, and how it is emptied: in its order, as many messages at a time as the pace allows, until none is left."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import msgspec
import structlog
from msgspec import Struct

from eventlog import spill_folder
from eventlog.bodies import bare
from eventlog.codec import BatchId, Message, Record, header, lines_of, message_of_lines
from eventlog.embedded import EmbeddedLog
from eventlog.embedded_reader import EmbeddedReader
from eventlog.events import Event, FeedbackGiven, RequestId, RequestReceived, ResponseCompleted
from eventlog.port import LogCorrupt, LogUnavailable, LogWriter, MessageTooLarge, NotAcknowledged
from eventlog.spill_folder import Claim
from eventlog.spill_state import RESERVE, SpillConfig, Tally, measured
from eventlog.topics import TOPICS, partition_of

log = structlog.get_logger()

FIRST_BYTES, MOST_BYTES = 64 << 10, 4 << 20
"""Of a round: after a failure, and after many that went well."""
PAUSE_S, PAUSE_MAX_S = 0.1, 2.0
DESTINATION = "spill-partition"
"""A spill is one sequence for each topic, whatever number of partitions Kafka has. This header keeps the partition of a message."""


class Pace(Struct, frozen=True):
    """How much the next round takes, and how long it waits first. Beginnings are careful: a failure costs what it carried."""

    round_bytes: int
    pause_s: float
    empty: bool = False
    """The last round found nothing to send."""

    @classmethod
    def after_failure(cls) -> "Pace":
        """How a drain begins that began because an append failed."""
        return cls(FIRST_BYTES, PAUSE_S)

    @property
    def flows(self) -> bool:
        """The last round went well."""
        return self.pause_s == 0

    def went(self, *, empty: bool) -> "Pace":
        return Pace(min(self.round_bytes * 4, MOST_BYTES), 0.0, empty)

    def failed(self) -> "Pace":
        return Pace(FIRST_BYTES, min(max(PAUSE_S, self.pause_s * 2), PAUSE_MAX_S))


class Grounds(Struct, frozen=True, kw_only=True):
    """What all spills of a run share."""

    config: SpillConfig
    counts: Callable[[], Mapping[str, int]]
    """Partitions of each topic on the cluster, as far as it was reached."""
    tally: Tally
    clock: Callable[[], float]


class Spill:
    """A folder, its log, and what of it is still to be sent. `messages` and `bytes` count that; `oldest_at` is seconds since 1970."""

    def __init__(self, claim: Claim, log_: EmbeddedLog, reader: EmbeddedReader, grounds: Grounds) -> None:
        self.claim = claim
        self.messages = 0
        self.bytes = 0
        self.oldest_at: float | None = None
        self.damage: LogCorrupt | None = None
        """It cannot be used any longer."""
        self._log = log_
        self._reader = reader
        self.tally = grounds.tally
        self._grounds = grounds
        self._records: list[Record] = []
        """Read, and not all sent yet."""
        self._left: list[Message] = []
        """Those of them that are to be sent, or what became of them."""

    @classmethod
    async def open(cls, claim: Claim, grounds: Grounds) -> "Spill":
        """Raises LogUnavailable, LogCorrupt; the claim stays the caller's then."""
        log_ = await EmbeddedLog.open(claim.folder, fsync=grounds.config.fsync, clock=grounds.clock)
        try:
            spill = cls(claim, log_, await log_.reader(list(TOPICS), group="drain"), grounds)
            spill.messages, spill.bytes = await log_.held()
        except BaseException:
            await log_.close()
            raise
        return spill

    async def append(self, messages: Sequence[Message]) -> None:
        """Raises LogUnavailable, LogCorrupt, UnknownTopic."""
        writer = await self._log.writer()
        await writer.append([_kept(message) for message in messages])
        self.messages += len(messages)
        self.bytes += measured(messages)

    async def send_some(self, writer: LogWriter, max_bytes: int) -> bool:
        """Sends the next messages; False when there are none.

        Raises LogUnavailable: what was not acknowledged is offered again the next time, and nothing behind it before. Raises LogCorrupt.
        """
        if not await self._read(max_bytes):
            return False
        await self._send(writer)
        await self._forget()
        return True

    async def age_s(self) -> float:
        """Of the oldest message that is not sent yet. Raises LogUnavailable, LogCorrupt."""
        await self._read(FIRST_BYTES)
        return 0.0 if self.oldest_at is None else self._grounds.clock() - self.oldest_at

    async def _read(self, max_bytes: int) -> bool:
        """Whether there is something to send."""
        if not self._records:
            self._records = await self._reader.poll(max_bytes=max_bytes, timeout=timedelta(0))
            self.oldest_at = min((record.appended_at for record in self._records), default=None)
            self._left = [_restored(record.message) for record in self._records]
        return bool(self._records)

    async def held(self) -> int:
        """Messages in the file, whatever was sent of them. Raises LogUnavailable, LogCorrupt."""
        return (await self._log.held()).messages

    async def close(self) -> None:
        """Ends the use of its files; the claim stays."""
        await self._log.close()

    # Sending

    async def _send(self, writer: LogWriter) -> None:
        while self._left:
            self._left = self._existing(self._left)
            try:
                await writer.append(self._left)
            except NotAcknowledged as error:
                await self._keep(error.left, error.refused, str(error))
                if not error.refused:
                    raise
            except MessageTooLarge as error:
                await self._keep(self._left, [error.message], str(error))
            except ValueError:
                await self._send_singly(writer)
            else:
                self._left = []

    async def _keep(self, left: Sequence[Message], refused: Sequence[Message], reason: str) -> None:
        """What is still to be sent: `left`, and of those that are refused what can be sent of them."""
        hopeless = {id(message) for message in refused}
        kept = [[message] if id(message) not in hopeless else await self._refused(message, reason) for message in left]
        self._left = [message for each in kept for message in each]

    def _existing(self, messages: Sequence[Message]) -> list[Message]:
        """On partitions that the cluster has, as far as that is known."""
        counts = self._grounds.counts()
        found: list[Message] = []
        for message in messages:
            partitions = counts.get(message.topic, message.partition + 1)
            found += [message] if message.partition < partitions else spread(message, partitions)
        return found

    async def _send_singly(self, writer: LogWriter) -> None:
        """One of them is refused, and the writer does not say which."""
        while self._left:
            message = self._left[0]
            instead: list[Message] = []
            try:
                await writer.append([message])
            except ValueError as error:
                instead = await self._refused(message, str(error))
            self._left[:1] = instead

    async def _refused(self, message: Message, reason: str) -> list[Message]:
        """What is to be sent instead of a message that Kafka will never take.

        Its parts, when the count of partitions came to be known while it was on its way; else its facts without the bodies. When those are
        refused too, they are put aside.
        """
        if (parts := self._existing([message])) != [message]:
            return parts
        light, bodies = bare(message)
        config, tally = self._grounds.config, self.tally
        try:
            path = await asyncio.to_thread(spill_folder.put_aside, config.directory, message, reason, config.limit_bytes // RESERVE)
        except LogUnavailable as error:
            where = f"nowhere: {error}"
        else:
            where = str(path)
            tally.put_aside += 1
        tally.dropped["body_refused" if bodies else "event_refused"] += bodies or message.count
        log.error(
            "message_refused",
            topic=message.topic,
            partition=message.partition,
            batch=str(message.batch_id),
            events=message.count,
            bytes=len(message.value),
            error=reason,
            kept_in=where,
            facts_sent=bool(bodies),
        )
        return [light] if bodies else []

    async def _forget(self) -> None:
        """What was sent goes. Where it cannot, the next owner sends it again: a repeat, which readers know by its number."""
        records, self._records = self._records, []
        with suppress(LogUnavailable):
            for topic, after in {record.message.topic: record.offset + 1 for record in records}.items():
                await self._log.retain(topic, through={0: after}, max_age=timedelta(0), max_bytes=1 << 62, now=math.inf)
        self.messages -= len(records)
        self.bytes -= measured([record.message for record in records])


async def attempt(spill: Spill, writer: LogWriter, pace: Pace) -> Pace:
    """One round of draining, and the pace of the next."""
    try:
        sent = await spill.send_some(writer, pace.round_bytes)
    except LogUnavailable as error:
        spill.tally.fails(error)
    except LogCorrupt as error:
        spill.damage = error
    except Exception as error:  # noqa: BLE001 - a fault of ours must not end the drain: what is spilled stays, and is offered again
        log.error("spill_fault", error=repr(error))
    else:
        return pace.went(empty=not sent)
    return pace.failed()


async def set_aside(claim: Claim, mark: str, reason: str, messages: int, tally: Tally) -> None:
    """Keeps a spill that cannot be drained under another name, and says so. `messages` of it are known to be unsent."""
    try:
        kept = str(await asyncio.to_thread(spill_folder.set_aside, claim, mark))
    except LogUnavailable as error:
        kept = f"its place: {error}"
    tally.corrupt += 1
    tally.dropped["spill_kept_aside"] += messages
    log.error("spill_kept_aside", error=reason, messages=messages, kept_in=kept)


def _kept(message: Message) -> Message:
    """As it lies in the spill."""
    return msgspec.structs.replace(message, partition=0, headers=(*message.headers, (DESTINATION, str(message.partition))))


def _restored(message: Message) -> Message:
    partition = header(message.headers, DESTINATION)
    further = tuple(each for each in message.headers if each[0] != DESTINATION)
    return msgspec.structs.replace(message, partition=int(partition or 0), headers=further)


def spread(message: Message, partitions: int) -> list[Message]:
    """A message for a partition that its topic turned out not to have, by the partition rule for those it has.

    Its producer's numbers count what came before on the partition it was for, so each part gets an id that stands alone, and that is the
    same after every crash. An event that names no call goes to partition 0.
    """
    lines: dict[int, list[bytes]] = {}
    for line in lines_of(message.value):
        lines.setdefault(_partition_of(message.topic, line, partitions), []).append(line)
    maker = f"{message.topic}/{message.batch_id}/{message.partition}"
    parts = [
        message_of_lines(message.topic, partition, BatchId.of_place(maker, partition, 0), own) for partition, own in sorted(lines.items())
    ]
    return [msgspec.structs.replace(part, headers=message.headers, key=message.key) for part in parts]


def _partition_of(topic: str, line: bytes, partitions: int) -> int:
    try:
        event: Event | None = msgspec.json.decode(line, type=TOPICS[topic].event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    match event:
        case RequestReceived(call=call) | ResponseCompleted(call=call):
            return partition_of(call.organization, call.request_id, partitions)
        case FeedbackGiven():
            return partition_of(event.organization, RequestId(event.key), partitions)
    return 0
