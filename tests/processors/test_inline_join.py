"""The feedback join in one process: pairs leave once, whatever order, stop or crash; memory is read back from the log."""

import asyncio
from datetime import timedelta

import pytest

from eventlog.codec import BatchId, Message, decode, message_of
from eventlog.events import CallScored
from eventlog.port import LogUnavailable
from eventlog.topics import CALLS, FEEDBACK, SCORED_CALLS
from processors.feedback import JoinLimits
from processors.inline_join import GROUP, MEMORY, run_join
from tests.fakes.memory_log import MemoryLog
from tests.processors.test_feedback import call, pairs, said

LIMITS = JoinLimits(patience=timedelta(minutes=60))
EPOCH = "ab" * 16


class World:
    def __init__(self, partitions: int = 1, limits: JoinLimits = LIMITS) -> None:
        self.now = 1_764_000_000.0
        self.limits = limits
        self.log = MemoryLog(partitions, clock=lambda: self.now)
        self._numbers = {CALLS.name: 0, FEEDBACK.name: 0}

    async def write(self, *messages: Message) -> None:
        await (await self.log.writer()).append(messages)

    async def calls(self, *requests: str) -> None:
        await self.write(message_of(CALLS, 0, self._next(CALLS.name), [call(request) for request in requests]))

    async def judged(self, *requests: str) -> None:
        await self.write(message_of(FEEDBACK, 0, self._next(FEEDBACK.name), [said(request) for request in requests]))

    def _next(self, topic: str) -> BatchId:
        self._numbers[topic] += 1
        return BatchId(EPOCH, self._numbers[topic])

    async def drain(self) -> None:
        """A life: it starts, reads to the ends, and stops in order."""
        stop = asyncio.Event()
        stop.set()
        async with asyncio.timeout(10):
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
