import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from eventlog import embedded_file
from eventlog.codec import BatchId, Message, Record
from eventlog.embedded import EmbeddedLog
from eventlog.embedded_file import LogFile
from eventlog.embedded_retention import Head, too_much, too_old
from eventlog.embedded_store import OVERHEAD_BYTES
from eventlog.port import Lag
from eventlog.topics import CALLS, CONTROL, RESPONSES

EVERYTHING = {0: 1 << 40, 1: 1 << 40}
FOR_EVER = timedelta(days=10_000)
NO_LIMIT = 1 << 60


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 1000.0
        self.log: EmbeddedLog

    async def start(self) -> "World":
        self.log = await EmbeddedLog.open(self.directory, partitions=2, clock=lambda: self.now)
        self.writer = await self.log.writer()
        return self

    async def append(
        self, sequence: int, *, partition: int = 0, topic: str = RESPONSES.name, size: int = 10, key: str | None = None
    ) -> None:
        batch_id = BatchId("a", sequence)
        value = b"x" * size
        await self.writer.append([Message(topic=topic, partition=partition, batch_id=batch_id, count=1, value=value, key=key)])

    async def left(self, topic: str = RESPONSES.name, partition: int = 0) -> list[int]:
        reader = await self.log.reader([topic], group="looking")
        records: list[Record] = []
        while more := await reader.poll(max_bytes=1 << 24, timeout=timedelta(0)):
            records += more
        await reader.close()
        return [record.message.batch_id.sequence for record in records if record.message.partition == partition]

    async def retain(self, *, max_age: timedelta = FOR_EVER, max_bytes: int = NO_LIMIT, through: dict[int, int] = EVERYTHING) -> int:
        return await self.log.retain(RESPONSES.name, through=through, max_age=max_age, max_bytes=max_bytes, now=self.now)

    async def assert_counted(self) -> None:
        """What the partitions say they hold is what they hold."""

        def sizes(file: LogFile) -> tuple[int, int]:
            held = file.db.execute(f"SELECT coalesce(sum(length(value) + {OVERHEAD_BYTES}), 0) FROM messages").fetchone()
            return held[0], file.db.execute("SELECT sum(bytes) FROM partitions").fetchone()[0]

        held, said = await self.log._file.run(sizes)
        assert held == said
        assert await self.log._file.run(lambda file: file.db.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World(tmp_path).start()
    yield world
    await world.assert_counted()
    await world.log.close()


async def test_by_age_the_old_go_and_the_young_stay(world: World) -> None:
    for n in range(6):
        world.now = 1000.0 + n * 10
        await world.append(n)
        await world.append(100 + n, partition=1)
    assert await world.retain(max_age=timedelta(seconds=25)) == 6
    assert await world.left() == [3, 4, 5]
    assert await world.left(partition=1) == [103, 104, 105]
    assert await world.retain(max_age=timedelta(seconds=25)) == 0


async def test_by_size_the_oldest_go_whatever_their_partition(world: World) -> None:
    for n in range(6):
        world.now += 1
        await world.append(n, partition=n % 2, size=1000)
    assert await world.retain(max_bytes=3 * (1000 + OVERHEAD_BYTES)) == 3
    assert (await world.left(), await world.left(partition=1)) == ([4], [3, 5])


async def test_nothing_at_or_above_the_named_offset_goes(world: World) -> None:
    for n in range(6):
        await world.append(n)
        await world.append(n, partition=1)
    world.now += 1000
    assert await world.retain(max_age=timedelta(0), max_bytes=0, through={0: 2}) == 2
    assert await world.left() == [2, 3, 4, 5]
    assert await world.left(partition=1) == [0, 1, 2, 3, 4, 5]
    assert await world.retain(max_age=timedelta(0), max_bytes=0, through={}) == 0
    assert await world.retain(max_age=timedelta(0), max_bytes=0, through={0: -5}) == 0


async def test_other_topics_are_left_alone(world: World) -> None:
    await world.append(1)
    await world.append(2, topic=CALLS.name)
    assert await world.retain(max_bytes=0) == 1
    assert await world.left(CALLS.name) == [2]


async def test_offsets_go_on_over_retention_and_reopening(world: World) -> None:
    for n in range(3):
        await world.append(n)
    assert await world.retain(max_bytes=0) == 3
    await world.log.close()
    await world.start()
    assert await world.log.ends(RESPONSES.name) == {0: 3, 1: 0}
    await world.append(3)
    assert await world.left() == [3]
    assert await world.log.ends(RESPONSES.name) == {0: 4, 1: 0}


async def test_a_compacted_topic_keeps_the_newest_of_each_key(world: World) -> None:
    for n, key in enumerate(["a", "b", "a", "c", "a", "b"]):
        await world.append(n, topic=CONTROL.name, key=key)
    await world.append(50, topic=CONTROL.name, key="a", partition=1)
    dropped = await world.log.retain(CONTROL.name, through=EVERYTHING, max_age=timedelta(0), max_bytes=0, now=world.now + 1e9)
    assert dropped == 3
    assert await world.left(CONTROL.name) == [3, 4, 5]
    assert await world.left(CONTROL.name, partition=1) == [50]


async def test_a_compacted_topic_keeps_all_at_or_above_the_named_offset(world: World) -> None:
    for n in range(5):
        await world.append(n, topic=CONTROL.name, key="a")
    assert await world.log.retain(CONTROL.name, through={0: 2}, max_age=timedelta(0), max_bytes=0, now=world.now) == 2
    assert await world.left(CONTROL.name) == [2, 3, 4]


async def test_the_disk_gets_its_space_back(world: World) -> None:
    for n in range(60):
        await world.append(n, size=500_000)
    before = await world.log.size_bytes()
    assert await world.retain(max_bytes=2_000_000) == 57
    after = await world.log.size_bytes()
    assert before > 30_000_000
    assert after < 9_000_000
    assert await world.left() == [57, 58, 59]


async def test_writers_and_readers_go_on_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_file, "CHECKPOINT_BYTES", 1 << 20)
    for n in range(500):
        await world.append(n, size=30_000, partition=n % 2)
    reader = await world.log.reader([RESPONSES.name], group="live")
    reader.seek(dict.fromkeys(reader.assigned, 250))
    retaining = asyncio.create_task(world.retain(max_bytes=0, through={0: 250, 1: 250}))
    slowest = 0.0
    seen = 0
    for n in range(500, 600):
        began = time.monotonic()
        await world.append(n, size=3000)
        slowest = max(slowest, time.monotonic() - began)
        seen += len(await reader.poll(max_bytes=1 << 20, timeout=timedelta(seconds=10)))
    assert await retaining == 500
    assert seen == 100
    assert slowest < 1.0


async def test_the_write_ahead_log_stays_bounded_beside_a_reader(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_file, "CHECKPOINT_BYTES", 1 << 20)
    reader = await world.log.reader([RESPONSES.name], group="live")
    waiting = asyncio.create_task(reader.poll(max_bytes=1, timeout=timedelta(seconds=60)))
    largest = 0
    for n in range(200):
        await world.append(n, size=100_000)
        largest = max(largest, await world.log._file.run(LogFile.wal_bytes))
        if waiting.done():
            waiting = asyncio.create_task(reader.poll(max_bytes=50_000_000, timeout=timedelta(seconds=60)))
    waiting.cancel()
    assert largest < 6 << 20


async def test_lag_counts_messages_and_seconds(world: World) -> None:
    for n in range(4):
        world.now = 1000.0 + n
        await world.append(n)
    reader = await world.log.reader([RESPONSES.name], group="g")
    assert await world.log.lag("g") == []
    await reader.commit({(RESPONSES.name, 0): 1, (RESPONSES.name, 1): 0})
    world.now = 1010.0
    behind = Lag(topic=RESPONSES.name, partition=0, messages=3, seconds=9.0)
    level = Lag(topic=RESPONSES.name, partition=1, messages=0, seconds=0.0)
    assert await world.log.lag("g") == [behind, level]
    assert [lag.messages for lag in await world.log.lag("nobody", [RESPONSES.name])] == [4, 0]


HEADS = [Head(1, 10.0, 100), Head(2, 20.0, 100), Head(3, 15.0, 100)]
OLD = {"none": (10.0, 0), "one": (10.1, 1), "a clock that went back hides nothing younger": (18.0, 1), "all": (20.1, 3)}
MUCH = {"nothing too much": (0, 0), "a byte": (1, 1), "exactly one": (100, 1), "a byte more": (101, 2), "more than there is": (1000, 3)}


@pytest.mark.parametrize(("horizon", "count"), OLD.values(), ids=OLD)
def test_too_old(horizon: float, count: int) -> None:
    assert too_old(HEADS, horizon) == count


@pytest.mark.parametrize(("excess", "count"), MUCH.values(), ids=MUCH)
def test_too_much(excess: int, count: int) -> None:
    assert too_much(HEADS, excess) == count
