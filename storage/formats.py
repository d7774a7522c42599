"""An answer as text or bytes for people and programs: JSON, CSV, Parquet, a table for the terminal.

JSON keeps what the lake knows: decimals are numbers with all their digits, times are ISO 8601 in UTC with a `Z`, maps are objects,
bytes are base64, and what is not known, or is no number, is null.
"""

import base64
import csv
import io
import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

_encoder = msgspec.json.Encoder(decimal_format="number")

Cell = Any
"""A value of a row as JSON can carry it."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def rendered(table: pa.Table, form: Format, *, width: int | None = None) -> bytes:
    """`table` in one of the formats. JSON is a list of objects, one per row; columns of the same name get a number."""
    if form is Format.JSON:
        return json_objects(table)
    if form is Format.CSV:
        return csv_text(table).encode()
    if form is Format.PARQUET:
        return parquet(table)
    return table_text(table, width=width).encode()


def json_rows(table: pa.Table) -> bytes:
    """The rows as a JSON list of lists."""
    return _encoder.encode(rows_of(table))


def json_objects(table: pa.Table) -> bytes:
    """The rows as a JSON list of objects, a row a line."""
    names = distinct_names(table.column_names)
    lines = (_encoder.encode(dict(zip(names, row, strict=True))) for row in rows_of(table))
    return b"[" + b",\n ".join(lines) + b"]\n"


def csv_text(table: pa.Table) -> str:
    """RFC 4180 with a header; null is empty, lists and objects are JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows_of(table))
    return out.getvalue()


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(_storable(table), out, compression="zstd")
    return out.getvalue()


def table_text(table: pa.Table, *, width: int | None = None) -> str:
    """For people: boxed, numbers to the right, as wide as the terminal, or as `width`."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for field in table.schema:
        grid.add_column(field.name, justify="right" if _is_number(field.type) else "left", overflow="fold")
    for row in rows_of(table):
        grid.add_row(*(_shown(cell) for cell in row))
    console.print(grid)
    return out.getvalue()


def rows_of(table: pa.Table) -> list[list[Cell]]:
    """Rows of cells that JSON can carry."""
    columns = [_column(column) for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def distinct_names(names: Sequence[str]) -> list[str]:
    """`count, count` becomes `count, count_2`: an object has each key once, and so has a Parquet file."""
    taken: set[str] = set()
    out: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        out.append(candidate)
    return out


def _column(column: pa.ChunkedArray) -> list[Cell]:
    convert = _converter(column.type)
    values = _values(column)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values. Times that Python cannot hold (infinity, years beyond 9999) become the text `out of range`."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return "out of range"


def _converter(kind: pa.DataType) -> Callable[[Any], Cell] | None:
    """How values of a type become cells; None when they are cells already. Maps come from Arrow as lists of pairs, at any depth."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return None
    if pa.types.is_map(kind):
        item = _nullable(kind.item_type)
        return lambda pairs: {str(key): item(value) for key, value in pairs}
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        member = _nullable(kind.value_type)
        return lambda values: [member(value) for value in values]
    if pa.types.is_struct(kind):
        members = [(kind.field(index).name, _nullable(kind.field(index).type)) for index in range(kind.num_fields)]
        return lambda value: {name: convert(value[name]) for name, convert in members}
    return cell


def _nullable(kind: pa.DataType) -> Callable[[Any], Cell]:
    convert = _converter(kind) or cell
    return lambda value: None if value is None else convert(value)


def cell(value: Any) -> Cell:
    """One value as JSON can carry it."""
    return _CELLS.get(type(value), _cell_of_other)(value)


def _cell_of_other(value: Any) -> Cell:
    if hasattr(value, "nanoseconds") and hasattr(value, "months"):
        return f"P{value.months}M{value.days}DT{value.nanoseconds / 1e9:.9g}S"
    return str(value)


def _decimal(value: Decimal) -> msgspec.Raw:
    """All digits that say something, none in powers of ten: 0.0045, never 4.5E-3 or 0.004500000000."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return msgspec.Raw(text.encode())


def _timestamp(value: datetime) -> str:
    utc = value if value.tzinfo is None else value.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_CELLS: dict[type, Callable[[Any], Cell]] = {
    type(None): lambda value: value,
    str: lambda value: value,
    int: lambda value: value,
    bool: lambda value: value,
    float: lambda value: value if math.isfinite(value) else None,
    Decimal: _decimal,
    datetime: _timestamp,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: f"PT{value.total_seconds():g}S",
    bytes: lambda value: base64.b64encode(value).decode(),
}


def _csv_cell(value: Cell) -> Cell:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return _encoder.encode(value).decode() if isinstance(value, list | dict) else value


def _shown(value: Cell) -> str:
    return "NULL" if value is None else str(_csv_cell(value))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _storable(table: pa.Table) -> pa.Table:
    """`table` as Parquet can hold it: distinct names, no unions or intervals."""
    columns = [_storable_column(column) for column in table.columns]
    return pa.table(columns, names=distinct_names(table.column_names))


def _storable_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_union(kind) or pa.types.is_interval(kind):
        return pa.chunked_array([pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())])
    return column
