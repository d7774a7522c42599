"""What Kafka does not take is on disk, comes to Kafka later, and nothing ever overtakes: whatever dies, refuses or lies."""

import asyncio
import json
import shutil
import sys
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from eventlog import spill_drain, spill_orphans
from eventlog.bodies import bare
from eventlog.codec import BatchId, decode, lines_of, message_of
from eventlog.embedded_file import FILE_NAME, LogFile
from eventlog.events import Body, RequestReceived
from eventlog.port import LogUnavailable, MessageTooLarge, UnknownTopic
from eventlog.spill import SpillingWriter
from eventlog.spill_drain import spread
from eventlog.spill_folder import ASIDE, orphans
from eventlog.spill_state import SpillConfig, fit, measured
from eventlog.topics import REQUESTS, partition_of
from tests.fakes.cluster import Cluster, batch, first_arrivals, kill
from tests.fakes.facts import facts

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill_drain, "PAUSE_S", 0.002)
    monkeypatch.setattr(spill_drain, "PAUSE_MAX_S", 0.01)
    monkeypatch.setattr(spill_orphans, "RESCAN_S", 0.05)


@asynccontextmanager
async def spilling(cluster: Cluster, directory: Path, **options: Any) -> AsyncIterator[SpillingWriter]:
    config = {name: options.pop(name) for name in ("limit_bytes", "most_age") if name in options}
    writer = await SpillingWriter.open(cluster.writer(), SpillConfig(directory=directory, **config), **options)
    try:
        yield writer
    finally:
        await writer.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.002)


async def drained(writer: SpillingWriter) -> None:
    await until(lambda: not writer.state.spilling and writer.state.messages == 0 and writer.state.bytes == 0)


def folders(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.is_dir())


async def test_while_kafka_takes_nothing_is_spilled(tmp_path: Path) -> None:
    cluster = Cluster()
    async with spilling(cluster, tmp_path) as writer:
        for number in range(1, 4):
            await writer.append([batch(number)])
        assert writer.state.spilled_events == 0
        assert not writer.state.spilling
    assert cluster.log.messages(REQUESTS.name) == [batch(1), batch(2), batch(3)]
    assert folders(tmp_path) == []


async def test_what_is_not_acknowledged_is_spilled_with_all_behind_it_and_comes_unchanged(tmp_path: Path) -> None:
    cluster = Cluster()
    async with spilling(cluster, tmp_path) as writer:
        cluster.up = False
        for number in range(1, 6):
            await writer.append([batch(number), batch(number, 1)])
        state = writer.state
        assert (state.spilling, state.messages, state.spilled_events, state.reason) == (True, 10, 10, "the cluster is away")
        assert state.bytes == measured([batch(1)]) * 10
        assert cluster.log.messages(REQUESTS.name) == []
        cluster.up = True
        await drained(writer)
        assert writer.state.reason == ""
        await writer.append([batch(6), batch(6, 1)])
        assert writer.state.spilled_events == 10
    assert cluster.log.messages(REQUESTS.name, 0) == [batch(number) for number in range(1, 7)]
    assert cluster.log.messages(REQUESTS.name, 1) == [batch(number, 1) for number in range(1, 7)]


async def test_a_drain_tells_what_it_drained_itself(tmp_path: Path) -> None:
    cluster = Cluster()
    with capture_logs() as told:
        async with spilling(cluster, tmp_path) as writer:
            for count in (3, 1):
                cluster.up = False
                for number in range(count):
                    await writer.append([batch(number)])
                cluster.up = True
                await drained(writer)
    assert [each["spilled_events"] for each in told if each["event"] == "spill_drained"] == [3, 1]


async def test_what_was_acknowledged_is_not_spilled(tmp_path: Path) -> None:
    cluster = Cluster()
    async with spilling(cluster, tmp_path) as writer:
        cluster.fail_once(acknowledged=1, kept=1)
        await writer.append([batch(1), batch(1, 1), batch(1, 2)])
        assert writer.state.spilled_events == 2
        await drained(writer)
    assert [len(cluster.log.messages(REQUESTS.name, partition)) for partition in range(3)] == [1, 2, 1]


async def test_an_append_does_not_overtake_what_the_drain_has_in_flight(tmp_path: Path) -> None:
    cluster = Cluster()
    async with spilling(cluster, tmp_path) as writer:
        cluster.fail_once(acknowledged=0, kept=0)
        await writer.append([batch(1)])
        cluster.hold()
        await until(lambda: cluster.appends == 2)
        appended = asyncio.create_task(writer.append([batch(2), batch(1, 1)]))
        await asyncio.sleep(0.02)
        assert cluster.appends == 2
        cluster.let_go()
        await appended
        await drained(writer)
    assert cluster.log.messages(REQUESTS.name, 0) == [batch(1), batch(2)]


async def test_live_sending_resumes_under_a_producer_that_never_pauses(tmp_path: Path) -> None:
    cluster = Cluster()
    async with spilling(cluster, tmp_path) as writer:
        cluster.up = False
        await writer.append([batch(1)])
        cluster.up = True
        number = 1
        async with asyncio.timeout(PATIENCE_S):
            while writer.state.spilling:
                number += 1
                await writer.append([batch(number)])
        await writer.append([batch(number + 1)])
    assert first_arrivals(cluster.log) == {("e", 0): list(range(1, number + 2))}


async def test_it_starts_while_kafka_is_away_and_what_is_left_waits_for_the_next_run(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.up = False
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1), batch(2)])
    assert len(folders(tmp_path)) == 1
    cluster.up = True
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1, epoch="f")])
        await drained(writer)
    assert first_arrivals(cluster.log) == {("f", 0): [1], ("e", 0): [1, 2]}
    assert folders(tmp_path) == []


async def test_a_spill_whose_owner_lives_is_let_alone_and_adopted_when_it_has_gone(tmp_path: Path) -> None:
    away, cluster = Cluster(), Cluster()
    away.up = False
    first = await SpillingWriter.open(away.writer(), SpillConfig(directory=tmp_path))
    await first.append([batch(1)])
    async with spilling(cluster, tmp_path) as writer:
        await asyncio.sleep(0.1)
        assert writer.state.messages == 0
        assert orphans(tmp_path) == []
        await kill(first)
        await until(lambda: first_arrivals(cluster.log) == {("e", 0): [1]})
        await until(lambda: len(folders(tmp_path)) == 1)


async def test_an_orphan_is_drained_beside_live_sending_and_counts_while_it_waits(tmp_path: Path) -> None:
    away = Cluster()
    away.up = False
    for epoch in "ab":
        async with spilling(away, tmp_path) as writer:
            await writer.append([batch(number, epoch=epoch) for number in range(1, 4)])
            await kill(writer)
            writer._closed = True
    stuck, live = Cluster(), Cluster()
    stuck.up = False
    writer = await SpillingWriter.open(live.writer(), SpillConfig(directory=tmp_path), patient=stuck.writer())
    await until(lambda: writer.state.reason != "")
    await writer.append([batch(1, epoch="c")])
    assert not writer.state.spilling
    assert writer.state.bytes > 3 * measured([batch(1)])
    assert first_arrivals(live.log) == {("c", 0): [1]}
    stuck.up = True
    await drained(writer)
    await writer.close()
    assert first_arrivals(stuck.log) == {("a", 0): [1, 2, 3], ("b", 0): [1, 2, 3]}


# What Kafka refuses for good


def received(number: int, text: str) -> RequestReceived:
    return RequestReceived(call=facts(number), request=Body(text=text, size=len(text)))


async def test_of_a_message_too_large_the_facts_go_on_and_the_whole_is_put_aside(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.largest = 5_000
    large = message_of(REQUESTS, 0, BatchId("e", 2), [received(1, "x" * 9_000), received(2, "short")])
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1), large, batch(3)])
        await drained(writer)
        state = writer.state
    assert (state.put_aside, state.dropped, state.dropped_bodies) == (1, {"body_refused": 1}, 1)
    assert first_arrivals(cluster.log) == {("e", 0): [1, 2, 3]}
    [sent] = [message for message in cluster.log.messages(REQUESTS.name) if message.batch_id.sequence == 2]
    events = decode(RequestReceived, sent)[0].events
    assert [event.request for event in events] == [Body(size=9_000, truncated=True), Body(text="short", size=5)]
    [file] = (tmp_path / ASIDE).iterdir()
    kept = json.loads(file.read_bytes())
    assert (kept["reason"], b64decode(kept["value"])) == ("too large", large.value)


async def test_a_message_that_is_refused_even_so_does_not_hold_up_the_drain(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.largest = 100
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1), batch(2, size=200), batch(3)])
        await drained(writer)
        assert (writer.state.put_aside, writer.state.dropped) == (1, {"event_refused": 1})
    assert first_arrivals(cluster.log) == {("e", 0): [1, 3]}


@pytest.mark.parametrize("named", [True, False])
async def test_what_a_writer_refuses_before_it_sends_is_put_aside(tmp_path: Path, named: bool) -> None:
    cluster = Cluster()
    wrong = batch(2, 7)

    class Strict:
        async def append(self, messages: Any) -> None:
            if not cluster.up:
                raise LogUnavailable("away")
            for message in messages:
                if message.partition == 7:
                    raise MessageTooLarge("too large", message) if named else UnknownTopic("no partition 7")
            await cluster.take(messages)

        async def close(self) -> None: ...

    cluster.up = False
    writer = await SpillingWriter.open(Strict(), SpillConfig(directory=tmp_path))
    await writer.append([batch(1), wrong, batch(2), batch(1, 1)])
    cluster.up = True
    await drained(writer)
    await writer.close()
    assert writer.state.put_aside == 1
    assert first_arrivals(cluster.log) == {("e", 0): [1, 2], ("e", 1): [1]}


async def test_what_is_put_aside_has_a_limit(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.largest = 100
    async with spilling(cluster, tmp_path, limit_bytes=8_000) as writer:
        await writer.append([batch(number, size=1_000) for number in range(1, 5)])
        await drained(writer)
        assert (writer.state.put_aside, writer.state.dropped) == (1, {"event_refused": 4})


async def test_batches_for_partitions_that_turn_out_not_to_be_there_go_where_their_calls_belong(tmp_path: Path) -> None:
    cluster = Cluster(partitions=3)
    counts: dict[str, int] = {}
    cluster.up = False
    events = [received(number, "hi") for number in range(6)]
    async with spilling(cluster, tmp_path, counts=lambda: counts) as writer:
        await writer.append([message_of(REQUESTS, 7, BatchId("e", 1), events), batch(1, 2)])
        await asyncio.sleep(0.02)
        counts[REQUESTS.name] = 3
        cluster.up = True
        await drained(writer)
    assert first_arrivals(cluster.log)["e", 2] == [1]
    for number, event in enumerate(events):
        partition = partition_of(event.call.organization, event.call.request_id, 3)
        lines = [line for message in cluster.log.messages(REQUESTS.name, partition) for line in lines_of(message.value)]
        assert any(f'"{facts(number).call_id}"'.encode() in line for line in lines)


async def test_a_batch_on_its_way_when_the_partitions_become_known_goes_where_its_calls_belong(tmp_path: Path) -> None:
    cluster = Cluster(partitions=3)
    counts: dict[str, int] = {}
    cluster.up = False
    async with spilling(cluster, tmp_path, counts=lambda: counts) as writer:
        await writer.append([message_of(REQUESTS, 7, BatchId("e", 1), [received(number, "hi") for number in range(6)])])
        cluster.hold()
        appends = cluster.appends
        await until(lambda: cluster.appends > appends)
        counts[REQUESTS.name] = 3
        cluster.up = True
        cluster.let_go()
        await drained(writer)
        assert writer.state.dropped == {}
    assert sum(message.count for message in cluster.log.messages(REQUESTS.name)) == 6


def test_a_batch_that_is_spread_again_has_the_same_ids() -> None:
    message = message_of(REQUESTS, 7, BatchId("e", 1), [received(number, "hi") for number in range(6)])
    parts = spread(message, 3)
    assert parts == spread(message, 3)
    assert sum(part.count for part in parts) == 6
    assert len({part.batch_id.epoch for part in parts}) == len(parts)
    assert {part.batch_id.sequence for part in parts} == {1}


# Room

WHOLE = message_of(REQUESTS, 0, BatchId("e", 1), [received(1, "x" * 5_000), received(2, "y" * 5_000)])
LIGHT = bare(WHOLE).message
ROOM = {
    "room enough": (0, 100_000, WHOLE, 0),
    "just enough": (100_000 - measured([WHOLE]), 100_000, WHOLE, 0),
    "one byte too many": (100_001 - measured([WHOLE]), 100_000, LIGHT, 2),
    "in the reserve": (110_000, 100_000, LIGHT, 2),
    "the last of the reserve": (125_000 - measured([LIGHT]), 100_000, LIGHT, 2),
    "nothing left": (125_001 - measured([LIGHT]), 100_000, None, 0),
}


@pytest.mark.parametrize(("held", "limit", "kept", "bodies"), ROOM.values(), ids=ROOM)
def test_bodies_go_before_facts(held: int, limit: int, kept: Any, bodies: int) -> None:
    if kept is None:
        with pytest.raises(LogUnavailable, match="HELIOGRAPH_SPILL__BYTES"):
            fit([WHOLE], held, limit)
    else:
        fitted = fit([WHOLE], held, limit)
        assert (fitted.messages, fitted.bodies) == ((kept,), bodies)


async def test_a_full_spill_refuses_and_takes_again_when_it_was_drained(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.up = False
    async with spilling(cluster, tmp_path, limit_bytes=40_000) as writer:
        taken = 0
        refused = None
        while refused is None:
            try:
                await writer.append([message_of(REQUESTS, 0, BatchId("e", taken + 1), [received(1, "x" * 5_000)])])
                taken += 1
            except LogUnavailable as error:
                refused = str(error)
        assert "its limit is 40000" in refused
        assert writer.state.bytes <= 50_000
        assert writer.state.dropped == {"body_over_spill": writer.state.dropped_bodies}
        assert taken > writer.state.dropped_bodies >= 5
        cluster.up = True
        await drained(writer)
        await writer.append([batch(taken + 1)])
    assert first_arrivals(cluster.log) == {("e", 0): list(range(1, taken + 2))}


async def test_a_full_disk_refuses_whole_appends_and_loses_nothing(tmp_path: Path) -> None:
    def limit(pages: int) -> Callable[[LogFile], object]:
        return lambda file: file.db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    cluster = Cluster()
    cluster.up = False
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1)])
        assert writer._own is not None
        await writer._own._log._file.run(limit(16))
        with pytest.raises(LogUnavailable, match="free some space"):
            await writer.append([batch(2, size=300_000), batch(3)])
        assert writer.state.messages == 1
        await writer._own._log._file.run(limit(100_000))
        await writer.append([batch(2, size=300_000), batch(3)])
        cluster.up = True
        await drained(writer)
    assert first_arrivals(cluster.log) == {("e", 0): [1, 2, 3]}


async def test_a_directory_that_cannot_be_used_is_told_and_used_as_soon_as_it_can(tmp_path: Path) -> None:
    directory = tmp_path / "spill"
    directory.write_text("no directory")
    cluster = Cluster()
    async with spilling(cluster, directory) as writer:
        assert "HELIOGRAPH_SPILL__DIR" in writer.state.reason
        await writer.append([batch(1)])
        cluster.up = False
        with pytest.raises(LogUnavailable, match="HELIOGRAPH_SPILL__DIR"):
            await writer.append([batch(2)])
        directory.unlink()
        await writer.append([batch(2)])
        cluster.up = True
        await drained(writer)
        assert writer.state.reason == ""
    assert first_arrivals(cluster.log) == {("e", 0): [1, 2]}


# Damage


def damage(directory: Path) -> None:
    file = directory / FILE_NAME
    shutil.rmtree(directory / (FILE_NAME + "-wal"), ignore_errors=True)
    content = bytearray(file.read_bytes())
    content[100:] = Random(1).randbytes(len(content) - 100)
    file.write_bytes(content)


async def test_a_corrupt_spill_is_kept_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    away, cluster, broken = Cluster(), Cluster(), ""
    away.up = False
    for epoch in "ab":
        writer = await SpillingWriter.open(away.writer(), SpillConfig(directory=tmp_path))
        await writer.append([batch(number, epoch=epoch) for number in range(1, 4)])
        broken = folders(tmp_path)[0] if epoch == "a" else broken
        await writer.close()
    damage(tmp_path / broken)
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1, epoch="c")])
        await drained(writer)
        assert writer.state.corrupt == 1
    assert first_arrivals(cluster.log) == {("b", 0): [1, 2, 3], ("c", 0): [1]}
    assert folders(tmp_path) == [f"corrupt-{broken}"]
    assert (tmp_path / f"corrupt-{broken}" / FILE_NAME).exists()


async def test_a_spill_that_is_too_old_is_kept_aside_until_it_is_asked_for(tmp_path: Path) -> None:
    away, cluster, now = Cluster(), Cluster(), 1.8e9
    away.up = False
    async with spilling(away, tmp_path, clock=lambda: now) as writer:
        await writer.append([batch(1), batch(2)])
    [run] = folders(tmp_path)
    now += timedelta(days=22).total_seconds()
    async with spilling(cluster, tmp_path, clock=lambda: now) as writer:
        await until(lambda: writer.state.corrupt == 1)
        assert writer.state.dropped == {"spill_kept_aside": 2}
        await writer.append([batch(1, epoch="f")])
    assert first_arrivals(cluster.log) == {("f", 0): [1]}
    assert folders(tmp_path) == [f"too-old-{run}"]
    (tmp_path / f"too-old-{run}").rename(tmp_path / run)
    async with spilling(cluster, tmp_path, clock=lambda: now, most_age=timedelta(days=23)) as writer:
        await drained(writer)
    assert first_arrivals(cluster.log)["e", 0] == [1, 2]


async def test_a_spill_that_breaks_while_it_is_used_is_kept_aside_and_appends_go_on(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.up = False
    async with spilling(cluster, tmp_path) as writer:
        await writer.append([batch(1)])
        [own] = folders(tmp_path)
        assert writer._own is not None
        await writer._own._log._file.run(lambda file: file.db.execute("DROP TABLE partitions").fetchall())
        with pytest.raises(LogUnavailable, match="damaged"):
            await writer.append([batch(2)])
        await until(lambda: writer.state.corrupt == 1)
        assert writer.state.dropped == {"spill_kept_aside": 1}
        await writer.append([batch(2)])
        cluster.up = True
        await drained(writer)
    assert first_arrivals(cluster.log) == {("e", 0): [2]}
    assert folders(tmp_path) == [f"corrupt-{own}"]


# Whatever happens

STEPS = st.one_of(
    st.sampled_from(["down", "up", "up", "settle", "kill", "close"]),
    st.tuples(st.just("append"), st.lists(st.integers(0, 2), min_size=1, max_size=6)),
    st.tuples(st.just("fault"), st.tuples(st.integers(0, 4), st.integers(0, 2))),
)


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=60)
def test_whatever_happens_first_arrivals_come_in_order_and_no_number_is_missing(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_live_through(steps, Path(directory)))


async def _live_through(steps: list[Any], directory: Path) -> None:
    cluster, run, said = Cluster(partitions=3), 0, {}
    writer = await SpillingWriter.open(cluster.writer(), SpillConfig(directory=directory))
    for step in steps:
        match step:
            case "append", places:
                messages = []
                for place in places:
                    said[f"e{run}", place] = number = said.get((f"e{run}", place), 0) + 1
                    messages.append(batch(number, place, epoch=f"e{run}"))
                await writer.append(messages)
            case "fault", (acknowledged, kept):
                cluster.fail_once(acknowledged, kept)
            case "down" | "up":
                cluster.up = step == "up"
            case "settle":
                await asyncio.sleep(0.01)
            case "kill" | "close":
                await (kill(writer) if step == "kill" else writer.close())
                run += 1
                writer = await SpillingWriter.open(cluster.writer(), SpillConfig(directory=directory))
    cluster.up = True
    await drained(writer)
    await writer.close()
    assert first_arrivals(cluster.log) == {place: list(range(1, last + 1)) for place, last in said.items()}
    assert folders(directory) == []


# Processes


async def spiller(directory: Path, epoch: str, appends: int) -> asyncio.subprocess.Process:
    arguments = ["-m", "tests.eventlog.spiller", str(directory), epoch, str(appends)]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)


async def test_kill_9_and_sigterm_lose_nothing_that_was_taken_and_the_next_run_sends_it(tmp_path: Path) -> None:
    taken: dict[str, int] = {}
    for turn in range(4):
        process = await spiller(tmp_path, f"e{turn}", 1_000_000)
        assert process.stdout is not None
        for _ in range(Random(turn).randint(1, 150)):
            await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        process.terminate() if turn == 3 else process.kill()
        rest, _ = await process.communicate()
        taken[f"e{turn}"] = int(rest.split()[-1]) if rest.split() else 1
    cluster = Cluster()
    async with spilling(cluster, tmp_path) as writer:
        await drained(writer)
    found = first_arrivals(cluster.log)
    for epoch, last in taken.items():
        for partition in range(3):
            numbers = found[epoch, partition]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= last
    assert folders(tmp_path) == []
