"""The faust workers, as processes on a real Kafka: each call once downstream, whatever dies, moves or is malformed."""

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

import processors.lane
import processors.looking
import processors.worker
from eventlog.codec import BatchId, Message, Record, decode, message_of, message_of_lines
from eventlog.events import CallId, CallPriced, CallScored, DeadLetter, FeedbackGiven, RequestId, ResponseCompleted
from eventlog.port import LogUnavailable, Place
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, HELD, RESPONSES, SCORED_CALLS
from processors.looking import LOOK_EVERY_S
from processors.pricing.rates import RateBook
from processors.worker import WATCH_EVERY_S, Changelog, Worker, WorkerConfig
from tests.fakes import kafka
from tests.fakes.worker import Cluster, Workers, cluster
from tests.processors.events import AT, EPOCH, call, completed

pytestmark = pytest.mark.timeout(600)

MakeWorkers = Callable[..., Workers]
PARTITIONS = 3


@pytest.fixture
def make_workers(tmp_path: Path) -> Iterator[MakeWorkers]:
    made: list[Workers] = []

    def make(world: Cluster, **env: str) -> Workers:
        made.append(Workers(tmp_path, world.config, **env))
        return made[-1]

    yield make
    for each in made:
        each.end()


def answer(name: str, **more: object) -> ResponseCompleted:
    return completed(facts=call(call_id=CallId(name), request_id=RequestId(name), **more))


def responses(sequence: int, partition: int = 0, *, count: int = 2, epoch: str = EPOCH) -> Message:
    events = [answer(f"{partition}-{sequence}-{number}") for number in range(count)]
    return message_of(RESPONSES, partition, BatchId(epoch, sequence), events)


def rounds(first: int, last: int, *, count: int = 2) -> list[Message]:
    """Messages of these numbers for every partition."""
    return [responses(number, partition, count=count) for number in range(first, last + 1) for partition in range(PARTITIONS)]


def complete(last: int) -> Callable[[Sequence[Record]], bool]:
    """Whether every partition has its messages up to this number, in order."""
    return lambda found: first_arrivals(found) == {partition: list(range(1, last + 1)) for partition in range(PARTITIONS)}


def first_arrivals(records: Sequence[Record]) -> dict[int, list[int]]:
    """By partition the sequences as a sink takes them: what is not above the highest before is a repeat, and a hole is a loss."""
    found: dict[int, list[int]] = {}
    for record in records:
        seen = found.setdefault(record.message.partition, [])
        if not seen or record.message.batch_id.sequence > seen[-1]:
            seen.append(record.message.batch_id.sequence)
    return found


async def test_each_batch_becomes_one_of_the_same_id(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world)
        workers.start()
        await world.write(*[responses(number, partition) for number in range(1, 6) for partition in range(3)], responses(6, 0, count=0))
        found = await world.until(CALLS.name, lambda found: len(found) >= 16, workers)
        assert first_arrivals(found) == {0: [1, 2, 3, 4, 5, 6], 1: [1, 2, 3, 4, 5], 2: [1, 2, 3, 4, 5]}
        assert len(found) == 16
        events = [event for record in found for event in decode(CallPriced, record.message)[0].events]
        assert len({event.call.call_id for event in events}) == len(events) == 30
        assert all(event.cost_usd is not None for event in events)
        await world.until_committed(RESPONSES.name, 16)
        assert workers.stop() == 0


def assert_repeats_are_the_same(records: Sequence[Record]) -> None:
    values: dict[tuple[int, str], bytes] = {}
    for record in records:
        message = record.message
        assert values.setdefault((message.partition, str(message.batch_id)), message.value) == message.value


async def test_a_killed_worker_leaves_no_hole_and_no_second_version(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world)
        await world.write(*rounds(1, 200, count=20))
        for kill_at in (1, 150):
            workers.start()
            await world.until(CALLS.name, lambda found, least=kill_at: len(found) >= least, workers)
            workers.kill()
        await world.write(*rounds(201, 210))
        workers.start()
        found = await world.until(CALLS.name, complete(210), workers)
        assert_repeats_are_the_same(found)
        await world.until_committed(RESPONSES.name, 630)


async def test_workers_come_and_go_under_load(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world, HELIOGRAPH_KAFKA__SESSION_TIMEOUT_S="6")
        written = 0

        async def write_until(fits: Callable[[], bool], seconds: float = 60) -> None:
            nonlocal written
            async with asyncio.timeout(seconds):
                while not fits():
                    written += 1
                    await world.write(*rounds(written, written))
                    await asyncio.sleep(0.01)

        workers.start("one")
        await world.write(*rounds(1, 1))
        written = 1
        await world.until(CALLS.name, complete(1), workers)
        workers.start("two")
        deadline = asyncio.get_running_loop().time() + 8
        await write_until(lambda: asyncio.get_running_loop().time() > deadline)  # two joins
        leaving = asyncio.create_task(asyncio.to_thread(workers.stop, "one"))
        await write_until(leaving.done)  # one leaves in order
        assert leaving.result() == 0
        workers.start("three")
        deadline = asyncio.get_running_loop().time() + 8
        await write_until(lambda: asyncio.get_running_loop().time() > deadline)
        workers.kill("two")  # and two leaves without a word
        await write_until(lambda: written % 50 == 0)
        found = await world.until(CALLS.name, complete(written), workers)
        assert_repeats_are_the_same(found)


async def test_a_worker_that_stood_still_takes_nothing_from_who_took_over(broker: str, make_workers: MakeWorkers) -> None:
    """Stopped past its session, it wakes with messages half carried out, and with partitions that are another's by then."""
    async with cluster(broker) as world:
        workers = make_workers(world, HELIOGRAPH_KAFKA__SESSION_TIMEOUT_S="6")
        sleeper = workers.start("sleeper")
        await world.write(*rounds(1, 120, count=20))
        await world.until(CALLS.name, lambda found: len(found) > 0, workers)
        sleeper.send_signal(signal.SIGSTOP)
        workers.start("other")
        await world.write(*rounds(121, 130))
        await world.until(CALLS.name, complete(130), workers)
        sleeper.send_signal(signal.SIGCONT)
        await world.write(*rounds(131, 140))
        await asyncio.sleep(8)  # its heartbeat fails, it joins again, or ends
        await world.write(*rounds(141, 150))
        workers.kill("other")
        if sleeper.poll() is not None:
            workers.start("sleeper")
        await world.write(*rounds(151, 155))
        found = await world.until(CALLS.name, complete(155), workers)
        assert_repeats_are_the_same(found)


async def test_after_a_batch_that_fails_a_good_one_is_not_passed_over(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world)
        worker = workers.start()
        await world.write(*rounds(1, 1))
        await world.until(CALLS.name, complete(1), workers)
        await limit(world, CALLS.name, 20_000)
        large = answer("large", properties={"noise": secrets.token_hex(50_000)})  # compression does not make it fit
        await world.write(message_of(RESPONSES, 0, BatchId(EPOCH, 2), [large]), responses(3, 0), responses(4, 0))
        await world.write(responses(2, 1), responses(2, 2))
        assert await asyncio.to_thread(worker.wait, 60) != 0
        assert await world.committed(RESPONSES.name) <= 5
        assert first_arrivals(await world.read(CALLS.name))[0] == [1]

        await limit(world, CALLS.name, world.config.max_message_bytes)
        await world.write(*[responses(number, other) for number in (3, 4) for other in (1, 2)])
        workers.start()
        await world.until(CALLS.name, complete(4), workers)


async def limit(world: Cluster, topic: str, most: int) -> None:
    """The largest message that a topic takes from now on."""
    async with kafka.admin_of(world.config) as admin:
        name = world.config.on_cluster(topic)
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": str(most)})])


@contextlib.asynccontextmanager
async def in_this_process(world: Cluster, folder: Path) -> AsyncIterator[Worker]:
    """A worker whose faust a test can reach into."""
    worker = Worker(WorkerConfig(kafka=world.config, directory=folder), world.log, RateBook.bundled(), time.time, lambda _: None)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        await running
        await worker.close()


async def test_what_faust_drops_and_nothing_comes_after_is_understood(broker: str, tmp_path: Path) -> None:
    """As when partitions change hands while a fetch is under way: the last messages are dropped, and no later one tells of them."""
    async with cluster(broker) as world, in_this_process(world, tmp_path) as worker:
        await world.write(*rounds(1, 1))
        await world.until(CALLS.name, complete(1))
        consumer: Any = worker._app.consumer
        consumer.stop_flow()
        await world.write(*rounds(2, 3))
        await consumer.seek_wait({worker._there((RESPONSES.name, partition)): 3 for partition in range(PARTITIONS)})
        consumer.resume_flow()
        await world.until(CALLS.name, complete(3))
        another_s = RESPONSES.name, 99
        assert await worker._read_up_to(another_s) is None
        await worker._seek(another_s, 5)


async def test_what_faust_drops_under_a_backlog_is_read_again(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has messages in hand all the time, from behind those that it dropped."""
    publish = processors.worker.publish

    async def slowly(*given: Any) -> None:
        await asyncio.sleep(0.02)
        await publish(*given)

    sought: list[Place] = []
    seek = Worker._seek

    async def counted(worker: Worker, place: Place, offset: int) -> None:
        sought.append(place)
        await seek(worker, place, offset)

    monkeypatch.setattr(Worker, "_seek", counted)
    monkeypatch.setattr(processors.worker, "publish", slowly)
    monkeypatch.setattr(processors.lane, "WAITING", 2)
    monkeypatch.setattr(processors.lane, "GROUP_BYTES", 1)
    async with cluster(broker) as world:
        await world.write(*rounds(1, 200))
        async with in_this_process(world, tmp_path) as worker:
            await world.until(CALLS.name, lambda found: len(found) > 20)
            consumer: Any = worker._app.consumer
            sought.clear()
            await consumer.seek_wait({worker._there((RESPONSES.name, partition)): 150 for partition in range(PARTITIONS)})
            await world.until(CALLS.name, complete(200))
            assert set(sought) == {(RESPONSES.name, partition) for partition in range(PARTITIONS)}
            assert len(sought) < 10 * PARTITIONS  # once more where the broker lets wait; never for each of the dozens in hand


async def transact(world: Cluster, message: Message) -> None:
    """Written by a transaction, as others may write: its mark lies behind it."""
    there = world.config.on_cluster(message.topic)
    producer = AIOKafkaProducer(**world.config.connection(), transactional_id=secrets.token_hex(8))
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(there, message.value, partition=message.partition, headers=message.wire_headers())
    finally:
        await producer.stop()


async def test_what_faust_drops_behind_a_mark_is_read_again(broker: str, tmp_path: Path) -> None:
    """What is awaited is a transaction's mark then, and no message will ever come from there."""
    async with cluster(broker) as world, in_this_process(world, tmp_path) as worker:
        await transact(world, responses(1))
        await world.until(CALLS.name, lambda found: len(found) == 1)
        consumer: Any = worker._app.consumer
        consumer.stop_flow()
        await world.write(responses(2), responses(3))
        await consumer.seek_wait({worker._there((RESPONSES.name, 0)): 3})
        consumer.resume_flow()
        found = await world.until(CALLS.name, lambda found: len(found) >= 3)
        assert first_arrivals(found) == {0: [1, 2, 3]}


async def test_what_retention_takes_is_told_and_passed_over(broker: str, tmp_path: Path) -> None:
    async with cluster(broker) as world, in_this_process(world, tmp_path) as worker:
        await world.write(responses(1))
        await world.until(CALLS.name, lambda found: len(found) == 1)
        consumer: Any = worker._app.consumer
        consumer.stop_flow()
        await world.write(*[responses(number) for number in range(2, 6)])
        async with kafka.admin_of(world.config) as admin:
            await admin.delete_records({TopicPartition(world.config.on_cluster(RESPONSES.name), 0): RecordsToDelete(3)})
        with capture_logs() as told:
            await consumer.seek_wait({worker._there((RESPONSES.name, 0)): 4})
            consumer.resume_flow()
            found = await world.until(CALLS.name, lambda found: len(found) >= 3)
            async with asyncio.timeout(30):
                while "messages_missing" not in {line["event"] for line in told}:
                    await asyncio.sleep(0.05)
        assert first_arrivals(found) == {0: [1, 4, 5]}


async def test_a_log_that_is_shorter_than_what_was_read_is_read_again(broker: str, make_workers: MakeWorkers) -> None:
    """A broker that lost its last messages, an older copy: what comes now has offsets that were done once."""
    async with cluster(broker) as world:
        await world.write(responses(1), responses(2))
        there = TopicPartition(world.config.on_cluster(RESPONSES.name), 0)
        group = AIOKafkaConsumer(**world.config.connection(), group_id=world.config.on_cluster("heliograph.processors"))
        await group.start()
        group.assign([there])
        await group.commit({there: 6})
        await group.stop()
        workers = make_workers(world)
        workers.start()
        await world.until(CALLS.name, lambda found: len(found) >= 2, workers)
        await world.write(*[responses(number) for number in range(3, 10)])
        found = await world.until(CALLS.name, lambda found: len(found) >= 9, workers)
        assert first_arrivals(found) == {0: list(range(1, 10))}
        assert "log_shorter_than_read" in workers.said()
        assert workers.stop() == 0


async def test_a_partition_is_looked_after_while_its_lane_works_for_others(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = processors.worker.publish

    async def slowly(*given: Any) -> None:
        await asyncio.sleep(0.05)
        await publish(*given)

    monkeypatch.setattr(processors.worker, "publish", slowly)
    monkeypatch.setattr(processors.lane, "GROUP_BYTES", 1)
    monkeypatch.setattr(processors.looking, "IN_HAND_S", 3.0)
    async with cluster(broker) as world, in_this_process(world, tmp_path) as worker:
        await world.write(responses(1, 1))
        await world.until(CALLS.name, lambda found: len(found) == 1)
        consumer: Any = worker._app.consumer
        consumer.stop_flow()
        await world.write(responses(2, 1), *[responses(number) for number in range(1, 601)])
        await consumer.seek_wait({worker._there((RESPONSES.name, 1)): 2})
        consumer.resume_flow()
        found = await world.until(CALLS.name, lambda found: first_arrivals(found).get(1) == [1, 2])
        assert len(first_arrivals(found)[0]) < 600
        await world.until(CALLS.name, lambda found: len(first_arrivals(found)[0]) == 600)


async def test_positions_are_committed_while_one_partition_cannot_be_looked_at(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster(broker) as world, in_this_process(world, tmp_path) as worker:
        await world.write(responses(1), responses(1, 1))
        await world.until_committed(RESPONSES.name, 2)
        consumer: Any = worker._app.consumer
        consumer.stop_flow()
        await world.write(responses(2))
        await consumer.seek_wait({worker._there((RESPONSES.name, 0)): 2})

        async def away(*_: Any) -> Any:
            raise LogUnavailable("the leader is away")

        monkeypatch.setattr(worker._events, "lying", away)
        consumer.resume_flow()
        await asyncio.sleep(2 * WATCH_EVERY_S + LOOK_EVERY_S)
        await world.write(responses(2, 1), responses(3, 1))
        await world.until_committed(RESPONSES.name, 4)
        monkeypatch.undo()
        await world.until(CALLS.name, lambda found: first_arrivals(found).get(0) == [1, 2])


async def test_poison_becomes_dead_letters_and_holds_nobody_up(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world)
        good = message_of(RESPONSES, 0, BatchId(EPOCH, 1), [answer("first")]).value.rstrip()
        lines = [b"{not json", b'{"event":"call-priced"}', good, b'{"event":"response-completed","call":7}', b"x" * (20 << 20)]
        poisoned = message_of_lines(RESPONSES.name, 0, BatchId(EPOCH, 1), lines)
        await world.write(poisoned, responses(2, 0))
        await write_bare(world, RESPONSES.name, 0, b"no headers at all")
        await write_bare(world, RESPONSES.name, 0, b"a header without a value", [("batch-id", None)])
        await world.write(responses(3, 0))
        workers.start()
        found = await world.until(CALLS.name, lambda found: len(found) >= 5, workers)
        assert [len(decode(CallPriced, record.message)[0].events) for record in found] == [1, 2, 0, 0, 2]
        assert [found[place].message.batch_id.sequence for place in (0, 1, 4)] == [1, 2, 3]
        letters = [letter for record in await world.read(DEAD_LETTERS.name) for letter in decode(DeadLetter, record.message)[0].events]
        assert [(letter.topic, letter.partition, letter.offset, letter.index, letter.reason) for letter in letters] == [
            (RESPONSES.name, 0, 0, 0, "undecodable"),
            (RESPONSES.name, 0, 0, 1, "undecodable"),
            (RESPONSES.name, 0, 0, 3, "undecodable"),
            (RESPONSES.name, 0, 0, 4, "undecodable"),
            (RESPONSES.name, 0, 2, 0, "bad_header"),
            (RESPONSES.name, 0, 3, 0, "bad_header"),
        ]
        assert workers.stop() == 0


async def write_bare(world: Cluster, topic: str, partition: int, value: bytes, headers: Sequence[tuple[str, bytes | None]] = ()) -> None:
    """As somebody writes who has not read what our messages look like."""
    producer = AIOKafkaProducer(**world.config.connection())
    await producer.start()
    try:
        await producer.send_and_wait(world.config.on_cluster(topic), value, partition=partition, headers=list(headers))
    finally:
        await producer.stop()


@pytest.mark.needs("kafka")
async def test_a_broker_that_dies_costs_time_and_no_call(tmp_path: Path, make_workers: MakeWorkers) -> None:
    """Whoever runs a worker starts it again, as `up` and compose do; how often it ends in between is faust's affair."""
    with kafka.running_broker(kafka.local_broker(tmp_path / "broker")) as broker:
        async with cluster(broker.address) as world:
            workers = make_workers(world)
            worker = workers.start(with_health=True)
            await world.write(*rounds(1, 100, count=20))
            await world.until(CALLS.name, lambda found: len(found) > 0, workers)
            await workers.until_ready(lambda told: told == (200, "ready"))
            broker.kill()
            await workers.until_ready(lambda told: told[0] == 503 and told[1].startswith("waiting for Kafka: "))
            broker.start()
            await write_patiently(world, rounds(101, 110))
            async with asyncio.timeout(120):
                while not complete(110)(await world.read(CALLS.name)):
                    if worker.poll() is not None:
                        worker = workers.start(with_health=True)
                    await asyncio.sleep(0.5)
            await workers.until_ready(lambda told: told == (200, "ready"))
            assert_repeats_are_the_same(await world.read(CALLS.name))


async def write_patiently(world: Cluster, messages: Sequence[Message]) -> None:
    while True:
        try:
            return await world.write(*messages)
        except LogUnavailable:
            await asyncio.sleep(0.5)


# The feedback join


def judgement(name: str) -> FeedbackGiven:
    return FeedbackGiven(feedback_id=f"on-{name}", request_id=RequestId(name), given_at=AT, rating=True)


def judgements(sequence: int, *names: str) -> Message:
    return message_of(FEEDBACK, 0, BatchId(EPOCH, sequence), [judgement(name) for name in names])


def answers(sequence: int, *names: str) -> Message:
    return message_of(RESPONSES, 0, BatchId(EPOCH, sequence), [answer(name) for name in names])


def pairs(records: Sequence[Record]) -> set[tuple[str, str | None]]:
    events = [event for record in records for event in decode(CallScored, record.message)[0].events]
    return {(event.feedback.feedback_id, None if event.call is None else event.call.call.call_id) for event in events}


async def test_feedback_meets_its_call_whichever_comes_first(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world)
        workers.start()
        await world.write(answers(1, "a", "b"), judgements(1, "b", "early"))
        await world.until(SCORED_CALLS.name, lambda found: pairs(found) == {("on-b", "b")}, workers)
        await world.write(answers(2, "early"), judgements(2, "a"))
        await world.until(SCORED_CALLS.name, lambda found: pairs(found) == {("on-b", "b"), ("on-early", "early"), ("on-a", "a")}, workers)
        assert workers.stop() == 0


async def test_what_was_held_comes_back_from_the_changelog(broker: str, make_workers: MakeWorkers) -> None:
    """The worker is killed; another, which has nothing but the topics, goes on. So it does when a partition changes hands in order."""
    async with cluster(broker) as world:
        workers = make_workers(world)
        workers.start()
        await world.write(answers(1, "a", "b"), judgements(1, "waiting"))
        await world.until_committed(CALLS.name, 1)
        await world.until_committed(FEEDBACK.name, 1)
        workers.kill()
        await world.write(judgements(2, "a"))
        workers.start()
        await world.until(SCORED_CALLS.name, lambda found: pairs(found) == {("on-a", "a")}, workers)
        await world.until_committed(FEEDBACK.name, 2)
        assert workers.stop() == 0
        workers.start("other")
        await world.write(answers(2, "waiting"), judgements(3, "b"))
        expected = {("on-a", "a"), ("on-b", "b"), ("on-waiting", "waiting")}
        found = await world.until(SCORED_CALLS.name, lambda found: pairs(found) == expected, workers)
        assert len(found) == 3  # what had met does not leave again


async def test_a_judgement_without_a_call_leaves_when_its_patience_ends(broker: str, make_workers: MakeWorkers) -> None:
    async with cluster(broker) as world:
        workers = make_workers(world, HELIOGRAPH_JOIN__PATIENCE_HOURS="0.001")
        workers.start()
        await world.write(answers(1, "a"), judgements(1, "a", "alone"))
        await world.until(SCORED_CALLS.name, lambda found: pairs(found) == {("on-a", "a"), ("on-alone", None)}, workers)
        await until_forgotten(world)
        assert workers.stop() == 0


async def test_a_judgement_behind_which_nothing_lies_leaves_too(broker: str, make_workers: MakeWorkers) -> None:
    """Its partition ends with a transaction's mark, which nobody ever takes."""
    async with cluster(broker) as world:
        await transact(world, judgements(1, "alone"))
        workers = make_workers(world, HELIOGRAPH_JOIN__PATIENCE_HOURS="0.001")
        workers.start()
        await world.until(SCORED_CALLS.name, lambda found: pairs(found) == {("on-alone", None)}, workers)
        assert workers.stop() == 0


async def test_nothing_expires_while_what_was_held_comes_back(
    broker: str, make_workers: MakeWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a changelog holds a judgement that had not met its call yet; the other half, that it has."""
    async with cluster(broker) as world:
        workers = make_workers(world)
        workers.start()
        await world.write(judgements(1, "a"))
        await world.until_committed(FEEDBACK.name, 1)
        await world.write(answers(1, "a"))
        await world.until(SCORED_CALLS.name, lambda found: len(pairs(found)) == 1, workers)
        await world.until_committed(CALLS.name, 1)
        assert workers.stop() == 0
        applied, gate = asyncio.Event(), asyncio.Event()

        async def held(self: Changelog, event: Any) -> None:
            self._joins.restore(event.message.partition, event.message.key.decode(), event.message.value)
            applied.set()
            await gate.wait()

        monkeypatch.setattr(Changelog, "on_changelog_event", held)
        async with in_this_process(world, tmp_path) as worker:
            await asyncio.wait_for(applied.wait(), 60)
            ends = {topic: await world.log.ends(topic) for topic in (CALLS.name, FEEDBACK.name)}
            later = datetime.fromtimestamp(time.time(), UTC) + worker._config.join.patience + timedelta(seconds=1)
            await worker._expire(ends, later)
            gate.set()
            async with asyncio.timeout(60):
                while 0 not in worker._table.recovered:
                    await asyncio.sleep(0.05)
            await worker._expire(ends, later)
        assert pairs(await world.read(SCORED_CALLS.name)) == {("on-a", "a")}


async def until_forgotten(world: Cluster) -> None:
    """The newest word on every key of the changelog is that it is gone."""
    consumer = AIOKafkaConsumer(
        world.config.on_cluster(HELD.name), **world.config.connection(), group_id=None, auto_offset_reset="earliest"
    )
    newest: dict[bytes, bytes | None] = {}
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            async for record in consumer:
                newest[record.key] = record.value
                if len(newest) == 2 and not any(newest.values()):
                    return
    finally:
        await consumer.stop()
