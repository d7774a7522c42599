"""The processors on Kafka, as a faust app. The one file that imports faust, and it only moves bytes: what they mean is decided elsewhere.

What faust 0.15 does behind one's back, and what is done about it here (its sources, read 2026-11):

- It acknowledges what an agent was never given, or what it raised on, and it passes over one missing acknowledgement. So our topics are
  none that it acknowledges (`acks=False`): a `Lane` carries each partition out in order, and what it has done is committed from here.
- What it fetched and dropped while partitions changed hands is passed over. So the lane says which offset has to come: what is too far on
  is read again from there, and so is what lies at the end of a partition and does not come. It would drop that too: see `ReadAgain`.
- It restarts an agent that raised. `CrashingSupervisor` ends the process instead, and Kafka gives what was not committed to the next.
- A table sends its changelog and does not wait. Here the sends of a turn are awaited before the turn counts as done.
- It makes topics, a leader's among them, and warns of partitions at rest: both are switched off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import faust
import structlog
from aiokafka.errors import IllegalStateError
from faust.types import TP, EventT
from faust.types.auth import CredentialsT
from mode.supervisors import CrashingSupervisor
from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import Record, record_of
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import Compression, KafkaConfig, Mechanism
from eventlog.kafka_writer import ENVELOPE_BYTES, KafkaWriter
from eventlog.outages import Outage
from eventlog.port import LogUnavailable, Lying, Place
from eventlog.topics import HELD, RESPONSES
from processors import telemetry
from processors.feedback import JoinLimits
from processors.joins import READS, Joined, Joins
from processors.lane import Lane
from processors.looking import Looking, shorter
from processors.patience import Patience
from processors.pricing.rates import RateBook
from processors.publishing import publish
from processors.standing import Standing
from processors.steps import fitted, step_of

GROUP = "processors"
PATIENT_S = 30.0
"""What was understood may take so long to be acknowledged before it is offered again."""
COMMIT_EVERY_S = 1.0
BUFFERED = 32
"""Messages that faust holds before our own lines; each is a batch of up to 256 KiB."""
FETCHED, FETCHED_BYTES = 64, 1 << 20
"""What is fetched at once: messages, and bytes of one partition as they travel, compressed. Unpacked they may be many times as large."""
LET_GO_S = 20.0
"""What was begun may take so long to end when partitions change hands, or when we stop."""
WAKE_EVERY_S = 60.0
CLOCKS_S = 5.0
"""The brokers' clocks and ours may differ by so much."""
WATCH_EVERY_S = 1.0
"""How often it is asked whether messages lie on our partitions that never came."""
ANSWERED_S = 5.0
"""faust may take so long to say how far it has read."""
METADATA_MS = 60_000
"""A topic that was made anew is noticed after so long."""
NEVER_S = 10 * 365 * 86_400.0

log = structlog.get_logger()

Event = EventT[bytes]
Clock = Callable[[], float]


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """One worker, of as many as one likes."""

    kafka: KafkaConfig
    directory: Path
    """faust wants one. Nothing is kept there: what is remembered lies on Kafka."""
    join: JoinLimits = JoinLimits()

    @property
    def wake_every_s(self) -> float:
        return min(WAKE_EVERY_S, self.join.patience.total_seconds() / 4)


async def run_worker(
    config: WorkerConfig,
    events: KafkaLog,
    rates: RateBook,
    *,
    stop: asyncio.Event,
    clock: Clock = time.time,
    on_change: Callable[[frozenset[Place]], None] = lambda _: None,
) -> None:
    """Until `stop` is set: then what was begun is ended and committed, and the rest waits on Kafka.

    `on_change` hears which partitions are ours. Raises what cannot be carried out: whoever runs this starts it again.
    """
    worker = Worker(config, events, rates, clock, on_change)
    try:
        await worker.run(stop)
    finally:
        await worker.close()


class Worker:
    """Two agents, each before a lane of its own, and a table that is nothing but its changelog."""

    def __init__(
        self, config: WorkerConfig, events: KafkaLog, rates: RateBook, clock: Clock, on_change: Callable[[frozenset[Place]], None]
    ) -> None:
        kafka = config.kafka
        self._config, self._events, self._rates, self._clock, self._on_change = config, events, rates, clock, on_change
        self._writer = KafkaWriter(replace(kafka, acknowledged_within_s=PATIENT_S))
        self._patience = Patience(clock, asyncio.sleep, step=GROUP)
        self._limit = kafka.max_message_bytes - ENVELOPE_BYTES
        self._identities = {topic: events.identity(topic) for topic in (RESPONSES.name, *READS)}
        self._topics = {kafka.on_cluster(topic): topic for topic in self._identities}
        self._joins = Joins(config.join, self._identities, self._limit)
        self._joining = asyncio.Lock()
        self._calls, self._feedback = Lane(self._understand), Lane(self._join)
        self._lanes = (self._calls, self._feedback)
        self._standing = Standing(lambda: self._patience.with_log(lambda: events.positions(GROUP)))
        self._looking = Looking(self._seek, self._lying, self._read_up_to, time.monotonic)
        self._asked: dict[Place, asyncio.Future[int | None]] = {}
        self._app = app_of(kafka, config.directory)
        consumer: Any = self._app.consumer
        consumer._read_offset = ReadAgain(self._topics)
        self._table = Changelog(self._app, self._joins, kafka.on_cluster(HELD.name))
        self._agent("calls", self._calls, [RESPONSES.name])
        self._agent("feedback", self._feedback, READS)
        self._app.on_partitions_revoked.connect(self._revoked)
        self._app.on_partitions_assigned.connect(self._assigned)

    # Running

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each)
                for each in (*(lane.run() for lane in self._lanes), self._keep_committing(), self._keep_watching(), self._keep_waking())
            ]
            starting = group.create_task(self._app.start())
            try:
                await self._app.wait(stop.wait())
                if self._app.crashed:
                    raise self._app.crash_reason or RuntimeError("faust crashed without a reason")
                await self._end()
            finally:
                for task in (*tasks, starting):
                    task.cancel()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LET_GO_S):
                        await self._app.stop()

    async def _end(self) -> None:
        try:
            await self._let_go()
        except TimeoutError:
            log.warning("left_unfinished", reason="Kafka did not take what was understood; it is understood again")

    async def close(self) -> None:
        await self._writer.close()

    def _agent(self, name: str, lane: Lane, topics: Iterable[str]) -> None:
        """Takes bytes, gives records. A value is never looked at by faust; an empty one is a message as well."""
        there = self._app.topic(*map(self._config.kafka.on_cluster, topics), key_type=bytes, value_type=bytes, allow_empty=True, acks=False)

        @self._app.agent(there, name=name, supervisor_strategy=CrashingSupervisor)
        async def _(stream: Any) -> None:
            async for event in stream.noack().events():
                record, assignment = self._record(event), event.message.generation_id
                await self._begin(lane, record.place, assignment)
                if lane.precedes(record):
                    log.error("log_read_again", place=record.place, offset=record.offset, reason="Kafka set reading back to its beginning")
                    lane.restart(record.place, record.offset)
                awaited = await lane.put(record, assignment)
                if awaited is not None and not await self._looking.looks_for(lane, record.place, awaited, record.offset):
                    lane.begin(record.place, record.offset, assignment)
                    await lane.put(record, assignment)

    async def _begin(self, lane: Lane, place: Place, assignment: int) -> None:
        """Where the group stands; where that is behind the log's end, at its first message: what was there before is not there any more."""
        if lane.awaits(place) is not None:
            return
        start = await self._standing.start_of(place)
        lying = await self._lying(place, start)
        if lying.end < start:
            shorter(place, start, lying)
            start = lying.first
        if lane.awaits(place) is None:
            lane.begin(place, start, assignment)

    def _record(self, event: Event) -> Record:
        it = event.message
        headers = cast("list[tuple[str, bytes]]", it.headers or [])
        return record_of(self._topics[it.topic], it.partition, it.offset, it.timestamp, headers, it.value)

    # The two steps

    async def _understand(self, records: Sequence[Record]) -> None:
        steps = []
        for record in records:
            steps.append(fitted(step_of(record, self._rates, self._identities[RESPONSES.name]), record, self._limit))
            await asyncio.sleep(0)  # a large batch takes milliseconds, and faust shares this loop
        await publish(self._writer, [message for step in steps for message in step.messages], self._patience)
        telemetry.count_calls([event for step in steps for event in step.events])
        telemetry.count_dead_letters(letter.reason for step in steps for letter in step.letters)

    async def _join(self, records: Sequence[Record]) -> None:
        async with self._joining:
            turns = []
            for record in records:
                turns.append(self._joins.take(record))
                await asyncio.sleep(0)
            await self._carry_out(turns)

    async def _carry_out(self, turns: Sequence[Joined]) -> None:
        """What leaves is durable before what is kept: a crash between the two repeats, and forgets nothing."""
        await publish(self._writer, [message for turn in turns for message in turn.messages], self._patience)
        sends = [self._table.send(turn.partition, key, packed) for turn in turns for key, packed in turn.kept.items()]
        await asyncio.gather(*sends)
        telemetry.SCORED.inc(sum(message.count for turn in turns for message in turn.messages))
        telemetry.HELD.labels("calls").set(self._joins.calls)
        telemetry.HELD.labels("feedback").set(self._joins.feedback)

    # Time passes

    async def _keep_waking(self) -> None:
        outage = Outage(step="expiry")
        while True:
            await asyncio.sleep(self._config.wake_every_s / 2)
            until, assignment = datetime.fromtimestamp(self._clock() - CLOCKS_S, UTC), self._app.consumer_generation_id
            try:
                ends = {topic: await self._events.ends(topic) for topic in READS}
            except LogUnavailable as error:
                outage.goes_on(error)
                continue
            outage.over()
            await asyncio.sleep(self._config.wake_every_s / 2)  # meanwhile what lay there is taken
            if assignment == self._app.consumer_generation_id:
                await self._expire(ends, until)

    async def _expire(self, ends: Mapping[str, Mapping[int, int]], until: datetime) -> None:
        """A partition expires when all that lay on both its topics was taken; one that is further behind waits for its next wake.

        So does one whose memory is still being brought back: what met long ago may look as if it never had.
        """
        due = sorted({partition for topic, partition in self._standing.owned if topic in READS} & self._table.recovered)
        for partition in due:
            async with self._joining:
                if all([await self._has_reached((topic, partition), ends[topic].get(partition)) for topic in READS]):
                    await self._carry_out([self._joins.expire(partition, until)])

    async def _has_reached(self, place: Place, end: int | None) -> bool:
        """None: a partition that came to the topic since we began. It expires in our next life, which `topics raise` asks for."""
        if end is None or place not in self._standing.owned:
            return False
        done = self._feedback.done.get(place)
        return (await self._standing.start_of(place) if done is None else done) >= end

    # Positions

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._commit()

    async def _commit(self) -> None:
        consumer: Any = self._app.consumer
        ours = consumer.assignment()
        new = {
            place: offset
            for place, offset in self._standing.uncommitted(lane.done for lane in self._lanes).items()
            if self._there(place) in ours
        }
        if new and await consumer._commit({self._there(place): offset for place, offset in new.items()}):
            self._standing.committed(new)

    async def _keep_watching(self) -> None:
        """What faust dropped, and nothing came after, is not waited for in vain."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            assignment = self._app.consumer_generation_id
            owned = [(place, self._calls if place[0] == RESPONSES.name else self._feedback) for place in self._standing.owned]
            for place, lane in owned:
                await self._begin(lane, place, assignment)
            consumer: Any = self._app.consumer
            if consumer.flow_active and assignment == self._app.consumer_generation_id:
                await self._looking.again()
                await self._looking.glance(owned)

    async def _lying(self, place: Place, offset: int) -> Lying:
        return await self._patience.with_log(lambda: self._events.lying(place, offset))

    async def _read_up_to(self, place: Place) -> int | None:
        """None where it changes hands just now, or faust does not say: a question that was not answered is not asked a second time."""
        asked = self._asked.get(place)
        if asked is None or asked.done():
            asked = self._asked[place] = asyncio.ensure_future(self._app.consumer.position(self._there(place)))
        await asyncio.wait([asked], timeout=ANSWERED_S)
        if not asked.done():
            return None
        with suppress(IllegalStateError):
            return asked.result()
        return None

    async def _seek(self, place: Place, offset: int) -> None:
        with suppress(IllegalStateError, TimeoutError):  # as above; and what was not sought is looked for again
            await self._app.consumer.seek_wait({self._there(place): offset})

    def _there(self, place: Place) -> TP:
        return TP(self._config.kafka.on_cluster(place[0]), place[1])

    # Changes of hands

    async def _revoked(self, *_: Any, **__: Any) -> None:
        """Everything is taken from everyone before it is handed out anew. A TimeoutError ends the process: faust crashes on it."""
        await self._let_go()

    async def _assigned(self, *given: Any, **_: Any) -> None:
        """`given` ends with the partitions that are ours now, the changelog's among them."""
        self._standing.given((self._topics[each.topic], each.partition) for each in given[-1] if each.topic in self._topics)
        for lane in self._lanes:
            lane.open(self._app.consumer_generation_id)
        self._on_change(self._standing.owned)

    async def _let_go(self) -> None:
        """Ends what was begun and commits it. Raises TimeoutError."""
        async with asyncio.timeout(LET_GO_S):
            for lane in self._lanes:
                await lane.shut()
            await self._commit()
            async with self._joining:  # what expires is carried out, and nothing more does
                self._standing.taken()
                self._table.recovered.clear()
        for lane in self._lanes:
            lane.forget()
        self._looking.forget()


class ReadAgain(dict[TP, int | None]):
    """What faust has given of each partition: of these topics it knows nothing.

    It would drop what is below the last that it gave. While it has messages in hand, that is all that we have it read again.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__()
        self._topics = frozenset(topics)

    def __getitem__(self, there: TP) -> int | None:
        return None if there.topic in self._topics else self.get(there)


class Changelog(faust.Table[bytes, bytes]):
    """The table of the feedback join. What it holds lies in `Joins`; faust brings it back from the topic after each change of hands.

    A partition that stays ours is read on from where the last reading ended, over what we wrote since: the same again, in the same order.
    """

    def __init__(self, app: faust.App, joins: Joins, topic: str) -> None:
        there = app.topic(
            topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True, acks=False
        )
        super().__init__(app, name="feedback-join", key_type=bytes, value_type=bytes, changelog_topic=there, beacon=app.tables.beacon)
        self._joins = joins
        self._there = topic
        self.recovered: set[int] = set()
        """Partitions of which all is back that was held, under the present assignment."""
        app.tables.add(self)

    def send(self, partition: int, key: str, packed: bytes | None) -> Awaitable[Any]:
        """Durable when the answer comes."""
        return self.send_changelog(partition, key.encode(), packed)

    async def on_start(self) -> None:
        """As faust's, without declaring the topic."""
        await self.add_runtime_dependency(self.data)

    def apply_changelog_batch(self, batch: Iterable[Event]) -> None:
        for event in batch:
            if event.message.key is not None:
                self._joins.restore(event.message.partition, event.message.key.decode(), event.message.value)

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0) -> None:
        for there in revoked:
            if there.topic == self._there:
                self._joins.drop(there.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        for there in active_tps:
            if there.topic == self._there:
                self._joins.restored(there.partition)
                self.recovered.add(there.partition)


def app_of(kafka: KafkaConfig, directory: Path) -> faust.App:
    """An app that makes no topic, serves no page, keeps nothing on disk, and says who it is as our other clients do."""
    request_timeout_s = max(kafka.request_timeout_s, kafka.session_timeout_s + 1)
    directory.mkdir(parents=True, exist_ok=True)
    return faust.App(
        kafka.on_cluster(f"heliograph.{GROUP}"),
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_client_id=kafka.client_id,
        broker_credentials=credentials_of(kafka),
        broker_request_timeout=request_timeout_s,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 3,
        producer_compression_type=None if kafka.compression is Compression.NONE else kafka.compression.value,
        producer_max_request_size=kafka.max_message_bytes,
        producer_request_timeout=PATIENT_S,
        broker_max_poll_records=FETCHED,
        consumer_max_fetch_size=FETCHED_BYTES,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MS,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        store="memory://",
        datadir=directory,
        web_enabled=False,
        stream_buffer_maxsize=BUFFERED,
        stream_wait_empty=False,
        stream_processing_timeout=NEVER_S,  # it would speak of every partition that has nothing new
        broker_commit_livelock_soft_timeout=NEVER_S,
    )


def credentials_of(kafka: KafkaConfig) -> CredentialsT | None:
    who = kafka.credentials
    if who is None:
        return None if kafka.tls is None else faust.SSLCredentials(kafka.tls)
    if who.mechanism is Mechanism.OAUTHBEARER:
        return faust.OAuthCredentials(oauth_cb=who.tokens, ssl_context=kafka.tls)
    return faust.SASLCredentials(username=who.username, password=who.password, mechanism=who.mechanism.value, ssl_context=kafka.tls)
