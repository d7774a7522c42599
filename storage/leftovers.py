"""What a lake still has of rows that are gone: files that nothing refers to any more, and entries of Delta's log with their statistics.

Both stay for an hour for those who read them. Statistics tell the least and the greatest value of a column, so an id may be among them; an
entry is kept until a checkpoint stands for it, so one is written.
"""

import re
from contextlib import suppress

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from msgspec import Struct
from pyarrow import fs

from storage.lake import Lake
from storage.schema import TABLES

_ENTRY = re.compile(r"^(\d{20})\.(json|checkpoint\..*parquet)$")


class Leftovers(Struct, frozen=True):
    """How many."""

    files: int = 0
    unfinished: int = 0
    """Files that no commit ever named, older than an hour: somebody was killed before his."""
    entries: int = 0
    """Of Delta's log, behind its newest checkpoint."""


def leftovers(lake: Lake) -> Leftovers:
    """Of all tables. Blocks."""
    found = [_of(lake, name) for name in TABLES]
    return Leftovers(sum(each.files for each in found), sum(each.unfinished for each in found), sum(each.entries for each in found))


def purge(lake: Lake, *, at_once: bool) -> Leftovers:
    """Writes a checkpoint of each table, so that older entries can go; `at_once`, also removes the files. Answers what is left. Blocks.

    Whoever reads a file that goes is told that the lake has moved, and asks again.
    """
    for name in TABLES:
        with suppress(TableNotFoundError):
            snapshot = lake.table(name)
            if at_once:
                snapshot.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
            _checkpoint(snapshot)
            snapshot.cleanup_metadata()
    return leftovers(lake)


def _checkpoint(snapshot: DeltaTable) -> None:
    with suppress(DeltaError):  # of a table without a commit since its last one
        snapshot.update_incremental()
        snapshot.create_checkpoint()


def _of(lake: Lake, name: str) -> Leftovers:
    try:
        snapshot = lake.table(name)
    except TableNotFoundError:
        return Leftovers()
    files = snapshot.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False)
    where, root = lake.filesystem()
    any_old = snapshot.vacuum(retention_hours=1, dry_run=True, enforce_retention_duration=False, full=True)
    found = where.get_file_info(fs.FileSelector(f"{root}/{name}/_delta_log", allow_not_found=True))
    entries = [match for info in found if (match := _ENTRY.match(info.base_name))]
    newest = max((int(match[1]) for match in entries if match[2] != "json"), default=0)
    return Leftovers(len(files), len(set(any_old) - set(files)), sum(int(match[1]) < newest for match in entries))
