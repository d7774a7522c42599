"""The example of docs/rest.md, asked of a small lake; and every table and column of a filter that it names."""

import json
import re
from pathlib import Path

import httpx

from storage.api import create_api
from storage.rest.fields import OF_A_CALL, OF_A_SESSION, OF_A_USER, SESSIONS
from storage.rest.links import Links
from storage.rest.request_page import RANDOM, SORTS
from storage.rest.routes import router
from tests.fakes.small_lake import SmallLake

PAGE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()


async def test_the_example(tmp_path: Path) -> None:
    found = re.search(r"curl -s localhost:8585(\S+) .*? -d '(\{.*?\n\})'", PAGE, re.DOTALL)
    assert found is not None
    lake = SmallLake(tmp_path)
    for status in (200, 500):
        lake.add("calls", {"call_id": f"c{status}", "request_id": f"r{status}", "created_at": "2026-03-01", "status": status})
    app = create_api(lake.config)
    app.state.links = Links()
    app.include_router(router)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        answer = await client.post(found[1], json=json.loads(found[2]) | {"filter": {"request_response_rmt": {"status": {"gte": 400}}}})
        as_it_is = await client.post(found[1], json=json.loads(found[2]))
    assert [call["request_id"] for call in answer.json()["data"]] == ["r500"]
    assert (as_it_is.status_code, as_it_is.json()["error"]) == (201, None)


def test_all_that_can_be_asked_about_is_named() -> None:
    named = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
    columns = {*OF_A_CALL["request_response_rmt"], *OF_A_SESSION[SESSIONS], *OF_A_USER["users_view"]}
    assert {*OF_A_CALL, SESSIONS, "users_view"} | columns <= named
    assert {*SORTS, RANDOM} - {"cache_created_at", "last_active"} <= named
