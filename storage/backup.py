"""A copy of a lake that is consistent whatever writes meanwhile.

Of each table one snapshot is copied: the entries of its log up to that version, and the files they leave alive. Rows, positions and marks
are of one commit in each table, so a lake that was put back goes on from there: what came later is read from the log again, once. A copy
of the folder file by file would not do, as its log may speak of files that were not there yet when they were copied.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
from deltalake import DeltaTable
from msgspec import Struct
from pyarrow import fs

from storage.lake import UNFINISHED, Lake
from storage.schema import TABLES

LOG = "_delta_log"
TRIES = 5
"""Files that were merged away for an hour, and old log entries, are removed: then a newer snapshot is copied."""

_ENTRY = re.compile(r"^(\d{20})\.(json|checkpoint\..*parquet)$")

REMADE = frozenset({"rollups"})
"""Tables that are made anew of others: a lake, or a copy, of before there were any is whole without."""

Progress = Callable[[str, int, int], None]
"""Hears of a table how many files are copied, of how many."""


class TableCopied(Struct, frozen=True, kw_only=True):
    """What a copy holds of a table."""

    name: str
    version: int
    files: int
    rows: int
    bytes: int


class NotEmpty(ValueError):
    """The place for a copy, or for a lake that is put back, holds something. The message names it and the fix."""

    retryable = False


def copy_lake(lake: Lake, target: fs.FileSystem, folder: str, progress: Progress) -> list[TableCopied]:
    """Copies each table below `folder`. Blocks. Raises NotEmpty, OSError."""
    refuse_unless_empty(target, folder)
    names = [name for name in TABLES if name not in REMADE or DeltaTable.is_deltatable(lake.uri_of(name), lake.options())]
    return [_copy_table(lake, name, target, f"{folder}/{name}", progress) for name in names]


def put_back(lake: Lake, source: fs.FileSystem, folder: str, progress: Progress) -> list[TableCopied]:
    """The copy in `folder` becomes the lake, within `restoring`. Blocks. Raises OSError."""
    target, root = lake.filesystem()
    copied = []
    for name in TABLES:
        names = [info.path.removeprefix(f"{folder}/{name}/") for info in _files(source, f"{folder}/{name}")]
        if not names and name in REMADE:
            continue
        _copy(source, f"{folder}/{name}", target, f"{root}/{name}", names, partial(progress, name))
        copied.append(_counted(name, lake.table(name)))
    return copied


@contextmanager
def restoring(lake: Lake) -> Iterator[None]:
    """The block fills the lake and whatever belongs to it. Until it has ended well, nobody opens the lake.

    Blocks. Raises NotEmpty where there is a lake already, OSError.
    """
    target, root = lake.filesystem()
    refuse_unless_empty(target, root)
    target.create_dir(root, recursive=True)
    marker = f"{root}/{UNFINISHED}"
    with target.open_output_stream(marker) as written:
        written.write(b"A restore into this lake has begun and not ended.\n")
    yield
    target.delete_file(marker)


def refuse_unless_empty(target: fs.FileSystem, folder: str) -> None:
    """Raises NotEmpty."""
    if any(True for _ in _files(target, folder)):
        raise NotEmpty(f"{folder} is not empty. Name another place, or move what is there away.")


def _copy_table(lake: Lake, name: str, target: fs.FileSystem, to: str, progress: Progress) -> TableCopied:
    source, root = lake.filesystem()
    left = TRIES
    while True:
        snapshot = lake.table(name)
        entries = _entries(source, f"{root}/{name}/{LOG}", snapshot.version())
        files = [*_data_files(snapshot), *(f"{LOG}/{entry}" for entry in entries)]
        try:
            _copy(source, f"{root}/{name}", target, to, files, partial(progress, name))
        except FileNotFoundError:
            left -= 1
            if not left:
                raise
            target.delete_dir(to)
        else:
            return _counted(name, snapshot)


def _entries(source: fs.FileSystem, folder: str, version: int) -> list[str]:
    """The log's entries that a table of this version is made of: from its last checkpoint on, or all."""
    found = [match for info in _files(source, folder) if (match := _ENTRY.match(info.base_name)) and int(match[1]) <= version]
    checkpoint = max((int(match[1]) for match in found if match[2] != "json"), default=0)
    return sorted(match[0] for match in found if int(match[1]) >= checkpoint)


def _data_files(snapshot: DeltaTable) -> list[str]:
    paths: list[str] = pa.table(snapshot.get_add_actions(flatten=True)).column("path").to_pylist()
    return paths


def _copy(
    source: fs.FileSystem, at: str, target: fs.FileSystem, to: str, files: Iterable[str], progress: Callable[[int, int], None]
) -> None:
    names = list(files)
    for number, name in enumerate(names, 1):
        parent = f"{to}/{name}".rpartition("/")[0]
        target.create_dir(parent, recursive=True)
        with source.open_input_stream(f"{at}/{name}", compression=None) as read, target.open_output_stream(f"{to}/{name}") as written:
            while block := read.read(1 << 20):
                written.write(block)
        progress(number, len(names))


def _counted(name: str, table: DeltaTable) -> TableCopied:
    actions = pa.table(table.get_add_actions(flatten=True))
    rows, sizes = (sum(actions.column(column).to_pylist()) for column in ("num_records", "size_bytes"))
    return TableCopied(name=name, version=table.version(), files=actions.num_rows, rows=rows, bytes=sizes)


def _files(where: fs.FileSystem, folder: str) -> Iterator[fs.FileInfo]:
    found = where.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True))
    return (info for info in found if info.type is fs.FileType.File)
