"""The feedback join in one process: pairs leave once, whatever order, stop or crash; memory is read back from the log."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

import msgspec
import pytest
from structlog.testing import capture_logs

from eventlog.codec import BatchId, Message, Record, decode, encode_event, message_of
from eventlog.events import CallScored
from eventlog.port import LogCorrupt, LogUnavailable, Place
from eventlog.replay import Replays
from eventlog.topics import CALLS, FEEDBACK, SCORED_CALLS
from processors.feedback import JoinLimits
from processors.inline_join import GROUP, MEMORY, keep_joining, run_join
from tests.fakes.memory_log import MemoryLog
from tests.processors.test_feedback import call, pairs, said

LIMITS = JoinLimits(patience=timedelta(minutes=60))
EPOCH = "ab" * 16


class World:
    def __init__(self, partitions: int = 1, limits: JoinLimits = LIMITS, kind: type[MemoryLog] = MemoryLog) -> None:
        self.now = 1_764_000_000.0
        self.limits = limits
        self.log = kind(partitions, clock=lambda: self.now)
        self._numbers = {CALLS.name: 0, FEEDBACK.name: 0}

    async def write(self, *messages: Message) -> None:
        await (await self.log.writer()).append(messages)

    async def calls(self, *requests: str) -> None:
        await self.write(message_of(CALLS, 0, self.next_id(CALLS.name), [call(request) for request in requests]))

    async def judged(self, *requests: str) -> None:
        await self.write(message_of(FEEDBACK, 0, self.next_id(FEEDBACK.name), [said(request) for request in requests]))

    def next_id(self, topic: str) -> BatchId:
        self._numbers[topic] += 1
        return BatchId(EPOCH, self._numbers[topic])

    async def drain(self) -> None:
        """A life: it starts, reads to the ends, and stops in order."""
        stop = asyncio.Event()
        stop.set()
        async with asyncio.timeout(30):
            await run_join(self.log, self.limits, stop=stop, clock=lambda: self.now, sleep=lambda _: asyncio.sleep(0), wake_every_s=0)

    async def pass_time(self, minutes: float) -> None:
        self.now += minutes * 60
        await self.drain()

    def left(self) -> list[tuple[str, str | None]]:
        messages = self.log.messages(SCORED_CALLS.name)
        return pairs([event for message in messages for event in decode(CallScored, message)[0].events])


@pytest.mark.parametrize("first", ["calls", "judged"])
async def test_a_pair_leaves_once_whichever_comes_first_and_whatever_life_they_meet_in(first: str) -> None:
    world = World()
    second = {"calls": world.judged, "judged": world.calls}[first]
    await getattr(world, first)("a")
    await world.drain()
    assert world.left() == []
    await second("a")
    await world.drain()
    await world.drain()
    assert world.left() == [("on-a", "call-of-a")]


async def test_what_comes_while_memory_is_read_back_meets_what_was_held() -> None:
    """Both sides of a new pair may be read before the held one's other side: nothing may leave unheard."""
    world = World()
    await world.judged("a")
    await world.drain()
    await world.calls("a", "b")
    await world.judged("b")
    await world.drain()
    assert sorted(world.left()) == [("on-a", "call-of-a"), ("on-b", "call-of-b")]


async def test_patience_ends_and_memory_begins_later() -> None:
    world = World()
    await world.judged("alone")
    await world.calls("old")
    await world.pass_time(59)
    assert world.left() == []
    assert world.log.committed(MEMORY) == {(CALLS.name, 0): 0, (FEEDBACK.name, 0): 0}
    await world.pass_time(2)
    assert world.left() == [("on-alone", None)]
    assert world.log.committed(MEMORY) == {(CALLS.name, 0): 1, (FEEDBACK.name, 0): 1}
    await world.pass_time(61)
    assert len(world.left()) == 1


async def test_a_lost_acknowledgement_repeats_and_loses_nothing() -> None:
    world = World()
    await world.calls("a")
    await world.judged("a")
    world.log.lose_acknowledgements()
    await world.drain()
    assert set(world.left()) == {("on-a", "call-of-a")}


async def test_a_crash_before_the_position_was_committed_repeats() -> None:
    world = World()
    await world.calls("a")
    await world.drain()
    await world.judged("a")
    world.log.fail_with(LogUnavailable("away"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await world.drain()
    assert world.left() == []
    world.log.heal()
    await world.drain()
    assert world.left() == [("on-a", "call-of-a")]


async def test_what_is_pushed_out_is_not_read_back() -> None:
    world = World(limits=JoinLimits(patience=timedelta(minutes=60), calls=4))
    for number in range(6):
        await world.calls(f"{number}-a", f"{number}-b")
    await world.drain()
    assert world.log.committed(MEMORY)[CALLS.name, 0] >= 3
    await world.judged("5-a", "0-a")
    await world.drain()
    assert world.left() == [("on-5-a", "call-of-5-a")]


async def test_a_log_that_forgot_what_was_held_begins_at_what_is_left() -> None:
    world = World()
    await world.calls("a")
    await world.calls("b")
    await world.drain()
    world.log.expire(CALLS.name, 0, before=1)
    await world.judged("a", "b")
    await world.drain()
    assert world.left() == [("on-b", "call-of-b")]
    assert world.log.committed(GROUP) == {(CALLS.name, 0): 2, (FEEDBACK.name, 0): 1}


async def test_replayed_calls_push_nothing_out_of_memory() -> None:
    """Nobody is told of them again, so the join holds none: a next life reads back the live call that was there before."""
    world = World(limits=JoinLimits(patience=timedelta(minutes=60), calls=100))
    await world.calls("a")
    await world.write(*Replays("d" * 32, 1).messages((CALLS.name, 0), [encode_event(call(f"old-{number}")) for number in range(1200)]))
    await world.drain()
    await world.judged("a")
    await world.drain()
    assert world.left() == [("on-a", "call-of-a")]


async def test_what_is_pushed_out_by_its_bytes_is_not_read_back() -> None:
    noise = [bytes([number] * 8).hex() + random.Random(number).randbytes(200_000).hex() for number in range(6)]
    world = World(limits=JoinLimits(patience=timedelta(minutes=60), bytes=1 << 20))
    for number, text in enumerate(noise):
        properties = msgspec.structs.replace(call(f"r{number}").call, properties={"x": text})
        await world.write(message_of(CALLS, 0, world.next_id(CALLS.name), [msgspec.structs.replace(call(f"r{number}"), call=properties)]))
    await world.drain()
    assert world.log.committed(MEMORY)[CALLS.name, 0] == 4
    await world.judged("r5", "r0")
    await world.drain()
    assert world.left() == [("on-r5", "call-of-r5")]


class GrowingLog(MemoryLog):
    """Between any two questions another call comes, of nobody's interest."""

    async def ends(self, topic: str) -> Mapping[int, int]:
        found = await super().ends(topic)
        await self._grow()
        return found

    async def positions(self, group: str) -> Mapping[Place, int]:
        found = await super().positions(group)
        await self._grow()
        return found

    async def _grow(self) -> None:
        if self.end((CALLS.name, 0)) < 50:
            await (await self.writer()).append([message_of(CALLS, 0, BatchId("9" * 32, self.end((CALLS.name, 0)) + 1), [call("other")])])


async def test_a_log_that_grows_while_the_join_begins_is_read_from_what_is_left() -> None:
    world = World(kind=GrowingLog)
    await world.calls("a")
    await (await world.log.reader([CALLS.name], group=GROUP)).commit({(CALLS.name, 0): 1})
    world.log.expire(CALLS.name, 0, before=1)
    await world.calls("b")
    await world.judged("b")
    await world.drain()
    assert world.left() == [("on-b", "call-of-b")]


class ForgettingLog(MemoryLog):
    """Once, as the first call is to be read, retention takes the first two."""

    def after(self, place: Place, offset: int, max_bytes: int, *, at_least_one: bool) -> list[Record]:
        if place == (CALLS.name, 0) and self.start(place) == 0:
            self.expire(CALLS.name, 0, before=2)
        return super().after(place, offset, max_bytes, at_least_one=at_least_one)


async def test_what_is_forgotten_while_the_join_begins_is_passed_over() -> None:
    world = World(kind=ForgettingLog)
    for request in "abc":
        await world.calls(request)
    await world.judged("c", "a")
    await world.drain()
    assert world.left() == [("on-c", "call-of-c")]


async def test_a_join_that_fails_begins_again_and_nothing_is_lost() -> None:
    world, stop = World(), asyncio.Event()
    world.log.fail_reads_with(LogCorrupt("a page is damaged"))
    with capture_logs() as said:
        joining = asyncio.create_task(keep_joining(world.log, LIMITS, stop=stop, clock=lambda: world.now, again_after_s=0.001))
        async with asyncio.timeout(30):
            while len(said) < 2:
                await asyncio.sleep(0)
            await world.calls("a")
            await world.judged("a")
            world.log.heal()
            while not world.left():
                await asyncio.sleep(0.001)
            stop.set()
            await joining
    assert world.left() == [("on-a", "call-of-a")]
    assert said[0] == {"event": "join_failed", "log_level": "error", "error": "LogCorrupt: a page is damaged", "again_in_s": 0.001}


async def test_a_join_that_fails_at_the_end_lets_the_rest_end() -> None:
    world, stop = World(), asyncio.Event()
    world.log.fail_reads_with(LogCorrupt("a page is damaged"))
    stop.set()
    with capture_logs() as said:
        async with asyncio.timeout(30):
            await keep_joining(world.log, LIMITS, stop=stop, clock=lambda: world.now)
    assert [each["event"] for each in said] == ["join_failed"]
