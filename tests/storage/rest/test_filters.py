"""The filter as SQL, against the same filter read by a plain interpreter over the same rows; and what no filter may be."""

import operator
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.rest.fields import OF_A_CALL, OF_A_SESSION
from storage.rest.filter_sql import condition
from storage.rest.filter_tree import MOST_DEPTH, MOST_TESTS, BadFilter, read
from storage.rest.sql import Sql

Row = dict[str, Any]

TEXTS = ["", "gpt-4o", "gpt-4o-mini", "GPT-4O", "100%", "a_b", "o'clock", "null", "Ünï", "x"]
NUMBERS = [-3, 0, 1, 1.5, 200, 404, 500]
TIMES = ["2026-01-01T00:00:00", "2026-01-01T00:00:00.5", "2026-06-30T12:00:00", "2026-12-31T23:59:59.999999"]
KEYS = ["plan", "team", "it's"]

rows = st.lists(
    st.fixed_dictionaries(
        {
            "model": st.none() | st.sampled_from(TEXTS),
            "provider": st.sampled_from(["openai", "anthropic"]),
            "status": st.none() | st.sampled_from([200, 404, 500]),
            "outcome": st.sampled_from(["completed", "interrupted_by_client"]),
            "latency_ms": st.none() | st.sampled_from(NUMBERS).map(float),
            "created_at": st.sampled_from(TIMES).map(datetime.fromisoformat),
            "rating": st.none() | st.booleans(),
            "cache_hit": st.none() | st.booleans(),
            "properties": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(TEXTS)),
            "scores": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(NUMBERS).map(float)),
            "said": st.none() | st.sampled_from(TEXTS),
        }
    ),
    min_size=1,
    max_size=6,
)

texts = st.sampled_from(["equals", "not-equals", "like", "ilike", "contains", "not-contains"]).flatmap(
    lambda op: st.fixed_dictionaries({op: st.sampled_from([*TEXTS, "%4o%", "gpt_4o", "__empty__"])})
)
numbers = st.sampled_from(["equals", "not-equals", "gte", "lte", "gt", "lt"]).flatmap(
    lambda op: st.fixed_dictionaries({op: st.sampled_from(NUMBERS)})
)
times = st.sampled_from(["equals", "gte", "lte", "gt", "lt"]).flatmap(
    lambda op: st.fixed_dictionaries(
        {op: st.sampled_from(TIMES).flatmap(lambda text: st.sampled_from([text, f"{text}Z", f"{text}+00:00"]))}
    )
)
booleans = st.fixed_dictionaries({"equals": st.booleans()})


def keyed(said: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from([*KEYS, "PLAN"]), said, min_size=1, max_size=1)


leaves = st.one_of(
    st.fixed_dictionaries({"model": texts}),
    st.fixed_dictionaries({"provider": st.sampled_from(["OPENAI", "openai", "x"]).map(lambda name: {"equals": name})}),
    st.fixed_dictionaries({"status": numbers}),
    st.fixed_dictionaries({"latency": numbers, "model": texts}),
    st.fixed_dictionaries({"request_created_at": times}),
    st.fixed_dictionaries({"cached": booleans}),
    st.fixed_dictionaries({"helicone-score-feedback": booleans}),
    st.fixed_dictionaries({"properties": keyed(texts)}),
    st.fixed_dictionaries({"scores": keyed(numbers)}),
    st.fixed_dictionaries({"property_key": st.sampled_from(KEYS).map(lambda key: {"equals": key})}),
    st.fixed_dictionaries({"request_body": texts}),
).map(lambda columns: {"request_response_rmt": columns})
filters = st.recursive(
    st.just("all") | st.just({}) | leaves,
    lambda inner: st.fixed_dictionaries({"left": inner, "operator": st.sampled_from(["and", "or"]), "right": inner}),
    max_leaves=8,
)

ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "equals": operator.eq,
    "gte": operator.ge,
    "lte": operator.le,
    "gt": operator.gt,
    "lt": operator.lt,
}


def holds(said: Any, row: Row) -> bool:
    """The filter, read anew."""
    if said in ("all", {}):
        return True
    if "operator" in said:
        sides = (holds(said["left"], row), holds(said["right"], row))
        return all(sides) if said["operator"] == "and" else any(sides)
    return all(meets(row, column, test) for column, test in said["request_response_rmt"].items())


def meets(row: Row, column: str, test: Row) -> bool:
    if column == "properties":
        [(key, inner)] = test.items()
        return compared(row["properties"].get(key.lower()), inner)
    if column == "scores":
        [(key, inner)] = test.items()
        return compared(row["scores"].get(key), inner)
    if column == "property_key":
        return test["equals"] in row["properties"]
    if column == "provider":
        return bool(row["provider"] == test["equals"].lower())
    found = {
        "model": row["model"],
        "status": -3 if row["outcome"] == "interrupted_by_client" else row["status"],
        "latency": row["latency_ms"],
        "request_created_at": row["created_at"],
        "cached": bool(row["cache_hit"]),
        "helicone-score-feedback": row["rating"],
        "request_body": row["said"],
    }[column]
    return compared(found, test)


def compared(found: Any, test: Row) -> bool:
    [(op, value)] = test.items()
    if op.startswith("not-"):
        return not compared(found, {op.removeprefix("not-"): value})
    if op == "equals" and value == "null":
        return found is None
    if op == "equals" and value == "__empty__":
        return found in (None, "")
    if found is None:
        return False
    if isinstance(found, datetime):
        value = datetime.fromisoformat(value).replace(tzinfo=None)
    if op == "contains":
        return value.lower() in found.lower()
    if op in {"like", "ilike"}:
        pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in value)
        return re.fullmatch(pattern, found, re.DOTALL | (re.IGNORECASE if op == "ilike" else 0)) is not None
    return ORDERED[op](found, value)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE calls (call_id VARCHAR, model VARCHAR, provider VARCHAR, status INTEGER, outcome VARCHAR, latency_ms DOUBLE, "
            "created_at TIMESTAMP, rating BOOLEAN, cache_hit BOOLEAN, properties MAP(VARCHAR, VARCHAR), scores MAP(VARCHAR, DOUBLE));"
            "CREATE TABLE bodies (call_id VARCHAR, side VARCHAR, text VARCHAR, assembled VARCHAR)"
        )
        yield connection


@given(given=rows, said=filters)
def test_the_same_rows_as_by_hand(engine: duckdb.DuckDBPyConnection, given: list[Row], said: Any) -> None:
    engine.execute("DELETE FROM calls; DELETE FROM bodies")
    for number, row in enumerate(given):
        plain = [row[name] for name in ("model", "provider", "status", "outcome", "latency_ms", "created_at", "rating", "cache_hit")]
        maps = [value for name in ("properties", "scores") for value in (list(row[name]), list(row[name].values()))]
        engine.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, map(?, ?), map(?, ?))", [str(number), *plain, *maps])
        engine.execute("INSERT INTO bodies VALUES (?, 'request', ?, NULL)", [str(number), row["said"]])
    where = condition(read(said, OF_A_CALL))
    found = engine.execute("SELECT call_id FROM calls WHERE " + where.text, list(where.values)).fetchall()
    assert sorted(int(call_id) for [call_id] in found) == [number for number, row in enumerate(given) if holds(said, row)]


def chain(op: str, length: int) -> Any:
    said: Any = "all"
    for _ in range(length):
        said = {"left": said, "operator": op, "right": {"request_response_rmt": {"model": {"equals": "x"}}}}
    return said


def nested(depth: int) -> Any:
    said: Any = "all"
    for level in range(depth):
        said = {"left": said, "operator": ("and", "or")[level % 2], "right": "all"}
    return said


@pytest.mark.parametrize("op", ["and", "or"])
def test_a_long_chain_is_one_node(op: str) -> None:
    assert condition(read(chain(op, 900), OF_A_CALL)).text.count("(") < 1000


LEAF = "filter.request_response_rmt"
WRONG: dict[str, tuple[Any, str]] = {
    "no node": (7, "filter"),
    "null": (None, "filter"),
    "a list": (["all"], "filter"),
    "another word": ("every", "filter"),
    "no right": ({"left": "all", "operator": "and"}, "filter.right"),
    "no operator": ({"left": "all", "right": "all"}, "filter.operator"),
    "an operator of no branch": ({"left": "all", "operator": "xor", "right": "all"}, "filter.operator"),
    "an operator that is a list": ({"left": "all", "operator": [], "right": "all"}, "filter.operator"),
    "wrong far in": ({"left": {"left": "all", "operator": "and", "right": 3}, "operator": "or", "right": "all"}, "filter.left.right"),
    "wrong in a chain": ({"left": {"left": "all", "operator": "and", "right": 3}, "operator": "and", "right": "all"}, "filter.left.right"),
    "no table": ({"calls": {"model": {"equals": "x"}}}, "filter.calls"),
    "no column": ({"request_response_rmt": {"modell": {"equals": "x"}}}, f"{LEAF}.modell"),
    "no columns": ({"request_response_rmt": {}}, LEAF),
    "no operator of a column": ({"request_response_rmt": {"model": {}}}, f"{LEAF}.model"),
    "an unknown operator": ({"request_response_rmt": {"model": {"is": "x"}}}, f"{LEAF}.model.is"),
    "an operator of another kind": ({"request_response_rmt": {"model": {"gte": "x"}}}, f"{LEAF}.model.gte"),
    "no key": ({"request_response_rmt": {"properties": {}}}, f"{LEAF}.properties"),
    "no operator of a key": ({"request_response_rmt": {"properties": {"plan": "pro"}}}, f"{LEAF}.properties.plan"),
    "a key that must be": ({"request_response_rmt": {"property_key": {"contains": "x"}}}, f"{LEAF}.property_key.contains"),
    "text that is none": ({"request_response_rmt": {"model": {"equals": ["x"]}}}, f"{LEAF}.model.equals"),
    "half a character": ({"request_response_rmt": {"model": {"equals": "\ud800"}}}, f"{LEAF}.model.equals"),
    "very long text": ({"request_response_rmt": {"model": {"equals": "x" * 10_001}}}, f"{LEAF}.model.equals"),
    "a number that is none": ({"request_response_rmt": {"status": {"gte": "many"}}}, f"{LEAF}.status.gte"),
    "not a number": ({"request_response_rmt": {"status": {"gte": float("nan")}}}, f"{LEAF}.status.gte"),
    "a number beyond all": ({"request_response_rmt": {"status": {"gte": 10**400}}}, f"{LEAF}.status.gte"),
    "true for a number": ({"request_response_rmt": {"status": {"gte": True}}}, f"{LEAF}.status.gte"),
    "a time that is none": ({"request_response_rmt": {"request_created_at": {"gte": "today"}}}, f"{LEAF}.request_created_at.gte"),
    "a time in seconds": ({"request_response_rmt": {"request_created_at": {"gte": 1764000000}}}, f"{LEAF}.request_created_at.gte"),
    "a boolean that is none": ({"request_response_rmt": {"cached": {"equals": "perhaps"}}}, f"{LEAF}.cached.equals"),
    "nested too deeply": (nested(MOST_DEPTH + 1), "filter" + ".left" * (MOST_DEPTH + 1)),
    "too many tests": (chain("or", MOST_TESTS + 1), "filter" + ".right"),
}


@pytest.mark.parametrize(("said", "field"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_by_its_path(said: Any, field: str) -> None:
    with pytest.raises(BadFilter) as raised:
        read(said, OF_A_CALL)
    assert raised.value.field == field
    assert str(raised.value)


COERCED: dict[str, tuple[Any, Any]] = {
    "a number as text": ({"status": {"equals": "200"}}, {"status": {"equals": 200}}),
    "a boolean as text": ({"cached": {"equals": "True"}}, {"cached": {"equals": True}}),
    "a number for text": ({"model": {"equals": 7}}, {"model": {"equals": "7"}}),
    "a boolean for text": ({"model": {"equals": True}}, {"model": {"equals": "true"}}),
    "null for what is not there": ({"model": {"equals": None}}, {"model": {"equals": "null"}}),
    "a time of another zone": (
        {"request_created_at": {"gte": "2026-01-01T02:00:00+02:00"}},
        {"request_created_at": {"gte": "2026-01-01T00:00:00Z"}},
    ),
    "a property of the session": (
        {"properties": {"Helicone-Session-Id": {"equals": "s"}}},
        {"search_properties": {"helicone-session-id": {"equals": "s"}}},
    ),
}


@pytest.mark.parametrize(("said", "meant"), COERCED.values(), ids=COERCED)
def test_what_means_the_same(said: Any, meant: Any) -> None:
    tables = {"request_response_rmt": said}, {"request_response_rmt": meant}
    assert condition(read(tables[0], OF_A_CALL)) == condition(read(tables[1], OF_A_CALL))


sent = st.text(max_size=100)


@given(key=sent, value=sent)
def test_nothing_that_was_sent_is_text_of_the_statement(key: str, value: str) -> None:
    def statement(key: str, value: str) -> str:
        return condition(read({"request_response_rmt": {"scores": {key: {"gte": 1}}, "model": {"like": f"m{value}"}}}, OF_A_CALL)).text

    assert statement(key, value) == statement("helpful", "gpt")


def test_bodies_are_sought_in_the_times_that_are_asked_for() -> None:
    bound = {"request_response_rmt": {"request_created_at": {"gte": "2026-01-01"}}}
    said = {"left": bound, "operator": "and", "right": {"request_response_rmt": {"request_body": {"contains": "x"}}}}
    where = condition(read(said, OF_A_CALL), within=Sql("created_at < ?", ("2027",)))
    assert "side = 'request' AND ((created_at < ?) AND (created_at >= CAST(? AS TIMESTAMP)))" in where.text
    assert where.values == ("2026-01-01 00:00:00", "2027", "2026-01-01 00:00:00", "x")


def test_when_a_session_began_bounds_no_call() -> None:
    began = {"sessions_request_response_rmt": {"session_created_at": {"lte": "2026-01-01"}}}
    said = {"left": began, "operator": "and", "right": {"request_response_rmt": {"request_body": {"contains": "x"}}}}
    assert "side = 'request' AND (true)" in condition(read(said, OF_A_SESSION)).text
