"""What should have come and did not is read again: told by a later message, or by how far was read."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from eventlog.codec import Record
from eventlog.port import Lying, Place
from processors.lane import Lane
from processors.looking import IN_HAND_S, LOOK_EVERY_S, LOOKS, Looking, NeverCame
from tests.processors.test_lane import PLACE, record


class Reader:
    """A partition whose messages lie at these offsets, and where reading was sent back to. Time passes by `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.there = set(range(10))
        self.first = 0
        self.read: int | None = 10
        self.sought: list[int] = []
        self.asked = 0
        self.end = 10
        self.looking = Looking(self._seek, self._lying, self._read_up_to, lambda: self.now)

    async def _seek(self, _place: Place, offset: int) -> None:
        self.sought.append(offset)

    async def _lying(self, _place: Place, offset: int) -> Lying:
        self.asked += 1
        at = min((each for each in self.there if each >= max(offset, self.first)), default=None)
        return Lying(self.first, at, self.end)

    async def _read_up_to(self, _place: Place) -> int | None:
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


async def watched(reader: Reader, lane: Lane, read: int | None) -> None:
    """A glance, and then the time until the next."""
    reader.read = read
    await reader.looking.glance([(PLACE, lane)])
    reader.now += LOOK_EVERY_S


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

    async def test_what_lies_behind_such_an_offset_is_taken_when_it_comes(self, reader: Reader, lane: Lane) -> None:
        """3 and 4 hold nothing, 5 was dropped, 7 came: what is looked for is 5."""
        reader.there -= {3, 4}
        assert await reader.looking.looks_for(lane, PLACE, 3, 7)
        assert reader.sought == [5]
        assert await reader.looking.looks_for(lane, PLACE, 3, 7)
        assert not await reader.looking.looks_for(lane, PLACE, 3, 5)

    async def test_retention_takes_what_is_looked_for(self, reader: Reader, lane: Lane) -> None:
        assert await reader.looking.looks_for(lane, PLACE, 3, 7)
        reader.first = 6
        assert await reader.looking.looks_for(lane, PLACE, 3, 6)  # it might have been in hand
        reader.now += LOOK_EVERY_S
        await reader.looking.again()
        with capture_logs() as told:
            assert not await reader.looking.looks_for(lane, PLACE, 3, 6)
        assert (reader.sought, [each["event"] for each in told]) == ([3, 6], ["messages_missing"])

    async def test_a_log_that_does_not_know_yet_what_came(self, reader: Reader, lane: Lane) -> None:
        """Nothing is passed over on the word of a broker that is behind."""
        reader.there = set()
        assert await reader.looking.looks_for(lane, PLACE, 3, 7)
        assert reader.sought == [3]

    async def test_all_that_is_left_is_what_came(self, reader: Reader, lane: Lane) -> None:
        reader.there, reader.first = set(), 10
        with capture_logs() as told:
            assert not await reader.looking.looks_for(lane, PLACE, 3, 7)
        assert [each["event"] for each in told] == ["messages_missing"]

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

    async def test_a_partition_with_work_is_left_alone(self, reader: Reader, lane: Lane) -> None:
        await lane.put(record(3), 1)  # nobody carries it out
        for _ in range(100):
            await watched(reader, lane, read=9)
        assert reader.sought == []

    async def test_a_lane_that_works_for_others_has_more_time(self, reader: Reader, lane: Lane) -> None:
        await lane.put(record(0, partition=1), 1)
        while reader.now <= IN_HAND_S:
            assert reader.sought == []
            await watched(reader, lane, read=9)
        assert reader.sought == [3]

    async def test_offsets_without_messages_are_done(self, reader: Reader, lane: Lane) -> None:
        """So that nothing waits for them: neither a position nor what expires."""
        reader.there = {0, 1, 2}
        for _ in range(5):
            await watched(reader, lane, read=4)
        assert (reader.sought, reader.asked) == ([], 1)
        assert (lane.awaits(PLACE), lane.done[PLACE]) == (4, 4)
        reader.there.add(4)
        for _ in range(2):
            await watched(reader, lane, read=5)
        assert reader.sought == [4]

    async def test_what_retention_has_taken_meanwhile_is_told(self, reader: Reader, lane: Lane) -> None:
        reader.first, reader.there = 6, set()
        with capture_logs() as told:
            for _ in range(5):
                await watched(reader, lane, read=6)
        assert [(line["event"], line["awaited"], line["first_left"]) for line in told] == [("messages_missing", 3, 6)]
        assert lane.awaits(PLACE) == 6

    async def test_how_far_was_read_is_not_known(self, reader: Reader, lane: Lane) -> None:
        for _ in range(5):
            await watched(reader, lane, read=None)
        assert (reader.sought, reader.asked) == ([], 0)

    async def test_a_log_that_is_shorter_than_what_was_read(self, reader: Reader, lane: Lane) -> None:
        reader.end, reader.first, reader.there = 2, 1, {1}
        with capture_logs() as told:
            for _ in range(3):
                await watched(reader, lane, read=1)
        assert [each["event"] for each in told] == ["log_shorter_than_read"]
        assert (reader.sought, lane.awaits(PLACE), lane.done[PLACE]) == ([1], 1, 1)

    async def test_after_a_change_of_hands_all_is_open_again(self, reader: Reader, lane: Lane) -> None:
        await watched(reader, lane, read=5)
        reader.looking.forget()
        await watched(reader, lane, read=5)
        assert reader.sought == []
