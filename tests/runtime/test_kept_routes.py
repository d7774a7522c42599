"""Saved queries and hidden properties over HTTP: whose they are, what is refused, and that hiding hides."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.control import decide
from eventlog.keys import Auth, Scope
from runtime.deciding import opened_log
from runtime.settings import Settings
from tests.fakes.keyring import READER, STRANGER, WRITER, key
from tests.fakes.querying import serving
from tests.fakes.small_lake import SmallLake

BOTH = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ggggggg"
COST = {"name": "cost", "sql": "SELECT sum(cost) FROM request_response_rmt"}
SAVED = "/v1/helicone-sql/saved-query"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    lake = SmallLake(tmp_path / "lake")
    call = {"call_id": "c", "request_id": "r", "created_at": "2026-03-01", "organization": "acme"}
    lake.add("calls", call | {"properties": {"plan": "pro", "team": "x"}})
    keys = [
        key(BOTH, Scope.READ, Scope.WRITE),
        key(READER, Scope.READ),
        key(WRITER, Scope.WRITE),
        key(STRANGER, Scope.READ, Scope.WRITE, organization="other"),
    ]
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(log, keys)
    async with serving(tmp_path, auth=Auth.REQUIRED) as client:
        yield client


async def asked(api: httpx.AsyncClient, method: str, path: str, said: Any = None, *, by: str = BOTH, status: int = 200) -> Any:
    answer = await api.request(method, path, json=said, headers={"authorization": f"Bearer {by}"})
    assert answer.status_code == status, answer.text
    told = answer.json()
    return told["data"] if status == 200 else told["error"]


async def test_saved_changed_and_deleted(api: httpx.AsyncClient) -> None:
    saved = await asked(api, "POST", SAVED, COST)
    assert {name: saved[name] for name in COST} == COST
    assert await asked(api, "GET", f"{SAVED}/{saved['id']}", by=READER) == saved
    changed = await asked(api, "PUT", f"{SAVED}/{saved['id']}", COST | {"sql": "SELECT 1"})
    assert (changed["sql"], changed["created_at"]) == ("SELECT 1", saved["created_at"])
    other = await asked(api, "POST", SAVED, COST | {"name": "other"})
    assert [each["name"] for each in await asked(api, "GET", "/v1/helicone-sql/saved-queries", by=READER)] == ["other", "cost"]
    await asked(api, "DELETE", f"{SAVED}/{saved['id']}")
    await asked(api, "POST", "/v1/helicone-sql/saved-queries/bulk-delete", {"ids": [other["id"], saved["id"]]}, status=404)
    await asked(api, "POST", "/v1/helicone-sql/saved-queries/bulk-delete", {"ids": [other["id"]]})
    assert await asked(api, "GET", "/v1/helicone-sql/saved-queries") == []


async def test_a_query_is_its_organizations(api: httpx.AsyncClient) -> None:
    saved = await asked(api, "POST", SAVED, COST)
    assert await asked(api, "GET", "/v1/helicone-sql/saved-queries", by=STRANGER) == []
    for method, said in (("GET", None), ("PUT", COST), ("DELETE", None)):
        assert await asked(api, method, f"{SAVED}/{saved['id']}", said, by=STRANGER, status=404) == "Saved query not found"
    await asked(api, "POST", SAVED, COST, by=STRANGER)  # a name is free for everybody else


REFUSED: dict[str, tuple[Any, str, int]] = {
    "a name that is taken": (COST, BOTH, 409),
    "no name": ({"sql": "SELECT 1"}, BOTH, 422),
    "an empty name": (COST | {"name": ""}, BOTH, 422),
    "SQL that is too long": (COST | {"name": "long", "sql": "x" * 20_001}, BOTH, 422),
    "a key that may not write": (COST | {"name": "mine"}, READER, 403),
}


@pytest.mark.parametrize(("said", "by", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused(api: httpx.AsyncClient, said: Any, by: str, status: int) -> None:
    await asked(api, "POST", SAVED, COST)
    assert await asked(api, "POST", SAVED, said, by=by, status=status)


async def test_a_hidden_property_is_left_out_until_it_is_restored(api: httpx.AsyncClient) -> None:
    async def keys(by: str = BOTH) -> list[str]:
        return [each["property"] for each in await asked(api, "POST", "/v1/property/query", {}, by=by)]

    assert await keys() == ["plan", "team"]
    await asked(api, "POST", "/v1/property/hide", {"key": "Plan"})
    assert await keys() == ["team"]
    assert await asked(api, "POST", "/v1/property/hidden/query", {}, by=READER) == [{"property": "plan"}]
    assert await asked(api, "POST", "/v1/property/hidden/query", {}, by=STRANGER) == []
    await asked(api, "POST", "/v1/property/restore", {"key": "plan"})
    assert await keys() == ["plan", "team"]
