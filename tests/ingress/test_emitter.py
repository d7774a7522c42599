"""Every event once, in order, in bounded memory, whatever the log does; and never in a call's way."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from eventlog.bodies import SMALL
from eventlog.codec import Message, decode
from eventlog.events import Body, FeedbackGiven, Organization, Outcome, RequestId, RequestReceived, ResponseCompleted
from eventlog.port import LogUnavailable
from eventlog.topics import FEEDBACK, REQUESTS, RESPONSES, partition_of
from ingress.config import EmitterLimits
from ingress.emitter import Emitter
from tests.fakes.facts import BEGAN, facts
from tests.fakes.memory_log import MemoryLog

QUICK = EmitterLimits(linger_s=0.005, patience_s=0.3)


def received(number: int, text: str = "hello") -> RequestReceived:
    return RequestReceived(call=facts(number), request=Body(text=text, size=len(text)))


def completed(number: int, text: str = "hello") -> ResponseCompleted:
    call = facts(number)
    return ResponseCompleted(
        call=call, completed_at=call.created_at, outcome=Outcome.COMPLETED, latency_ms=1.0, response=Body(text=text, size=len(text))
    )


def numbers(log: MemoryLog, topic: str = REQUESTS.name, partition: int | None = None) -> list[int]:
    kind: type[Any] = RequestReceived if topic == REQUESTS.name else ResponseCompleted
    return [int(event.call.call_id[5:]) for message in log.messages(topic, partition) for event in decode(kind, message)[0].events]


def ids(log: MemoryLog, topic: str = REQUESTS.name, partition: int = 0) -> list[int]:
    return [message.batch_id.sequence for message in log.messages(topic, partition)]


@asynccontextmanager
async def emitting(log: MemoryLog, limits: EmitterLimits = QUICK, partitions: int = 1) -> AsyncIterator[Emitter]:
    emitter = Emitter(await log.writer(), partitions, "ab" * 16, limits=limits)
    try:
        yield emitter
    finally:
        await emitter.drain(2)


async def test_events_arrive_in_order_in_batches_with_dense_numbers() -> None:
    log = MemoryLog()
    async with emitting(log) as emitter:
        for number in range(500):
            emitter.emit(received(number))
            if number % 100 == 99:
                await asyncio.sleep(0.01)
    assert numbers(log) == list(range(500))
    assert ids(log) == list(range(1, len(ids(log)) + 1))
    assert 2 <= len(ids(log)) <= 10
    assert {message.batch_id.epoch for message in log.messages(REQUESTS.name)} == {"ab" * 16}


async def test_a_single_event_does_not_wait_for_company() -> None:
    log = MemoryLog()
    async with emitting(log) as emitter:
        emitter.emit(received(1))
        began = time.monotonic()
        while not log.messages(REQUESTS.name):
            await asyncio.sleep(0.001)
        assert time.monotonic() - began < 0.5


async def test_a_full_batch_leaves_at_once_and_none_is_larger_but_by_one_event() -> None:
    log = MemoryLog()
    async with emitting(log, EmitterLimits(linger_s=60, batch_bytes=4_000)) as emitter:
        for number in range(100):
            emitter.emit(received(number, "x" * 200))
        emitter.emit(received(100, "x" * 10_000))
        await asyncio.sleep(0.02)
        assert len(numbers(log)) >= 90
        sizes = [len(message.value) for message in log.messages(REQUESTS.name) if message.count > 1]
        assert max(sizes) <= 4_000 + 100
    assert numbers(log) == list(range(101))


async def test_all_lanes_go_in_one_append_and_follow_the_partition_rule() -> None:
    log = MemoryLog(partitions=4)
    async with emitting(log, partitions=4) as emitter:
        for number in range(40):
            emitter.emit(received(number))
            emitter.emit(completed(number))
    assert log.appends == 1
    for number in range(40):
        place = partition_of(facts(number).organization, facts(number).request_id, 4)
        assert number in numbers(log, REQUESTS.name, place)
        assert number in numbers(log, RESPONSES.name, place)


async def test_one_append_is_in_flight_at_a_time() -> None:
    flying = 0

    class Writer:
        appends = 0

        async def append(self, messages: Sequence[Message]) -> None:
            nonlocal flying
            flying += 1
            assert flying == 1
            await asyncio.sleep(0.003)
            flying -= 1
            self.appends += 1

        async def close(self) -> None: ...

    writer = Writer()
    emitter = Emitter(writer, limits=EmitterLimits(linger_s=0.001, batch_bytes=500))
    for number in range(100):
        emitter.emit(received(number))
        await asyncio.sleep(0)
    assert await emitter.drain(2)
    assert writer.appends > 10


async def test_a_refused_batch_is_offered_again_unchanged() -> None:
    log = MemoryLog()
    log.fail_with(LogUnavailable("disk full"), times=2)
    async with emitting(log) as emitter:
        emitter.emit(received(1))
        await asyncio.sleep(0.02)
        emitter.emit(received(2))
        assert not emitter.state.log_taking
    assert numbers(log) == [1, 2]
    assert ids(log) == [1, 2]
    assert emitter.state.log_taking


async def test_a_lost_acknowledgement_repeats_the_number_with_the_same_content() -> None:
    log = MemoryLog()
    log.lose_acknowledgements(1)
    async with emitting(log) as emitter:
        emitter.emit(received(1))
        await asyncio.sleep(0.02)
        emitter.emit(received(2))
    assert ids(log) == [1, 1, 2]
    first, again, _ = log.messages(REQUESTS.name)
    assert first.value == again.value


async def test_any_fault_of_the_log_is_survived() -> None:
    log = MemoryLog()
    log.fail_with(ZeroDivisionError("a bug"), times=1)
    async with emitting(log) as emitter:
        emitter.emit(received(1))
    assert numbers(log) == [1]


async def test_emitting_never_raises() -> None:
    log = MemoryLog()
    async with emitting(log) as emitter:
        emitter.emit(received(1, "\ud800 half a pair"))
        emitter.emit(object())  # type: ignore[arg-type]
    assert emitter.state.lost_events == 1
    assert numbers(log) == [1]


async def test_bodies_go_before_events_and_requests_before_responses() -> None:
    log = MemoryLog()
    log.fail_with(LogUnavailable("away"))
    async with emitting(log, EmitterLimits(linger_s=60, batch_bytes=1 << 30, waiting_bytes=100_000, patience_s=0.1)) as emitter:
        for number in range(10):
            emitter.emit(received(number, "q" * 5_000))
            emitter.emit(completed(number, "a" * 8_000))
        state = emitter.state
        assert state.waiting_bytes <= 100_000
        assert state.waiting_events == 20
        assert state.lost_events == 0
        assert state.shed_bodies >= 6
        log.heal()
        await emitter.drain(2)
        assert numbers(log) == numbers(log, RESPONSES.name) == list(range(10))
        sent = [event for message in log.messages(RESPONSES.name) for event in decode(ResponseCompleted, message)[0].events]
        kept = [event for event in sent if event.response.text]
        assert len(kept) == 10
        bare = next(event for message in log.messages(REQUESTS.name) for event in decode(RequestReceived, message)[0].events)
        assert bare.request == Body(size=5_000, truncated=True)


async def test_memory_is_bounded_whatever_happens_and_numbers_have_no_gap() -> None:
    log = MemoryLog()
    log.fail_with(LogUnavailable("away"))
    limits = EmitterLimits(linger_s=0.001, batch_bytes=2_000, waiting_bytes=50_000, patience_s=0.1)
    async with emitting(log, limits) as emitter:
        for number in range(400):
            emitter.emit(received(number))
            emitter.emit(completed(number))
            if number % 50 == 0:
                await asyncio.sleep(0.003)
        state = emitter.state
        assert state.waiting_bytes <= 50_000
        assert state.lost_events > 0
        log.heal()
        await emitter.drain(2)
    for topic in (REQUESTS.name, RESPONSES.name):
        assert ids(log, topic) == list(range(1, len(ids(log, topic)) + 1))
        assert numbers(log, topic) == sorted(set(numbers(log, topic)))
    assert len(numbers(log)) + len(numbers(log, RESPONSES.name)) + emitter.state.lost_events == 800
    assert len(numbers(log, RESPONSES.name)) > len(numbers(log))


async def test_small_bodies_are_not_worth_taking() -> None:
    log = MemoryLog()
    log.fail_with(LogUnavailable("away"))
    async with emitting(log, EmitterLimits(linger_s=60, batch_bytes=1 << 30, waiting_bytes=10_000)) as emitter:
        for number in range(100):
            emitter.emit(received(number, "x" * (SMALL // 4)))
        assert emitter.state.shed_bodies == 0
        assert emitter.state.lost_events > 0
        log.heal()


async def test_durable_means_on_the_log() -> None:
    log = MemoryLog()
    async with emitting(log, EmitterLimits(linger_s=60)) as emitter:
        emitter.emit(received(1))
        assert await emitter.emit_durably(received(2))
        assert numbers(log) == [1, 2]


async def test_many_durable_events_share_appends() -> None:
    log = MemoryLog()
    async with emitting(log, EmitterLimits(linger_s=60)) as emitter:
        taken = await asyncio.gather(*(emitter.emit_durably(received(number)) for number in range(200)))
        assert all(taken)
        assert sorted(numbers(log)) == list(range(200))
        assert log.appends < 10


async def test_what_cannot_be_durable_says_so_at_once_and_is_kept() -> None:
    log = MemoryLog()
    log.fail_with(LogUnavailable("disk full"))
    async with emitting(log, EmitterLimits(linger_s=0.001, patience_s=30)) as emitter:
        assert not await emitter.emit_durably(received(1))
        assert not await emitter.emit_durably(received(2))
        log.heal()
    assert numbers(log) == [1, 2]


async def test_a_log_that_hangs_is_waited_for_only_so_long() -> None:
    log = MemoryLog()
    log.stall()
    async with emitting(log, EmitterLimits(linger_s=0.001, patience_s=0.05)) as emitter:
        assert not await emitter.emit_durably(received(1))
        log.heal()
    assert numbers(log) == [1]


async def test_draining_gives_up_in_time_and_counts() -> None:
    log = MemoryLog()
    log.stall()
    emitter = Emitter(await log.writer(), limits=QUICK)
    for number in range(5):
        emitter.emit(received(number))
    began = time.monotonic()
    assert not await emitter.drain(0.1)
    assert time.monotonic() - began < 1
    assert emitter.state.lost_events == 5


async def test_draining_nothing_is_done() -> None:
    assert await Emitter(await MemoryLog().writer()).drain(0)


@pytest.mark.parametrize("partitions", [1, {REQUESTS.name: 2, RESPONSES.name: 2, "llm.feedback.v1": 2}])
async def test_partitions_by_number_or_by_topic(partitions: int | dict[str, int]) -> None:
    log = MemoryLog(partitions=2)
    emitter = Emitter(await log.writer(), partitions, limits=QUICK)
    for number in range(20):
        emitter.emit(received(number))
    assert await emitter.drain(2)
    assert sorted(numbers(log)) == list(range(20))


async def test_judgements_of_sessions_go_by_the_session() -> None:
    log = MemoryLog(partitions=4)
    emitter = Emitter(await log.writer(), 4, limits=QUICK)
    for session in "abcdefgh":
        given = FeedbackGiven(feedback_id=session, request_id=RequestId(""), session_id=session, given_at=BEGAN, rating=True)
        assert await emitter.emit_durably(given)
    went = {
        event.session_id: partition
        for partition in range(4)
        for message in log.messages(FEEDBACK.name, partition)
        for event in decode(FeedbackGiven, message)[0].events
    }
    assert went == {session: partition_of(Organization("default"), RequestId(session), 4) for session in "abcdefgh"}
    assert len(set(went.values())) > 1


async def test_later_events_go_by_the_partitions_that_the_cluster_turned_out_to_have() -> None:
    log = MemoryLog(partitions=4)
    partitions = {REQUESTS.name: 4, RESPONSES.name: 4, "llm.feedback.v1": 4}
    emitter = Emitter(await log.writer(), partitions, limits=QUICK)
    for number in range(20):
        emitter.emit(received(number))
    while len(numbers(log)) < 20:
        await asyncio.sleep(0.001)
    before = log.messages(REQUESTS.name, 3)
    partitions.update(dict.fromkeys(partitions, 2))
    for number in range(20, 40):
        emitter.emit(received(number))
    assert await emitter.drain(2)
    assert log.messages(REQUESTS.name, 3) == before != []
    assert sorted(numbers(log)) == list(range(40))


async def test_an_event_that_is_too_large_gives_up_its_body_before_it_is_numbered() -> None:
    log = MemoryLog()
    async with emitting(log, EmitterLimits(linger_s=0.001, event_bytes=10_000)) as emitter:
        emitter.emit(received(1, "x" * 9_000))
        emitter.emit(received(2, "x" * 20_000))
        assert await emitter.emit_durably(received(3, "x" * 20_000))
        assert (emitter.state.shed_bodies, emitter.state.lost_events) == (2, 0)
    bodies = [event.request for message in log.messages(REQUESTS.name) for event in decode(RequestReceived, message)[0].events]
    assert [body.text for body in bodies] == ["x" * 9_000, None, None]
    assert [body.size for body in bodies] == [9_000, 20_000, 20_000]


async def test_an_event_that_is_too_large_without_its_body_is_lost_and_leaves_no_hole() -> None:
    log = MemoryLog()
    async with emitting(log, EmitterLimits(linger_s=0.001, event_bytes=1_000)) as emitter:
        emitter.emit(received(1))
        large = facts(2)
        emitter.emit(RequestReceived(call=msgspec.structs.replace(large, properties={"p": "x" * 2_000}), request=Body()))
        assert not await emitter.emit_durably(RequestReceived(call=msgspec.structs.replace(large, user_id="x" * 2_000), request=Body()))
        emitter.emit(received(3))
        assert emitter.state.lost_events == 2
    assert numbers(log) == [1, 3]
    assert ids(log) == list(range(1, len(ids(log)) + 1))
