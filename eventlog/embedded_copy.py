"""A copy of an embedded log while others write to it: SQLite's own online backup, one state of the whole file."""

import sqlite3
from pathlib import Path

from eventlog.embedded_file import FILE_NAME


def has_log(directory: Path) -> bool:
    return (directory / FILE_NAME).exists()


def copy_log(directory: Path, target: Path) -> int:
    """Copies the log in `directory` to `target`, a directory without one. Answers the bytes. Blocks. Raises OSError, sqlite3.Error."""
    target.mkdir(parents=True, exist_ok=True)
    path = target / FILE_NAME
    path.touch(mode=0o600, exist_ok=False)
    source, copy = sqlite3.connect(directory / FILE_NAME, timeout=10), sqlite3.connect(path)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    return path.stat().st_size
