"""The line before each step: order within a partition, groups, room, and changes of hands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import chain

import pytest

from eventlog.codec import BatchId, Message, Record
from processors import line as lines
from processors.line import Line

PLACE = ("llm.responses.v1", 0)


def record(offset: int, partition: int = 0, size: int = 10) -> Record:
    message = Message(topic=PLACE[0], partition=partition, batch_id=BatchId("e", offset + 1), count=1, value=b"x" * size)
    return Record(message=message, offset=offset, appended_at=0.0)


class Work:
    """What a line carries out; held until it may."""

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
async def line(work: Work) -> AsyncIterator[Line]:
    made = Line(work.carry)
    made.open(1)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(fits: object) -> None:
    async with asyncio.timeout(10):
        while not fits():  # type: ignore[operator]
            await asyncio.sleep(0)


async def test_each_partition_in_order_in_groups_of_what_waits(work: Work, line: Line) -> None:
    work.may.clear()
    for offset in range(4):
        await line.put(record(offset), 1)
    await line.put(record(7, partition=1), 1)
    await until(lambda: work.groups)
    work.may.set()
    await until(lambda: line.done == {PLACE: 4, (PLACE[0], 1): 8})
    assert list(chain.from_iterable(work.groups)) == [0, 1, 2, 3, 7]


async def test_what_is_too_far_on_is_not_taken_and_a_repeat_is_forgotten(work: Work, line: Line) -> None:
    line.begin(PLACE, 5)
    assert await line.put(record(6), 1) == 5
    assert await line.put(record(4), 1) is None
    assert await line.put(record(5), 1) is None
    assert await line.put(record(6), 1) is None
    await until(lambda: line.done[PLACE] == 7)
    assert list(chain.from_iterable(work.groups)) == [5, 6]


async def test_nothing_follows_a_group_that_failed(work: Work) -> None:
    made = Line(work.carry)
    made.open(1)
    work.fails_at = 0
    await made.put(record(0), 1)
    with pytest.raises(RuntimeError, match="not durable"):
        await made.run()
    await made.put(record(1), 1)
    assert made.done == {}
    assert work.groups == [[0]]


async def test_a_full_line_makes_its_reader_wait(work: Work, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "WAITING", 2)
    work.may.clear()
    await line.put(record(0), 1)
    await until(lambda: work.groups)
    await line.put(record(1), 1)
    await line.put(record(2), 1)
    more = asyncio.create_task(line.put(record(3), 1))
    await asyncio.sleep(0.01)
    assert not more.done()
    work.may.set()
    await until(lambda: line.done == {PLACE: 4})
    assert more.done()


async def test_at_a_change_of_hands_what_was_begun_ends_and_what_waits_is_forgotten(work: Work, line: Line) -> None:
    work.may.clear()
    await line.put(record(0), 1)
    await until(lambda: work.groups)
    await line.put(record(1), 1)
    shut = asyncio.create_task(line.shut())
    await asyncio.sleep(0.01)
    assert not shut.done()
    work.may.set()
    await shut
    assert line.done == {PLACE: 1}
    await line.put(record(1), 1)  # read under the assignment that has ended
    line.forget()
    line.open(2)
    await line.put(record(2), 1)
    line.begin(PLACE, 1)
    await line.put(record(1), 2)
    await until(lambda: line.done == {PLACE: 2})
    assert work.groups == [[0], [1]]
