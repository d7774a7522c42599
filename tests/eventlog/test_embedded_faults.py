"""What an embedded log does when the disk is full, the file is locked, damaged, or not ours."""

import asyncio
import fcntl
import resource
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from eventlog import embedded_file
from eventlog.codec import BatchId, Message
from eventlog.embedded import EmbeddedLog
from eventlog.embedded_file import FILE_NAME, LOCK_NAME, LogFile
from eventlog.port import LogCorrupt, LogUnavailable
from eventlog.topics import RESPONSES


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedLog]:
    monkeypatch.setattr(embedded_file, "PATIENCE_S", 0.1)
    log = await EmbeddedLog.open(tmp_path)
    yield log
    await log.close()


def message(sequence: int, size: int = 10) -> Message:
    return Message(topic=RESPONSES.name, partition=0, batch_id=BatchId("a", sequence), count=1, value=b"x" * size)


async def held(log: EmbeddedLog) -> list[int]:
    reader = await log.reader([RESPONSES.name], group="looking")
    records = await reader.poll(max_bytes=1 << 30, timeout=timedelta(0))
    await reader.close()
    return [record.message.batch_id.sequence for record in records]


async def test_a_database_locked_by_a_stranger(log: EmbeddedLog, tmp_path: Path) -> None:
    writer = await log.writer()
    stranger = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailable, match=r"log\.sqlite: database is locked: another process"):
        await writer.append([message(1)])
    stranger.execute("ROLLBACK")
    stranger.close()
    await writer.append([message(2)])
    assert await held(log) == [2]


async def test_a_writer_that_hangs_with_the_lock(log: EmbeddedLog, tmp_path: Path) -> None:
    writer = await log.writer()
    reader = await log.reader([RESPONSES.name], group="g")
    with (tmp_path / LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LogUnavailable, match=r"locked for more than 0\.1 s"):
            await writer.append([message(1)])
        with pytest.raises(LogUnavailable):
            await reader.commit({(RESPONSES.name, 0): 0})
        with pytest.raises(LogUnavailable):
            await EmbeddedLog.open(tmp_path)
    await writer.append([message(2)])
    assert await held(log) == [2]


async def test_a_full_disk_refuses_whole_appends_and_takes_later_ones(log: EmbeddedLog) -> None:
    def limit(pages: int) -> Callable[[LogFile], object]:
        return lambda file: file.db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    writer = await log.writer()
    await log._file.run(limit(16))
    with pytest.raises(LogUnavailable, match=r"log\.sqlite: database or disk is full: .*free some space"):
        await writer.append([message(1), message(2, 200_000)])
    await writer.append([message(3)])
    await log._file.run(limit(100_000))
    await writer.append([message(4, 200_000)])
    assert await held(log) == [3, 4]


async def test_a_disk_that_takes_no_more_bytes(log: EmbeddedLog, tmp_path: Path) -> None:
    writer = await log.writer()
    await writer.append([message(1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (await log._file.run(LogFile.wal_bytes) + 50_000, hard))
    try:
        with pytest.raises(LogUnavailable, match=r"log\.sqlite: disk I/O error: the disk failed, or is full"):
            await writer.append([message(2), message(3, 200_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await writer.append([message(4, 200_000)])
    assert await held(log) == [1, 4]


async def test_waiting_appends_fail_together_and_later_ones_succeed(log: EmbeddedLog, tmp_path: Path) -> None:
    writer = await log.writer()
    with (tmp_path / LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcomes = await asyncio.gather(*[writer.append([message(n)]) for n in range(5)], return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LogUnavailable] * 5
    await asyncio.gather(*[writer.append([message(n)]) for n in range(5)])
    assert await held(log) == [0, 1, 2, 3, 4]


async def test_an_append_cancelled_before_its_turn_is_not_kept(log: EmbeddedLog) -> None:
    writer = await log.writer()
    first, second, third = (asyncio.create_task(writer.append([message(n)])) for n in (1, 2, 3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, third)
    assert second.cancelled()
    assert await held(log) == [1, 3]


async def test_closing_finishes_the_appends_under_way(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path)
    writer = await log.writer()
    appends = [asyncio.create_task(writer.append([message(n)])) for n in range(20)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.gather(*appends)
    with pytest.raises(RuntimeError, match="closed"):
        await writer.append([message(99)])
    again = await EmbeddedLog.open(tmp_path)
    assert await held(again) == list(range(20))
    await again.close()


async def test_many_appends_at_once_share_transactions(log: EmbeddedLog) -> None:
    writer, other = await log.writer(), await EmbeddedLog.open(log._opening.directory)
    before = await other._file.run(LogFile.data_version)
    seen = {before}
    appends = [asyncio.create_task(writer.append([message(n)])) for n in range(200)]
    while not all(append.done() for append in appends):
        seen.add(await other._file.run(LogFile.data_version))
    await other.close()
    assert len(await held(log)) == 200
    assert len(seen) <= 10


@pytest.mark.parametrize(("fsync", "synchronous"), [(False, 1), (True, 2)])
async def test_fsync_is_what_it_says(tmp_path: Path, fsync: bool, synchronous: int) -> None:
    log = await EmbeddedLog.open(tmp_path, fsync=fsync)
    assert await log._file.run(lambda file: file.db.execute("PRAGMA synchronous").fetchone()[0]) == synchronous
    assert await log._file.run(lambda file: file.db.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
    await log.close()


async def test_a_log_keeps_its_identity_and_a_new_one_has_its_own(tmp_path: Path) -> None:
    identities = []
    for _ in range(2):
        log = await EmbeddedLog.open(tmp_path)
        identities.append(log.identity(RESPONSES.name))
        await log.close()
    shutil.rmtree(tmp_path)
    log = await EmbeddedLog.open(tmp_path)
    assert identities[0] == identities[1] != log.identity(RESPONSES.name)
    await log.close()


async def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    await (await EmbeddedLog.open(tmp_path, partitions=2)).close()
    with pytest.raises(ValueError, match=r"log\.sqlite has 2 partitions and 3 were asked for.*ask for 2"):
        await EmbeddedLog.open(tmp_path, partitions=3)
    with pytest.raises(ValueError, match="at least 1"):
        await EmbeddedLog.open(tmp_path, partitions=0)


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, it is a text of some length" * 100)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()


def foreign_by_mark(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 7")
    db.close()


def of_format(version: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        LogFile.open(path.parent, partitions=1, fsync=False).close()
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()

    return change


def torn(path: Path) -> None:
    LogFile.open(path.parent, partitions=1, fsync=False).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))


UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "garbage": (garbage, "is no log"),
    "a database of another program": (foreign, "another program"),
    "an empty database of another program": (foreign_by_mark, "another program"),
    "a newer format": (of_format(99), "newer Heliograph.*format 99.*upgrade"),
    "a format that never was": (of_format(-1), "unknown format -1"),
    "torn pages": (torn, "is damaged"),
}


@pytest.mark.parametrize(("spoil", "fault"), UNREADABLE.values(), ids=UNREADABLE)
async def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path, spoil: Callable[[Path], None], fault: str) -> None:
    path = tmp_path / FILE_NAME
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(LogCorrupt, match=f"{path}.*{fault}"):
        await EmbeddedLog.open(tmp_path)
    assert path.read_bytes() == before


async def test_damage_found_while_reading_is_named(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path)
    await (await log.writer()).append([message(n, 3000) for n in range(200)])
    await log.close()
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xa5" * (len(whole) - len(whole) // 2))
    log = await EmbeddedLog.open(tmp_path)
    with pytest.raises(LogCorrupt, match=r"is damaged.*move the file away"):
        await held(log)
    await log.close()


@pytest.mark.parametrize("made_so_far", [b"", None], ids=["an empty file", "only the header"])
async def test_a_file_half_made_by_a_kill_is_made_again(tmp_path: Path, made_so_far: bytes | None) -> None:
    path = tmp_path / FILE_NAME
    if made_so_far is None:
        db = sqlite3.connect(path)
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.close()
        assert path.stat().st_size > 0
    else:
        path.write_bytes(made_so_far)
    log = await EmbeddedLog.open(tmp_path)
    await (await log.writer()).append([message(1)])
    assert await held(log) == [1]
    assert await log._file.run(lambda file: file.db.execute("PRAGMA auto_vacuum").fetchone()[0]) == 2
    await log.close()


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def test_prompts_are_for_the_owner_of_the_file_alone(log: EmbeddedLog, tmp_path: Path) -> None:
    await (await log.writer()).append([message(1)])
    assert modes(tmp_path) == dict.fromkeys([FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-shm", LOCK_NAME], 0o600)


async def test_closing_twice_is_closing(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path)
    await log.close()
    await log.close()


async def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LogUnavailable, match=r"file/data/log\.sqlite: .*make the directory writable"):
        await EmbeddedLog.open(tmp_path / "file" / "data")


async def test_text_that_is_no_unicode_fails_its_own_append_only(log: EmbeddedLog) -> None:
    writer = await log.writer()
    odd = Message(topic=RESPONSES.name, partition=0, batch_id=BatchId("\ud800", 1), count=0, value=b"")
    outcomes = await asyncio.gather(writer.append([message(1)]), writer.append([odd]), return_exceptions=True)
    assert outcomes[0] is None
    assert isinstance(outcomes[1], ValueError)
    assert await held(log) == [1]
