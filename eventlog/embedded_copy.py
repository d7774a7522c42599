"""A copy of an embedded log while others write to it: SQLite's own online backup, one state of the whole file."""

import sqlite3
from pathlib import Path

from eventlog.embedded_file import FILE_NAME


def has_log(directory: Path) -> bool:
    return (directory / FILE_NAME).exists()


def copy_log(directory: Path, target: Path) -> int:
    """Copies the log in `directory` to `target`, a directory without one. Answers the bytes. Blocks. Raises OSError, sqlite3.Error."""
    target.mkdir(parents=True, exist_ok=True)
    unfinished, path = target / f"{FILE_NAME}.unfinished", target / FILE_NAME
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    source, copy = sqlite3.connect(directory / FILE_NAME, timeout=10), sqlite3.connect(unfinished)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    return unfinished.rename(path).stat().st_size
