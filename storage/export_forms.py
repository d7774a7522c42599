"""The forms that an export has: what the engine makes of each column, and how rows become bytes of a file.

Text is made by the engine, a batch at a time: a hundred thousand calls a second, where Python's own values would take ten times as long.
JSON and CSV say what they say elsewhere (`formats.py`): times in UTC with a `Z`, decimals with all their digits, NULL where not known.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from storage.carried import quoted
from storage.views import Column

ROW_GROUP_BYTES = 32 << 20
"""Of Parquet, as Arrow: so much is held before it is written."""
ROW_GROUP_ROWS = 100_000
_ISO = "'%Y-%m-%dT%H:%M:%S.%fZ'"


class Form(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"
    HELICONE = "helicone"
    """JSONL in the fields of Helicone's request API, bodies included: what `heliograph import` reads."""


def projected(form: Form, columns: Sequence[Column]) -> str:
    """What is selected of the columns, so that a writer of the form takes it."""
    if form is Form.CSV:
        return ", ".join(f"{_csv(column)} AS {quoted(column.name)}" for column in columns)
    if form is Form.JSONL:
        packed = ", ".join(f"{quoted(column.name)} := {_json(column)}" for column in columns)
        return f"to_json(struct_pack({packed}))::VARCHAR AS line"
    return ", ".join(quoted(column.name) for column in columns)


def _json(column: Column) -> str:
    name = quoted(column.name)
    if column.type == "TIMESTAMP":
        return f"strftime({name}, {_ISO})"
    return f"if(isfinite({name}), {name}, NULL)" if column.type in {"FLOAT", "DOUBLE"} else name


def _csv(column: Column) -> str:
    name = quoted(column.name)
    if column.type == "TIMESTAMP":
        return f"strftime({name}, {_ISO})"
    if column.type.startswith(("MAP", "STRUCT")) or column.type.endswith("[]"):
        return f"to_json({name})::VARCHAR"
    return name


class Writer(Protocol):
    """Of one file. `close` writes what is held, and leaves the file open."""

    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


def writer_of(form: Form, file: BinaryIO, schema: pa.Schema) -> Writer:
    """For batches of `schema`, as `projected` gives them."""
    if form is Form.PARQUET:
        return _Parquet(file, schema)
    return _Csv(file, schema) if form is Form.CSV else _Lines(file)


class _Lines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write("".join(f"{line}\n" for line in batch.column(0).to_pylist()).encode())

    def close(self) -> None:
        """Nothing is held."""


class _Csv:
    """RFC 4180 with a header."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        file.write((",".join(schema.names) + "\n").encode())  # names of columns need no quotes; Arrow would write some
        self._writer = csv.CSVWriter(file, schema, write_options=csv.WriteOptions(include_header=False))

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _Parquet:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._schema = schema
        self._held: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        if sum(each.num_rows for each in self._held) >= ROW_GROUP_ROWS or sum(each.nbytes for each in self._held) >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
            self._held = []
