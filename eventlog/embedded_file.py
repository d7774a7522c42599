"""The file of an embedded log: how it is made, checked, locked, and what its errors mean.

Everything here blocks. One thread owns a `LogFile`; other threads and processes have their own on the same path.

Whoever writes or checkpoints holds an advisory lock on `log.lock` beside the file. SQLite would serialise writers by itself, but its
waiting sleeps up to 100 ms at a time, and before 3.51.3 a checkpoint beside a commit could, very rarely, corrupt the file (the
"WAL-reset bug" of SQLite's documentation of write-ahead logging, known since March 2026). Under the lock neither happens; the system
frees it when a process is killed.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from eventlog.port import LogCorrupt, LogUnavailable
from eventlog.topics import TOPICS

FILE_NAME = "log.sqlite"
LOCK_NAME = "log.lock"
APPLICATION = 0x48454C49
VERSION = 1
PATIENCE_S = 2.0
"""How long a lock held by somebody else is waited for."""

CHECKPOINT_BYTES = 8 << 20
"""A write-ahead log above this size is copied back into the file and emptied."""

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- `next` outlives the messages: offsets go on where they were, however much has expired. `bytes` is what is retained.
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
);

-- `slot` is the partition's id and the offset in one number, so that a partition is one range of the tree.
CREATE TABLE messages (
    slot INTEGER PRIMARY KEY, appended_at REAL NOT NULL, epoch TEXT NOT NULL, sequence INTEGER NOT NULL,
    count INTEGER NOT NULL, key TEXT, headers BLOB, value BLOB NOT NULL
);
CREATE INDEX messages_by_key ON messages (key, slot) WHERE key IS NOT NULL;

CREATE TABLE positions (reader TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (reader, partition))
WITHOUT ROWID;
"""

_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds its lock; see what runs on this directory",
    sqlite3.SQLITE_LOCKED: "another process holds its lock; see what runs on this directory",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "the disk failed, or is full; look at the system's log",
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; make the directory exist and writable for this user",
    sqlite3.SQLITE_PERM: "access is refused; make the file and its directory writable for this user",
    sqlite3.SQLITE_NOMEM: "memory ran out; give the process more",
    sqlite3.SQLITE_PROTOCOL: "too many processes lock it at once; try again",
}


class LogFile:
    """One connection to the file, and the lock that goes with writing."""

    def __init__(self, path: Path, db: sqlite3.Connection, lock: int, fsync: bool) -> None:
        self.path = path
        self.db = db
        self._lock = lock
        self._fsync = fsync
        self._wal_left_bytes = 0
        self.log_id = UUID(int=0)
        self.partition_ids: dict[tuple[str, int], int] = {}

    @classmethod
    def open(cls, directory: Path, *, partitions: int, fsync: bool) -> "LogFile":
        """Open the file, making it when it is not there. Raises LogUnavailable, LogCorrupt, ValueError for another number of partitions."""
        path = directory / FILE_NAME
        with _naming(path):
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                db = _connect(path)
            except BaseException:
                os.close(lock)
                raise
        file = cls(path, db, lock, fsync)
        try:
            file._prepare(partitions)
        except BaseException:
            file.close()
            raise
        return file

    def close(self) -> None:
        with _naming(self.path):
            try:
                self.db.close()
            finally:
                os.close(self._lock)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that alone may write: all of it or nothing. Durable when the block is left."""
        with _naming(self.path), self._locked():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the log. Keep it short: while it is open the write-ahead log cannot be emptied."""
        with _naming(self.path):
            self.db.execute("BEGIN")
            try:
                yield self.db
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    def data_version(self) -> int:
        """A number that changes whenever another connection, in whatever process, has committed."""
        with _naming(self.path):
            return _number(self.db, "PRAGMA data_version")

    def wal_bytes(self) -> int:
        return _size_of(self.path.with_name(FILE_NAME + "-wal"))

    def size_bytes(self) -> int:
        return _size_of(self.path) + self.wal_bytes()

    def checkpoint_due(self) -> bool:
        """The write-ahead log has grown large, and has grown since a reader last kept it from being emptied."""
        size = self.wal_bytes()
        return size >= CHECKPOINT_BYTES and size != self._wal_left_bytes

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file and empty it. While a reader needs it, it is copied only; a later write starts it anew."""
        with _naming(self.path), self._locked(), self._impatient():
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._wal_left_bytes = self.wal_bytes()

    def vacuum(self, pages: int) -> None:
        """Return up to `pages` free pages to the file system, once the write-ahead log is copied."""
        # The pragma frees one page for each row it yields, rows without columns, which only a script steps through.
        with _naming(self.path), self._locked():
            self.db.executescript(f"PRAGMA incremental_vacuum({pages})")

    def free_pages(self) -> int:
        with _naming(self.path):
            return _number(self.db, "PRAGMA freelist_count")

    def _prepare(self, partitions: int) -> None:
        with _naming(self.path), self._locked():
            if self._is_new():
                self._create(partitions)
            self._check_make()
            self.db.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'NORMAL'}")
            self.db.execute("PRAGMA wal_autocheckpoint = 0")
            self._check_partitions(partitions)
        self._declare_topics(partitions)

    def _is_new(self) -> bool:
        made = _number(self.db, "PRAGMA user_version") or _number(self.db, "PRAGMA application_id")
        return not made and not _number(self.db, "SELECT count(*) FROM sqlite_master")

    def _create(self, partitions: int) -> None:
        # Prompts will lie in here: the file is for its owner alone, and SQLite gives its companions the same permissions.
        # By name, never by a descriptor: closing one would drop the locks of every other connection of this process.
        self.path.chmod(0o600)
        # Both must come before the first table; a half-made file from a kill here is empty, and made again.
        self.db.execute("PRAGMA page_size = 16384")  # a batch is hundreds of KiB: fewer pages, fewer system calls
        self.db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            self.db.execute(statement)
        about = (("id", str(UUID(bytes=os.urandom(16), version=4))), ("partitions", str(partitions)))
        self.db.executemany("INSERT INTO about VALUES (?, ?)", about)
        self.db.execute(f"PRAGMA application_id = {APPLICATION}")
        self.db.execute(f"PRAGMA user_version = {VERSION}")
        self.db.execute("COMMIT")

    def _check_make(self) -> None:
        if _number(self.db, "PRAGMA application_id") != APPLICATION:
            raise LogCorrupt(f"{self.path} is a database of another program; choose another data directory, or move the file away")
        version = _number(self.db, "PRAGMA user_version")
        if version > VERSION:
            raise LogCorrupt(
                f"{self.path} was written by a newer Heliograph (format {version}, this one reads up to {VERSION}); upgrade this one"
            )
        if version < VERSION:
            raise LogCorrupt(f"{self.path} has the unknown format {version}; move the file away, a new one is then made")

    def _check_partitions(self, partitions: int) -> None:
        about = dict(self.db.execute("SELECT name, value FROM about").fetchall())
        self.log_id = UUID(about["id"])
        if int(about["partitions"]) != partitions:
            raise ValueError(
                f"{self.path} has {about['partitions']} partitions and {partitions} were asked for; a log keeps the number it was"
                f" made with: ask for {about['partitions']}, or use a new data directory"
            )

    def _declare_topics(self, partitions: int) -> None:
        places = [(topic, partition) for topic in TOPICS for partition in range(partitions)]
        known = self._known_places()
        if not known.keys() >= set(places):
            with self.writing() as db:
                db.executemany("INSERT OR IGNORE INTO partitions (topic, partition) VALUES (?, ?)", places)
            known = self._known_places()
        self.partition_ids = {place: known[place] for place in places}

    def _known_places(self) -> dict[tuple[str, int], int]:
        with self.reading() as db:
            rows = db.execute("SELECT topic, partition, id FROM partitions").fetchall()
        return {(topic, partition): partition_id for topic, partition, partition_id in rows}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._take_lock()
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _take_lock(self) -> None:
        # A blocking flock has no time limit, so it is asked for again and again: soon at first, a write is done in well under 1 ms.
        deadline = time.monotonic() + PATIENCE_S
        pause_s = 0.0002
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _unavailable(self.path, sqlite3.SQLITE_BUSY, f"locked for more than {PATIENCE_S:g} s") from None
            else:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.002)

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """Do not wait for readers: they would hold up every writer."""
        self.db.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self.db.execute(f"PRAGMA busy_timeout = {int(PATIENCE_S * 1000)}")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)


def _number(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the system leave as the port's own, naming the file and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            raise  # a misuse of the connection: a bug
        raise _named(path, code & 0xFF, str(error)) from error
    except OSError as error:
        raise LogUnavailable(f"{path}: {error.strerror}; make the directory writable for this user, with space left") from error


def _named(path: Path, code: int, text: str) -> Exception:
    if code in _REMEDIES:
        return _unavailable(path, code, text)
    if code == sqlite3.SQLITE_NOTADB:
        return LogCorrupt(f"{path} is no log ({text}); choose another data directory, or move the file away")
    return LogCorrupt(f"{path} is damaged ({text}); move the file away, a new one is then made, and what was not yet read from it is lost")


def _unavailable(path: Path, code: int, text: str) -> LogUnavailable:
    return LogUnavailable(f"{path}: {text}: {_REMEDIES[code]}")
