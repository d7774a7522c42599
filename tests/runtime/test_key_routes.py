"""Keys over HTTP: who decides of them and who does not, that a key is told once, and what is answered in which shape."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from eventlog.control import decide
from eventlog.keys import Auth, Scope, digest_of
from runtime import decider, deciding
from runtime.deciding import opened_log
from runtime.settings import Settings
from tests.fakes.keyring import READER, STRANGER, WRITER, key
from tests.fakes.querying import bearing, serving

ADMIN = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ggggggg"
GLOBEX = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-hhhhhhh"
PATH = "/v1/api-keys"
MADE = (
    key(ADMIN, Scope.ADMIN),
    key(WRITER, Scope.WRITE),
    key(READER, Scope.READ),
    key(GLOBEX, Scope.ADMIN, organization="globex"),
)


async def make_keys(folder: Path) -> None:
    async with opened_log(Settings(data_dir=folder)) as log:
        await decide(log, MADE)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    await make_keys(tmp_path)
    async with serving(tmp_path) as client:
        yield client


async def listed(api: httpx.AsyncClient, who: str = ADMIN) -> list[dict[str, Any]]:
    answer = await api.get(PATH, headers=bearing(who))
    assert answer.status_code == 200, answer.text
    assert answer.json()["error"] is None
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_a_key_is_made_used_renamed_and_taken_away(api: httpx.AsyncClient) -> None:
    wanted = {"api_key_name": " support bot ", "key_permissions": "r"}
    answer = await api.post(PATH, json=wanted, headers=bearing(ADMIN))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    fields = {name: told[name] for name in ("apiKey", "hashedKey", "id")}
    assert told == {"data": fields, "error": None, **fields}
    text, id_ = fields["apiKey"], fields["id"]
    assert (await api.post("/v1/query", json={"sql": "SELECT 1"}, headers=bearing(text))).status_code == 200  # good at once

    (shown,) = [each for each in await listed(api) if each["id"] == id_]
    assert shown == {
        "id": id_,
        "api_key_name": "support bot",
        "api_key_hash": fields["hashedKey"],
        "created_at": shown["created_at"],
        "key_permissions": "r",
        "organization_id": "acme",
        "soft_delete": False,
        "temp_key": False,
        "begins_with": text[:16],
        "scopes": ["read"],
        "expires_at": None,
    }
    renamed = await api.patch(f"{PATH}/{id_}", json={"api_key_name": "sales bot"}, headers=bearing(ADMIN))
    assert renamed.json() == {"data": {"hashedKey": shown["api_key_hash"]}, "error": None, "hashedKey": shown["api_key_hash"]}
    assert [each["api_key_name"] for each in await listed(api) if each["id"] == id_] == ["sales bot"]
    for _ in range(2):
        assert (await api.delete(f"{PATH}/{id_}", headers=bearing(ADMIN))).status_code == 200
    assert id_ not in [each["id"] for each in await listed(api)]
    assert (await api.post("/v1/query", json={"sql": "SELECT 1"}, headers=bearing(text))).status_code == 401
    late = await api.patch(f"{PATH}/{id_}", json={"api_key_name": "x"}, headers=bearing(ADMIN))
    assert (late.status_code, late.json()["error"]) == (409, "This API key is revoked; make another.")


PERMISSIONS = {"rw": ("sk", ["read", "write"]), "r": ("sk", ["read"]), "w": ("pk", ["write"]), None: ("sk", ["read", "write"])}


@pytest.mark.parametrize(("letters", "expected"), PERMISSIONS.items(), ids=map(str, PERMISSIONS))
async def test_what_it_may(api: httpx.AsyncClient, letters: str | None, expected: tuple[str, list[str]]) -> None:
    wanted = {"api_key_name": "bot"} | ({} if letters is None else {"key_permissions": letters})
    made = (await api.post(PATH, json=wanted, headers=bearing(ADMIN))).json()["data"]
    (shown,) = [each for each in await listed(api) if each["id"] == made["id"]]
    assert (made["apiKey"][:2], sorted(shown["scopes"]), shown["key_permissions"]) == (*expected, letters or "rw")


async def test_a_key_is_told_once_and_written_nowhere(api: httpx.AsyncClient, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        text = (await api.post(PATH, json={"api_key_name": "bot"}, headers=bearing(ADMIN))).json()["apiKey"]
    assert text not in str(logs)
    assert [(each["event"], each["what"], each["by"]) for each in logs] == [("key_decided", "created", ADMIN[-7:])]
    told = str(await listed(api))
    assert text not in told
    assert digest_of(text) not in told
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert digest_of(text).encode() in kept
    assert text.encode() not in kept


async def test_each_organization_has_its_own(api: httpx.AsyncClient) -> None:
    made = (await api.post(PATH, json={"api_key_name": "bot"}, headers=bearing(ADMIN))).json()["data"]
    assert {each["organization_id"] for each in await listed(api)} == {"acme"}
    assert [each["id"] for each in await listed(api, GLOBEX)] == [GLOBEX[-7:]]
    for answer in (
        await api.delete(f"{PATH}/{made['id']}", headers=bearing(GLOBEX)),
        await api.patch(f"{PATH}/{made['id']}", json={"api_key_name": "x"}, headers=bearing(GLOBEX)),
        await api.delete(f"{PATH}/nothing", headers=bearing(ADMIN)),
    ):
        assert (answer.status_code, answer.json()) == (404, {"data": None, "error": "API key not found; GET /v1/api-keys lists them."})
    assert made["id"] in [each["id"] for each in await listed(api)]


@pytest.mark.parametrize("auth", [None, Auth.OPEN, Auth.PERMISSIVE, Auth.REQUIRED])
@pytest.mark.parametrize("who", [WRITER, READER, STRANGER, None])
async def test_nobody_else_decides(tmp_path: Path, auth: Auth | None, who: str | None) -> None:
    await make_keys(tmp_path)
    async with serving(tmp_path, auth=auth) as api:
        headers = {} if who is None else bearing(who)
        for method, path in (("GET", ""), ("POST", ""), ("PATCH", f"/{READER[-7:]}"), ("DELETE", f"/{READER[-7:]}")):
            body = {"json": {"api_key_name": "x"}} if method in {"POST", "PATCH"} else {}
            answer = await api.request(method, PATH + path, headers=headers, **body)
            known = who in {WRITER, READER}
            assert answer.status_code == (403 if known or auth is Auth.OPEN else 401), answer.text
            assert answer.json()["data"] is None
            if answer.status_code == 403:
                assert "heliograph keys create" in answer.json()["error"]
        assert len(await listed(api)) == 3


async def test_where_there_are_no_keys_the_first_is_made_by_command(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.post(PATH, json={"api_key_name": "first"})
        assert (answer.status_code, "heliograph keys create NAME --scope admin" in answer.json()["error"]) == (403, True)


WRONG: dict[str, tuple[Any, str]] = {
    "no name": ({}, "requestBody.api_key_name"),
    "an empty name": ({"api_key_name": ""}, "requestBody.api_key_name"),
    "a blank name": ({"api_key_name": "  "}, "requestBody.api_key_name"),
    "a name without end": ({"api_key_name": "x" * 300}, "requestBody.api_key_name"),
    "a name that is a number": ({"api_key_name": 1}, "requestBody.api_key_name"),
    "permissions of nobody's": ({"api_key_name": "x", "key_permissions": "rwx"}, "requestBody.key_permissions"),
    "a field of nobody's": ({"api_key_name": "x", "scopes": ["admin"]}, "requestBody.scopes"),
}


@pytest.mark.parametrize(("said", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_named(api: httpx.AsyncClient, said: Any, field: str) -> None:
    answer = await api.post(PATH, json=said, headers=bearing(ADMIN))
    assert (answer.status_code, list(answer.json()["details"])) == (422, [field])


async def test_a_log_that_does_not_answer(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "PATIENCE_S", 0.0)
    answer = await api.post(PATH, json={"api_key_name": "x"}, headers=bearing(ADMIN))
    assert (answer.status_code, answer.json()["data"]) == (503, None)


async def test_a_log_that_was_never_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "PATIENCE_S", 0.0)
    Settings(data_dir=tmp_path).log_dir.write_text("no directory")
    async with serving(tmp_path) as api:
        assert (await api.get(PATH)).status_code == 503
