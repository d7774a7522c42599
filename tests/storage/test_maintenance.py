"""Merging: what is planned, what it leaves, and that a sink goes on beside it."""

import asyncio
import os
import shutil
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from eventlog.codec import BatchId, message_of
from eventlog.topics import CALLS
from storage.config import StorageConfig
from storage.lake import Lake
from storage.maintenance import Merge, SizedFile, live_files, maintain, plan, tidy
from storage.migration import LakeTooNew
from storage.schema import CALLS as CALLS_SCHEMA
from storage.schema import VERSION, VERSION_KEY
from storage.sink import Sink
from tests.fakes.facts import BEGAN, priced
from tests.fakes.memory_log import MemoryLog
from tests.storage.test_sink import call_ids, names, nothing_assembled, record_of

TODAY = BEGAN.date()
YESTERDAY = TODAY - timedelta(days=1)
CONFIG = StorageConfig(lake_uri="unused", small_files=3, target_file_bytes=1000)
SMALL, LARGE = 10, 900

PLANS: dict[str, tuple[str, list[SizedFile], list[Merge]]] = {
    "nothing there": ("feedback", [], []),
    "an open day with few files": ("feedback", [SizedFile(TODAY, SMALL)] * 3, []),
    "an open day with many": ("feedback", [SizedFile(TODAY, SMALL)] * 4, [Merge("feedback", TODAY, 4, sort=False)]),
    "large files are left alone": ("feedback", [SizedFile(TODAY, LARGE)] * 9, []),
    "a closed day with two": ("feedback", [SizedFile(YESTERDAY, SMALL)] * 2, [Merge("feedback", YESTERDAY, 2, sort=True)]),
    "a closed day with one": ("feedback", [SizedFile(YESTERDAY, SMALL)], []),
    "a closed day of calls, which will be settled": ("calls", [SizedFile(YESTERDAY, SMALL)] * 2, []),
    "a closed day of calls with many": ("calls", [SizedFile(YESTERDAY, SMALL)] * 4, [Merge("calls", YESTERDAY, 4, sort=False)]),
}


@pytest.mark.parametrize(("table", "files", "merges"), PLANS.values(), ids=PLANS)
def test_plan(table: str, files: list[SizedFile], merges: list[Merge]) -> None:
    assert plan(table, files, CONFIG, TODAY) == merges


def lake_of_small_files(folder: Path, *, files: int, day: int = 0, log: MemoryLog | None = None) -> tuple[Lake, Sink]:
    lake = Lake.open(StorageConfig(lake_uri=str(folder), small_files=3))
    sink = Sink(log or MemoryLog(), lake, lake.config, assemble=nothing_assembled, clock=lambda: 0.0)
    for number in range(files):
        put(sink, number, day=day)
    return lake, sink


def put(sink: Sink, number: int, *, day: int = 0) -> None:
    sink.accept([record_of(message_of(CALLS, 0, BatchId("a", number + 1), [priced(number, day=day)]), number)])
    sink.commit_due(everything=True)


@pytest.mark.parametrize("day", [0, -1], ids=["open", "closed"])
def test_small_files_become_one_and_rows_stay(tmp_path: Path, day: int) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=6, day=day)
    (work,) = maintain(lake, TODAY)
    assert not work.sort
    assert len(lake.files("calls")) == 1
    assert call_ids(lake) == names(range(6))
    assert maintain(lake, TODAY) == []


def test_a_sink_goes_on_beside_a_merge(tmp_path: Path) -> None:
    lake, sink = lake_of_small_files(tmp_path, files=6)
    maintain(lake, TODAY)
    put(sink, 6)
    maintain(lake, TODAY)
    put(sink, 7)
    assert call_ids(lake) == names(range(8))


async def test_merges_and_commits_at_the_same_time(tmp_path: Path) -> None:
    lake, sink = lake_of_small_files(tmp_path, files=6)

    async def commits() -> None:
        for number in range(6, 40):
            await asyncio.to_thread(put, sink, number)

    async def merges() -> None:
        for _ in range(8):
            await asyncio.to_thread(maintain, lake, TODAY)

    await asyncio.gather(commits(), merges())
    assert call_ids(lake) == names(range(40))


def test_tidying_removes_what_somebody_who_was_killed_had_written(tmp_path: Path) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=2)
    live, now = lake.files("calls"), time.time()
    day = Path(live[0]).parent
    for name, hours in (("killed", 25), ("writing", 23)):
        path = day / f"part-{name}.parquet"
        shutil.copy(live[0], path)
        os.utime(path, (now, now - hours * 3600))
    tidy(lake)
    assert {path.name for path in day.iterdir()} == {*(Path(each).name for each in live), "part-writing.parquet"}


def test_tidying_leaves_what_is_live(tmp_path: Path) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=6)
    maintain(lake, TODAY)
    tidy(lake)
    assert call_ids(lake) == names(range(6))
    assert [file.day for file in live_files(lake.table("calls"))] == [TODAY]


def test_an_older_lake_gains_the_columns_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = CALLS_SCHEMA.remove(CALLS_SCHEMA.get_field_index("traceparent"))
    with monkeypatch.context() as patch:
        patch.setattr("storage.lake.TABLES", {"calls": older})
        patch.setattr("storage.lake.VERSION", 0)
        Lake.open(StorageConfig(lake_uri=str(tmp_path)))
    lake = Lake.open(StorageConfig(lake_uri=str(tmp_path)))
    sink = Sink(MemoryLog(), lake, lake.config, assemble=nothing_assembled, clock=lambda: 0.0)
    put(sink, 1)
    assert lake.table("calls").to_pyarrow_table().column("traceparent").to_pylist() == [None]
    assert lake.table("calls").metadata().configuration[VERSION_KEY] == str(VERSION)


def test_a_lake_of_a_later_program_is_refused(tmp_path: Path) -> None:
    lake = Lake.open(StorageConfig(lake_uri=str(tmp_path)))
    lake.table("calls").alter.set_table_properties({VERSION_KEY: "99"}, raise_if_not_exists=False)
    with pytest.raises(LakeTooNew, match="schema version 99"):
        Lake.open(StorageConfig(lake_uri=str(tmp_path)))


def test_days_are_utc() -> None:
    assert date(2026, 3, 1) == TODAY
