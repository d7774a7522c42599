"""Appends to Kafka: idempotent, acknowledged by all replicas in sync, one batch in flight for each partition.

One in flight, because a batch that fails must never be followed by one that succeeds: readers take a number that is not above the
highest that they saw for a repeat. aiokafka keeps trying for as long as it lives, and after some failures refuses a partition for good; so
a producer that did not acknowledge in time is given up whole, and the next append opens another. What it may still deliver is a repeat.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer, errors
from aiokafka.producer.message_accumulator import BatchBuilder

from eventlog.codec import Message
from eventlog.kafka_config import Acks, Compression, KafkaConfig
from eventlog.kafka_errors import TopicsUnfit, naming
from eventlog.kafka_metadata import ClusterFound, describe
from eventlog.kafka_start import started
from eventlog.kafka_topics import check_shape
from eventlog.port import LogUnavailable, MessageTooLarge, NotAcknowledged, Place, UnknownTopic
from eventlog.topics import NEEDED, TOPICS

ENVELOPE_BYTES = 4 << 10
"""What headers, key and framing of a message may take beside its value."""
FAREWELL_S = 5.0
"""How long a producer that is given up may take to let go."""
BATCH_BYTES = 1 << 20
"""Messages of one partition travel together up to this size, before compression."""
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


class KafkaWriter:
    """Connects when there is something to append, and again after every failure.

    `partitions` are the counts of each topic where they are known already; else the cluster's word decides, once it is reached.
    """

    def __init__(
        self,
        config: KafkaConfig,
        *,
        partitions: Mapping[str, int] | None = None,
        on_connected: Callable[[ClusterFound], None] | None = None,
    ) -> None:
        self._config = config
        self._partitions = partitions
        self._on_connected = on_connected
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[AIOKafkaProducer] | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._cluster: ClusterFound | None = None
        self._packs = True
        """Whether messages travel in company: not from when the cluster finds a batch of them too large until it is known which one is."""
        self._closed = False

    async def append(self, messages: Sequence[Message]) -> None:
        """Raises NotAcknowledged, UnknownTopic, and MessageTooLarge."""
        if self._closed:
            raise RuntimeError("the writer is closed")
        unsent: dict[Place, deque[Message]] = {}
        for message in messages:
            self._check(message)
            unsent.setdefault((message.topic, message.partition), deque()).append(message)
        if not unsent:
            return
        refused: list[Message] = []
        try:
            with naming(self._config):
                async with asyncio.timeout(self._config.acknowledged_within_s):
                    producer = await self._connected()
                    self._check_partitions(unsent)
                    await _all([self._send(producer, own, refused) for own in unsent.values()])
        except LogUnavailable as error:
            self._give_up()
            raise NotAcknowledged(str(error), [message for own in unsent.values() for message in own], refused) from error
        except BaseException:  # cancelled, or a fault of the client's: whatever it still has must not go on
            self._give_up()
            raise

    async def close(self) -> None:
        """What was not acknowledged by now is given up. Closing again does nothing."""
        self._closed = True
        self._give_up()
        if self._farewells:
            await asyncio.wait(self._farewells)

    # Sending

    async def _send(self, producer: AIOKafkaProducer, own: "deque[Message]", refused: list[Message]) -> None:
        """Batch after batch, each of several messages: the cluster takes all of one or nothing. What is acknowledged leaves `own`."""
        while own:
            topic, partition = own[0].topic, own[0].partition
            batch = self._packed(producer, own)
            try:
                await (await producer.send_batch(batch, self._config.on_cluster(topic), partition=partition))
            except _TOO_LARGE:
                self._packs = batch.record_count() == 1
                if self._packs:
                    refused.append(own[0])
                raise
            for _ in range(batch.record_count()):
                own.popleft()

    def _packed(self, producer: AIOKafkaProducer, own: "deque[Message]") -> BatchBuilder:
        """As many of the next messages as a batch holds, one at least."""
        batch = producer.create_batch()
        for message in own:
            key = None if message.key is None else message.key.encode()
            full = batch.append(timestamp=None, key=key, value=message.value, headers=message.wire_headers()) is None
            if full or not self._packs:
                break
        batch.close()
        return batch

    def _check(self, message: Message) -> None:
        if message.topic not in TOPICS:
            raise UnknownTopic(f"no topic is named {message.topic!r}; eventlog/topics.py declares them all")
        if self._partitions is not None:
            check_partition(message.topic, message.partition, self._partitions[message.topic])
        if message.key is None and TOPICS[message.topic].compacted:
            raise ValueError(f"{message.topic} is compacted: a message needs a key")
        size = len(message.value) + ENVELOPE_BYTES
        if size > self._config.max_message_bytes:
            raise MessageTooLarge(
                f"a message of {size} bytes is above the {self._config.max_message_bytes} that {message.topic} takes;"
                " see HELIOGRAPH_KAFKA__MAX_MESSAGE_BYTES",
                message,
            )

    def _check_partitions(self, places: Iterable[Place]) -> None:
        if self._cluster is None:
            return
        for topic, partition in places:
            there = self._cluster.topics.get(self._config.on_cluster(topic))
            if there is None:
                raise LogUnavailable(f"{self._config.on_cluster(topic)} is missing; run `heliograph topics create`")
            has = there.partitions
            if partition >= has:
                raise LogUnavailable(
                    f"{self._config.on_cluster(topic)} has {has} partitions, and a batch is for number {partition}; run `heliograph topics"
                    " raise`, or set HELIOGRAPH_KAFKA__PARTITIONS"
                )

    # The producer

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._on_connection)
        return await asyncio.shield(self._connecting)

    def _on_connection(self, connecting: "asyncio.Task[AIOKafkaProducer]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None and self._closed:
            self._say_farewell(connecting.result())

    async def _connect(self) -> AIOKafkaProducer:
        """A producer of topics that exist: asking for one that does not could make it, with a broker's defaults."""
        config = self._config
        compression = None if config.compression is Compression.NONE else config.compression.value
        producer = AIOKafkaProducer(
            **config.connection(),
            acks="all" if config.acks is Acks.ALL else 1,
            enable_idempotence=config.acks is Acks.ALL,
            compression_type=compression,
            max_request_size=config.max_message_bytes,
            max_batch_size=BATCH_BYTES,
        )
        try:
            await started(producer.start, config)
            _watch(producer)
            async with asyncio.timeout(config.request_timeout_s):
                cluster = await describe(producer.client, [config.on_cluster(topic) for topic in {*NEEDED, *(self._partitions or ())}])
            check_shape(cluster, config)
        except TopicsUnfit as error:
            await _end(producer)
            raise LogUnavailable(str(error)) from error
        except BaseException:
            await _end(producer)
            raise
        self._producer, self._cluster = producer, cluster
        if self._on_connected is not None:
            self._on_connected(cluster)
        return producer

    def _give_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self._say_farewell(producer)

    def _say_farewell(self, producer: AIOKafkaProducer) -> None:
        farewell = asyncio.create_task(_end(producer))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)


def check_partition(topic: str, partition: int, partitions: int) -> None:
    if not 0 <= partition < partitions:
        raise UnknownTopic(f"{topic} has no partition {partition}, only 0..{partitions - 1}")


async def _all(sends: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Lets each come to its end, then raises what the first that failed raised."""
    for outcome in await asyncio.gather(*sends, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _end(producer: AIOKafkaProducer) -> None:
    """Without the flush that `stop` begins with: what is still unsent was given up. No error of a dying connection matters any more."""
    _fail_waiting(producer, LogUnavailable("given up"))
    with suppress(Exception):
        async with asyncio.timeout(FAREWELL_S):
            await producer.stop()
    with suppress(Exception):
        await producer.client.close()


class _Pending(set[Any]):
    """aiokafka (0.14) takes a batch out once for each time it was sent, and stumbles over the second."""

    remove = set.discard


def _watch(producer: AIOKafkaProducer) -> None:
    """What waits fails when the sender does. aiokafka's own callback for it stumbles where there are no transactions (0.14)."""
    sender = producer._sender
    producer._message_accumulator._pending_batches = _Pending()

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _fail_waiting(producer, error)

    sender.sender_task.remove_done_callback(sender._fail_all)
    sender.sender_task.add_done_callback(ended)


def _fail_waiting(producer: AIOKafkaProducer, error: BaseException) -> None:
    accumulator = producer._message_accumulator
    batches = [*accumulator._pending_batches, *(batch for queued in accumulator._batches.values() for batch in queued)]
    waiting = [each for batch in batches for each in (batch.future, batch._drain_waiter)]
    accumulator.fail_all(error)
    for waiter in waiting:
        if waiter.done() and not waiter.cancelled():
            waiter.exception()  # looked at, or Python would speak of it
