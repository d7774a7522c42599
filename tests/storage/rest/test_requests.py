"""Calls by filter, by id, counted; pages; bodies by link."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.storage.rest.conftest import Post, asked_at, filled

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERY = "/v1/request/query-clickhouse"


def rmt(**columns: Any) -> Any:
    return {"request_response_rmt": columns}


async def found(post: Post, **body: Any) -> list[str]:
    return [call["response_id"] for call in await post(QUERY, body, 201)]


FILTERS: dict[str, tuple[Any, list[str]]] = {
    "all": ("all", ["c6", "c5", "c4", "c3", "c2", "c1"]),
    "nothing said": ({}, ["c6", "c5", "c4", "c3", "c2", "c1"]),
    "a model": (rmt(model={"contains": "GPT"}), ["c6", "c4", "c3", "c2", "c1"]),
    "not a model": (rmt(model={"not-contains": "gpt"}), ["c5"]),
    "a provider in upper case": (rmt(provider={"equals": "ANTHROPIC"}), ["c5"]),
    "a user": (rmt(user_id={"equals": "ann"}), ["c2", "c1"]),
    "no user": (rmt(user_id={"equals": "null"}), ["c6", "c5"]),
    "cancelled": (rmt(status={"equals": -3}), ["c6"]),
    "failed": (rmt(status={"gte": 500}), ["c4"]),
    "cost": (rmt(cost={"gt": 0.3}), ["c6", "c3"]),
    "a span": (rmt(request_created_at={"gte": "2026-03-01T10:30:00Z", "lt": "2026-03-02T00:10:00Z"}), ["c3", "c2"]),
    "cached": (rmt(cached={"equals": True}), ["c5"]),
    "rated well": (rmt(**{"helicone-score-feedback": {"equals": True}}), ["c1"]),
    "rated badly": ({"feedback": {"rating": {"equals": False}}}, ["c3"]),
    "a score": (rmt(scores={"helpful": {"lt": 1}}), ["c1"]),
    "a property": ({"properties": {"Plan": {"equals": "free"}}}, ["c6", "c4", "c2"]),
    "a session": (rmt(properties={"Helicone-Session-Id": {"equals": "s1"}}), ["c2", "c1"]),
    "a prompt": (rmt(prompt_id={"equals": "greeting"}), ["c1"]),
    "an input": ({"values": {"city": {"equals": "Rome"}}}, ["c1"]),
    "in the request": (rmt(request_body={"contains": "rome"}), ["c1"]),
    "in a stream": (rmt(response_body={"contains": "Italy"}), ["c1"]),
    "not in the request": (rmt(request_body={"not-contains": "rome"}), ["c6", "c5", "c4", "c3", "c2"]),
    "or": ({"left": rmt(user_id={"equals": "ann"}), "operator": "or", "right": rmt(status={"equals": 500})}, ["c4", "c2", "c1"]),
    "another's": (rmt(organization_id={"equals": "other"}), []),
}


@pytest.mark.parametrize(("said", "expected"), FILTERS.values(), ids=FILTERS)
async def test_filters(post: Post, said: Any, expected: list[str]) -> None:
    assert await found(post, filter=said) == expected
    assert await post("/v1/request/count/query", {"filter": said}) == len(expected)


SORTS: dict[str, tuple[Any, list[str]]] = {
    "oldest": ({"created_at": "asc"}, ["c1", "c2", "c3", "c4", "c5", "c6"]),
    "dearest, unknown last": ({"cost": "desc"}, ["c3", "c6", "c2", "c1", "c5", "c4"]),
    "cheapest, unknown last": ({"cost": "asc"}, ["c5", "c1", "c2", "c6", "c3", "c4"]),
    "by a property": ({"properties": {"plan": "desc"}}, ["c5", "c3", "c1", "c6", "c4", "c2"]),
    "by user": ({"user_id": "asc"}, ["c1", "c2", "c3", "c4", "c5", "c6"]),
    "cached first": ({"is_cached": "desc"}, ["c5", "c6", "c4", "c3", "c2", "c1"]),
    "slowest": ({"latency": "desc"}, ["c6", "c5", "c4", "c3", "c2", "c1"]),
}


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(("sort", "expected"), SORTS.values(), ids=SORTS)
async def test_pages_have_each_call_once(client: httpx.AsyncClient, sort: Any, expected: list[str], size: int) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = (await client.post(QUERY, json={"filter": "all", "sort": sort, "limit": size, "cursor": cursor})).json()
        seen += [call["response_id"] for call in page["data"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == expected


async def test_new_calls_do_not_move_a_page(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    async with asked_at(lake) as client:
        first = (await client.post(QUERY, json={"filter": "all", "limit": 2})).json()
        lake.add("calls", {"call_id": "c7", "request_id": "r7", "created_at": "2026-03-02T13:00:00"})
        after = (await client.post(QUERY, json={"filter": "all", "limit": 2, "cursor": first["cursor"]})).json()
    assert [call["response_id"] for page in (first, after) for call in page["data"]] == ["c6", "c5", "c4", "c3"]


async def test_offset_and_no_calls_at_all(post: Post) -> None:
    assert await found(post, filter="all", offset=4) == ["c2", "c1"]
    assert await found(post, filter="all", limit=0) == []


async def test_random_is_all_of_them(post: Post) -> None:
    assert sorted(await found(post, filter="all", sort={"random": True})) == ["c1", "c2", "c3", "c4", "c5", "c6"]


async def test_scored_or_not(post: Post) -> None:
    assert await found(post, filter="all", isScored=True) == ["c3", "c1"]
    assert await found(post, filter="all", isScored=False) == ["c6", "c5", "c4", "c2"]
    assert await found(post, filter="all", isPartOfExperiment=True) == []


async def test_all_that_is_told_of_a_call(post: Post) -> None:
    [call] = await post("/v1/request/query", {"filter": rmt(request_id={"equals": "R1"}), "includeInputs": True}, 201)
    link = call.pop("signed_body_url")
    assert link.startswith("http://127.0.0.1/v1/request/c1/bodies?")
    properties = {"plan": "pro", "Helicone-Session-Id": "s1", "Helicone-Session-Name": "trip"}
    assert {name: value for name, value in call.items() if value not in (None, [])} == {
        "response_id": "c1",
        "response_created_at": "2026-03-01T10:00:00.000000Z",
        "response_body": {"content": "In Italy"},
        "response_status": 200,
        "request_id": "r1",
        "request_created_at": "2026-03-01T10:00:00.000000Z",
        "request_body": {"messages": ["Where is Rome?"]},
        "request_path": "https://api.openai.com/v1/chat/completions",
        "request_user_id": "ann",
        "request_properties": properties,
        "request_model": "gpt-4o-mini",
        "provider": "OPENAI",
        "delay_ms": 100.0,
        "time_to_first_token": 10.0,
        "total_tokens": 11,
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "cost": 0.1,
        "costUSD": 0.1,
        "prompt_id": "greeting",
        "prompt_version": "2",
        "feedback_created_at": "2026-03-03T00:00:01.000000Z",
        "feedback_id": "f2",
        "feedback_rating": True,
        "scores": {"helpful": 0.5, "short": 1.0, "helicone-score-feedback": 1},
        "properties": properties,
        "target_url": "https://api.openai.com/v1/chat/completions",
        "model": "gpt-4o-mini",
        "cache_enabled": False,
        "updated_at": "2026-03-01T10:00:00.000000Z",
        "inputs": {"city": "Rome"},
    }


async def test_bodies_that_are_no_json(post: Post) -> None:
    c3, c2 = await post(QUERY, {"filter": rmt(request_created_at={"gte": "2026-03-01T10:30:00", "lt": "2026-03-02"})}, 201)
    assert c2["request_body"] == {"helicone_message": "The body was not kept, as its caller asked."}
    assert c2["response_body"] == "Internal error"
    assert c3["request_body"] == {"helicone_message": "no UTF-8", "base64": "/w=="}
    assert c3["response_body"] == {"helicone_message": "The body was not kept."}


async def test_large_bodies_stand_behind_their_link(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    for number in (7, 8, 9):
        created = f"2026-03-04T00:00:0{number}"
        lake.add("calls", {"call_id": f"c{number}", "request_id": f"r{number}", "created_at": created})
        said = '"' + str(number) * (3 << 20) + '"'
        lake.add("bodies", {"call_id": f"c{number}", "created_at": created, "side": "request", "text": said, "omitted": False})
    async with asked_at(lake) as client:
        calls = (await client.post(QUERY, json={"filter": rmt(request_created_at={"gte": "2026-03-04"})})).json()["data"]
        assert [len(call["request_body"]) for call in calls] == [3 << 20, 3 << 20, 1]
        assert set(calls[2]["request_body"]) == {"helicone_message"}
        assert (await client.get(calls[2]["signed_body_url"])).json()["request"] == "7" * (3 << 20)


async def test_by_ids(client: httpx.AsyncClient, post: Post) -> None:
    assert [call["request_id"] for call in await post("/v1/request/query-ids", {"requestIds": ["r1", "R4", "r9", "none"]})] == ["r4", "r1"]
    assert await post("/v1/request/query-ids", {"requestIds": []}) == []
    for key in ("r1", "c1"):
        one = (await client.get(f"/v1/request/{key}")).json()["data"]
        assert one["request_id"] == "r1"
        assert "includeBody=true" in one["request_body"]["helicone_message"]
    assert (await client.get("/v1/request/r1?includeBody=true")).json()["data"]["response_body"] == {"content": "In Italy"}


async def test_inputs(client: httpx.AsyncClient) -> None:
    said = {"inputs": {"city": "Rome"}, "prompt_id": "greeting", "version_id": "2", "environment": None}
    assert (await client.get("/v1/request/r1/inputs")).json() == {"data": said, "error": None}
    assert (await client.get("/v1/request/r2/inputs")).json() == {"data": None, "error": None}


@pytest.mark.parametrize("path", ["/v1/request/r9", "/v1/request/none/inputs"])
async def test_what_is_not_there_or_anothers(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"data": None, "error": "Request not found"})


async def test_a_link_opens_what_it_names_and_nothing_else(client: httpx.AsyncClient, post: Post) -> None:
    [call] = await post(QUERY, {"filter": rmt(request_id={"equals": "r1"})}, 201)
    link = call["signed_body_url"]
    assert (await client.get(link)).json() == {"request": {"messages": ["Where is Rome?"]}, "response": {"content": "In Italy"}}
    changed = (
        link.replace("/c1/", "/c2/"),
        link.replace("organization=default", "organization=other"),
        link.replace("expires=1", "expires=2"),
        link.split("&signature")[0],
        f"{link}&more=1",
        "/v1/request/c1/bodies",
    )
    for other in changed:
        answer = await client.get(other)
        assert (answer.status_code, answer.json()["data"]) == (403, None), other


WRONG: dict[str, tuple[Any, int, str]] = {
    "a filter": ({"filter": rmt(modell={"equals": "x"})}, 400, "filter.request_response_rmt.modell is no column"),
    "a limit": ({"filter": "all", "limit": 1001}, 400, "limit must be 0 to 1000"),
    "a limit below all": ({"filter": "all", "limit": -1}, 400, "limit must be 0 to 1000"),
    "a limit that is no number": ({"filter": "all", "limit": "ten"}, 422, "limit: "),
    "an offset below all": ({"filter": "all", "offset": -1}, 422, "offset: "),
    "a field that nobody reads": ({"filter": "all", "filters": "all"}, 422, "filters: "),
    "a sort": ({"sort": {"colour": "asc"}}, 400, "sort.colour cannot be sorted by"),
    "a way to sort": ({"sort": {"latency": "up"}}, 400, "sort.latency must be asc or desc"),
    "a sort by no key": ({"sort": {"properties": "asc"}}, 400, "sort.properties must be an object"),
    "a cursor": ({"cursor": "x!"}, 400, "cursor is none of ours"),
    "a cursor of another sort": ({"cursor": "WyJ4IixudWxsLCJjMSJd"}, 400, "cursor belongs to a page with another sort"),
    "no object": ([], 422, ""),
}


@pytest.mark.parametrize(("body", "status", "told"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_said_in_the_envelope(client: httpx.AsyncClient, body: Any, status: int, told: str) -> None:
    answer = await client.post(QUERY, json=body)
    assert (answer.status_code, answer.json()["data"]) == (status, None)
    assert told in answer.json()["error"]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"limit": 1' + b"0" * 5000 + b"}"])
async def test_a_body_that_is_no_json(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(QUERY, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["data"]) in {(400, None), (422, None)}
