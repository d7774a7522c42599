"""What should have come and did not is read again: told by a later message, or by the partition's end."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from eventlog.codec import Record
from eventlog.port import Place
from processors.lane import Lane
from processors.looking import LOOK_EVERY_S, LOOKS, Looking
from tests.processors.test_lane import PLACE, record


class Reader:
    """What a partition holds from `first` on, and where reading was sent back to. Time passes by `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.first = 0
        self.sought: list[int] = []
        self.looking = Looking(self._seek, self._first_of, lambda: self.now)

    async def _seek(self, _place: Place, offset: int) -> None:
        self.sought.append(offset)

    async def _first_of(self, _place: Place) -> int:
        return self.first


async def _nothing(_records: Sequence[Record]) -> None: ...


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture
async def lane() -> Lane:
    found = Lane(_nothing)
    found.open(1)
    found.begin(PLACE, 3, 1)
    return found


async def watched(reader: Reader, lane: Lane, end: int) -> None:
    await reader.looking.compare(reader.looking.idle([(PLACE, lane)]), {PLACE: end})


class TestByALaterMessage:
    async def test_it_is_looked_for_once_a_moment(self, reader: Reader, lane: Lane) -> None:
        for _ in range(3):
            assert await reader.looking.looks_for(lane, PLACE, 3)
        assert reader.sought == [3]
        reader.now += LOOK_EVERY_S
        await reader.looking.again()
        assert reader.sought == [3, 3]

    async def test_what_came_is_looked_for_no_more(self, reader: Reader, lane: Lane) -> None:
        await reader.looking.looks_for(lane, PLACE, 3)
        await lane.put(record(3), 1)
        reader.now += LOOK_EVERY_S
        await reader.looking.again()
        assert reader.sought == [3]

    async def test_what_is_not_there_is_given_up_and_told(self, reader: Reader, lane: Lane) -> None:
        for _ in range(LOOKS):
            assert await reader.looking.looks_for(lane, PLACE, 3)
            reader.now += LOOK_EVERY_S
        with capture_logs() as told:
            assert not await reader.looking.looks_for(lane, PLACE, 3)
        assert [(each["event"], each["awaited"]) for each in told] == [("messages_missing", 3)]

    async def test_what_retention_has_taken_is_not_looked_for(self, reader: Reader, lane: Lane) -> None:
        reader.first = 4
        with capture_logs():
            assert not await reader.looking.looks_for(lane, PLACE, 3)
        assert reader.sought == []


class TestByTheEnd:
    async def test_it_is_looked_for_when_nothing_came_since_the_last_glance(self, reader: Reader, lane: Lane) -> None:
        await watched(reader, lane, end=5)
        assert reader.sought == []  # it may be on its way
        await watched(reader, lane, end=5)
        assert reader.sought == [3]

    async def test_nothing_is_amiss_at_the_end(self, reader: Reader, lane: Lane) -> None:
        for _ in range(3):
            await watched(reader, lane, end=3)
        assert reader.sought == []

    async def test_what_comes_is_not_looked_for(self, reader: Reader, lane: Lane) -> None:
        running = asyncio.create_task(lane.run())
        for offset in range(3, 7):
            await watched(reader, lane, end=9)
            await lane.put(record(offset), 1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        running.cancel()
        assert reader.sought == []

    async def test_a_lane_with_work_is_left_alone(self, reader: Reader, lane: Lane) -> None:
        await lane.put(record(3), 1)  # nobody carries it out
        for _ in range(3):
            await watched(reader, lane, end=9)
        assert reader.sought == []

    async def test_an_end_that_holds_nothing_is_looked_for_so_often_and_told_to_nobody(self, reader: Reader, lane: Lane) -> None:
        """The mark of a foreign transaction, say."""
        with capture_logs() as told:
            for _ in range(LOOKS + 5):
                await watched(reader, lane, end=4)
                reader.now += LOOK_EVERY_S
                await reader.looking.again()
        assert reader.sought == [3] * LOOKS
        assert told == []

    async def test_after_a_change_of_hands_all_is_open_again(self, reader: Reader, lane: Lane) -> None:
        await watched(reader, lane, end=5)
        reader.looking.forget()
        await watched(reader, lane, end=5)
        assert reader.sought == []
