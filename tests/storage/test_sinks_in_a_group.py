"""Several sinks on one lake: partitions change hands, zombies wake up, and each row is there once."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake.exceptions import DeltaError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.codec import BatchId, Message, Record
from eventlog.port import Span
from eventlog.topics import CALLS, DEAD_LETTERS, REQUESTS
from storage import telemetry
from storage.config import StorageConfig
from storage.lake import Lake
from storage.sink import Holding, Sink
from tests.fakes.facts import calls_message
from tests.fakes.memory_log import MemoryLog, MemoryReader
from tests.fakes.sinking import away

PARTITIONS = 2
PLACES = [(CALLS.name, number) for number in range(PARTITIONS)]


def lake_at(folder: Path) -> Lake:
    return Lake.open(StorageConfig(lake_uri=str(folder)))


def call_ids(lake: Lake) -> Counter[str]:
    return Counter(lake.table("calls").to_pyarrow_table(columns=["call_id"]).column("call_id").to_pylist())


class Member:
    """A sink and its reader, which begins with nothing."""

    def __init__(self, log: MemoryLog, lake: Lake) -> None:
        self.sink = Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9)
        self._log = log
        self.reader: MemoryReader

    async def join(self) -> "Member":
        self.reader = await self._log.reader([], group="sink", holder=Holding(self.sink))
        return self

    async def poll(self) -> None:
        self.sink.accept(await self.reader.poll(max_bytes=1 << 20, timeout=timedelta(0)))

    def commit(self) -> None:
        self.sink.commit_due(everything=True)


ACTIONS = [
    "append 0",
    "append 1",
    "repeat",
    "poll a",
    "poll b",
    "commit a",
    "commit b",
    "hand over 0",
    "hand over 1",
    "zombie 0",
    "zombie 1",
]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=30))
async def test_any_order_of_hands_gives_each_row_once(tmp_path_factory: pytest.TempPathFactory, actions: list[str]) -> None:
    """`hand over`: in order, the one who loses a partition is told. `zombie`: it is not told, and goes on with what it has."""
    log, lake = MemoryLog(PARTITIONS), lake_at(tmp_path_factory.mktemp("lake"))
    members = {"a": await Member(log, lake).join(), "b": await Member(log, lake).join()}
    await members["a"].reader.give(frozenset(PLACES))
    holders = dict.fromkeys(range(PARTITIONS), "a")
    messages: list[Message] = []
    for action in [*actions, "poll a", "poll b", "commit a", "commit b"]:
        match action.split():
            case ["append", number]:
                own = sum(message.partition == int(number) for message in messages)
                messages.append(calls_message("e", own + 1, [len(messages) * 2, len(messages) * 2 + 1], partition=int(number)))
                await (await log.writer()).append([messages[-1]])
            case ["repeat"] if messages:
                await (await log.writer()).append([messages[-1]])
            case ["poll", name]:
                await members[name].poll()
            case ["commit", name]:
                members[name].commit()
            case ["hand", "over", number] | ["zombie", number]:
                place, loser = frozenset({PLACES[int(number)]}), holders[int(number)]
                winner = "b" if loser == "a" else "a"
                if not action.startswith("zombie"):
                    await members[loser].reader.take_away(place)
                elif place <= members[loser].reader.assigned:
                    members[loser].reader.lose_unaware(place)
                holders[int(number)] = winner
                await members[winner].reader.give(place)
    assert call_ids(lake) == Counter(f"call-{number:06d}" for number in range(len(messages) * 2))


def record(number: int, offset: int) -> Record:
    return Record(message=calls_message("e", number + 1, [number]), offset=offset, appended_at=0.0)


def test_what_was_left_out_is_read_from_where_it_begins(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    sink = Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9)
    sink.hold({PLACES[0]: Span(0, 4)})
    assert sink.accept([record(0, 0), record(2, 2), record(3, 3)]) == {PLACES[0]: 1}
    assert sink.accept([record(number, number) for number in (1, 2, 3)]) == {}
    sink.commit_due(everything=True)
    assert call_ids(lake) == Counter(f"call-{number:06d}" for number in range(4))


def test_offsets_without_a_message_are_looked_at_twice_and_passed_over(tmp_path: Path) -> None:
    """As after transactions: of all that came behind the first hole, none has to be looked at by itself."""
    log, lake = MemoryLog(), lake_at(tmp_path)
    sink = Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9)
    before = telemetry.HOLES.labels("calls")._value.get()
    sink.hold({PLACES[0]: Span(0, 12)})
    assert sink.accept([record(0, 0), record(1, 2), record(2, 4), record(3, 7)]) == {PLACES[0]: 1}
    assert sink.accept([record(1, 2), record(2, 4), record(3, 7), record(4, 9)]) == {PLACES[0]: 8}
    assert sink.accept([record(4, 9)]) == {}
    sink.commit_due(everything=True)
    assert call_ids(lake) == Counter(f"call-{number:06d}" for number in range(5))
    assert sink.positions(PLACES[:1]) == {PLACES[0]: 10}
    assert telemetry.HOLES.labels("calls")._value.get() == before + 5


def test_a_hole_counts_only_where_it_was_found(tmp_path: Path) -> None:
    """Another holder's reading may have been at fault in the same way, so a hole does not outlive a change of hands."""
    log, lake = MemoryLog(), lake_at(tmp_path)
    sink = Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9)
    sink.hold({PLACES[0]: Span(0, 3)})
    assert sink.accept([record(0, 0), record(2, 2)]) == {PLACES[0]: 1}
    sink.commit_due(everything=True)
    sink.let_go(frozenset(PLACES[:1]))
    assert sink.hold({PLACES[0]: Span(0, 3)}) == {PLACES[0]: 0}
    assert sink.accept([record(0, 0), record(2, 2)]) == {PLACES[0]: 1}


async def test_a_message_that_does_not_tell_its_batch_is_a_dead_letter_and_no_row(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    sink = Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9)
    for offset in range(2):
        message = Message(topic=REQUESTS.name, partition=0, batch_id=BatchId("", 0), count=1, value=b"{}\n")
        sink.accept([Record(message=message, offset=offset, appended_at=0.0)])
    sink.commit_due(everything=True)
    letters = sink.letters()
    assert [(letter.topic, b"bad_header" in letter.value) for letter in letters] == [(DEAD_LETTERS.name, True)] * 2
    assert len({letter.batch_id for letter in letters}) == 2
    assert lake.table("bodies").to_pyarrow_table().num_rows == 0
    assert sink.positions([(REQUESTS.name, 0)]) == {(REQUESTS.name, 0): 2}


async def test_a_lake_that_is_away_while_partitions_change_hands_ends_nothing(tmp_path: Path) -> None:
    log, lake = MemoryLog(PARTITIONS), lake_at(tmp_path)
    first, second = await Member(log, lake).join(), await Member(log, lake).join()
    await first.reader.give(frozenset(PLACES))
    await (await log.writer()).append([calls_message("e", 1, [number], partition=number) for number in range(PARTITIONS)])
    await first.poll()
    before, given_away = telemetry.FAILURES._value.get(), frozenset(PLACES[:1])
    with away(tmp_path / "calls"):
        await first.reader.take_away(given_away)
        giving = asyncio.create_task(second.reader.give(given_away))
        async with asyncio.timeout(20):
            while telemetry.FAILURES._value.get() == before:
                await asyncio.sleep(0.05)
    await giving
    await second.poll()
    second.commit()
    first.commit()
    assert call_ids(lake) == Counter({"call-000000": 1, "call-000001": 1})
    assert Member(log, lake).sink.positions(PLACES) == dict.fromkeys(PLACES, 1)


async def test_who_shall_stop_does_not_wait_for_a_lake_that_is_away(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    holding = Holding(Sink(log, lake, lake.config, assemble=lambda event: None, clock=lambda: 1.8e9), patient=lambda: False)
    with away(tmp_path / "calls"), pytest.raises((DeltaError, OSError)):
        await holding.given({(CALLS.name, 0): Span(0, 0)})
