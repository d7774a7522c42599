"""Arrow's stream (IPC), written piece by piece: what pyarrow, Polars, DuckDB and others read as it comes."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa


class _Out:
    """Where Arrow writes, and whence the pieces are taken. Arrow asks it whether it is open, and closes it."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, piece: Any) -> int:
        self._written.append(bytes(piece))
        return len(self._written[-1])

    def taken(self) -> bytes:
        found, self._written = b"".join(self._written), []
        return found

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        self.closed = True


def arrow_stream(schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[bytes]:
    """The columns' types, then the rows of each table as they come, then the mark of the end: without it the stream broke off."""
    out = _Out()
    with pa.ipc.new_stream(pa.PythonFile(out, "w"), schema) as writer:
        yield out.taken()
        for table in tables:
            writer.write_table(table)
            yield out.taken()
    yield out.taken()
