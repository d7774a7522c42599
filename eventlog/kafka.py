"""The log of a cluster: Apache Kafka, by aiokafka. `kafka_*` are its parts.

`KafkaLog.open` is for those who read, and who must not start on topics that are not as they should be. Who only appends, and must start
whatever the cluster's state, takes a `KafkaWriter` alone.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from time import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_errors import NO_COORDINATOR, naming
from eventlog.kafka_metadata import TopicFound
from eventlog.kafka_reader import KafkaReader
from eventlog.kafka_start import started
from eventlog.kafka_topics import check, examine
from eventlog.kafka_writer import KafkaWriter
from eventlog.port import Holder, Lag, LogUnavailable, Lying, Place, UnknownTopic
from eventlog.topics import NEEDED, TOPICS

COORDINATOR_S, COORDINATOR_LOOK_S = 5.0, 0.2
"""A cluster that is young makes its topic of positions when somebody first asks for them."""
FETCHED_WITHIN_S = 10.0
"""For a message that lies there to come."""
PEEK_S = 2.0
"""How long a look at the oldest unread messages may take."""


class KafkaLog:
    """Open it after a fork, once for each process, and close it."""

    def __init__(
        self, config: KafkaConfig, admin: AIOKafkaAdminClient, cluster: str, topics: Mapping[str, TopicFound], clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._admin = admin
        self._cluster = cluster
        self._found = topics
        self._clock = clock
        self._open: list[KafkaReader | KafkaWriter] = []
        self._observer: AIOKafkaConsumer | None = None
        self._observing = asyncio.Lock()

    @classmethod
    async def open(cls, config: KafkaConfig, *, clock: Callable[[], float] = time, needs: Collection[str] = NEEDED) -> "KafkaLog":
        """Knows the topics that are needed. Raises LogUnavailable, and TopicsUnfit when one of them is missing or not fit to be read."""
        admin = AIOKafkaAdminClient(**config.connection())
        try:
            await started(admin.start, config)
            existing = await examine(config, admin)
            check(existing, config, needs)
        except BaseException:
            await admin.close()
            raise
        topics = {topic: existing.cluster.topics[config.on_cluster(topic)] for topic in needs}
        return cls(config, admin, existing.cluster.id, topics, clock)

    def identity(self, topic: str) -> str:
        return f"kafka/{self._cluster}/{self._topic(topic).id}"

    def partitions(self, topic: str) -> int:
        return self._topic(topic).partitions

    async def writer(self) -> KafkaWriter:
        writer = KafkaWriter(self._config, partitions={topic: self.partitions(topic) for topic in self._found})
        self._open.append(writer)
        return writer

    async def reader(self, topics: Sequence[str], *, group: str, holder: Holder | None = None) -> KafkaReader:
        for topic in topics:
            self._topic(topic)
        reader = KafkaReader(self._config, topics, group, holder)
        await reader.open()
        self._open.append(reader)
        return reader

    async def ends(self, topic: str) -> Mapping[int, int]:
        there = [self._there(place) for place in self._places([topic])]
        async with self._observing:
            observer = await self._observe()
            with naming(self._config):
                ends = await observer.end_offsets(there)
        return {each.partition: offset for each, offset in sorted(ends.items())}

    async def lag(self, group: str, topics: Sequence[str] = ()) -> list[Lag]:
        committed = await self._committed(group)
        places = sorted({*committed, *self._places(topics)})
        there = [self._there(place) for place in places]
        async with self._observing:
            observer = await self._observe()
            with naming(self._config):
                ends, firsts = await observer.end_offsets(there), await observer.beginning_offsets(there)
            stands = {place: max(committed.get(place, 0), firsts[self._there(place)]) for place in places}
            behind = {place: ends[self._there(place)] - offset for place, offset in stands.items()}
            ages = await self._ages(observer, {place: stands[place] for place in places if behind[place] > 0})
        return [Lag(topic=place[0], partition=place[1], messages=max(0, behind[place]), seconds=ages.get(place, 0.0)) for place in places]

    async def lying(self, place: Place, offset: int) -> Lying:
        """What lies at `offset` or after it now. Raises LogUnavailable.

        Not every offset is a message's: some are marks of transactions, some were forgotten.
        """
        there = self._there(place)
        async with self._observing:
            observer = await self._observe()
            with naming(self._config):
                end, first = (await observer.end_offsets([there]))[there], (await observer.beginning_offsets([there]))[there]
                observer.assign([there])
                try:
                    return Lying(first, await _next_offset(observer, there, max(offset, first), end), end)
                finally:
                    observer.pause(there)  # to be without any partition, if only for a moment, ends its fetching for good (aiokafka 0.14)

    async def positions(self, group: str) -> dict[Place, int]:
        return await self._committed(group)

    async def close(self) -> None:
        """Closing again does nothing."""
        for each in self._open:
            await each.close()
        self._open.clear()
        if self._observer is not None:
            await self._observer.stop()
            self._observer = None
        await self._admin.close()

    # Looking

    async def _committed(self, group: str) -> dict[Place, int]:
        ours = {self._config.on_cluster(topic): topic for topic in TOPICS}
        with naming(self._config):
            found = await self._offsets(self._config.on_cluster(f"heliograph.{group}"))
        return {
            (ours[there.topic], there.partition): each.offset for there, each in found.items() if there.topic in ours and each.offset >= 0
        }

    async def _offsets(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """Waits for a coordinator of the group, for some seconds."""
        deadline = asyncio.get_running_loop().time() + COORDINATOR_S
        while True:
            try:
                return await self._admin.list_consumer_group_offsets(group)  # type: ignore[no-any-return]
            except NO_COORDINATOR:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(COORDINATOR_LOOK_S)

    async def _observe(self) -> AIOKafkaConsumer:
        """A consumer of no group, which only looks."""
        if self._observer is None:
            observer = AIOKafkaConsumer(**self._config.connection(), group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=100)
            try:
                await started(observer.start, self._config)
            except BaseException:
                await observer.stop()
                raise
            self._observer = observer
        return self._observer

    async def _ages(self, observer: AIOKafkaConsumer, positions: Mapping[Place, int]) -> dict[Place, float]:
        """Seconds since the message at each of these positions was appended, as far as they can be had in a moment."""
        if not positions:
            return {}
        there = {self._there(place): place for place in positions}
        observer.assign(list(there))
        for each, place in there.items():
            observer.seek(each, positions[place])
        ages: dict[Place, float] = {}
        deadline = asyncio.get_running_loop().time() + PEEK_S
        with naming(self._config):
            while len(ages) < len(positions) and (left_s := deadline - asyncio.get_running_loop().time()) > 0:
                for each, records in (await observer.getmany(timeout_ms=int(left_s * 1000) + 1)).items():
                    ages.setdefault(there[each], max(0.0, self._clock() - records[0].timestamp / 1000))
                    observer.pause(each)
        observer.pause(*there)
        return ages

    # Names

    def _topic(self, topic: str) -> TopicFound:
        if topic not in self._found:
            raise UnknownTopic(f"no topic is named {topic!r}; eventlog/topics.py declares them all")
        return self._found[topic]

    def _places(self, topics: Sequence[str]) -> list[Place]:
        return [(topic, partition) for topic in topics for partition in range(self.partitions(topic))]

    def _there(self, place: Place) -> TopicPartition:
        return TopicPartition(self._config.on_cluster(place[0]), place[1])


async def _next_offset(observer: AIOKafkaConsumer, there: TopicPartition, offset: int, end: int) -> int | None:
    observer.seek(there, offset)
    deadline = asyncio.get_running_loop().time() + FETCHED_WITHIN_S
    while await observer.position(there) < end:
        for records in (await observer.getmany(timeout_ms=200, max_records=1)).values():
            return int(records[0].offset)
        if asyncio.get_running_loop().time() > deadline:
            raise LogUnavailable(f"{there.topic} partition {there.partition} gives nothing from {offset}, and ends at {end}")
    return None
