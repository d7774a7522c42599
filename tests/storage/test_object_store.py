"""A lake in an object store: written by several sinks at once, merged, asked, copied, and kept from others' buckets."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from pyarrow import fs

from storage.backup import copy_lake, put_back, restoring
from storage.config import S3Config, StorageConfig
from storage.export_forms import Form
from storage.exporting import Export, Wanted
from storage.lake import Lake
from storage.lake_state import state_of
from storage.maintenance import maintain, tidy
from storage.query import Limits, run_query
from storage.refusal import Refused
from tests.fakes.bucket import Bucket, bucket
from tests.fakes.facts import BEGAN, calls_message
from tests.fakes.memory_log import MemoryLog
from tests.storage.test_amendments import asked
from tests.storage.test_sink import append, call_ids, drain, names, record_of, sink_on


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    with bucket() as made:
        yield made


def lake_in(store: Bucket, name: str) -> Lake:
    return Lake.open(StorageConfig(lake_uri=store.uri(name), s3=store.config, small_files=2))


async def test_rows_come_to_rest_and_are_asked(store: Bucket) -> None:
    log, lake = MemoryLog(), lake_in(store, "asked")
    for number in range(4):
        await append(log, calls_message("a", number + 1, [number]))
        await drain(log, lake)
    assert call_ids(lake) == names(range(4))
    assert asked(lake, "SELECT count(*), sum(total_tokens) FROM calls") == [(4, 480)]
    assert all(uri.startswith(store.uri("asked/calls/day=")) for uri in lake.files("calls"))


async def test_rows_are_exported_and_files_are_held_against_the_log(store: Bucket) -> None:
    log, lake = MemoryLog(), lake_in(store, "exported")
    await append(log, calls_message("a", 1, range(4)))
    await drain(log, lake)
    with closing(Export(lake, Wanted(columns=("call_id",)), Form.JSONL)) as export:
        lines = [line for part in export.parts for batch in export.batches(part) for line in batch.column(0).to_pylist()]
    assert sorted(json.loads(line)["call_id"] for line in lines) == sorted(names(range(4)))
    found = state_of(lake, BEGAN, check=True)
    assert (found.table("calls").whole.rows, found.problems) == (4, [])
    (path,) = lake.files("calls")
    lake.filesystem()[0].delete_file(path.removeprefix("s3://"))
    (problem,) = state_of(lake, BEGAN).problems
    assert f"calls: the file {path.partition('/calls/')[2]} is missing" in problem


async def test_small_files_are_merged_and_old_ones_removed(store: Bucket) -> None:
    log, lake = MemoryLog(), lake_in(store, "merged")
    for number in range(4):
        await append(log, calls_message("a", number + 1, [number]))
        await drain(log, lake)
    assert [work.files for work in maintain(lake, date(2026, 3, 2))] == [4]
    tidy(lake)
    assert len(lake.files("calls")) == 1
    assert call_ids(lake) == names(range(4))


def test_of_two_sinks_one_is_refused_and_judges_again(store: Bucket) -> None:
    log, lake = MemoryLog(), lake_in(store, "raced")
    first, second = sink_on(log, lake), sink_on(log, lake)
    for sink in (first, second):
        sink.accept([record_of(calls_message("a", 1, range(3)), 0)])
    first.commit_due(everything=True)
    second.commit_due(everything=True)
    assert call_ids(lake) == names(range(3))


async def test_a_lake_is_copied_and_put_back_elsewhere(store: Bucket, tmp_path: Path) -> None:
    log, lake = MemoryLog(), lake_in(store, "copied")
    await append(log, calls_message("a", 1, range(3)))
    await drain(log, lake)
    copy_lake(lake, fs.LocalFileSystem(), str(tmp_path / "copy"), lambda *_: None)
    again = Lake(StorageConfig(lake_uri=store.uri("again"), s3=store.config))
    assert not again.exists()
    with restoring(again):
        put_back(again, fs.LocalFileSystem(), str(tmp_path / "copy"), lambda *_: None)
    assert again.exists()
    assert call_ids(again) == names(range(3))


def test_a_question_reads_no_other_folder_of_the_bucket(store: Bucket) -> None:
    lake = lake_in(store, "walled")
    other = lake_in(store, "elsewhere").uri_of("calls")
    with pytest.raises(Refused) as refused:
        run_query(lake, f"SELECT * FROM '{other}/x.parquet'", limits=Limits())
    assert refused.value.refusal.status == 400


def test_secrets_are_not_in_what_is_printed(store: Bucket) -> None:
    assert store.config.secret_access_key is not None
    assert store.config.secret_access_key not in repr(StorageConfig(lake_uri="s3://a/b", s3=store.config))
    assert S3Config().options() == {}
