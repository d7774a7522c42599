"""The `calls` step over a log: one message for each, dead letters beside them, and nothing lost or doubled by a crash."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from eventlog.codec import Batch, BatchId, Message, decode, message_of, message_of_lines
from eventlog.events import Body, CallPriced, DeadLetter, ResponseCompleted
from eventlog.letters import PAYLOAD_LIMIT
from eventlog.port import LogUnavailable, OffsetOutOfRange
from eventlog.topics import CALLS, DEAD_LETTERS, RESPONSES
from processors.inline import GROUP, run_calls
from processors.pricing.rates import RateBook
from tests.fakes.memory_log import MemoryLog
from tests.processors.events import EPOCH, call, completed

RATES = RateBook.bundled()
AT = 1_700_000_000.0
LIMIT_S = 10


def responses(sequence: int, *events: ResponseCompleted, partition: int = 0, **more: object) -> Message:
    made = message_of(RESPONSES, partition, BatchId(EPOCH, sequence), events)
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return Message(**(fields | more))


class World:
    """A log, and the step run over it until it has read to the end."""

    def __init__(self, partitions: int = 1) -> None:
        self.log = MemoryLog(partitions, clock=lambda: AT)
        self.pauses: list[float] = []
        self.on_pause: Callable[[], None] = lambda: None

    async def write(self, *messages: Message) -> None:
        await (await self.log.writer()).append(messages)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.on_pause()
        await asyncio.sleep(0)

    async def drain(self) -> None:
        stop = asyncio.Event()
        stop.set()
        async with asyncio.timeout(LIMIT_S):
            await run_calls(self.log, RATES, stop=stop, clock=lambda: AT, sleep=self.sleep)

    def calls(self) -> list[Batch[CallPriced]]:
        return [decode(CallPriced, message)[0] for message in self.log.messages(CALLS.name)]

    def letters(self) -> list[DeadLetter]:
        return [letter for message in self.log.messages(DEAD_LETTERS.name) for letter in decode(DeadLetter, message)[0].events]


async def test_each_message_becomes_one_of_the_same_id_and_partition() -> None:
    world = World(partitions=2)
    await world.write(responses(1, completed(), completed()), responses(2), responses(1, completed(), partition=1))
    await world.drain()
    assert [(str(batch.id), batch.partition, len(batch.events)) for batch in world.calls()] == [
        (f"{EPOCH}/1", 0, 2),
        (f"{EPOCH}/2", 0, 0),
        (f"{EPOCH}/1", 1, 1),
    ]
    assert world.log.committed(GROUP) == {(RESPONSES.name, 0): 2, (RESPONSES.name, 1): 1}
    assert world.letters() == []
    assert world.log.messages(DEAD_LETTERS.name) == []


async def test_one_append_for_all_that_was_read() -> None:
    world = World()
    await world.write(*[responses(sequence, completed()) for sequence in range(1, 30)])
    before = world.log.appends
    await world.drain()
    assert world.log.appends == before + 1


async def test_a_line_that_is_no_event_is_a_dead_letter_and_its_neighbours_are_rows() -> None:
    world = World()
    good = message_of(RESPONSES, 0, BatchId(EPOCH, 1), [completed()]).value.strip()
    await world.write(responses(1), message_of_lines(RESPONSES.name, 0, BatchId(EPOCH, 2), [b"{nonsense", good, b"\xff\xfe", good]))
    await world.drain()
    assert [len(batch.events) for batch in world.calls()] == [0, 2]
    first, second = world.letters()
    assert (first.topic, first.partition, first.offset, first.index, first.reason) == (RESPONSES.name, 0, 1, 0, "undecodable")
    assert (first.payload, first.at) == ("{nonsense", datetime.fromtimestamp(AT, UTC))
    assert (second.index, second.payload) == (2, "\ufffd\ufffd")
    assert [str(message.batch_id) for message in world.log.messages(DEAD_LETTERS.name)] == [f"{EPOCH}/2"]


async def test_an_event_that_was_not_understood_is_named_by_its_line() -> None:
    world = World()
    lines = [message_of(RESPONSES, 0, BatchId(EPOCH, 1), [event]).value.strip() for event in (completed(), completed("{"))]
    await world.write(message_of_lines(RESPONSES.name, 0, BatchId(EPOCH, 1), [b"x", *lines]))
    await world.drain()
    undecodable, unreadable = world.letters()
    assert (undecodable.index, unreadable.index, unreadable.reason) == (0, 2, "body_unreadable")
    assert (unreadable.organization, unreadable.call_id) == ("default", "call-1")
    assert unreadable.payload is not None
    assert decode(ResponseCompleted, message_of_lines(RESPONSES.name, 0, BatchId(EPOCH, 1), [unreadable.payload.encode()]))[0].events
    assert len(world.calls()[0].events) == 2


async def test_a_dead_letter_keeps_no_body_that_was_not_to_be_kept() -> None:
    world = World()
    secret = Body(text="{a secret", omitted=True)
    line = message_of(RESPONSES, 0, BatchId(EPOCH, 1), [completed(body=secret)]).value.strip()
    await world.write(
        responses(1, completed(body=secret)),
        responses(2, completed("{a secret", facts=call(omit_response=True))),
        message_of_lines(RESPONSES.name, 0, BatchId(EPOCH, 3), [line[:-1]]),
    )
    await world.drain()
    assert [letter.payload for letter in world.letters()] == [None, None, None]


async def test_a_long_payload_is_cut() -> None:
    world = World()
    await world.write(message_of_lines(RESPONSES.name, 0, BatchId(EPOCH, 1), ["ü".encode() * 200_000]))
    await world.drain()
    assert world.letters()[0].payload == "ü" * PAYLOAD_LIMIT


async def test_a_wrong_count_is_reported_and_costs_nothing() -> None:
    world = World()
    await world.write(responses(1, completed(), count=3))
    await world.drain()
    (letter,) = world.letters()
    assert (letter.reason, letter.error) == ("bad_header", "header count says 3 events, the message has 1")
    assert len(world.calls()[0].events) == 1


@pytest.mark.parametrize("batch_id", [BatchId("", 1), BatchId(EPOCH, 0)])
async def test_a_batch_without_a_name_rests_whole_among_the_dead_letters(batch_id: BatchId) -> None:
    world = World()
    await world.write(responses(1, completed(), batch_id=batch_id), responses(1, completed(), batch_id=batch_id))
    await world.drain()
    first, second = world.letters()
    assert (first.reason, first.offset, second.offset) == ("bad_header", 0, 1)
    assert "response-completed" in (first.payload or "")
    ids = [batch.id for batch in world.calls()]
    assert [batch.events for batch in world.calls()] == [(), ()]
    assert [(len(made.epoch), made.sequence) for made in ids] == [(32, 1), (32, 1)]
    assert ids[0] != ids[1]


async def test_further_headers_go_along() -> None:
    world = World()
    await world.write(responses(1, completed(), headers=(("replay", "r-1"),)))
    await world.drain()
    assert world.log.messages(CALLS.name)[0].headers == (("replay", "r-1"),)


async def test_calls_and_dead_letters_are_there_together_or_not_at_all() -> None:
    world = World()
    await world.write(responses(1, completed("{")))
    world.log.fail_with(LogUnavailable("full"), times=2)

    def nothing_yet() -> None:
        assert world.calls() == []
        assert world.letters() == []

    world.on_pause = nothing_yet
    await world.drain()
    assert (len(world.calls()), len(world.letters())) == (1, 1)
    assert world.pauses == [0.05, 0.1]


async def test_pauses_grow_to_a_limit_and_reading_waits_too() -> None:
    world = World()
    await world.write(responses(1, completed()))
    world.log.fail_reads_with(LogUnavailable("away"))

    def heal_at_last() -> None:
        if len(world.pauses) == 10:
            world.log.heal()

    world.on_pause = heal_at_last
    await world.drain()
    assert len(world.calls()) == 1
    assert world.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


async def test_an_acknowledgement_that_was_lost_repeats_the_batch_with_its_id() -> None:
    world = World()
    await world.write(responses(1, completed()), responses(2, completed("{")))
    world.log.lose_acknowledgements()
    await world.drain()
    ids = [str(batch.id) for batch in world.calls()]
    assert ids == [f"{EPOCH}/1", f"{EPOCH}/2"] * 2


async def test_other_errors_are_not_ours_to_wait_out() -> None:
    world = World()
    await world.write(responses(1, completed()))
    world.log.fail_reads_with(OffsetOutOfRange("gone"))
    with pytest.raises(OffsetOutOfRange):
        await world.drain()
    world.log.heal()
    world.log.fail_with(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await world.drain()


async def test_a_crash_between_append_and_commit_repeats_the_same_bytes() -> None:
    world = World()
    await world.write(responses(1, completed(), completed("{")), responses(1, completed(), batch_id=BatchId("", 3)))
    await world.drain()
    world.log._committed.clear()
    await world.drain()
    for topic in (CALLS.name, DEAD_LETTERS.name):
        messages = world.log.messages(topic)
        half = len(messages) // 2
        assert messages[:half] == messages[half:] != []


async def test_it_waits_for_more_until_it_is_stopped() -> None:
    world, stop = World(), asyncio.Event()
    async with asyncio.timeout(LIMIT_S):
        running = asyncio.create_task(run_calls(world.log, RATES, stop=stop, clock=lambda: AT))
        for sequence in range(1, 4):
            await world.write(responses(sequence, completed()))
            while len(world.calls()) < sequence:
                await asyncio.sleep(0.001)
        await world.write(responses(4, completed()))
        stop.set()
        await running
    assert [batch.id.sequence for batch in world.calls()] == [1, 2, 3, 4]


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_what_is_counted() -> None:
    names = (
        ("heliograph_processor_calls_total", {"dialect": "openai.chat"}),
        ("heliograph_dead_letters_total", {"reason": "body_unreadable"}),
    )
    before = [value(name, **labels) for name, labels in names]
    unclaimed = value("heliograph_processor_calls_total", dialect="none")
    world = World()
    await world.write(responses(1, completed(), completed("{"), completed(facts=call(path="/v1/files"))))
    await world.drain()
    assert [value(name, **labels) for name, labels in names] == [before[0] + 2, before[1] + 1]
    assert value("heliograph_processor_calls_total", dialect="none") == unclaimed + 1
