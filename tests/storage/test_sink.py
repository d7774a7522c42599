"""Each row exactly once: under repeats, crashes between any two steps, two sinks at once, and logs that were made anew."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog import codec
from eventlog.codec import BatchId, Message, Record, encode_event, message_of, message_of_lines
from eventlog.events import Body, DeadLetter, FeedbackGiven, Organization, RequestId, RequestReceived, ResponseCompleted
from eventlog.letters import LETTERS_LIMIT
from eventlog.port import LogUnavailable
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from storage import telemetry
from storage.config import StorageConfig
from storage.lake import Lake, LakeUnreachable
from storage.letters import letters_of
from storage.sink import Sink, run_sink
from tests.fakes.facts import BEGAN, calls_message, completed, facts, priced, received
from tests.fakes.memory_log import MemoryLog
from tests.fakes.sinking import away


def nothing_assembled(event: ResponseCompleted) -> str | None:
    return None


def lake_at(folder: Path) -> Lake:
    return Lake.open(StorageConfig(lake_uri=str(folder), flush_seconds=0.05))


async def drain(log: MemoryLog, lake: Lake) -> None:
    stop = asyncio.Event()
    stop.set()
    await run_sink(log, lake, lake.config, assemble=nothing_assembled, stop=stop)


async def append(log: MemoryLog, *messages: Message) -> None:
    writer = await log.writer()
    await writer.append(messages)


def call_ids(lake: Lake) -> Counter[str]:
    return Counter(lake.table("calls").to_pyarrow_table(columns=["call_id"]).column("call_id").to_pylist())


def names(numbers: Sequence[int]) -> Counter[str]:
    return Counter(f"call-{number:06d}" for number in numbers)


async def test_a_call_is_a_row(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, calls_message("e1", 1, range(3)))
    await drain(log, lake)
    table = lake.table("calls").to_pyarrow_table()
    row = table.to_pylist()[0]
    assert call_ids(lake) == names([0, 1, 2])
    assert row["created_at"] == BEGAN.replace(tzinfo=None)
    assert row["cost_usd"] == Decimal("0.000027")
    assert (row["total_tokens"], row["revision"], dict(row["properties"])) == (120, 0, {"feature": "chat"})


async def test_bodies_of_both_sides(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    omitted = completed(2, response=Body(text="hello", size=5, omitted=True))
    await append(
        log,
        message_of(REQUESTS, 0, BatchId("e", 1), [received(1)]),
        message_of(RESPONSES, 0, BatchId("e", 1), [completed(1), omitted]),
    )
    stop = asyncio.Event()
    stop.set()
    await run_sink(log, lake, lake.config, assemble=lambda event: "assembled", stop=stop)
    rows = lake.table("bodies").to_pyarrow_table().to_pylist()
    found = {(row["call_id"], row["side"]): (row["text"], row["omitted"], row["assembled"]) for row in rows}
    assert found == {
        ("call-000001", "request"): ('{"model": "gpt-4o-mini"}', False, None),
        ("call-000001", "response"): ('{"id": "x"}', False, "assembled"),
        ("call-000002", "response"): (None, True, None),
    }


async def test_feedback_and_dead_letters(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    given = FeedbackGiven(
        feedback_id="f", request_id=RequestId("r"), organization=Organization("o"), given_at=BEGAN, rating=True, scores={"a": 1}
    )
    letter = DeadLetter(topic="llm.responses.v1", partition=0, offset=3, reason="undecodable", error="bad", at=BEGAN)
    about_session = {"request_id": RequestId(""), "session_id": "s", "tag": "t"}
    later = msgspec.structs.replace(given, feedback_id="g", rating=None, scores={}, given_at=BEGAN + timedelta(seconds=1))
    back = msgspec.structs.replace(later, rating_retracted=True, comment="no", scores_retracted=["a"], properties={"by": "ann"})
    tagged = msgspec.structs.replace(later, given_at=BEGAN + timedelta(seconds=2), **about_session)
    await append(
        log, message_of(FEEDBACK, 0, BatchId("e", 1), [given, back, tagged]), message_of(DEAD_LETTERS, 0, BatchId("e", 7), [letter])
    )
    await drain(log, lake)
    columns = ["request_id", "session_id", "rating", "rating_retracted", "comment", "scores", "properties", "property_count", "tag"]
    found = lake.table("feedback").to_pyarrow_table().sort_by("given_at").select(columns).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("r", None, True, False, None, [("a", 1.0)], [], 0, None),
        ("r", None, None, True, "no", [("a", None)], [("by", "ann")], 1, None),
        (None, "s", None, False, None, [], [], 0, "t"),
    ]
    assert lake.table("dead_letters").to_pyarrow_table().to_pylist()[0]["reason"] == "undecodable"


async def test_lines_that_are_no_events_become_dead_letters_once(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    bad = message_of_lines(REQUESTS.name, 0, BatchId("e", 1), [b"{not json", encode_event(received(1))])
    await append(log, bad)
    await drain(log, lake)
    await append(
        log, *letters_of(record_of(bad, 0), codec.decode(RequestReceived, bad)[1], log.identity(REQUESTS.name))
    )  # died before its commit
    await drain(log, lake)
    (letter,) = lake.table("dead_letters").to_pyarrow_table().to_pylist()
    assert (letter["topic"], letter["offset"], letter["index"], letter["payload"]) == (REQUESTS.name, 0, 0, "{not json")
    assert lake.table("bodies").to_pyarrow_table().column("call_id").to_pylist() == ["call-000001"]


async def test_a_message_of_rubbish_leaves_few_letters_and_stops_nothing(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    log.take_at_most(4 << 20)
    await append(log, Message(topic=FEEDBACK.name, partition=0, batch_id=BatchId("f", 1), count=30_000, value=b"x\n" * 30_000))
    await append(log, calls_message("e", 1, range(2)))
    await drain(log, lake)
    found = lake.table("dead_letters").to_pyarrow_table().to_pylist()
    assert (len(found), max(found, key=lambda letter: letter["index"])["error"][:17]) == (LETTERS_LIMIT, "29001 more events")
    assert call_ids(lake) == names(range(2))


@pytest.mark.parametrize(("takes", "letters", "payload"), [(10_000, 2, True), (1000, 2, False), (300, 1, False), (10, 0, False)])
async def test_letters_that_the_log_does_not_take_are_made_smaller(tmp_path: Path, takes: int, letters: int, payload: bool) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, message_of_lines(FEEDBACK.name, 0, BatchId("f", 1), [b"x" * 1000, b"y" * 1000]))
    await append(log, calls_message("e", 1, range(2)))
    log.take_at_most(takes)
    await drain(log, lake)
    found = lake.table("dead_letters").to_pyarrow_table().to_pylist()
    assert [letter["payload"] is not None for letter in found] == [payload] * letters
    assert call_ids(lake) == names(range(2))


REPEATS = {
    "the same batch again": [("a", 1), ("a", 1), ("a", 2)],
    "a run of batches again": [("a", 1), ("a", 2), ("a", 3), ("a", 2), ("a", 3), ("a", 4)],
    "two producers": [("a", 1), ("b", 1), ("a", 1), ("b", 1), ("b", 2), ("a", 2)],
}


@pytest.mark.parametrize("each", [False, True], ids=["in one commit", "in a commit each"])
@pytest.mark.parametrize("batches", REPEATS.values(), ids=REPEATS)
async def test_repeats_are_skipped(tmp_path: Path, batches: list[tuple[str, int]], each: bool) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    numbers = {batch: index * 10 for index, batch in enumerate(dict.fromkeys(batches))}
    for batch in batches:
        await append(log, calls_message(*batch, range(numbers[batch], numbers[batch] + 3)))
        if each:
            await drain(log, lake)
    await drain(log, lake)
    assert call_ids(lake) == names([start + more for start in numbers.values() for more in range(3)])


async def test_a_gap_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    before = telemetry.GAPS.labels("calls")._value.get()
    await append(log, calls_message("a", 1, range(1)), calls_message("a", 3, range(1, 2)))
    await drain(log, lake)
    assert call_ids(lake) == names([0, 1])
    assert telemetry.GAPS.labels("calls")._value.get() == before + 1


async def test_a_client_that_numbers_all_its_batches_leaves_no_gap(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    before, epoch = telemetry.GAPS.labels("calls")._value.get(), BatchId.of_client("acme", "0" * 32, 1).epoch
    for sequence, first in ((1, 0), (4, 1), (4, 7), (3, 8), (9, 2)):
        await append(log, calls_message(epoch, sequence, range(first, first + 1)))
    await drain(log, lake)
    assert call_ids(lake) == names([0, 1, 2])
    assert telemetry.GAPS.labels("calls")._value.get() == before


async def test_another_log_begins_anew(tmp_path: Path) -> None:
    first, second, lake = MemoryLog(), MemoryLog(), lake_at(tmp_path)
    await append(first, calls_message("a", 1, range(5)))
    await drain(first, lake)
    await append(second, calls_message("b", 1, range(5, 7)))
    await drain(second, lake)
    assert call_ids(lake) == names(range(7))


async def test_empty_batches_move_the_position(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, message_of(CALLS, 0, BatchId("a", 1), []))
    await drain(log, lake)
    sink = Sink(log, lake, lake.config, assemble=nothing_assembled, clock=lambda: 0.0)
    assert sink.positions([(CALLS.name, 0)]) == {(CALLS.name, 0): 1}


def record_of(message: Message, offset: int) -> Record:
    return Record(message=message, offset=offset, appended_at=0.0)


def sink_on(log: MemoryLog, lake: Lake) -> Sink:
    return Sink(log, lake, lake.config, assemble=nothing_assembled, clock=time.time)


async def test_of_two_sinks_on_one_partition_one_is_refused_and_judges_again(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    zombie, heir = sink_on(log, lake), sink_on(log, lake)
    first, second = record_of(calls_message("a", 1, range(2)), 0), record_of(calls_message("a", 2, range(2, 4)), 1)
    zombie.accept([first, second])
    heir.accept([first])
    heir.commit_due(everything=True)
    zombie.commit_due(everything=True)
    assert call_ids(lake) == names(range(4))


async def test_sinks_on_different_partitions_do_not_disturb_each_other(tmp_path: Path) -> None:
    log, lake = MemoryLog(partitions=2), lake_at(tmp_path)
    one, two = sink_on(log, lake), sink_on(log, lake)
    one.accept([record_of(calls_message("a", 1, range(2)), 0)])
    two.accept([record_of(calls_message("a", 1, range(2, 4), partition=1), 0)])
    one.commit_due(everything=True)
    two.commit_due(everything=True)
    assert call_ids(lake) == names(range(4))


async def test_a_log_that_is_away_for_a_while_stops_nothing(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    await append(log, calls_message("a", 1, range(2)))
    log.fail_reads_with(LogUnavailable("away"))
    draining = asyncio.create_task(drain(log, lake))
    await asyncio.sleep(0.1)
    log.heal()
    await draining
    assert call_ids(lake) == names(range(2))


async def come_to_rest(lake: Lake, numbers: Sequence[int]) -> None:
    while call_ids(lake) != names(numbers):
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("drains", [True, False])
async def test_a_lake_that_takes_nothing_for_a_while_loses_nothing(tmp_path: Path, drains: bool) -> None:
    """Who need not drain leaves to the log what the lake does not take."""
    log, lake, stop = MemoryLog(), lake_at(tmp_path), asyncio.Event()
    await append(log, calls_message("a", 1, [0]))
    running = asyncio.create_task(run_sink(log, lake, lake.config, assemble=nothing_assembled, stop=stop, drains=drains))
    await come_to_rest(lake, [0])
    before = telemetry.FAILURES._value.get()
    with away(tmp_path / "calls"):
        await append(log, calls_message("a", 2, range(1, 3)))
        while telemetry.FAILURES._value.get() == before:
            await asyncio.sleep(0.05)
        stop.set()
        if not drains:
            await running
    await running
    await append(log, calls_message("a", 3, [3]))
    await drain(log, lake)
    assert call_ids(lake) == names(range(4))


async def test_a_lake_that_cannot_be_opened_is_named_with_its_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeUnreachable, match=r"file/lake cannot be opened: .*HELIOGRAPH_DATA_DIR"):
        lake_at(tmp_path / "file" / "lake")


async def test_rows_are_there_soon_after_the_flush(tmp_path: Path) -> None:
    log, lake, stop = MemoryLog(), lake_at(tmp_path), asyncio.Event()
    running = asyncio.create_task(run_sink(log, lake, lake.config, assemble=nothing_assembled, stop=stop))
    await append(log, calls_message("a", 1, range(2)))
    async with asyncio.timeout(30):
        while call_ids(lake) != names(range(2)):
            await asyncio.sleep(0.02)
    stop.set()
    await running


async def test_a_large_event_passes(tmp_path: Path) -> None:
    log = MemoryLog()
    lake = Lake.open(StorageConfig(lake_uri=str(tmp_path), flush_bytes=1 << 20))
    await append(log, message_of(RESPONSES, 0, BatchId("a", 1), [completed(1, text="x" * (20 << 20))]))
    await drain(log, lake)
    assert pc.utf8_length(lake.table("bodies").to_pyarrow_table().column("text")).to_pylist() == [20 << 20]


async def test_rows_are_sorted_by_organization_and_time(tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_at(tmp_path)
    events = [priced(number, organization=name) for number, name in ((3, "b"), (1, "b"), (2, "a"))]
    await append(log, message_of(CALLS, 0, BatchId("a", 1), events))
    await drain(log, lake)
    (file,) = lake.files("calls")
    assert pq.read_table(file, partitioning=None).column("call_id").to_pylist() == ["call-000002", "call-000001", "call-000003"]
    assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"


class Crash(Exception):
    """The process ended here."""


STEPS = st.lists(st.sampled_from(["append", "repeat", "poll", "commit", "crash", "late crash"]), min_size=5, max_size=25)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_any_order_of_crashes_and_repeats_gives_each_row_once(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """`late crash`: the commit was made, and the process died before it knew."""
    log, lake = MemoryLog(), lake_at(tmp_path_factory.mktemp("lake"))
    messages: list[Message] = []
    sink, reader = sink_on(log, lake), await log.reader([CALLS.name], group="sink")
    for step in [*steps, "crash", "poll", "commit"]:
        match step:
            case "append":
                messages.append(calls_message("a", len(messages) + 1, range(len(messages) * 2, len(messages) * 2 + 2)))
                await append(log, messages[-1])
            case "repeat" if messages:
                for message in messages[-2:]:
                    await append(log, message)
            case "poll":
                sink.accept(await reader.poll(max_bytes=1 << 20, timeout=timedelta(0)))
            case "commit":
                sink.commit_due(everything=True)
            case "crash" | "late crash":
                if step == "late crash":
                    sink.commit_due(everything=True)
                await reader.close()
                sink, reader = sink_on(log, lake), await log.reader([CALLS.name], group="sink")
                reader.seek(sink.positions(reader.assigned))
    assert call_ids(lake) == names(range(len(messages) * 2))


async def test_positions_outlive_marks(tmp_path: Path) -> None:
    lake = Lake.open(StorageConfig(lake_uri=str(tmp_path), mark_retention=timedelta(seconds=1)))
    log = MemoryLog()
    await append(log, calls_message("old", 1, range(2)))
    stop = asyncio.Event()
    stop.set()
    await run_sink(log, lake, lake.config, assemble=nothing_assembled, stop=stop, clock=lambda: 1_000_000.0)
    table = DeltaTable(lake.uri_of("calls"))
    table.create_checkpoint()
    sink = sink_on(log, lake)
    assert sink.positions([(CALLS.name, 0)]) == {(CALLS.name, 0): 1}


def test_facts_are_complete() -> None:
    assert facts(1).call_id == "call-000001"
