"""Keeping a lake quick to ask: small files are merged, files nobody reads any more are removed.

First a plan, a value that can be read and refused; then its execution. A sink appends meanwhile: an append and a merge do not conflict,
and a merge that loses against another merge is simply planned again.
"""

from collections.abc import Sequence, Set
from datetime import date

import structlog
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from msgspec import Struct

from storage.config import StorageConfig
from storage.lake import Lake
from storage.schema import SORTED_BY, TABLES
from storage.settling import settled_days
from storage.writing import WRITING

log = structlog.get_logger()

SORT_LIMIT_BYTES = 256 << 20
"""A closed day with more than this is merged but not sorted again: sorting holds it in memory."""


UNFINISHED_HOURS = 24
"""No write takes so long: files this old that no commit names are those of somebody who was killed."""


class SizedFile(Struct, frozen=True):
    """One file of a table's snapshot."""

    day: date
    size: int


class Merge(Struct, frozen=True):
    """One day of a table whose small files become few."""

    table: str
    day: date
    files: int
    sort: bool
    """The day is over: its rows are put in order once and for all."""


def plan(table: str, files: Sequence[SizedFile], config: StorageConfig, today: date, settled: Set[date] = frozenset()) -> list[Merge]:
    """The days worth merging: an open one when its small files are many, a closed one when it is not yet as few files as it could be.

    Days of calls that are over are put in order by `storage/settling.py`; those that are `settled` are left to it.
    """
    merges = []
    for day in sorted({file.day for file in files} - settled):
        small = [file for file in files if file.day == day and file.size < config.target_file_bytes // 2]
        total = sum(file.size for file in small)
        closed = day < today and table != "calls"
        if len(small) > (1 if closed else config.small_files):
            merges.append(Merge(table, day, len(small), sort=closed and total <= SORT_LIMIT_BYTES and table != "bodies"))
    return merges


def live_files(snapshot: DeltaTable) -> list[SizedFile]:
    actions = snapshot.get_add_actions(flatten=True)
    columns = {name: actions.column(name).to_pylist() for name in ("partition.day", "size_bytes")}
    return [SizedFile(day, size) for day, size in zip(columns["partition.day"], columns["size_bytes"], strict=True)]


def merge(snapshot: DeltaTable, work: Merge, config: StorageConfig) -> None:
    """Carries out one merge. Blocks. Raises CommitFailedError when another merge of the same files was faster."""
    day = [("day", "=", work.day.isoformat())]
    if work.sort:
        snapshot.optimize.z_order(
            SORTED_BY[work.table], day, target_size=config.target_file_bytes, max_concurrent_tasks=1, writer_properties=WRITING
        )
    else:
        snapshot.optimize.compact(day, target_size=config.target_file_bytes, max_concurrent_tasks=1, writer_properties=WRITING)


def work_of(lake: Lake, today: date) -> list[Merge]:
    """What is worth merging now. Blocks."""
    return [work for table in TABLES for work in _plan(table, lake.table(table), lake.config, today)]


def _plan(table: str, snapshot: DeltaTable, config: StorageConfig, today: date) -> list[Merge]:
    return plan(table, live_files(snapshot), config, today, settled_days(snapshot).keys() if table == "calls" else frozenset())


def maintain(lake: Lake, today: date) -> list[Merge]:
    """Merges whatever is worth merging. Blocks. Answers what was done."""
    return [work for work in work_of(lake, today) if merged(lake, work)]


def merged(lake: Lake, work: Merge) -> bool:
    """Carries out one merge; False where another process was faster. Blocks."""
    try:
        merge(lake.table(work.table), work, lake.config)
    except CommitFailedError as error:
        log.info("merge_lost", table=work.table, day=str(work.day), error=str(error))
        return False
    return True


def tidy(lake: Lake) -> None:
    """Removes what nobody reads any more, and log entries behind a checkpoint. Blocks.

    Files that were merged away go after the grace; those that no commit names, as of somebody who was killed before his, after a day.
    """
    hours = max(1, round(lake.config.tombstone_grace.total_seconds() / 3600))
    for table in TABLES:
        snapshot = lake.table(table)
        snapshot.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False)
        snapshot.vacuum(retention_hours=max(hours, UNFINISHED_HOURS), dry_run=False, enforce_retention_duration=False, full=True)
        snapshot.cleanup_metadata()
