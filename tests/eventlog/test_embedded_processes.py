"""Several processes on one file: who writes at once, who is killed, who waits."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from eventlog.codec import Record
from eventlog.embedded import EmbeddedLog
from eventlog.topics import REQUESTS, RESPONSES
from tests.eventlog.speaker import said

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
TOPICS = [RESPONSES.name, REQUESTS.name]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(tmp_path, partitions=2)
    yield log
    await log.close()


async def speaker(directory: Path, number: int, appends: int) -> asyncio.subprocess.Process:
    arguments = [str(directory), str(number), str(appends), "2"]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.eventlog.speaker", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def read_all(log: EmbeddedLog, group: str = "all") -> list[Record]:
    reader = await log.reader(TOPICS, group=group)
    records: list[Record] = []
    while more := await reader.poll(max_bytes=1 << 20, timeout=timedelta(0)):
        records += more
    await reader.close()
    return records


def heard(records: list[Record], number: int) -> dict[tuple[str, int], list[int]]:
    """Sequence numbers of one speaker, as they lie in each partition."""
    places = dict.fromkeys([(RESPONSES.name, 0), (RESPONSES.name, 1), (REQUESTS.name, 0)], ())
    own = [record for record in records if record.message.batch_id.epoch == f"{number:032x}"]
    return {place: [record.message.batch_id.sequence for record in own if record.place == place] for place in places}


def assert_dense(records: list[Record]) -> None:
    for place in {record.place for record in records}:
        offsets = [record.offset for record in records if record.place == place]
        assert offsets == list(range(len(offsets)))


async def test_four_processes_write_at_once_while_another_reads(log: EmbeddedLog, tmp_path: Path) -> None:
    speakers = [await speaker(tmp_path, number, 200) for number in range(4)]
    reader = await log.reader(TOPICS, group="live")
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < 4 * 200 * 3 and time.monotonic() < deadline:
        records += await reader.poll(max_bytes=100_000, timeout=timedelta(seconds=1))
    await asyncio.gather(*[process.communicate() for process in speakers])
    assert [process.returncode for process in speakers] == [0, 0, 0, 0]
    assert_dense(records)
    for number in range(4):
        assert list(heard(records, number).values()) == [list(range(1, 201))] * 3
    assert sorted(records, key=repr) == sorted(await read_all(log), key=repr)


async def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_half(log: EmbeddedLog, tmp_path: Path) -> None:
    acknowledged: dict[int, int] = {}
    for number in range(8):
        process = await speaker(tmp_path, number, 1_000_000)
        assert process.stdout is not None
        for _ in range(random.Random(number).randint(1, 60)):
            await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        await asyncio.sleep(random.Random(number).random() * 0.004)
        process.kill()
        rest, _ = await process.communicate()
        acknowledged[number] = int(rest.split()[-1]) if rest.split() else 1
    records = await read_all(log)
    assert_dense(records)
    for number, last in acknowledged.items():
        places = list(heard(records, number).values())
        assert places == [list(range(1, len(places[0]) + 1))] * 3
        assert len(places[0]) >= last
    assert await log._file.run(lambda file: file.db.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
    for record in records:
        batch = record.message.batch_id
        assert record.message in said(int(batch.epoch, 16), batch.sequence)


async def test_another_process_wakes_a_reader_soon(log: EmbeddedLog, tmp_path: Path) -> None:
    reader = await log.reader(TOPICS, group="g")
    process = await speaker(tmp_path, 1, 5)
    waits: list[float] = []
    while len(waits) < 15:
        records = await reader.poll(max_bytes=1 << 20, timeout=timedelta(seconds=PATIENCE_S))
        assert records
        now = time.time()
        waits += [now - record.appended_at for record in records]
    await process.communicate()
    assert min(waits) < 0.2


async def test_an_idle_reader_hardly_uses_the_processor(log: EmbeddedLog) -> None:
    reader = await log.reader(TOPICS, group="g")
    used, began = time.process_time(), time.monotonic()
    assert await reader.poll(max_bytes=1, timeout=timedelta(seconds=1)) == []
    assert (time.process_time() - used) / (time.monotonic() - began) < 0.1


async def test_processes_that_open_a_new_log_at_once_agree_on_it(tmp_path: Path) -> None:
    speakers = [await speaker(tmp_path / "new", number, 1) for number in range(3)]
    logs = await asyncio.gather(*[EmbeddedLog.open(tmp_path / "new", partitions=2) for _ in range(4)])
    await asyncio.gather(*[process.communicate() for process in speakers])
    assert [process.returncode for process in speakers] == [0, 0, 0]
    assert len({log.identity(RESPONSES.name) for log in logs}) == 1
    assert await logs[0].ends(RESPONSES.name) == {0: 3, 1: 3}
    for log in logs:
        await log.close()
