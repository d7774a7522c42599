"""The topic of prompts as one process knows it: what they are in memory, their bodies in a file beside the log's other copies."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import structlog

from eventlog.codec import Record
from eventlog.prompts import Library, PromptVersion, body_in, key_of

log = structlog.get_logger()

PATIENCE_S = 5.0
"""So long another process on the file is waited for."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, line BLOB NOT NULL)"
"""Read by `rowid`, they are in the order of the log: what replaces a row is a new one."""

Lines = dict[str, bytes]
"""By key, in the order of the log; an empty one takes its key away."""


class PromptsKept:
    """All prompts, and their copy in `file`. A body that is not in the file yet, or cannot be, stays in memory.

    Without a file there is no copy, and all bodies are in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.library = Library()
        self._file = file
        self._fresh: Lines = {}
        self._whole = False
        """What is fresh is all there is."""

    def begin(self, records: Iterable[Record]) -> None:
        self.library, self._fresh, self._whole = Library(), {}, True
        self.take(records)

    def take(self, records: Iterable[Record]) -> None:
        for record in records:
            key, line = record.message.key or "", record.message.value.strip()
            self._fresh.pop(key, None)
            if line or self._file is not None:
                self._fresh[key] = line
            self.library.take([(key, line)])

    def body(self, version: PromptVersion) -> bytes | None:
        """A JSON object; None where it is gone, or the file cannot be read. Blocking."""
        key = key_of(version)
        line = self._fresh.get(key) or self._found(key)
        return body_in(line) if line else None

    def recall(self) -> bool:
        if self._file is None:
            return False
        try:
            lines = self._all(self._file) if self._file.exists() else None
        except (OSError, sqlite3.Error) as error:
            log.warning("prompts_copy_unreadable", file=str(self._file), error=str(error))
            self._file.unlink(missing_ok=True)  # the topic has it all
            return False
        self.library.take(lines or ())
        return lines is not None

    def remember(self) -> None:
        """A file that cannot be written now is tried again with the next news. Raises sqlite3.Error where it is damaged: it is removed."""
        if self._file is None:
            return
        fresh = self._fresh
        try:
            with closing(_opened(self._file)) as db, db:
                if self._whole:
                    db.execute("DELETE FROM records")
                db.executemany("DELETE FROM records WHERE key = ?", [(key,) for key in fresh])
                db.executemany("INSERT INTO records (key, line) VALUES (?, ?)", [each for each in fresh.items() if each[1]])
        except (OSError, sqlite3.OperationalError) as error:
            log.warning("prompts_copy_not_kept", file=str(self._file), error=str(error), until_then="bodies stay in memory")
        except sqlite3.DatabaseError:
            self._file.unlink(missing_ok=True)
            raise
        else:
            self._fresh, self._whole = {}, False

    def _found(self, key: str) -> bytes | None:
        if self._file is None:
            return None
        try:
            with closing(_opened(self._file)) as db:
                row = db.execute("SELECT line FROM records WHERE key = ?", (key,)).fetchone()
        except (OSError, sqlite3.Error) as error:
            log.error("prompts_copy_unreadable", file=str(self._file), error=str(error), remedy="restart: it is then made anew")
            return None
        return None if row is None else bytes(row[0])

    @staticmethod
    def _all(file: Path) -> list[tuple[str, bytes]]:
        with closing(_opened(file)) as db:
            return [(key, bytes(line)) for key, line in db.execute("SELECT key, line FROM records ORDER BY rowid")]


def _opened(file: Path) -> sqlite3.Connection:
    file.touch(mode=0o600)  # prompts lie in it
    db = sqlite3.connect(file, timeout=PATIENCE_S)
    try:
        db.execute(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
