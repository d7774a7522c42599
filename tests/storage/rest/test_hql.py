"""SQL by Helicone's endpoints."""

import secrets
from typing import Any

import httpx
import pytest

from storage.helicone_view import COLUMNS
from tests.storage.rest.conftest import Post

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXECUTE = "/v1/helicone-sql/execute"

QUESTIONS: dict[str, tuple[str, list[Any]]] = {
    "as it is there": (
        "SELECT model, count(*) AS n, sum(cost) AS nano FROM request_response_rmt GROUP BY model ORDER BY n DESC",
        [{"model": "gpt-4o-mini", "n": 5, "nano": 1_700_000_000}, {"model": "claude", "n": 1, "nano": 0}],
    ),
    "with WITH": ("WITH c AS (SELECT * FROM request_response_rmt) SELECT count(*) AS n FROM c", [{"n": 6}]),
    "our own table": ("SELECT count(*) AS n FROM calls", [{"n": 6}]),
    "a session": ("SELECT request_id FROM request_response_rmt WHERE properties['Helicone-Session-Id'] = 's2'", [{"request_id": "r3"}]),
    "bodies": (
        "SELECT request_body, response_body FROM request_response_rmt WHERE request_id = 'r1'",
        [{"request_body": '{"messages": ["Where is Rome?"]}', "response_body": '{"content": "In Italy"}'}],
    ),
    "statuses": ("SELECT DISTINCT status FROM request_response_rmt ORDER BY status", [{"status": each} for each in (-3, 200, 500)]),
    "columns of the same name": ("SELECT 1 AS a, 2 AS a", [{"a": 1, "a_2": 2}]),
    "words of another statement in a text": ("SELECT 'DROP TABLE calls' AS said", [{"said": "DROP TABLE calls"}]),
}


@pytest.mark.parametrize(("sql", "rows"), QUESTIONS.values(), ids=QUESTIONS)
async def test_answers(post: Post, sql: str, rows: list[Any]) -> None:
    found = await post(EXECUTE, {"sql": sql})
    assert (found["rows"], found["rowCount"]) == (rows, len(rows))
    assert found["size"] > 0
    assert found["elapsedMilliseconds"] >= 0


async def test_more_than_a_hundred_rows(post: Post) -> None:
    assert (await post(EXECUTE, {"sql": "SELECT range FROM range(500)"}))["rowCount"] == 500


WRONG = {
    "no SQL": ("SELEC 1", 400, "[HQL_INVALID_SQL] "),
    "no column": ("SELECT colour FROM request_response_rmt", 400, "[HQL_INVALID_SQL] "),
    "no table": ("SELECT * FROM users", 400, "[HQL_UNKNOWN_TABLE] "),
    "another statement": ("DROP TABLE calls", 400, "[HQL_NOT_READ_ONLY] "),
    "two statements": ("SELECT 1; SELECT 2", 400, "[HQL_"),
    "a file": ("SELECT * FROM read_csv('/etc/passwd')", 400, "[HQL_"),
}


@pytest.mark.parametrize(("sql", "status", "told"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong(client: httpx.AsyncClient, sql: str, status: int, told: str) -> None:
    answer = await client.post(EXECUTE, json={"sql": sql})
    assert (answer.status_code, answer.json()["data"]) == (status, None), answer.text
    assert answer.json()["error"].startswith(told)


async def test_an_answer_that_is_too_large_for_objects(client: httpx.AsyncClient) -> None:
    answer = await client.post(EXECUTE, json={"sql": "SELECT repeat('x', 10_000) AS x FROM range(900)"})
    assert (answer.status_code, answer.json()["error"].split("]")[0]) == (503, "[HQL_RESULT_TOO_LARGE")


async def test_a_link_to_csv(client: httpx.AsyncClient, post: Post) -> None:
    link = await post("/v1/helicone-sql/download", {"sql": "SELECT request_id FROM request_response_rmt ORDER BY 1 LIMIT 2"})
    answer = await client.get(link)
    assert (answer.text, answer.headers["content-type"]) == ("request_id\nr1\nr2\n", "text/csv; charset=utf-8")
    assert (await client.get(link.replace("organization=default", "organization=other"))).status_code == 403
    assert (await client.get("/v1/helicone-sql/csv")).status_code == 403


async def test_a_statement_too_long_for_a_link(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/helicone-sql/download", json={"sql": f"SELECT '{secrets.token_hex(10_000)}'"})
    assert (answer.status_code, "POST /v1/query" in answer.json()["error"]) == (400, True)


async def test_the_schema_is_of_columns_that_there_are(client: httpx.AsyncClient, post: Post) -> None:
    tables = (await client.get("/v1/helicone-sql/schema")).json()["data"]
    assert tables[0]["table_name"] == "request_response_rmt"
    assert [column["name"] for column in tables[0]["columns"]] == list(COLUMNS)
    found = await post(EXECUTE, {"sql": "SELECT column_name, column_type FROM (DESCRIBE request_response_rmt)"})
    assert [(row["column_name"], row["column_type"]) for row in found["rows"]] == [(name, kind) for name, (kind, *_) in COLUMNS.items()]
