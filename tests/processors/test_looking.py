"""What should have come and did not is read again: told by a later message, or by how far was read."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from eventlog.codec import Record
from eventlog.port import Place
from processors.lane import Lane
from processors.looking import IN_HAND_S, LOOK_EVERY_S, LOOKS, Looking, NeverCame
from tests.processors.test_lane import PLACE, record


class Reader:
    """A partition whose messages lie at these offsets, and where reading was sent back to. Time passes by `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.there = set(range(10))
        self.first = 0
        self.read = 10
        self.sought: list[int] = []
        self.asked = 0
        self.looking = Looking(self._seek, self._lies, self._first_of, self._read, lambda: self.now)

    async def _seek(self, _place: Place, offset: int) -> None:
        self.sought.append(offset)

    async def _lies(self, _place: Place, offset: int) -> int | None:
        self.asked += 1
        return min((each for each in self.there if each >= max(offset, self.first)), default=None)

    async def _first_of(self, _place: Place) -> int:
        return self.first

    async def _read(self, _place: Place) -> int:
        return self.read


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


async def watched(reader: Reader, lane: Lane, read: int) -> None:
    reader.read = read
    await reader.looking.glance([(PLACE, lane)])


class TestByALaterMessage:
    async def test_it_is_looked_for_once_a_moment(self, reader: Reader, lane: Lane) -> None:
        for _ in range(3):
            assert await reader.looking.looks_for(lane, PLACE, 3, 5)
        assert reader.sought == [3]
        reader.now += LOOK_EVERY_S
        await reader.looking.again()
        assert reader.sought == [3, 3]
        await reader.looking.again()
        assert reader.sought == [3, 3]

    async def test_while_what_was_in_hand_still_comes_it_is_not_looked_for_again(self, reader: Reader, lane: Lane) -> None:
        await lane.put(record(0, partition=1), 1)  # others' messages, which the lane has not carried out yet
        while reader.now < IN_HAND_S:
            assert await reader.looking.looks_for(lane, PLACE, 3, 5)
            await reader.looking.again()
            reader.now += LOOK_EVERY_S
        assert reader.sought == [3]
        assert await reader.looking.looks_for(lane, PLACE, 3, 5)
        assert reader.sought == [3, 3]

    async def test_what_came_is_looked_for_no_more(self, reader: Reader, lane: Lane) -> None:
        await reader.looking.looks_for(lane, PLACE, 3, 5)
        await lane.put(record(3), 1)
        reader.now += LOOK_EVERY_S
        await reader.looking.again()
        assert reader.sought == [3]

    async def test_what_lies_there_is_never_passed_over(self, reader: Reader, lane: Lane) -> None:
        """Rather this process ends, and the next one reads anew: passed over is lost."""
        for _ in range(LOOKS):
            assert await reader.looking.looks_for(lane, PLACE, 3, 5)
            reader.now += IN_HAND_S
        assert reader.sought == [3] * LOOKS
        with pytest.raises(NeverCame, match=r"llm\.responses\.v1 partition 0 does not give what lies at 3"):
            await reader.looking.looks_for(lane, PLACE, 3, 5)
        with pytest.raises(NeverCame):
            await reader.looking.again()

    async def test_offsets_that_hold_no_message_are_passed_over_at_once(self, reader: Reader, lane: Lane) -> None:
        """The marks of a foreign transaction, say."""
        reader.there -= {3, 4}
        with capture_logs() as told:
            assert not await reader.looking.looks_for(lane, PLACE, 3, 5)
        assert (reader.sought, told) == ([], [])

    async def test_what_retention_has_taken_is_told(self, reader: Reader, lane: Lane) -> None:
        reader.first = 5
        with capture_logs() as told:
            assert not await reader.looking.looks_for(lane, PLACE, 3, 5)
        assert reader.sought == []
        assert [(each["event"], each["awaited"], each["first_left"]) for each in told] == [("messages_missing", 3, 5)]


class TestByWhatWasRead:
    async def test_it_is_looked_for_when_nothing_came_since_the_last_glance(self, reader: Reader, lane: Lane) -> None:
        await watched(reader, lane, read=5)
        assert reader.sought == []  # it may be on its way
        await watched(reader, lane, read=5)
        assert reader.sought == [3]
        await watched(reader, lane, read=5)
        assert reader.sought == [3]
        reader.now += LOOK_EVERY_S
        await reader.looking.again()
        assert reader.sought == [3, 3]

    async def test_what_was_not_read_yet_is_no_loss(self, reader: Reader, lane: Lane) -> None:
        for _ in range(3):
            await watched(reader, lane, read=3)
        assert (reader.sought, reader.asked) == ([], 0)

    async def test_what_comes_is_not_looked_for(self, reader: Reader, lane: Lane) -> None:
        running = asyncio.create_task(lane.run())
        for offset in range(3, 7):
            await watched(reader, lane, read=9)
            await lane.put(record(offset), 1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        running.cancel()
        assert reader.sought == []

    async def test_a_lane_with_work_is_left_alone(self, reader: Reader, lane: Lane) -> None:
        await lane.put(record(3), 1)  # nobody carries it out
        for _ in range(3):
            await watched(reader, lane, read=9)
        assert reader.sought == []

    async def test_offsets_without_messages_are_asked_about_once(self, reader: Reader, lane: Lane) -> None:
        reader.there = {0, 1, 2}
        for _ in range(5):
            await watched(reader, lane, read=4)
        assert (reader.sought, reader.asked) == ([], 1)
        reader.there.add(4)
        await watched(reader, lane, read=5)
        assert reader.sought == [3]

    async def test_after_a_change_of_hands_all_is_open_again(self, reader: Reader, lane: Lane) -> None:
        await watched(reader, lane, read=5)
        reader.looking.forget()
        await watched(reader, lane, read=5)
        assert reader.sought == []
