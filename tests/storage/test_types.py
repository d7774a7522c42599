"""Every type of the engine, alone and in every nest, in every format: answered as it is, never a fault of ours."""

import csv
import io
import json
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from storage.answers import answer
from storage.asked import SqlAsked
from storage.formats import Format
from storage.query import Questions
from storage.refusal import Refused
from tests.fakes.small_lake import SmallLake

VALUES = {
    "NULL": "null",
    "true": "true",
    "1::UTINYINT": "1",
    "'-170141183460469231731687303715884105728'::HUGEINT": "-170141183460469231731687303715884105728",
    "'340282366920938463463374607431768211455'::UHUGEINT": '"340282366920938463463374607431768211455"',
    "'123456789012345678901234567890123456789012345678901234567890'::BIGNUM": (
        '"123456789012345678901234567890123456789012345678901234567890"'
    ),
    "0.1::DECIMAL(38,37)": "0.1",
    "'nan'::FLOAT": "null",
    "chr(0)": '"\\u0000"',
    "'\\xFF'::BLOB": '"/w=="',
    "'101'::BIT": '"101"',
    "'a'::ENUM('a', 'b')": '"a"',
    "'11111111-1111-1111-1111-111111111111'::UUID": '"11111111-1111-1111-1111-111111111111"',
    "DATE 'infinity'": '"infinity"',
    "DATE '200000-01-01'": '"+200000-01-01"',
    "TIMESTAMP '-infinity'": '"-infinity"',
    "TIMESTAMPTZ '200000-01-01 00:00:00+00'": '"+200000-01-01T00:00:00.000000Z"',
    "TIMESTAMP_S 'infinity'": '"infinity"',
    "TIMESTAMP_MS 'infinity'": '"infinity"',
    "TIMESTAMP_NS 'infinity'": '"infinity"',
    "TIME '03:04:05'": '"03:04:05"',
    "'03:04:05+02'::TIMETZ": '"03:04:05+02"',
    "INTERVAL '14 months 3 days 2 seconds'": '"P14M3DT2S"',
    "'{}'::JSON": '"{}"',
    "{'a': [1, 2]}::VARIANT": '"{\\"a\\":[1,2]}"',
    "union_value(a := '1'::BIT)": '"1"',
    "row(1, 'x')": '{"element1":1,"element2":"x"}',
    "[]": "[]",
    "MAP {}": "{}",
    "{'a': {}}": '{"a":{}}',
    "[1, 2]::INTEGER[2]": "[1,2]",
}
"""A value in SQL, and what it is in JSON."""

NESTS = {
    "alone": ("{}", "{}"),
    "in a list": ("[{}, NULL]", "[{},null]"),
    "in a struct": ("{{'a': {}}}", '{{"a":{}}}'),
    "in a map": ("MAP {{'k': {}}}", '{{"k":{}}}'),
    "in all of them": ("[{{'a b': MAP {{1: [{}]}}}}]", '[{{"a b":{{"1":[{}]}}}}]'),
    "in an array": ("[{}]::{}[1]", "[{}]"),
    "as one of several": ("union_value(u := {})", "{}"),
}

IN_A_UNION = {"{'a': [1, 2]}::VARIANT": "\"{'a': [1, 2]}\"", "MAP {}": "[]"}
"""Where its type is lost."""


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    made = Questions(SmallLake(tmp_path_factory.mktemp("types") / "lake").lake)
    yield made
    made.close()


def nested(sql: str, nest: str, questions: Questions) -> str:
    kind = questions.ask(f"SELECT {sql}").types[0]
    return NESTS[nest][0].format(sql, kind)


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("sql", VALUES)
def test_every_value_in_json(questions: Questions, sql: str, nest: str) -> None:
    found = json.loads(answer(questions, SqlAsked(sql=f"SELECT {nested(sql, nest, questions)} AS x, 1 AS x")).body)
    expected = IN_A_UNION.get(sql, VALUES[sql]) if nest == "as one of several" else NESTS[nest][1].format(VALUES[sql])
    assert found["rows"] == [[json.loads(expected), 1]]
    assert found["columns"] == ["x", "x"]


@pytest.mark.parametrize("form", [Format.CSV, Format.PARQUET, Format.TABLE])
@pytest.mark.parametrize("nest", NESTS)
def test_every_value_in_the_other_formats(questions: Questions, nest: str, form: Format) -> None:
    for sql in VALUES:
        body = answer(questions, SqlAsked(sql=f"SELECT {nested(sql, nest, questions)} AS x, 1 AS x", form=form)).body
        if form is Format.CSV:
            assert [len(row) for row in csv.reader(io.StringIO(body.decode(), newline=""))] == [2, 2]
        elif form is Format.PARQUET:
            assert pq.read_table(io.BytesIO(body)).num_rows == 1
        else:
            assert body


def outcome(questions: Questions, asked: SqlAsked) -> str:
    try:
        return "answered" if answer(questions, asked).body else "empty"
    except Refused as refused:
        return refused.refusal.code


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("depth", [30, 200, 1000])
def test_a_nest_without_end_is_answered_or_refused(questions: Questions, depth: int, form: Format) -> None:
    steps = ", ".join(f"t{number + 1} AS (SELECT [x] AS x FROM t{number})" for number in range(depth))
    sql = f"WITH t0 AS (SELECT 1 AS x), {steps} SELECT x FROM t{depth}"
    assert outcome(questions, SqlAsked(sql=sql, form=form)) in {"answered", "invalid_sql", "unwritable_result"}


@pytest.mark.parametrize("depth", [30, 100, 500, 900])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_parameters_without_end_are_taken_or_refused(questions: Questions, opened: str, closed: str, depth: int) -> None:
    parameter = json.loads(opened * depth + "1" + closed * depth)
    asked = SqlAsked(sql="SELECT ?", parameters=[parameter])
    assert outcome(questions, asked) in {"answered", "invalid_sql", "invalid_parameters", "unwritable_result"}


def test_the_order_of_rows_stays_where_columns_are_cast(questions: Questions) -> None:
    asked = SqlAsked(sql="SELECT range::BIT AS b, range AS n FROM range(50_000) ORDER BY n DESC")
    rows = json.loads(answer(questions, asked).body)["rows"]
    assert [row[1] for row in rows] == list(range(49_999, -1, -1))
    assert rows[0][0].endswith("1100001101001111")
    assert len(rows[0]) == 2
