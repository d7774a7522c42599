"""Prompts over HTTP, as Helicone's `prompt-2025` has them: made, given versions and environments, found, read by a link, deleted."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from helicone_helpers import HeliconePromptManager

from eventlog.control import decide
from eventlog.keys import Scope
from runtime.deciding import opened_log
from runtime.prompts import prompt_desk
from runtime.settings import Settings
from storage.rest.links import Links
from storage.rest.prompt_writes import BODY_BYTES
from tests.fakes.keyring import READER, STRANGER, WRITER, key
from tests.fakes.prompting import BODY, asking, listening, prompting
from tests.fakes.small_lake import SmallLake

OTHER = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ggggggg"
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with prompting(tmp_path) as app:
        yield app


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(app) as api:
        yield api


async def data(api: httpx.AsyncClient, path: str, body: Any = None, *, method: str = "POST", status: int = 200) -> Any:
    answer = await api.request(method if body is not None or method != "POST" else "GET", path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] is None
    return answer.json()["data"]


async def made(api: httpx.AsyncClient, name: str = "Greeting", **more: Any) -> tuple[str, str]:
    found = await data(api, "/v1/prompt-2025", {"name": name, "tags": [], "promptBody": BODY} | more, status=201)
    return found["id"], found["versionId"]


async def updated(api: httpx.AsyncClient, prompt: str, base: str, *, major: bool = False, **more: Any) -> str:
    said = {"promptId": prompt, "promptVersionId": base, "newMajorVersion": major, "commitMessage": "better", "promptBody": BODY}
    found: str = (await data(api, "/v1/prompt-2025/update", said | more))["id"]
    return found


async def number(api: httpx.AsyncClient, version: str) -> str:
    found = await data(api, "/v1/prompt-2025/query/version", {"promptVersionId": version})
    return f"{found['major_version']}.{found['minor_version']}"


async def production(api: httpx.AsyncClient, prompt: str) -> str:
    found: str = (await data(api, "/v1/prompt-2025/query/production-version", {"promptId": prompt}))["id"]
    return found


async def test_a_prompt_is_made_with_a_version_in_production(api: httpx.AsyncClient) -> None:
    prompt, version = await made(api, tags=["a", " b ", "a", ""])
    assert len(prompt) == 6
    assert prompt.isalnum()
    shown = await data(api, f"/v1/prompt-2025/id/{prompt}")
    assert shown == {"id": prompt, "name": "Greeting", "tags": ["a", "b"], "created_at": shown["created_at"]}
    found = await data(api, "/v1/prompt-2025/query/version", {"promptVersionId": version})
    assert found == {
        "id": version,
        "model": "gpt-4o-mini",
        "prompt_id": prompt,
        "major_version": 1,
        "minor_version": 0,
        "commit_message": "First version.",
        "environments": ["production"],
        "created_at": shown["created_at"],
        "s3_url": found["s3_url"],
    }
    assert await production(api, prompt) == version


async def test_versions_count_up_within_their_majors(api: httpx.AsyncClient) -> None:
    prompt, first = await made(api)
    minor = await updated(api, prompt, first)
    major = await updated(api, prompt, minor, major=True)
    numbers = [await number(api, each) for each in (first, minor, major)]
    assert numbers == ["1.0", "1.1", "2.0"]
    assert await number(api, await updated(api, prompt, first)) == "1.2"  # of the base's major, after the newest of it
    assert await number(api, await updated(api, prompt, major)) == "2.1"
    assert await number(api, await updated(api, prompt, first, major=True)) == "3.0"
    listed = await data(api, "/v1/prompt-2025/query/versions", {"promptId": prompt})
    assert [f"{each['major_version']}.{each['minor_version']}" for each in listed] == ["3.0", "2.1", "1.2", "2.0", "1.1", "1.0"]
    ones = await data(api, "/v1/prompt-2025/query/versions", {"promptId": prompt, "majorVersion": 1})
    assert [each["minor_version"] for each in ones] == [2, 1, 0]
    assert await data(api, "/v1/prompt-2025/query/total-versions", {"promptId": prompt}) == {"totalVersions": 6, "majorVersions": 3}


async def test_an_environment_stands_for_one_version(api: httpx.AsyncClient) -> None:
    prompt, first = await made(api)
    second = await updated(api, prompt, first, environment="staging")
    assert await production(api, prompt) == first
    assert await data(api, "/v1/prompt-2025/environments") == ["production", "staging"]
    place = {"promptId": prompt, "promptVersionId": second, "environment": "production"}
    assert await data(api, "/v1/prompt-2025/update/environment", place) is None
    assert await production(api, prompt) == second
    staging = {"promptId": prompt, "environment": "staging"}
    found = await data(api, "/v1/prompt-2025/query/environment-version", staging)
    assert (found["id"], found["environments"]) == (second, ["production", "staging"])
    assert (await data(api, "/v1/prompt-2025/query/version", {"promptVersionId": first}))["environments"] == []
    assert await data(api, "/v1/prompt-2025/remove/environment", staging | {"promptVersionId": second}) is None
    answer = await api.post("/v1/prompt-2025/query/environment-version", json=staging)
    assert (answer.status_code, answer.json()["error"]) == (404, "Prompt staging version not found")
    again = await api.post("/v1/prompt-2025/remove/environment", json=staging | {"promptVersionId": second})
    assert again.status_code == 404


async def test_prompts_are_found_by_name_and_tag_page_by_page(api: httpx.AsyncClient) -> None:
    names = {"Greeting": ["x"], "Farewell": ["x", "y"], "greet again": []}
    ids = {name: (await made(api, name, tags=tags))[0] for name, tags in names.items()}

    async def found(**said: Any) -> list[str]:
        return [each["name"] for each in await data(api, "/v1/prompt-2025/query", said)]

    assert await found() == ["greet again", "Farewell", "Greeting"]
    assert await found(search="GREET", tagsFilter=[], page=0, pageSize=10) == ["greet again", "Greeting"]
    assert await found(tagsFilter=["y", "z"]) == ["Farewell"]
    assert await found(page=1, pageSize=2) == ["Greeting"]
    assert await data(api, "/v1/prompt-2025/count") == 3
    assert await data(api, "/v1/prompt-2025/tags") == ["x", "y"]
    await data(api, f"/v1/prompt-2025/id/{ids['Greeting']}/rename", {"name": "Hello"})
    await data(api, f"/v1/prompt-2025/id/{ids['Farewell']}/name", {"name": "Bye"}, method="PATCH")
    tags = await data(api, f"/v1/prompt-2025/id/{ids['Farewell']}/tags", {"tags": ["new", "new "]}, method="PATCH")
    assert tags == ["new"]
    assert await found() == ["greet again", "Bye", "Hello"]
    assert await data(api, "/v1/prompt-2025/tags") == ["new", "x"]


async def test_a_body_is_what_was_sent(api: httpx.AsyncClient) -> None:
    body = {"z": 1, "a": [1.50, 10**30, None, True, "é😀\n"], "messages": []}
    prompt, version = await made(api, promptBody=body)
    found = await data(api, "/v1/prompt-2025/query/version", {"promptVersionId": version})
    assert found["model"] == ""
    assert "prompt_body" not in found
    linked = await api.get(found["s3_url"])
    assert (linked.json(), list(linked.json())) == (body, ["z", "a", "messages"])
    assert await data(api, f"/v1/prompt-2025/{version}/prompt-body") == body
    asked: dict[str, Any] = {
        "version": {"promptVersionId": version},
        "production-version": {"promptId": prompt},
        "environment-version": {"promptId": prompt, "environment": "production"},
    }
    for way, said in asked.items():
        assert (await data(api, f"/v2/prompt-2025/query/{way}", said))["prompt_body"] == body


async def test_links_end_and_are_for_one_version(app: FastAPI, api: httpx.AsyncClient) -> None:
    now = [1_800_000_000.0]
    app.state.links = Links("a secret of sixteen", public_url="https://helio.example/base/", clock=lambda: now[0])
    _, version = await made(api)
    _, other = await made(api)
    link = (await data(api, "/v1/prompt-2025/query/version", {"promptVersionId": version}))["s3_url"]
    assert link.startswith(f"https://helio.example/base/v1/prompt-2025/body/{version}?")
    query = urlsplit(link).query
    path = f"/v1/prompt-2025/body/{version}?{query}"
    assert (await api.get(path)).json() == BODY
    refused = [path.replace(version, other), path.replace("organization=default", "organization=other"), path.partition("?")[0]]
    for each in refused:
        assert (await api.get(each)).status_code == 403
    now[0] += 24 * 3600 + 1
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["data"]) == (403, None)
    assert "has ended" in answer.json()["error"]


async def test_what_is_deleted_is_gone_and_its_number_stays_taken(api: httpx.AsyncClient) -> None:
    prompt, first = await made(api)
    second = await updated(api, prompt, first, environment="production")
    link = (await data(api, "/v1/prompt-2025/query/version", {"promptVersionId": second}))["s3_url"]
    assert await data(api, f"/v1/prompt-2025/{prompt}/{second}", method="DELETE") is None
    assert (await api.post("/v1/prompt-2025/query/version", json={"promptVersionId": second})).status_code == 404
    assert (await api.post("/v1/prompt-2025/query/production-version", json={"promptId": prompt})).status_code == 404
    assert (await api.get(link)).status_code == 404
    assert await number(api, await updated(api, prompt, first)) == "1.2"
    assert await data(api, f"/v1/prompt-2025/{prompt}", method="DELETE") is None
    for answer in (await api.get(f"/v1/prompt-2025/id/{prompt}"), await api.delete(f"/v1/prompt-2025/{prompt}")):
        assert (answer.status_code, answer.json()) == (404, {"data": None, "error": "Prompt not found"})
    assert await data(api, "/v1/prompt-2025/count") == 0


PROMPT = "/v1/prompt-2025"
NEW = {"name": "n", "promptBody": {}}
UPDATE = {"promptId": "x", "promptVersionId": NOBODYS, "newMajorVersion": True, "commitMessage": "", "promptBody": {}}
WRONG: dict[str, tuple[str, Any, int, str]] = {
    "no name": (PROMPT, {"promptBody": {}}, 422, "name: Field required"),
    "an empty name": (PROMPT, NEW | {"name": ""}, 422, "name: String should have at least 1 character"),
    "a body that is a list": (PROMPT, NEW | {"promptBody": []}, 422, "promptBody: "),
    "messages that are none": (PROMPT, NEW | {"promptBody": {"messages": "hi"}}, 422, "promptBody: Value error, messages must be a list"),
    "a tag that is a number": (PROMPT, NEW | {"tags": [1]}, 422, "tags.0: "),
    "a field nobody knows": (PROMPT, NEW | {"prompt": 1}, 422, "prompt: Extra inputs are not permitted"),
    "half of a character": (PROMPT, NEW | {"name": "\ud800"}, 422, "name: Input should be a valid string"),
    "half of one in the body": (PROMPT, NEW | {"promptBody": {"a": "\ud800"}}, 422, "promptBody holds half"),
    "a number that is none": (PROMPT, b'{"name": "n", "promptBody": {"temperature": NaN}}', 422, "a number that is none"),
    "too large": (PROMPT, NEW | {"promptBody": {"a": "x" * BODY_BYTES}}, 413, "may be kept"),
    "an environment with a slash": (
        f"{PROMPT}/update/environment",
        {"promptId": "x", "promptVersionId": "y", "environment": "a/b"},
        422,
        "",
    ),
    "no such version": (f"{PROMPT}/query/version", {"promptVersionId": NOBODYS}, 404, "Prompt version not found"),
    "no such prompt": (f"{PROMPT}/query/production-version", {"promptId": "nobody"}, 404, "Prompt not found"),
    "versions of none": (f"{PROMPT}/query/versions", {"promptId": "nobody"}, 404, "Prompt not found"),
    "totals of none": (f"{PROMPT}/query/total-versions", {"promptId": "nobody"}, 404, "Prompt not found"),
    "an update of none": (f"{PROMPT}/update", UPDATE, 404, "Prompt not found"),
    "a page before the first": (f"{PROMPT}/query", {"page": -1}, 422, "page: "),
    "no JSON": (f"{PROMPT}/query", b"{", 400, "The body is no JSON"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unchanged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """One for all requests that come to nothing."""
    async with prompting(tmp_path_factory.mktemp("unchanged")) as app, asking(app) as api:
        yield api


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("path", "body", "status", "error"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_told(unchanged: httpx.AsyncClient, path: str, body: Any, status: int, error: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = await unchanged.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["data"] is None
    assert error in answer.json()["error"]


async def test_a_version_of_another_prompt_is_none_of_this_one(api: httpx.AsyncClient) -> None:
    prompt, _ = await made(api)
    _, others = await made(api)
    wrong = {"promptId": prompt, "promptVersionId": others}
    said = UPDATE | wrong
    answers = [
        await api.post(f"{PROMPT}/update", json=said),
        await api.post(f"{PROMPT}/update/environment", json=wrong | {"environment": "production"}),
        await api.delete(f"{PROMPT}/{prompt}/{others}"),
    ]
    assert [each.status_code for each in answers] == [404] * 3


async def test_organizations_do_not_meet_and_keys_do_what_they_may(tmp_path: Path) -> None:
    keys = [
        key(WRITER, Scope.WRITE, Scope.READ),
        key(READER, Scope.READ),
        key(OTHER, Scope.WRITE, Scope.READ, organization="other"),
    ]
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(log, keys)
    async with prompting(tmp_path) as app, asking(app, WRITER) as writer, asking(app, READER) as reader, asking(app, OTHER) as other:
        prompt, version = await made(writer)
        assert await production(reader, prompt) == version
        refused = await reader.post(PROMPT, json=NEW)
        assert (refused.status_code, "scope `write`" in refused.json()["error"]) == (403, True)
        async with asking(app, STRANGER) as stranger:
            assert (await stranger.get(f"{PROMPT}/count")).status_code == 401
        place = {"promptId": prompt, "promptVersionId": version, "environment": "staging"}
        unseen = [
            await other.get(f"{PROMPT}/id/{prompt}"),
            await other.post(f"{PROMPT}/query/version", json={"promptVersionId": version}),
            await other.get(f"{PROMPT}/{version}/prompt-body"),
            await other.post(f"{PROMPT}/query/production-version", json={"promptId": prompt}),
            await other.post(f"{PROMPT}/update", json=UPDATE | {"promptId": prompt, "promptVersionId": version}),
            await other.post(f"{PROMPT}/update/environment", json=place),
            await other.patch(f"{PROMPT}/id/{prompt}/tags", json={"tags": []}),
            await other.delete(f"{PROMPT}/{prompt}"),
        ]
        assert [each.status_code for each in unseen] == [404] * len(unseen)
        assert await data(other, f"{PROMPT}/count") == 0


async def test_two_processes_never_give_a_number_twice(tmp_path: Path) -> None:
    async with prompting(tmp_path / "data") as one, asking(one) as here:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "log").symlink_to(tmp_path / "data" / "log")
        async with prompting(tmp_path / "elsewhere") as two, asking(two) as there:
            prompt, first = await made(here)
            await two.state.prompts.follower.until(lambda kept: kept.library.version("default", first) is not None)
            wishes = [(api, major) for major in (False, True) for api in (here, there) for _ in range(4)]
            ids = await asyncio.gather(*(updated(api, prompt, first, major=major) for api, major in wishes))
            everywhere = {}
            for app, api in ((one, here), (two, there)):
                await app.state.prompts.follower.until(lambda kept: all(kept.library.version("default", each) for each in ids))
                everywhere[api] = await data(api, f"{PROMPT}/query/versions", {"promptId": prompt})
    told = [{each["id"]: (each["major_version"], each["minor_version"]) for each in listed} for listed in everywhere.values()]
    assert told[0] == told[1]
    assert set(ids) | {first} == set(told[0])
    majors, minors = {(major, 0) for major in range(1, 10)}, {(1, minor) for minor in range(9)}
    assert sorted(told[0].values()) == sorted(majors | minors)


async def test_prompts_outlive_a_restart_and_the_log(tmp_path: Path) -> None:
    async with prompting(tmp_path) as app, asking(app) as api:
        prompt, first = await made(api)
        second = await updated(api, prompt, first, environment="staging")
    async with prompting(tmp_path) as app, asking(app) as api:
        assert await production(api, prompt) == first
        assert (await data(api, f"{PROMPT}/query/environment-version", {"promptId": prompt, "environment": "staging"}))["id"] == second
    (tmp_path / "log" / "log.sqlite").rename(tmp_path / "away.sqlite")
    (tmp_path / "log" / "log.sqlite").mkdir()
    desk = prompt_desk(Settings(data_dir=tmp_path))
    running = asyncio.create_task(desk.follower.run())
    await desk.follower.known.wait()
    assert not desk.follower.heard.is_set()
    version = desk.follower.kept.library.version("default", first)  # type: ignore[arg-type]
    assert version is not None
    assert json.loads(desk.follower.kept.body(version) or b"") == BODY
    running.cancel()
    await asyncio.wait([running])


async def test_what_was_filled_into_a_version_for_a_call(tmp_path: Path) -> None:
    async with prompting(tmp_path) as app, asking(app) as api:
        prompt, version = await made(api)
        called = {"prompt_id": prompt, "prompt_inputs": {"name": "Ann"}, "created_at": "2026-03-01T10:00:00"}
        SmallLake(tmp_path / "lake").add(
            "calls",
            {"call_id": "c1", "request_id": "r1", "prompt_version": version, **called},
            {"call_id": "c2", "request_id": "r2", "prompt_version": "1.0", **called},
            {"call_id": "c3", "request_id": "r3", "prompt_version": "7", **called},
        )
        for request_id in ("r1", "r2"):
            found = await data(api, f"{PROMPT}/id/{prompt}/{version}/inputs?requestId={request_id}")
            assert found == {"request_id": request_id, "version_id": version, "inputs": {"name": "Ann"}, "environment": None}
        assert (await api.get(f"{PROMPT}/id/{prompt}/{version}/inputs?requestId=r3")).status_code == 404


async def test_helicones_prompt_manager_works_as_it_is(app: FastAPI, api: httpx.AsyncClient) -> None:
    prompt, first = await made(api)
    changed = BODY | {"messages": [{"role": "user", "content": "Bye {{hc:name:string}}, {{hcp:" + prompt + ":1:production}}"}]}
    second = await updated(api, prompt, first, environment="staging", promptBody=changed)
    async with listening(app) as address:
        manager = HeliconePromptManager(api_key="sk-helicone-any", base_url=address)
        asked = {"prompt_id": prompt, "inputs": {"language": "Latin", "name": "Ann"}, "messages": [{"role": "user", "content": "Now."}]}
        compiled = await asyncio.to_thread(manager.get_prompt_body, asked)
        assert compiled["errors"] == []
        assert compiled["body"] == BODY | {
            "messages": [
                {"role": "system", "content": "You greet in Latin."},
                {"role": "user", "content": "Ann"},
                {"role": "user", "content": "Now."},
            ]
        }
        pulled = await asyncio.to_thread(manager.pull_prompt_version, {"prompt_id": prompt, "environment": "staging"})
        assert (pulled.id, pulled.major_version, pulled.minor_version, pulled.commit_message) == (second, 1, 1, "better")
        assert await asyncio.to_thread(manager.pull_prompt_body_by_version_id, second) == changed
        partial = manager.extract_prompt_partials(changed)
        assert [(each.prompt_id, each.index, each.environment) for each in partial] == [(prompt, 1, "production")]
        async with HeliconePromptManager(api_key="sk-helicone-any", base_url=address) as patient:
            assert await patient.apull_prompt_body({"prompt_id": prompt, "version_id": second}) == changed
        with pytest.raises(Exception, match="Prompt not found"):
            await asyncio.to_thread(manager.pull_prompt_version, {"prompt_id": "nobody"})
