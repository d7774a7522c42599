"""Rows taken out of a table: files of which all rows go are dropped, others are written anew without them, in one commit.

Delta's own delete writes text in a type that readers by Arrow cannot compare with text, so files are written here as a sink writes them:
into a scratch table beside the files, from where they are moved, with their statistics, and committed: on the newest snapshot, as long as
it still has the files that were read, whatever was appended meanwhile. The commit keeps positions and marks, and makes a sink that writes
at that moment look again.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow import fs

from storage.lake import Lake
from storage.settling import ONE_FILE, settled_days
from storage.writing import HOOKS, WRITING, settled

TRIES = 50
SCRATCH = "_removing"
"""A folder beside a table's days: what begins with an underscore is no file of the table."""

Days = Sequence[tuple[str, str, str]]
"""Which days are meant, as Delta prunes files: `("day", ">=", "2026-03-01")`."""


class FilesMoved(Exception):
    """A merge took a file that was read, or an erasure removed it at once: it is to be read anew."""

    retryable = True


def remove(lake: Lake, table: str, condition: pc.Expression, days: Days = ()) -> int:
    """Takes out the rows that fulfil `condition`. Blocks. Answers how many. Raises FilesMoved where merges are always faster."""
    for left in reversed(range(TRIES)):
        try:
            return _removed(lake, table, condition, days)
        except FileNotFoundError as error:  # also of a scratch that an erasure took for that of somebody who was killed
            if not left:
                raise FilesMoved(table) from error
        except FilesMoved:
            if not left:
                raise
    raise AssertionError("unreachable")


def forget_scratches(lake: Lake, table: str) -> None:
    """Removes what was left by whoever was killed. Blocks."""
    files, root = lake.filesystem()
    folder = f"{root}/{table}/{SCRATCH}"
    if files.get_file_info(folder).type is fs.FileType.Directory:
        files.delete_dir(folder)


def _removed(lake: Lake, table: str, condition: pc.Expression, days: Days) -> int:
    snapshot = lake.table(table)
    dataset = snapshot.to_pyarrow_dataset(file_pruning_predicate=list(days) or None)
    known = {row["path"]: row for row in pa.table(snapshot.get_add_actions(flatten=True)).to_pylist()}
    done = settled_days(snapshot).keys() if table == "calls" else frozenset()
    removed: list[RemoveAction] = []
    added: list[AddAction] = []
    rows = 0
    with _scratch(lake, table) as folder:
        for fragment in dataset.get_fragments(filter=condition):
            if not (gone := fragment.count_rows(filter=condition)):
                continue
            action = known[_path_of(fragment, known)]
            rows += gone
            removed.append(_remove_action(action))
            if gone < action["num_records"]:
                stays = ds.FileSystemDataset([fragment], dataset.schema, fragment.format, fragment.filesystem)
                rows_left = stays.scanner(filter=condition.is_null() | ~condition).to_reader()
                writing = settled(action["num_records"]) if action["partition.day"] in done else WRITING
                added += _moved(lake, table, rows_left, f"{folder}/{len(removed)}", writing)
        if removed:
            _commit(lake, table, removed, added)
    return rows


def _commit(lake: Lake, table: str, removed: Sequence[RemoveAction], added: Sequence[AddAction]) -> None:
    """A commit that was made at the same moment costs another try, and not the files. Raises FilesMoved."""
    while True:
        newest = lake.table(table)
        live = set(pa.table(newest.get_add_actions(flatten=True)).column("path").to_pylist())
        if not all(action.path in live for action in removed):
            raise FilesMoved(table)
        with suppress(CommitFailedError):
            newest.create_write_transaction(
                [*removed, *added],
                "append",
                newest.schema(),
                ["day"],
                commit_properties=CommitProperties(max_commit_retries=0),
                post_commithook_properties=HOOKS,
            )
            return


@contextmanager
def _scratch(lake: Lake, table: str) -> Iterator[str]:
    """A folder of the table, by its name there, gone when the block ends."""
    files, root = lake.filesystem()
    folder = f"{SCRATCH}/{secrets.token_hex(8)}"
    try:
        yield folder
    finally:
        if files.get_file_info(f"{root}/{table}/{folder}").type is fs.FileType.Directory:
            files.delete_dir(f"{root}/{table}/{folder}")


def _path_of(fragment: Any, known: dict[str, Any]) -> str:
    path = str(fragment.path)
    return path if path in known else next(each for each in known if path.endswith(each))


def _remove_action(action: dict[str, Any]) -> RemoveAction:
    day = {"day": action["partition.day"].isoformat()}
    return RemoveAction(action["path"], data_change=True, deletion_timestamp=_now_ms(), size=action["size_bytes"], partition_values=day)


def _moved(lake: Lake, table: str, rows: pa.RecordBatchReader, folder: str, writing: WriterProperties) -> list[AddAction]:
    """Rows as files of the table that nobody knows of yet."""
    files, root = lake.filesystem()
    options = lake.options()
    write_deltalake(
        f"{lake.uri_of(table)}/{folder}",
        rows,
        mode="append",
        partition_by=["day"],
        target_file_size=ONE_FILE,
        writer_properties=writing,
        storage_options=options,
    )
    with files.open_input_stream(f"{root}/{table}/{folder}/_delta_log/{0:020}.json") as log:
        said = [msgspec.json.decode(line) for line in log.read().splitlines()]
    actions = []
    for add in (line["add"] for line in said if "add" in line):
        files.move(f"{root}/{table}/{folder}/{add['path']}", f"{root}/{table}/{add['path']}")
        actions.append(
            AddAction(
                path=add["path"],
                size=add["size"],
                partition_values=add["partitionValues"],
                modification_time=_now_ms(),
                data_change=True,
                stats=add["stats"],
            )
        )
    return actions


def _now_ms() -> int:
    return int(time.time() * 1000)
