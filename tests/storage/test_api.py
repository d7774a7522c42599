"""The query port, asked over HTTP: answers, errors in one shape, the tables, the offline page."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import httpx
import jsonschema
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from deltalake import DeltaTable
from fastapi import FastAPI

from eventlog.admission import Admission
from eventlog.keys import Scope
from ingress.secrets import presented
from storage.api import BODY_LIMIT, create_api
from storage.query import Limits
from storage.schema import TABLES
from storage.views import VIEWS
from tests.fakes.keyring import READER, WRITER, key, keyring
from tests.fakes.small_lake import SmallLake, calls

CALL_ID = "01940000-0000-7000-8000-000000000001"  # made at 2024-12-26T07:23:20.704Z


@pytest.fixture
def world(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path / "lake")


async def serving(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://127.0.0.1") as client,
    ):
        yield client


@pytest.fixture
async def api(world: SmallLake) -> AsyncIterator[httpx.AsyncClient]:
    async for client in serving(create_api(world.config, limits=Limits(rows=100, timeout_s=5))):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def still(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """One for all tests that only ask; its lake has no rows."""
    lake = SmallLake(tmp_path_factory.mktemp("lake"))
    async for client in serving(create_api(lake.config, limits=Limits(rows=100, timeout_s=5))):
        yield client


asks_only = pytest.mark.asyncio(loop_scope="module")


async def ask(api: httpx.AsyncClient, sql: str, **more: Any) -> Any:
    answer = await api.post("/v1/query", json={"sql": sql, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestQuery:
    async def test_columns_types_and_rows(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.add("calls", *calls(2, cost_usd="0.000000000001"))
        found = await ask(api, "SELECT model, count(*) AS n, sum(cost_usd) AS usd FROM calls GROUP BY 1")
        assert (found["columns"], found["rows"]) == (["model", "n", "usd"], [["gpt-4o-mini", 2, 2e-12]])
        assert (found["types"], found["truncated"]) == (["VARCHAR", "BIGINT", "DECIMAL(38,12)"], False)

    async def test_decimals_keep_their_digits(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.add("calls", {"call_id": "a", "cost_usd": "123456.123456789012"})
        answer = await api.post("/v1/query", json={"sql": "SELECT cost_usd FROM calls"})
        assert b"[[123456.123456789012]]" in answer.content

    @pytest.mark.parametrize("length", [1, 3_000_000])
    @asks_only
    async def test_answers_of_any_length_come_whole(self, still: httpx.AsyncClient, length: int) -> None:
        answer = await still.post("/v1/query", json={"sql": f"SELECT repeat('x', {length}) AS x FROM range(3)", "format": "csv"})
        assert answer.text == "x\n" + ("x" * length + "\n") * 3
        assert ("content-length" in answer.headers) == (length == 1)  # what is long is sent while it is found

    async def test_parameters(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.add("calls", *calls(3))
        assert (await ask(api, "SELECT call_id FROM calls WHERE call_id = $1", parameters=["c1"]))["rows"] == [["c1"]]
        assert (await ask(api, "SELECT call_id FROM calls WHERE call_id = $id", parameters={"id": "c2"}))["rows"] == [["c2"]]

    @asks_only
    async def test_more_rows_than_the_limit(self, still: httpx.AsyncClient) -> None:
        found = await ask(still, "FROM range(101)")
        assert (len(found["rows"]), found["truncated"]) == (100, True)

    @asks_only
    async def test_csv(self, still: httpx.AsyncClient) -> None:
        answer = await still.post("/v1/query", json={"sql": "SELECT 1 AS a, 'x,y' AS b, NULL AS c, [1, 2] AS d", "format": "csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.text == 'a,b,c,d\n1,"x,y",,"[1,2]"\n'

    @asks_only
    async def test_parquet(self, still: httpx.AsyncClient, tmp_path: Path) -> None:
        answer = await still.post("/v1/query", json={"sql": "SELECT 1 AS a, 2 AS a FROM range(200)", "format": "parquet"})
        (tmp_path / "x.parquet").write_bytes(answer.content)
        table = pq.read_table(tmp_path / "x.parquet")
        assert (table.column_names, table.num_rows, answer.headers["heliograph-truncated"]) == (["a", "a_2"], 100, "true")

    @asks_only
    async def test_a_table_for_people(self, still: httpx.AsyncClient) -> None:
        answer = await still.post("/v1/query", json={"sql": "SELECT 42 AS answer", "format": "table"})
        assert answer.headers["content-type"].startswith("text/plain")
        assert "answer" in answer.text
        assert "42" in answer.text

    @asks_only
    async def test_an_error_in_the_sql(self, still: httpx.AsyncClient) -> None:
        answer = await still.post("/v1/query", json={"sql": "SELECT nothing FROM calls"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["field"], error["position"]) == (400, "invalid_sql", "sql", 7)


class TestCalls:
    @pytest.fixture(autouse=True)
    def one_call(self, world: SmallLake) -> None:
        at = "2024-12-26T07:23:20Z"
        world.add(
            "calls", {"call_id": CALL_ID, "request_id": "mine", "created_at": at, "cost_usd": "0.0045", "properties": {"feature": "chat"}}
        )
        world.add(
            "bodies",
            {"call_id": CALL_ID, "request_id": "mine", "created_at": at, "side": "request", "text": '{"model":"x"}', "size": 13},
            {
                "call_id": CALL_ID,
                "request_id": "mine",
                "created_at": at,
                "side": "response",
                "text": "data: 1",
                "assembled": "{}",
                "size": 7,
            },
        )

    async def test_by_call_id_with_bodies(self, api: httpx.AsyncClient) -> None:
        found = (await api.get(f"/v1/calls/{CALL_ID}")).json()
        assert {column.name for column in VIEWS["calls"].columns} <= found.keys()
        assert (found["created_at"], found["cost_usd"], found["properties"]) == ("2024-12-26T07:23:20.000000Z", 0.0045, {"feature": "chat"})
        assert found["request"]["text"] == '{"model":"x"}'
        assert found["response"]["size"] == 7

    async def test_by_request_id_the_newest(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.add("calls", {"call_id": "again", "request_id": "mine", "created_at": "2026-01-01T00:00:00Z"})
        found = (await api.get("/v1/calls/mine")).json()
        assert (found["call_id"], found["request"]) == ("again", None)

    async def test_an_id_with_slashes_and_quotes(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.add("calls", {"call_id": "x", "request_id": "a/b'c d"})
        assert (await api.get("/v1/calls/a/b'c%20d")).json()["call_id"] == "x"

    async def test_a_call_whose_time_is_not_the_id_s(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        late = str(CALL_ID).replace("0001", "0002")
        world.add("calls", {"call_id": late, "created_at": "2026-05-05T00:00:00Z"})
        assert (await api.get(f"/v1/calls/{late}")).json()["call_id"] == late

    @pytest.mark.parametrize(
        "key", ["nobody", str(uuid4()), "01940000-0000-7000-8000-00000000ffff", "ffffffff-ffff-7fff-bfff-ffffffffffff"]
    )
    async def test_no_such_call(self, api: httpx.AsyncClient, key: str) -> None:
        answer = await api.get(f"/v1/calls/{key}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "call_not_found")

    async def test_of_another_organization(self, world: SmallLake) -> None:
        asking = Admission(known=lambda: keyring(key(READER, Scope.READ, organization="other"), key(WRITER, Scope.ADMIN)))
        async for other in serving(create_api(world.config, admission=asking, presented=presented)):
            for path in (f"/v1/calls/{CALL_ID}", "/v1/tables/calls/files"):
                refused = await other.get(path)
                assert (refused.status_code, refused.json()["error"]["field"]) == (401, "Authorization")
            asked = await other.post("/v1/query", json={"sql": "FROM calls"})
            assert (asked.status_code, asked.json()["error"]["code"]) == (401, "key_missing")
            other.headers["authorization"] = f"Bearer {WRITER}"
            assert (await other.get("/v1/tables/calls/files")).status_code == 200
            other.headers["authorization"] = f"Bearer {READER}"
            assert (await ask(other, "SELECT count(*) FROM calls"))["rows"] == [[0]]
            assert (await other.get(f"/v1/calls/{CALL_ID}")).status_code == 404
            assert (await other.get("/v1/calls/mine")).status_code == 404
            assert (await other.get("/v1/tables/calls/files")).status_code == 404


JSON = {"content-type": "application/json"}
_DEEP, _DEEPER = ("[" * depth + "]" * depth for depth in (500, 100_000))
_DEEP_PARAMETER, _DEEPER_PARAMETER = (f'{{"sql":"SELECT ?","parameters":[{deep}]}}'.encode() for deep in (_DEEP, _DEEPER))
_DIGITS = b'{"sql":"SELECT ?","parameters":[' + b"9" * 5000 + b"]}"
_LONE = b'{"sql":"SELECT ?","parameters":["\\udfff"]}'
FAULTS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no such path": ("GET", "/nothing", {}, 404, "not_found"),
    "the wrong method": ("GET", "/v1/query", {}, 405, "method_not_allowed"),
    "another wrong method": ("PUT", "/healthz", {"json": {}}, 405, "method_not_allowed"),
    "no content type": ("POST", "/v1/query", {"content": b'{"sql":"SELECT 1"}'}, 415, "unsupported_media_type"),
    "neither body nor content type": ("POST", "/v1/query", {}, 422, "invalid_field"),
    "an empty form": ("POST", "/v1/query", {"headers": {"content-type": "multipart/form-data"}}, 415, "unsupported_media_type"),
    "a form": ("POST", "/v1/query", {"data": {"sql": "SELECT 1"}}, 415, "unsupported_media_type"),
    "text": ("POST", "/v1/query", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
    "no JSON": ("POST", "/v1/query", {"content": b"{", "headers": JSON}, 400, "invalid_json"),
    "no UTF-8": ("POST", "/v1/query", {"content": b'{"sql":"\xff"}', "headers": JSON}, 400, "bad_request"),
    "nothing": ("POST", "/v1/query", {"content": b"", "headers": JSON}, 422, "invalid_field"),
    "a list": ("POST", "/v1/query", {"json": []}, 422, "invalid_field"),
    "no sql": ("POST", "/v1/query", {"json": {}}, 422, "invalid_field"),
    "sql that is a number": ("POST", "/v1/query", {"json": {"sql": 1}}, 422, "invalid_field"),
    "a field nobody knows": ("POST", "/v1/query", {"json": {"sql": "SELECT 1", "query": "x"}}, 422, "invalid_field"),
    "one that is half of a character": ("POST", "/v1/query", {"content": b'{"\\udfff":1}', "headers": JSON}, 422, "invalid_field"),
    "a deletion without a type": ("DELETE", "/v1/tables", {}, 405, "method_not_allowed"),
    "a deletion of something untold": ("DELETE", "/v1/tables", {"content": b"x"}, 415, "unsupported_media_type"),
    "a format nobody knows": ("POST", "/v1/query", {"json": {"sql": "SELECT 1", "format": "xml"}}, 422, "invalid_field"),
    "a body without end": ("POST", "/v1/query", {"json": {"sql": "x" * BODY_LIMIT}}, 413, "body_too_large"),
    "a write": ("POST", "/v1/query", {"json": {"sql": "DROP VIEW calls"}}, 400, "not_read_only"),
    "a file": ("POST", "/v1/query", {"json": {"sql": "FROM read_text('/etc/passwd')"}}, 400, "forbidden_function"),
    "a parameter too few": ("POST", "/v1/query", {"json": {"sql": "SELECT ?"}}, 400, "invalid_parameters"),
    "a number beyond all types": ("POST", "/v1/query", {"json": {"sql": "SELECT ?", "parameters": [10**60]}}, 400, "invalid_sql"),
    "an object as a parameter": ("POST", "/v1/query", {"json": {"sql": "SELECT ?", "parameters": [{"a": [1, None]}]}}, 200, ""),
    "mixed parameters": ("POST", "/v1/query", {"json": {"sql": "SELECT ?, $a", "parameters": ["x"]}}, 400, "invalid_sql"),
    "a lone surrogate": ("POST", "/v1/query", {"content": b'{"sql":"SELECT \'\\ud800\'"}', "headers": JSON}, 400, "invalid_sql"),
    "a parameter of it": ("POST", "/v1/query", {"content": _LONE, "headers": JSON}, 400, "invalid_sql"),
    "a nest without end": ("POST", "/v1/query", {"content": _DEEPER.encode(), "headers": JSON}, 400, "bad_request"),
    "a parameter that is one": ("POST", "/v1/query", {"content": _DEEPER_PARAMETER, "headers": JSON}, 400, "bad_request"),
    "a parameter that is a deep nest": ("POST", "/v1/query", {"content": _DEEP_PARAMETER, "headers": JSON}, 400, "unwritable_result"),
    "a number of too many digits": ("POST", "/v1/query", {"content": _DIGITS, "headers": JSON}, 400, "bad_request"),
    "infinity": ("POST", "/v1/query", {"json": {"sql": "SELECT TIMESTAMP 'infinity', MAP {DATE '-infinity': 1}"}}, 200, ""),
    "a table nobody knows": ("GET", "/v1/tables/nothing/files", {}, 404, "unknown_table"),
    "an asset nobody knows": ("GET", "/docs/assets/nothing.js", {}, 404, "not_found"),
    "a way out of the assets": ("GET", "/docs/assets/%2e%2e/%2e%2e/__init__.py", {}, 404, "not_found"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "request_", "status", "code"), FAULTS.values(), ids=FAULTS)
@asks_only
async def test_faults_have_one_shape(
    still: httpx.AsyncClient, method: str, path: str, request_: dict[str, Any], status: int, code: str
) -> None:
    answer = await still.request(method, path, **request_)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    if status >= 400:
        error = answer.json()["error"]
        assert error["code"] == code
        assert error["message"]
        assert error["fix"]
        assert "Traceback" not in answer.text


async def test_a_fault_of_ours_says_nothing_of_itself(world: SmallLake) -> None:
    app = create_api(world.config)

    @app.get("/fault")
    async def fault() -> None:
        raise RuntimeError("the secret path /etc/x")

    async for api in serving(app):
        answer = await api.get("/fault")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/v1/tables", "/docs", "/openapi.json", "/docs/assets/swagger-ui.css", "/metrics"])
@asks_only
async def test_head_is_get_without_its_body(still: httpx.AsyncClient, path: str) -> None:
    head, got = await still.head(path), await still.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


class TestTables:
    @asks_only
    async def test_every_column_is_described(self, still: httpx.AsyncClient) -> None:
        tables = (await still.get("/v1/tables")).json()["tables"]
        assert [table["name"] for table in tables] == [
            "calls",
            "calls_by_hour",
            "calls_by_day",
            "cost_history",
            "bodies",
            "feedback",
            "dead_letters",
            "request_response_rmt",
        ]
        for table in tables:
            described = {column["name"]: column["type"] for column in table["columns"]}
            real = {name: kind for name, kind, *_ in (await ask(still, f"DESCRIBE {table['name']}"))["rows"]}
            assert described == real
            assert all(column["description"] for column in table["columns"])

    async def test_the_files_are_the_live_ones(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.add("calls", *calls(2))
        found = (await api.get("/v1/tables/calls/files")).json()
        assert found["table"] == "calls"
        assert [Path(file).parent.parent for file in found["files"]] == [world.folder / "calls"]

    @asks_only
    async def test_every_table_of_the_lake_has_files(self, still: httpx.AsyncClient) -> None:
        for name in TABLES:
            assert (await still.get(f"/v1/tables/{name}/files")).json()["files"] == []


class TestReaders:
    """The lake belongs to whoever owns it: other programs read it without us."""

    @pytest.fixture
    async def files(self, world: SmallLake, api: httpx.AsyncClient) -> list[str]:
        world.add("calls", *calls(2, cost_usd="0.5"))
        world.add("calls", {"call_id": "later", "created_at": "2026-01-09T00:00:00Z", "cost_usd": "1", "properties": {"a": "b"}})
        found: list[str] = (await api.get("/v1/tables/calls/files")).json()["files"]
        assert len(found) == 2
        return found

    def test_delta(self, world: SmallLake, files: list[str]) -> None:
        assert DeltaTable(str(world.folder / "calls")).to_pyarrow_table().num_rows == 3

    def test_duckdb(self, files: list[str]) -> None:
        assert duckdb.connect().execute("SELECT sum(cost_usd) FROM read_parquet(?)", [files]).fetchall() == [(2,)]

    def test_polars(self, files: list[str]) -> None:
        assert pl.scan_parquet(files).select(pl.col("cost_usd").sum()).collect().item() == 2

    def test_pandas(self, files: list[str]) -> None:
        assert sum(len(pd.read_parquet(file)) for file in files) == 3


class TestDocs:
    @asks_only
    async def test_the_page_needs_no_network(self, still: httpx.AsyncClient) -> None:
        page = (await still.get("/docs")).text
        assert "http" not in page.replace("http-equiv", "")
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
            assert f"/docs/assets/{asset}" in page
            assert (await still.get(f"/docs/assets/{asset}")).status_code == 200

    @asks_only
    async def test_the_description_is_one_the_page_can_show(self, still: httpx.AsyncClient) -> None:
        described = (await still.get("/openapi.json")).json()
        assert described["openapi"].startswith("3.0.")
        assert described["paths"].keys() >= {
            "/v1/query",
            "/v1/calls/{id}",
            "/v1/tables",
            "/v1/tables/{name}/files",
            "/healthz",
            "/readyz",
            "/metrics",
        }
        text = json.dumps(described)
        named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert named <= described["components"]["schemas"].keys()
        assert '"type": "null"' not in text


class TestHealth:
    @asks_only
    async def test_alive_and_ready(self, still: httpx.AsyncClient) -> None:
        assert (await still.get("/healthz")).json() == {"status": "ok"}
        assert (await still.get("/readyz")).json() == {"status": "ready"}

    async def test_a_lake_that_cannot_be_read_is_not_ready(self, world: SmallLake, api: httpx.AsyncClient) -> None:
        world.spoil("calls")
        answer = await api.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "lake_unreadable"

    @asks_only
    async def test_metrics(self, still: httpx.AsyncClient) -> None:
        assert "# TYPE" in (await still.get("/metrics")).text


class TestSchemas:
    @asks_only
    async def test_each_of_the_list_is_there(self, still: httpx.AsyncClient) -> None:
        listed = (await still.get("/v1/schemas")).json()["schemas"]
        assert {each["name"]: each["event"] for each in listed}["llm.calls.v1"] == "call-priced"
        for each in listed:
            answer = await still.get(each["path"])
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
            found = answer.json()
            assert found["properties"]["event"]["enum"] == [each["event"]]
            jsonschema.validate(found["examples"][0], found)

    @asks_only
    async def test_one_that_is_not(self, still: httpx.AsyncClient) -> None:
        for name in ("nothing", "heliograph.control.v1"):
            answer = await still.get(f"/v1/schemas/{name}")
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["field"]) == (404, "unknown_schema", "name")
            assert "llm.calls.v1" in error["fix"]


@asks_only
async def test_another_method_names_those_there_are(still: httpx.AsyncClient) -> None:
    answer = await still.get("/v1/query")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["fix"] == "Use POST."


async def test_the_root_leads_to_the_page(api: httpx.AsyncClient) -> None:
    answer = await api.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


@asks_only
async def test_a_fault_names_the_field_as_the_client_wrote_it(still: httpx.AsyncClient) -> None:
    answer = await still.post("/v1/query", json={"sql": "SELECT 1", "format": "xml"})
    assert answer.json()["error"]["field"] == "format"
    answer = await still.post("/v1/query", json={"sql": "SELECT 1", "filter[day]": "x"})
    assert answer.json()["error"]["field"] == "filter[day]"
