"""An answer in each format: every kind of value that DuckDB may answer with has a place in JSON."""

import io
import json
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import formats
from storage.formats import SLICE_BYTES, Format, distinct_names, json_rows


def rendered(table: pa.Table, form: Format, *, width: int | None = None) -> bytes:
    return b"".join(formats.rendered(table, form, width=width))


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


CELLS = {
    "null": ("NULL", "null"),
    "a number": ("42", "42"),
    "a huge number": ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
    "a decimal, all its digits": ("0.000000000001::DECIMAL(18,12)", "0.000000000001"),
    "a decimal, none that say nothing": ("0.0045::DECIMAL(18,12)", "0.0045"),
    "a whole decimal": ("100::DECIMAL(18,2)", "100"),
    "nothing, as a decimal": ("0::DECIMAL(18,12)", "0"),
    "a negative decimal": ("-1.50::DECIMAL(18,2)", "-1.5"),
    "a float": ("0.5::DOUBLE", "0.5"),
    "not a number": ("'nan'::DOUBLE", "null"),
    "infinity": ("'-inf'::DOUBLE", "null"),
    "true": ("true", "true"),
    "text": ("'a\"ü\n'", '"a\\"ü\\n"'),
    "a time": ("TIMESTAMP '2026-01-02 03:04:05.6'", '"2026-01-02T03:04:05.600000Z"'),
    "a zoned time": ("TIMESTAMPTZ '2026-01-02 03:04:05+02'", '"2026-01-02T01:04:05.000000Z"'),
    "nanoseconds": ("TIMESTAMP_NS '2026-01-02 03:04:05.123456789'", '"2026-01-02T03:04:05.123456Z"'),
    "a time beyond all": ("TIMESTAMP 'infinity'", '"infinity"'),
    "a time before all": ("TIMESTAMP '-infinity'", '"-infinity"'),
    "a zoned one": ("TIMESTAMPTZ 'infinity'", '"infinity"'),
    "one in nanoseconds": ("'infinity'::TIMESTAMP_NS", '"infinity"'),
    "one in seconds": ("'infinity'::TIMESTAMP_S", '"infinity"'),
    "a day beyond all": ("DATE '-infinity'", '"-infinity"'),
    "a time in the far future": ("TIMESTAMP '200000-02-29 03:04:05.5'", '"+200000-02-29T03:04:05.500000Z"'),
    "one in milliseconds": ("TIMESTAMP '20000-01-01 00:00:01'::TIMESTAMP_MS", '"+020000-01-01T00:00:01.000000Z"'),
    "a day in the far future": ("DATE '200000-12-31'", '"+200000-12-31"'),
    "a day before our era": ("DATE '0044-03-15 (BC)'", '"-000043-03-15"'),
    "the last day that has a name": ("DATE '9999-12-31'", '"9999-12-31"'),
    "such times at any depth": (
        "[{'m': MAP {TIMESTAMP 'infinity': [DATE '200000-01-01', DATE '2026-01-02', NULL]}}]",
        '[{"m":{"infinity":["+200000-01-01","2026-01-02",null]}}]',
    ),
    "nanoseconds in a list": ("[TIMESTAMP_NS '2026-01-02 03:04:05.123456789']", '["2026-01-02T03:04:05.123456Z"]'),
    "a date": ("DATE '2026-01-02'", '"2026-01-02"'),
    "a time of day": ("TIME '03:04:05'", '"03:04:05"'),
    "an interval": ("INTERVAL 90 SECOND", '"P0M0DT90S"'),
    "bytes": ("'\\x00\\xFF'::BLOB", '"AP8="'),
    "a map": ("MAP {'a': 1.50, 'b': NULL}", '{"a":1.5,"b":null}'),
    "a map in a struct in a list": ("[{'m': MAP {'k': DATE '2026-01-02'}}]", '[{"m":{"k":"2026-01-02"}}]'),
    "a list": ("[1, NULL]", "[1,null]"),
    "an enum": ("'a'::ENUM('a')", '"a"'),
    "a UUID": ("'11111111-1111-1111-1111-111111111111'::UUID", '"11111111-1111-1111-1111-111111111111"'),
    "JSON is text": ("""'{"a":1}'::JSON""", '"{\\"a\\":1}"'),
}


@pytest.mark.parametrize(("sql", "text"), CELLS.values(), ids=CELLS)
def test_json(engine: duckdb.DuckDBPyConnection, sql: str, text: str) -> None:
    assert b"".join(json_rows(engine.sql(f"SELECT {sql}").to_arrow_table())).decode() == f"[[{text}]]"


@pytest.mark.parametrize("sql", [sql for sql, _ in CELLS.values()], ids=CELLS)
@pytest.mark.parametrize("form", Format)
def test_every_value_has_a_place_in_every_format(engine: duckdb.DuckDBPyConnection, sql: str, form: Format) -> None:
    assert rendered(engine.sql(f"SELECT {sql} AS x").to_arrow_table(), form, width=100)


UNSTORABLE = ["TIMESTAMP_S 'infinity'", "[INTERVAL 1 DAY]", "{'u': union_value(a := [DATE 'infinity'])}", "MAP {}", "{'a': {}}", "NULL"]


@pytest.mark.parametrize("sql", UNSTORABLE)
def test_what_parquet_cannot_store_is_the_text_that_json_shows(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    found = engine.sql(f"SELECT {sql} AS x").to_arrow_table()
    (stored,) = pq.read_table(io.BytesIO(rendered(found, Format.PARQUET))).column("x").to_pylist()
    ((shown,),) = json.loads(b"".join(json_rows(found)))
    assert stored == (shown if shown is None or isinstance(shown, str) else json.dumps(shown, separators=(",", ":")))


def test_json_of_a_person_is_objects() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    assert json.loads(rendered(table, Format.JSON)) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_nothing_found() -> None:
    empty = pa.table({"a": pa.array([], pa.int64())})
    assert json.loads(rendered(empty, Format.JSON)) == []
    assert rendered(empty, Format.CSV) == b"a\n"
    assert pq.read_table(io.BytesIO(rendered(empty, Format.PARQUET))).column_names == ["a"]
    assert b"".join(json_rows(empty)) == b"[]"


@pytest.mark.parametrize("length", [1, 1_000, SLICE_BYTES // 2, 2 * SLICE_BYTES])
def test_a_large_table_is_written_in_pieces_and_is_the_same(length: int) -> None:
    texts = ["\u00fc" * (length // 2) + str(number) for number in range(max(7, 3 * SLICE_BYTES // length // 100))]
    table = pa.concat_tables([pa.table({"a": texts, "b": [None] * len(texts)})] * 2).slice(1)
    expected = [[text, None] for text in (texts + texts)[1:]]
    written = list(json_rows(table))
    assert json.loads(b"".join(written)) == expected
    assert (table.nbytes < 2 * SLICE_BYTES) or len(written) > 2
    assert rendered(table, Format.CSV).decode().splitlines() == ["a,b", *(f"{text}," for text, _ in expected)]


def test_names_that_repeat() -> None:
    assert distinct_names(["a", "b", "a", "a_2", "a"]) == ["a", "b", "a_2", "a_2_2", "a_3"]


def test_markup_in_a_prompt_is_text() -> None:
    assert "[red]hello[/red]" in rendered(pa.table({"a": ["[red]hello[/red]"]}), Format.TABLE, width=80).decode()


def test_columns_that_do_not_fit_are_a_line_each() -> None:
    table = pa.table({f"column_{number}": ["value\nof two lines", "x" * 100] for number in range(30)})
    told = rendered(table, Format.TABLE, width=80).decode()
    assert told.splitlines()[:4] == ["-[ row 1 ]".ljust(28, "-"), "column_0  | value", "          | of two lines", "column_1  | value"]
    assert f"column_0  | {'x' * 68}\n          | {'x' * 32}\n" in told
    assert max(map(len, told.splitlines())) == 80
    assert "-[" not in rendered(table, Format.TABLE, width=1000).decode()


def test_what_fits_is_a_table_and_so_is_one_long_column() -> None:
    for table in (pa.table({"model": ["gpt-4o-mini"], "calls": [3]}), pa.table({"text": ["word " * 100]})):
        assert "-[" not in rendered(table, Format.TABLE, width=40).decode()
