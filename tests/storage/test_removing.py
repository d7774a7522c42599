"""Rows taken out of files: which, of what type the others stay, and beside sinks and merges that write at the same time."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError

from eventlog.erasure import About, erasure
from eventlog.events import Organization
from storage import settling
from storage.erasing import Subject, erase, find
from storage.lake import Lake
from storage.maintenance import Merge, maintain, merge
from storage.marks import position_id
from storage.removing import SCRATCH, FilesMoved, forget_scratches, remove
from storage.settling import days_due, settle, settled_days
from storage.writing import append
from tests.fakes.facts import BEGAN
from tests.fakes.memory_log import MemoryLog
from tests.fakes.small_lake import SmallLake, calls
from tests.storage.test_maintenance import TODAY, lake_of_small_files, put
from tests.storage.test_sink import call_ids, names

HERS = pc.field("user_id") == "ann"


def test_others_stay_as_they_were(tmp_path: Path) -> None:
    made = SmallLake(tmp_path)
    made.add("calls", *calls(3, user_id="ann"), *calls(3, user_id=None, properties={"a": "b"}))
    made.add("calls", *calls(2, user_id="ann"))
    made.add("calls", *calls(2, user_id="bob"))
    before = pq.read_schema(made.lake.files("calls")[0])
    untouched = set(made.lake.files("calls"))
    assert remove(made.lake, "calls", HERS) == 5
    rows = made.lake.table("calls").to_pyarrow_table().to_pylist()
    assert Counter(row["user_id"] for row in rows) == {None: 3, "bob": 2}  # where it is not known whose, nothing goes
    assert [dict(row["properties"]) for row in rows if row["user_id"] is None] == [{"a": "b"}] * 3
    (anew,) = set(made.lake.files("calls")) - untouched
    assert pq.read_schema(anew).field("user_id").type == before.field("user_id").type  # Delta's own delete makes it another
    known = made.lake.table("calls").get_add_actions(flatten=True)
    assert "ann" not in str(known.column("min.user_id").to_pylist() + known.column("max.user_id").to_pylist())
    assert remove(made.lake, "calls", HERS) == 0
    assert list((tmp_path / "calls" / SCRATCH).iterdir()) == []


def test_what_was_left_by_whoever_was_killed(tmp_path: Path) -> None:
    made = SmallLake(tmp_path)
    (tmp_path / "calls" / SCRATCH / "abc" / "1").mkdir(parents=True)
    forget_scratches(made.lake, "calls")
    assert not (tmp_path / "calls" / SCRATCH).exists()


def test_a_merge_that_began_before_brings_nothing_back(tmp_path: Path) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=6)
    older = lake.table("calls")
    assert remove(lake, "calls", pc.field("call_id") == "call-000002") == 1
    with pytest.raises(CommitFailedError):
        merge(older, Merge("calls", TODAY, 6, sort=False), lake.config)
    assert call_ids(lake) == names([0, 1, 3, 4, 5])


async def test_beside_sinks_and_merges(tmp_path: Path) -> None:
    log = MemoryLog()
    lake, sink = lake_of_small_files(tmp_path, files=6, log=log)
    doomed = [f"call-{number:06d}" for number in range(0, 40, 3)]

    async def commits() -> None:
        for number in range(6, 40):
            await asyncio.to_thread(put, sink, number)

    async def merges() -> None:
        for _ in range(8):
            await asyncio.to_thread(maintain, lake, TODAY)

    async def removals() -> None:
        for call in doomed:
            await asyncio.to_thread(patient, lake, pc.field("call_id") == call)

    await asyncio.gather(commits(), merges(), removals())
    remove(lake, "calls", pc.field("call_id").isin(doomed))  # those that came after they were looked for
    assert call_ids(lake) == names([number for number in range(40) if number % 3])
    position = position_id(log.identity("llm.calls.v1"), 0)
    assert lake.table("calls").transaction_version(position) == 40


def patient(lake: Lake, condition: pc.Expression) -> None:
    try:
        remove(lake, "calls", condition)
    except FilesMoved:
        pytest.fail("merges were always faster")


def test_a_day_that_is_settled_stays_so(tmp_path: Path) -> None:
    """And the figures of before, which settling keeps apart, go with their call."""
    lake, _ = lake_of_small_files(tmp_path, files=6, day=-30)
    (day,) = settled_before = [TODAY - timedelta(days=30)]
    rows = lake.table("calls").to_pyarrow_table()
    amended = rows.slice(0, 2).set_column(
        rows.schema.get_field_index("revision"), rows.schema.field("revision"), pa.array([1, 1], pa.int32())
    )
    append(lake.table("amendments"), amended, CommitProperties())
    assert settle(lake, day)
    assert lake.table("superseded").to_pyarrow_table().num_rows == 2
    call = amended.column("call_id")[0].as_py()
    about = erasure(About.REQUEST, Organization("default"), [call], before=BEGAN, until=BEGAN)
    subject = Subject(about, call)
    found = find(lake, subject)
    assert (found.rows["calls"], found.rows["superseded"]) == (1, 1)
    erase(lake, subject, found, lambda _table, _rows: None)
    assert not find(lake, subject, found).any
    assert len(lake.files("calls")) == 1
    assert settled_days(lake.table("calls")).keys() == set(settled_before)
    assert days_due(lake, TODAY, BEGAN + timedelta(days=3650)) == []
    assert call_ids(lake).total() == 5


def test_settling_that_began_before_brings_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=3, day=-30)
    real = settling.write_deltalake

    def late(*given: Any, **more: Any) -> None:
        remove(lake, "calls", pc.field("call_id") == "call-000001")
        real(*given, **more)

    monkeypatch.setattr(settling, "write_deltalake", late)
    assert not settle(lake, TODAY - timedelta(days=30))
    assert call_ids(lake) == names([0, 2])


class Pulled(Lake):
    """The files that were just read about are merged away, and removed at once."""

    pulled = False

    def table(self, name: str) -> DeltaTable:
        snapshot = super().table(name)
        if not self.pulled:
            self.pulled = True
            newest = super().table(name)
            newest.optimize.compact()
            newest.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        return snapshot


def test_files_that_were_removed_at_once_are_read_anew(tmp_path: Path) -> None:
    made = SmallLake(tmp_path)
    for user in ("ann", "bob"):
        made.add("calls", *calls(2, user_id=user))
    assert remove(Pulled(made.config), "calls", HERS) == 2
