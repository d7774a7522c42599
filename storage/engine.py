"""The second wall: a DuckDB that may read one directory and nothing else, and that stops when told to.

One engine serves one lake. It is locked before the first statement of a caller reaches it: no other files, no network, no extensions, no
settings. Each question gets a connection of its own, with its own temporary views, which is closed after it.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

import duckdb
import msgspec
from fsspec.implementations.arrow import ArrowFSWrapper
from msgspec import Struct
from pyarrow import fs

from storage.config import SCHEME
from storage.lake import Lake
from storage.refusal import Refusal, Refused

_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}

_NOW = "(system.main.get_current_timestamp() AT TIME ZONE 'UTC')"
_MACROS = ("now", "get_current_timestamp", "transaction_timestamp")
"""Redefined as UTC without a zone, as the lake's times are: comparing with a zoned time casts every row's, and skips no file."""

_TIMEOUT_GRACE_S = 1.0
_FREED = "16MB"
"""What is let go is given back to the system from here on; else each process keeps fifty megabytes after its first large question. Where
every megabyte is given back, and asked for again, questions take half as long again.
"""


class EngineLimits(Struct, frozen=True, kw_only=True):
    """What one engine may take of its machine."""

    memory_bytes: int = 1 << 30
    threads: int = 2
    timeout_s: float = 30.0
    keeps_files: bool = True
    """Whether what was read of files stays in memory, as far as that goes, for questions that read it again: of local ones what they are
    made up of, as the system keeps the rest."""


class Engine:
    """A locked DuckDB in memory. Its connections may be used in any thread, one thread at a time each."""

    def __init__(self, directories: Sequence[str], limits: EngineLimits, remote: fs.FileSystem | None = None, *, spill: str = "") -> None:
        """`remote` reads the directories that are `s3://…`. `spill`: a folder for what memory does not hold."""
        self.limits = limits
        self._open: set[duckdb.DuckDBPyConnection] = set()
        self._root = duckdb.connect(":memory:", config=dict(_SETTINGS))
        if remote is not None:
            self._root.register_filesystem(_Remote(remote))
        for statement in _lock(directories, limits, spill, remote=remote is not None):
            self._root.execute(statement)

    def open(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own settings and temporary views."""
        cursor = self._root.cursor()
        self._open.add(cursor)
        return cursor

    def end(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Closes it, which also ends what it still runs."""
        self._open.discard(connection)
        connection.close()

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One for a while; ended at the end."""
        opened = self.open()
        try:
            yield opened
        finally:
            self.end(opened)

    def interrupt(self) -> None:
        """Stops what runs now on all connections, from any thread."""
        for cursor in tuple(self._open):
            with suppress(duckdb.Error):
                cursor.interrupt()

    def close(self) -> None:
        self._root.close()


def engine_of(lake: Lake, limits: EngineLimits, *, spill: str = "") -> Engine:
    """One that reads the lake. Close it at the end."""
    return Engine([lake.directory()], limits, None if lake.local else lake.filesystem()[0], spill=spill)


class _Remote(ArrowFSWrapper):
    """How DuckDB, which comes without a client of its own, reads an object store."""

    protocol = SCHEME


def _lock(directories: Sequence[str], limits: EngineLimits, spill: str, *, remote: bool) -> Iterator[str]:
    allowed = ", ".join(literal(directory) for directory in directories)
    yield "SET GLOBAL TimeZone = 'UTC'"
    yield "SET GLOBAL errors_as_json = true"
    yield f"SET GLOBAL parquet_metadata_cache = {limits.keeps_files}"
    yield f"SET GLOBAL enable_external_file_cache = {limits.keeps_files and remote}"
    yield f"SET GLOBAL memory_limit = '{limits.memory_bytes}B'"
    yield f"SET GLOBAL threads = {limits.threads}"
    yield f"SET GLOBAL allocator_flush_threshold = '{_FREED}'"
    yield f"SET GLOBAL allocator_bulk_deallocation_flush_threshold = '{_FREED}'"
    yield f"SET GLOBAL max_execution_time = {int((limits.timeout_s + _TIMEOUT_GRACE_S) * 1000)}"
    yield f"SET GLOBAL temp_directory = {literal(spill)}"
    yield f"SET GLOBAL allowed_directories = [{allowed}]"
    yield "SET GLOBAL enable_external_access = false"
    yield from (f"CREATE MACRO {name}() AS {_NOW}" for name in _MACROS)
    yield "SET GLOBAL lock_configuration = true"


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def deadline(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupts what runs on `connection` when `seconds` are over, and turns DuckDB's errors into refusals."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (duckdb.Error, OSError, ValueError) as error:
        _refuse(error, seconds)
    finally:
        timer.cancel()


class _Told(Struct, frozen=True):
    """DuckDB's error as JSON."""

    exception_type: str = ""
    exception_message: str = ""
    position: str | None = None
    error_subtype: str = ""


LAKE_MOVED = Refusal(
    code="lake_moved",
    message="Files of the lake were replaced while the question ran.",
    fix="Ask again.",
    field="sql",
    status=503,
)

LAKE_DAMAGED = Refusal(
    code="lake_damaged",
    message="A file of the lake is damaged.",
    fix="`heliograph lake --check` names it; put it back from a backup.",
    status=503,
)

_DAMAGED = "Failed to read file"
_NO_PARQUET = re.compile(r"No magic bytes found|too small to be a Parquet file|not a parquet file", re.IGNORECASE)
_PREFIX = re.compile(r"^(?:(?P<kind>[\w ]+?) Error: )?(?P<rest>.*)$", re.DOTALL)
"""Errors of no kind, as of what decodes pages, are JSON alone."""


def _told(error: Exception) -> _Told | None:
    """What DuckDB said. Streaming, Arrow wraps it in an OSError, text unchanged. None: it was not DuckDB."""
    match = _PREFIX.match(str(error))
    if not match:
        return None
    with suppress(msgspec.DecodeError, msgspec.ValidationError):
        return msgspec.json.decode(match["rest"], type=_Told)
    return None if match["kind"] is None else _Told(match["kind"], match["rest"].partition("\n\nLINE ")[0])


def _refuse(error: Exception, seconds: float) -> NoReturn:
    told = _told(error)
    if told is None and not isinstance(error, duckdb.Error):
        raise error
    told = told or _Told("", str(error))
    raise Refused(_refusal(told, seconds)) from None


def timed_out(seconds: float) -> Refusal:
    return Refusal(
        code="query_timeout",
        message=f"The question took longer than {seconds:.3g} s and was stopped.",
        fix="Narrow it with a condition on created_at, or ask for fewer columns.",
        field="sql",
        status=504,
    )


OUT_OF_MEMORY = Refusal(
    code="result_too_large",
    message="The question needs more memory than questions are given.",
    fix="Narrow it with a condition on created_at, ask for fewer columns, or aggregate.",
    field="sql",
    status=422,
)


def _refusal(told: _Told, seconds: float) -> Refusal:
    kind = told.exception_type.lower()
    if kind == "interrupt":
        return timed_out(seconds)
    if kind == "out of memory":
        return OUT_OF_MEMORY
    return _refusal_of_statement(told, kind)


def _refusal_of_statement(told: _Told, kind: str) -> Refusal:
    position = int(told.position) if told.position and told.position.isdecimal() else None
    if kind == "permission":
        return Refusal(code="forbidden_function", message="The question reaches for a file.", fix="Read from the views.", field="sql")
    if kind == "io" or _NO_PARQUET.search(told.exception_message):
        return LAKE_MOVED
    if kind == "invalid" or told.exception_message.startswith(_DAMAGED):  # of what decodes pages, whose errors have no kind
        return LAKE_DAMAGED
    if kind in {"invalid input", "binder"} and "parameter" in told.exception_message.lower():
        return Refusal(
            code="invalid_parameters", message=told.exception_message, fix="Give one value for each parameter.", field="parameters"
        )
    return Refusal(
        code="invalid_sql",
        message=told.exception_message.strip(),
        fix="Correct the statement; GET /v1/tables lists tables and columns.",
        field="sql",
        position=position,
    )
