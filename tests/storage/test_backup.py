"""A copy of a lake is one state of each table, whatever happens meanwhile."""

from pathlib import Path
from shutil import rmtree

import pytest
from deltalake import DeltaTable
from pyarrow import fs

from storage.backup import NotEmpty, copy_lake, put_back, restoring
from storage.config import StorageConfig
from storage.lake import Lake, LakeUnreachable
from tests.fakes.facts import calls_message
from tests.fakes.memory_log import MemoryLog
from tests.storage.test_sink import append, call_ids, drain, lake_at, names

LOCAL = fs.LocalFileSystem()


def silent(table: str, done: int, whole: int) -> None:
    assert table
    assert 0 < done <= whole


async def filled(folder: Path, log: MemoryLog, commits: int = 4) -> Lake:
    lake = lake_at(folder)
    for number in range(commits):
        await append(log, calls_message("a", number + 1, [number]))
        await drain(log, lake)
    return lake


async def test_a_lake_put_back_goes_on_where_its_copy_was_made(tmp_path: Path) -> None:
    log = MemoryLog()
    lake = await filled(tmp_path / "lake", log)
    copied = copy_lake(lake, LOCAL, str(tmp_path / "copy"), silent)
    assert {each.name: each.rows for each in copied if each.rows} == {"calls": 4}
    await append(log, calls_message("a", 5, [4]))
    await drain(log, lake)
    again = lake_at_config(tmp_path / "again")
    with restoring(again):
        put_back(again, LOCAL, str(tmp_path / "copy"), silent)
    assert call_ids(again) == names(range(4))
    await drain(log, Lake.open(again.config))
    assert call_ids(again) == names(range(5))


def lake_at_config(folder: Path) -> Lake:
    return Lake(StorageConfig(lake_uri=str(folder)))


class MovingLake(Lake):
    """Between looking at a table and copying it, its files are merged away, and removed at once."""

    moved = False

    def table(self, name: str) -> DeltaTable:
        snapshot = super().table(name)
        if name == "calls" and not self.moved:
            self.moved = True
            moving = super().table(name)
            moving.optimize.compact()
            moving.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        return snapshot


async def test_files_that_vanish_meanwhile_make_it_copy_a_newer_state(tmp_path: Path) -> None:
    lake = await filled(tmp_path / "lake", MemoryLog())
    moving = MovingLake(lake.config)
    copied = copy_lake(moving, LOCAL, str(tmp_path / "copy"), silent)
    assert moving.moved
    assert next((each.rows, each.files) for each in copied if each.name == "calls") == (4, 1)
    assert DeltaTable(str(tmp_path / "copy" / "calls")).to_pyarrow_table().num_rows == 4


async def test_a_copy_needs_no_more_of_the_log_than_its_last_checkpoint(tmp_path: Path) -> None:
    lake = await filled(tmp_path / "lake", MemoryLog(), commits=6)
    lake.table("calls").create_checkpoint()
    await append(log := MemoryLog(), calls_message("b", 1, [9]))
    await drain(log, lake)
    copy_lake(lake, LOCAL, str(tmp_path / "copy"), silent)
    entries = sorted(path.name for path in (tmp_path / "copy" / "calls" / "_delta_log").iterdir())
    assert [name[18:] for name in entries] == ["06.checkpoint.parquet", "06.json", "07.json"]
    assert call_ids(Lake(StorageConfig(lake_uri=str(tmp_path / "copy")))) == names([*range(6), 9])


async def test_nothing_is_copied_over_something(tmp_path: Path) -> None:
    lake = await filled(tmp_path / "lake", MemoryLog(), commits=1)
    copy_lake(lake, LOCAL, str(tmp_path / "copy"), silent)
    with pytest.raises(NotEmpty, match=r"copy is not empty"):
        copy_lake(lake, LOCAL, str(tmp_path / "copy"), silent)
    with pytest.raises(NotEmpty, match=r"lake is not empty"), restoring(lake):
        pytest.fail("nobody gets here")


async def test_a_lake_whose_restore_broke_off_is_not_opened(tmp_path: Path) -> None:
    again = lake_at_config(tmp_path / "again")
    with pytest.raises(KeyboardInterrupt), restoring(again):
        raise KeyboardInterrupt
    with pytest.raises(LakeUnreachable, match=r"again cannot be opened: a restore .*RESTORE-UNFINISHED.*remove it"):
        Lake.open(again.config)


async def test_a_lake_ahead_of_the_log_that_was_copied_before_it_goes_on(tmp_path: Path) -> None:
    """As a backup leaves them: messages of the log's copy that the lake has are known, later ones are read."""
    log = MemoryLog()
    lake = await filled(tmp_path / "lake", log)
    log.put_back("llm.calls.v1", 0, end=2)
    await append(log, *(calls_message("b", number + 1, [10 + number]) for number in range(2)))
    await drain(log, lake)
    assert call_ids(lake) == names([*range(4), 10, 11])


async def test_a_lake_of_before_there_were_rollups_is_copied_and_put_back_without(tmp_path: Path) -> None:
    lake = await filled(tmp_path / "lake", MemoryLog())
    rmtree(tmp_path / "lake" / "rollups")
    copied = copy_lake(lake, LOCAL, str(tmp_path / "copy"), silent)
    assert "rollups" not in {table.name for table in copied}
    again = lake_at_config(tmp_path / "again")
    with restoring(again):
        put_back(again, LOCAL, str(tmp_path / "copy"), silent)
    assert call_ids(Lake.open(again.config)) == call_ids(lake)
