"""An answer as text or bytes for people and programs: JSON, CSV, Arrow, Parquet, a table for the terminal.

JSON keeps what the lake knows: decimals are numbers with all their digits, times are ISO 8601 in UTC with a `Z`, maps are objects,
bytes are base64, and what is not known, or is no number, is null.
"""

import base64
import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.cells import chop_cells
from rich.console import Console
from rich.control import strip_control_codes
from rich.table import Table

from storage.arrow_stream import arrow_stream

_encoder = msgspec.json.Encoder(decimal_format="number")

Cell = Any
"""A value of a row as JSON can carry it."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


STREAMED = frozenset({Format.CSV, Format.JSONL, Format.ARROW})
"""Forms whose rows are written as they are found; the others are known when all of them are."""
BINARY = frozenset({Format.ARROW, Format.PARQUET})
"""Not for a terminal."""


SLICE_BYTES = 1 << 20
"""Of a table, as Arrow: so much is turned into Python's values at a time, which take several times as much."""


def rendered(table: pa.Table, form: Format, *, width: int | None = None) -> Iterator[bytes]:
    """`table` in one of the formats, in pieces. JSON is a list of objects, one per row; columns of the same name get a number."""
    if form is Format.JSON:
        yield json_objects(table)
    elif form in STREAMED:
        yield from streamed(table.schema, [table], form)
    elif form is Format.PARQUET:
        yield parquet(table)
    else:
        yield table_text(table, width=width).encode()


def streamed(schema: pa.Schema, tables: Iterable[pa.Table], form: Format) -> Iterator[bytes]:
    """Rows that come as tables of one schema, in one of the forms that are `STREAMED`."""
    if form is Format.ARROW:
        names = distinct_names(schema.names)
        yield from arrow_stream(_named(schema, names), (table.rename_columns(names) for table in tables))
    elif form is Format.CSV:
        yield _csv([schema.names])
        for part in _all_slices(tables):
            yield _csv([_csv_cell(cell) for cell in row] for row in rows_of(part))
    else:
        for part in _all_slices(tables):
            yield b"".join(line + b"\n" for line in _objects(part))


def _named(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def json_rows(table: pa.Table) -> Iterator[bytes]:
    """The rows as a JSON list of lists, in pieces."""
    before = b"["
    for part in _slices(table):
        yield before + _encoder.encode(rows_of(part))[1:-1]
        before = b","
    yield b"]" if table.num_rows else b"[]"


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    rows = max(1, table.num_rows * SLICE_BYTES // max(1, table.nbytes))
    return (table.slice(start, rows) for start in range(0, table.num_rows, rows))


def _all_slices(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    return (part for table in tables for part in _slices(table))


def json_objects(table: pa.Table) -> bytes:
    """The rows as a JSON list of objects, a row a line."""
    return b"[" + b",\n ".join(_objects(table)) + b"]\n"


def _objects(table: pa.Table) -> Iterator[bytes]:
    """Each row as a JSON object."""
    names = distinct_names(table.column_names)
    return (_encoder.encode(dict(zip(names, row, strict=True))) for row in rows_of(table))


def _csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    """RFC 4180; null is empty, lists and objects are JSON."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(_storable(table), out, compression="zstd")
    return out.getvalue()


def table_text(table: pa.Table, *, width: int | None = None) -> str:
    """For people: boxed, numbers to the right, as wide as the terminal, or as `width`; where that is too narrow, a column a line."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    rows = [[_shown(cell) for cell in row] for row in rows_of(table)]
    if rows and not _fits(table.column_names, rows, console.width):
        return _upright(table.column_names, rows, console.width)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for field in table.schema:
        grid.add_column(field.name, justify="right" if _is_number(field.type) else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)
    return out.getvalue()


READABLE = 16
"""A column that is narrower than its values stays readable from so many characters on."""
GAP = 2


def _fits(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether each column has its name on one line, and its values as a whole or in readable pieces."""
    longest = (max(map(len, column)) for column in zip(*rows, strict=True))
    return (
        len(names) == 1 or sum(max(len(name), min(most, READABLE)) + GAP for name, most in zip(names, longest, strict=True)) <= width + GAP
    )


def _upright(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """A line for each column of each row, as psql has it when told to expand."""
    margin = max(map(len, names)) + len(" | ")
    room = max(width - margin, READABLE)
    lines: list[str] = []
    for number, row in enumerate(rows, 1):
        lines.append(f"-[ row {number} ]".ljust(min(width, margin + READABLE), "-"))
        for name, text in zip(names, row, strict=True):
            first, *rest = [piece for line in strip_control_codes(text).split("\n") for piece in chop_cells(line, room) or [""]]
            lines.append(f"{name:{margin - 3}} | {first}".rstrip())
            lines += [f"{'':{margin - 3}} | {piece}".rstrip() for piece in rest]
    return "\n".join([*lines, ""])


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
    """Python values. Only where one is beyond what Python's times can hold, each is looked at by itself."""
    if "[ns" in str(column.type):  # Arrow would make them pandas' where pandas is
        return [_value(scalar) for scalar in column]
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    """One value, in the shape that Arrow gives it; times that Python cannot hold become `far_time`'s text, at any depth."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_map(kind):
        return [(_value(pair["key"]), _value(pair["value"])) for pair in scalar.values]
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return [_value(item) for item in scalar.values]
    if pa.types.is_struct(kind):
        return {kind.field(index).name: _value(scalar[index]) for index in range(kind.num_fields)}
    if pa.types.is_union(kind):
        return _value(scalar.value)
    if pa.types.is_date32(kind):
        return _time(scalar.value, INFINITE_DAY, _PER_DAY["s"], "s", dated=True)
    if pa.types.is_timestamp(kind):
        return _time(scalar.value, INFINITE_TIME, 1, kind.unit)
    return scalar.as_py()


def _time(value: int, infinite: int, factor: int, unit: str, *, dated: bool = False) -> Any:
    """A time as Python has it, else as text."""
    if abs(value) >= infinite:
        return "infinity" if value > 0 else "-infinity"
    days, rest = divmod(value * factor, _PER_DAY[unit])
    text = _far_day(days)
    if isinstance(text, str):
        return text if dated else f"{text}T{_clock(rest, unit).isoformat(timespec='microseconds')}Z"
    return text if dated else datetime.combine(text, _clock(rest, unit))


def _clock(rest: int, unit: str) -> time:
    """The time of day: so many units after midnight."""
    return (datetime.combine(_EPOCH, time()) + timedelta(microseconds=rest * _PER_DAY["us"] // _PER_DAY[unit])).time()


def _far_day(days: int) -> date | str:
    """The day so many days after 1970-01-01. Beyond the years 1 to 9999 it is text, in the expanded form of ISO 8601: `+200000-01-01`.

    The calendar repeats itself every 400 years.
    """
    cycles, rest = divmod(days, _DAYS_OF_400_YEARS)
    near = _EPOCH + timedelta(days=rest)
    year = near.year + 400 * cycles
    return near.replace(year=year) if MINYEAR <= year <= MAXYEAR else f"{year:+07d}-{near:%m-%d}"


INFINITE_DAY, INFINITE_TIME = (1 << 31) - 1, (1 << 63) - 1
"""DuckDB's `infinity`; its negative is the other one."""
_EPOCH = date(1970, 1, 1)
_DAYS_OF_400_YEARS = 146_097
_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


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
    """Also of a union's member, of whose type nothing is known any more: pairs alone are a map."""
    if isinstance(value, dict):
        return {name: cell(each) for name, each in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) for each in value):
            return {str(key): cell(each) for key, each in value}
        return [cell(each) for each in value]
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
    """`table` as Parquet can hold it: distinct names, and text where it has no such type (unions, intervals, …) or no such value."""
    columns = [column if _is_storable(column) else _as_text(column) for column in table.columns]
    return pa.table(columns, names=distinct_names(table.column_names))


def _is_storable(column: pa.ChunkedArray) -> bool:
    """Known of plain types, tried with all others: a type may be storable and one of its values not."""
    kind = column.type
    if any(is_plain(kind) for is_plain in _PLAIN) or kind == pa.timestamp("us"):
        return True
    try:
        pq.write_table(pa.table([column], names=["x"]), pa.MockOutputStream())
    except pa.ArrowException:
        return False
    return not pa.types.is_null(kind)


_PLAIN = (
    pa.types.is_string,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_binary,
    pa.types.is_date32,
)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as JSON; what is text already stays as it is."""
    cells = [None if cell is None else str(_csv_cell(cell)) for cell in _column(column)]
    return pa.chunked_array([pa.array(cells, pa.string())])
