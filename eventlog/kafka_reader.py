"""A reader in a Kafka consumer group.

Its partitions come and go with the group. Each time they come, every one of them is put explicitly where it is to begin, and until that is
done no poll gives anything: a record of a partition that has just come could otherwise slip through at the wrong place.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import ConsumerRecord

from eventlog.codec import Positions, Record, record_of
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_errors import naming
from eventlog.kafka_start import started
from eventlog.port import Holder, LogUnavailable, NotAssigned, OffsetOutOfRange, Place, Span

log = structlog.get_logger()

JOIN_S = 60.0
"""How long a group may take to hand out its partitions for the first time."""
JOIN_MORE_S = 5.0
"""To join a group may take as long as the session of a member that has just died, and so much more."""
PARTITION_FETCH_BYTES = 1 << 20
FETCH_BYTES = 8 << 20
FETCH_WAIT_MS = 250


class KafkaReader:
    """One consumer. One poll at a time."""

    def __init__(self, config: KafkaConfig, topics: Sequence[str], group: str, holder: Holder | None) -> None:
        self._config = config
        self._holder = holder
        self._topics = {config.on_cluster(topic): topic for topic in topics}
        self._group = group
        self._turn: list[Place] = []
        self._settled = asyncio.Event()
        self._handed_out = 0
        self._beginnings: dict[Place, int] = {}
        """Where each of our partitions was put when the group handed it over, or by a seek since then."""
        self._rewinds = False
        """A poll fetched from them what it must not give out: they begin again there."""
        self._fault: BaseException | None = None
        self._begun = False
        self._closed = False
        patient = max(config.request_timeout_s, config.session_timeout_s + JOIN_MORE_S)
        self._consumer = AIOKafkaConsumer(
            **{**config.connection(), "request_timeout_ms": int(patient * 1000)},
            group_id=config.on_cluster(f"heliograph.{group}"),
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=int(config.session_timeout_s * 1000),
            heartbeat_interval_ms=int(config.session_timeout_s * 1000 / 4),
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def open(self) -> None:
        """Joins the group, and waits until it has handed out its partitions. Raises LogUnavailable."""
        self._consumer.subscribe(list(self._topics), listener=_Listener(self))
        try:
            with naming(self._config):
                async with asyncio.timeout(JOIN_S):
                    await started(self._consumer.start, self._config, within_s=JOIN_S)
                    await self._settled.wait()
            self._raise_fault()
        except BaseException:
            await self._consumer.stop()
            raise

    @property
    def assigned(self) -> frozenset[Place]:
        return frozenset(self._turn)

    async def poll(self, *, max_bytes: int, timeout: timedelta) -> list[Record]:
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        self._check_open()
        self._begin()
        while True:
            left_s = max(0.0, deadline - asyncio.get_running_loop().time())
            if not await self._is_settled(left_s):
                return []
            self._rewind()
            handed_out = self._handed_out
            records = await self._gather([], max_bytes)
            if not records and left_s > 0 and (records := await self._fetched(timeout_ms=max(1, int(left_s * 1000)))):
                records = await self._gather(records, max_bytes)
            self._check_open()
            if handed_out != self._handed_out:
                self._rewinds = True  # some of it may be ours again, and fetched from behind where it was put
                continue
            if records or left_s <= 0:
                return records

    def seek(self, positions: Positions) -> None:
        self._check_assigned(positions)
        for place, offset in positions.items():
            self._put(place, offset)

    async def commit(self, positions: Positions) -> None:
        self._check_open()
        self._check_assigned(positions)
        if not positions:
            return
        try:
            with naming(self._config):
                await self._consumer.commit({self._there(place): offset for place, offset in positions.items()})
        except LogUnavailable as error:
            if isinstance(error.__cause__, CommitFailedError | IllegalStateError):
                raise NotAssigned(f"the group has handed these partitions to somebody else: {error.__cause__}") from error
            raise

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._settled.set()
        await self._consumer.stop()

    # Partitions that come and go

    async def take(self, partitions: frozenset[Place]) -> None:
        """The group takes these away."""
        self._settled.clear()
        self._handed_out += 1
        self._turn = [place for place in self._turn if place not in partitions]
        self._beginnings = {place: offset for place, offset in self._beginnings.items() if place not in partitions}
        try:
            if self._holder is not None and partitions:
                await self._holder.taken(partitions)
        except Exception as error:  # noqa: BLE001 - the client would only log it; whoever polls has to know
            self._fault = error

    async def give(self, partitions: frozenset[Place]) -> None:
        """The group hands these over. What goes wrong is told to whoever polls next."""
        there = [self._there(place) for place in partitions]
        if not self._begun and there:
            self._consumer.pause(*there)  # nothing is fetched before somebody asks
        try:
            with naming(self._config):
                begin = await self._starts(there)
            if self._holder is not None:
                with naming(self._config):
                    spans = await self._spans(there)
                begin |= await self._holder.given(spans)
            for place, offset in begin.items():
                self._put(place, offset)
        except Exception as error:  # noqa: BLE001 - as above
            self._fault = error
        self._turn = sorted(partitions)
        self._settled.set()

    def _put(self, place: Place, offset: int) -> None:
        self._consumer.seek(self._there(place), offset)
        self._beginnings[place] = offset

    def _rewind(self) -> None:
        """Puts our partitions where they were put last, as nothing was given out since then."""
        if self._rewinds:
            self._rewinds = False
            for place, offset in self._beginnings.items():
                self._consumer.seek(self._there(place), offset)

    async def _starts(self, there: Sequence[TopicPartition]) -> dict[Place, int]:
        """Where the group stands on each; the first message that is left where it never committed."""
        committed = {each: await self._consumer.committed(each) for each in there}
        fresh = [each for each, offset in committed.items() if offset is None]
        first = await self._consumer.beginning_offsets(fresh) if fresh else {}
        return {self.place_of(each): first[each] if offset is None else offset for each, offset in committed.items()}

    async def _spans(self, there: Sequence[TopicPartition]) -> dict[Place, Span]:
        firsts, nexts = await self._consumer.beginning_offsets(there), await self._consumer.end_offsets(there)
        return {self.place_of(each): Span(firsts[each], nexts[each]) for each in there}

    # Reading

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            if paused := self._consumer.paused():
                self._consumer.resume(*paused)

    async def _is_settled(self, left_s: float) -> bool:
        """False when the group has not handed out its partitions within `left_s`."""
        if not self._settled.is_set():
            try:
                async with asyncio.timeout(left_s):
                    await self._settled.wait()
            except TimeoutError:
                return False
        self._check_open()
        self._raise_fault()
        return True

    async def _gather(self, records: list[Record], max_bytes: int) -> list[Record]:
        """Adds to `records` what has been fetched already, up to about `max_bytes` together. Partitions take turns.

        An error is told at once when there is nothing else to tell, else by the next poll: what was read is not to be lost.
        """
        max_bytes -= sum(len(record.message.value) for record in records)
        turn = list(self._turn)
        for number, place in enumerate(turn):
            try:
                got = await self._of_partition(place, max_bytes // (len(turn) - number), at_least_one=not records)
            except Exception as error:
                if not records:
                    raise
                self._fault = error
                break
            if got and place in self._turn:
                self._turn.append(self._turn.pop(self._turn.index(place)))
            max_bytes -= sum(len(record.message.value) for record in got)
            records += got
        return records

    async def _of_partition(self, place: Place, share: int, *, at_least_one: bool) -> list[Record]:
        records: list[Record] = []
        while share > 0 or (at_least_one and not records):
            try:
                got = await self._fetched(self._there(place))
            except Exception as error:
                if not records:
                    raise
                self._fault = error
                break
            if not got:
                break
            records += got
            share -= len(got[0].message.value)
        return records

    async def _fetched(self, *there: TopicPartition, timeout_ms: int = 0) -> list[Record]:
        """One record, or none. Raises LogUnavailable, OffsetOutOfRange."""
        try:
            with naming(self._config):
                found: Mapping[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                    *there, timeout_ms=timeout_ms, max_records=1
                )
        except LogUnavailable as error:
            if isinstance(error.__cause__, OffsetOutOfRangeError):
                raise await self._out_of_range(error.__cause__) from error
            if isinstance(error.__cause__, NoOffsetForPartitionError):
                return []  # asked before it was put in its place, a moment ago
            raise
        return [self._record(record) for records in found.values() for record in records]

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> Exception:
        [(there, offset)] = error.args[0].items()
        with naming(self._config):
            first = (await self._consumer.beginning_offsets([there]))[there]
            end = (await self._consumer.end_offsets([there]))[there]
        fault = "has expired" if offset < first else "was never reached"
        topic, partition = self.place_of(there)
        return OffsetOutOfRange(
            f"{topic} partition {partition}: offset {offset} {fault}, the log holds {first} up to {end};"
            f" seek to {first} to read what is left"
        )

    def _record(self, record: ConsumerRecord) -> Record:
        topic, appended_at = self._topics[record.topic], record.timestamp / 1000
        return record_of(topic, record.partition, record.offset, appended_at, record.headers, record.value, record.key)

    # Names

    def _there(self, place: Place) -> TopicPartition:
        return TopicPartition(self._config.on_cluster(place[0]), place[1])

    def place_of(self, there: TopicPartition) -> Place:
        return self._topics[there.topic], there.partition

    # Checks

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the reader is closed")

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _check_assigned(self, positions: Positions) -> None:
        for topic, partition in positions.keys() - self.assigned:
            raise NotAssigned(f"{topic} partition {partition} is not assigned to this reader")


class _Listener(ConsumerRebalanceListener):
    """Passes on what the group does."""

    def __init__(self, reader: KafkaReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: "set[TopicPartition]") -> None:
        await self._reader.take(frozenset(map(self._reader.place_of, revoked)))

    async def on_partitions_assigned(self, assigned: "set[TopicPartition]") -> None:
        await self._reader.give(frozenset(map(self._reader.place_of, assigned)))
