"""The lane before each step: order within a partition, groups, room, and changes of hands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import chain

import pytest

import processors.lane
from eventlog.codec import BatchId, Message, Record
from processors.lane import Lane

PLACE = ("llm.responses.v1", 0)


def record(offset: int, partition: int = 0, size: int = 10) -> Record:
    message = Message(topic=PLACE[0], partition=partition, batch_id=BatchId("e", offset + 1), count=1, value=b"x" * size)
    return Record(message=message, offset=offset, appended_at=0.0)


class Work:
    """What a lane carries out; held until it may."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.fails_at: int | None = None

    async def carry(self, records: Sequence[Record]) -> None:
        self.groups.append([each.offset for each in records])
        await self.may.wait()
        if self.fails_at in self.groups[-1]:
            raise RuntimeError("not durable")


@pytest.fixture
async def work() -> Work:
    return Work()


@pytest.fixture
async def lane(work: Work) -> AsyncIterator[Lane]:
    made = Lane(work.carry)
    made.open(1)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(fits: object) -> None:
    async with asyncio.timeout(30):
        while not fits():  # type: ignore[operator]
            await asyncio.sleep(0)


async def test_each_partition_in_order_in_groups_of_what_waits(work: Work, lane: Lane) -> None:
    work.may.clear()
    for offset in range(4):
        await lane.put(record(offset), 1)
    await lane.put(record(7, partition=1), 1)
    await until(lambda: work.groups)
    work.may.set()
    await until(lambda: lane.done == {PLACE: 4, (PLACE[0], 1): 8})
    assert list(chain.from_iterable(work.groups)) == [0, 1, 2, 3, 7]


async def test_what_is_too_far_on_is_not_taken_and_a_repeat_is_forgotten(work: Work, lane: Lane) -> None:
    lane.begin(PLACE, 5, 1)
    assert await lane.put(record(6), 1) == 5
    assert await lane.put(record(4), 1) is None
    assert await lane.put(record(5), 1) is None
    assert await lane.put(record(6), 1) is None
    await until(lambda: lane.done[PLACE] == 7)
    assert list(chain.from_iterable(work.groups)) == [5, 6]


async def test_nothing_follows_a_group_that_failed(work: Work) -> None:
    made = Lane(work.carry)
    made.open(1)
    work.fails_at = 0
    await made.put(record(0), 1)
    with pytest.raises(RuntimeError, match="not durable"):
        await made.run()
    await made.put(record(1), 1)
    assert made.done == {}
    assert work.groups == [[0]]


async def test_a_full_lane_makes_its_reader_wait(work: Work, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors.lane, "WAITING", 2)
    work.may.clear()
    await lane.put(record(0), 1)
    await until(lambda: work.groups)
    await lane.put(record(1), 1)
    await lane.put(record(2), 1)
    more = asyncio.create_task(lane.put(record(3), 1))
    await asyncio.sleep(0.01)
    assert not more.done()
    work.may.set()
    await until(lambda: lane.done == {PLACE: 4})
    assert more.done()


async def test_at_a_change_of_hands_what_was_begun_ends_and_what_waits_is_forgotten(work: Work, lane: Lane) -> None:
    work.may.clear()
    await lane.put(record(0), 1)
    await until(lambda: work.groups)
    await lane.put(record(1), 1)
    shut = asyncio.create_task(lane.shut())
    await asyncio.sleep(0.01)
    assert not shut.done()
    work.may.set()
    await shut
    assert lane.done == {PLACE: 1}
    await lane.put(record(1), 1)  # read under the assignment that has ended
    lane.forget()
    lane.open(2)
    await lane.put(record(2), 1)
    lane.begin(PLACE, 1, 2)
    await lane.put(record(1), 2)
    await until(lambda: lane.done == {PLACE: 2})
    assert work.groups == [[0], [1]]


async def test_where_to_begin_is_no_news_under_another_assignment(work: Work, lane: Lane) -> None:
    """It was asked for before the partition changed hands, and would be committed for another."""
    await lane.shut()
    lane.forget()
    lane.begin(PLACE, 50, 1)
    lane.open(2)
    lane.begin(PLACE, 50, 1)
    assert (lane.done, lane.awaits(PLACE)) == ({}, None)
    lane.begin(PLACE, 900, 2)
    assert (lane.done, lane.awaits(PLACE)) == ({PLACE: 900}, 900)
