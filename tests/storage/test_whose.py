"""Whose rows a question is about, and that nobody but the operator gets beyond their own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.admission import Admission
from eventlog.events import Organization
from eventlog.keys import Auth, Keys, Scope
from ingress.secrets import presented
from storage.api import create_api
from storage.refusal import Refused
from storage.whose import whose
from tests.fakes.keyring import READER, STRANGER, WRITER, key, keyring
from tests.fakes.small_lake import SmallLake

ACME = Organization("acme")
STARRED = Organization("*")
OPERATOR = WRITER
NAMED = {
    "nothing, by anybody": ("", ACME, False, ACME),
    "nothing, by the operator": ("", ACME, True, ACME),
    "their own": ("acme", ACME, False, ACME),
    "another, by the operator": ("globex", ACME, True, Organization("globex")),
    "all, by the operator": ("*", ACME, True, None),
    "nothing, by an organization called so": ("", STARRED, False, STARRED),
    "a name with quotes, by the operator": ("x' OR '1'='1", ACME, True, Organization("x' OR '1'='1")),
}
TRICKS = (
    *(
        "*",
        " *",
        "* ",
        "**",
        "%",
        "all",
        "ALL",
        "globex",
        " globex",
        "Globex",
        "acme,globex",
        "acme ",
        " acme",
        "Acme",
        "ACME",
        "acm\u0435",
    ),
    *("acme\0", "acme\0globex", "acme' OR '1'='1", "acme'--", "acme\u200b", "\uff0a", "null", "None", "default", "\\*", "%2A", "\ud800"),
)


@pytest.mark.parametrize(("said", "own", "sees_all", "found"), NAMED.values(), ids=NAMED)
def test_whose(said: str, own: Organization, sees_all: bool, found: Organization | None) -> None:
    assert whose(said, own, sees_all=sees_all) == found


@pytest.mark.parametrize("said", TRICKS, ids=ascii)
def test_nobody_names_another(said: str) -> None:
    with pytest.raises(Refused) as caught:
        whose(said, ACME, sees_all=False)
    refusal = caught.value.refusal
    assert (refusal.status, refusal.code, refusal.field) == (403, "organization_forbidden", "organization")


def test_an_organization_called_like_all_is_not_all() -> None:
    with pytest.raises(Refused):
        whose("*", STARRED, sees_all=False)


@pytest.mark.parametrize("said", ["a\0", "\ud800"], ids=ascii)
def test_what_is_no_name(said: str) -> None:
    with pytest.raises(Refused) as caught:
        whose(said, ACME, sees_all=True)
    assert (caught.value.refusal.status, caught.value.refusal.field) == (400, "organization")


@pytest.fixture
def world(tmp_path: Path) -> SmallLake:
    made = SmallLake(tmp_path / "lake")
    for name in ("acme", "globex", "*", "default"):
        made.add("calls", {"call_id": f"of {name}", "request_id": "order", "organization": name})
        made.add("feedback", {"feedback_id": f"of {name}", "request_id": "order", "organization": name, "rating": name == "acme"})
        made.add("bodies", {"call_id": f"of {name}", "request_id": "order", "organization": name, "side": "request", "text": name})
    made.add("dead_letters", {"organization": None}, {"organization": "globex"})
    return made


KEYS = keyring(key(READER, Scope.READ), key(OPERATOR, Scope.ADMIN), key(STRANGER, Scope.READ, organization="*"))


async def asked_as(world: SmallLake, auth: Auth | None = None, keys: Keys | None = KEYS) -> AsyncIterator[httpx.AsyncClient]:
    app = create_api(world.config, admission=Admission(auth, lambda: keys), presented=presented)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://127.0.0.1") as client,
    ):
        yield client


@pytest.fixture
async def api(world: SmallLake) -> AsyncIterator[httpx.AsyncClient]:
    async for client in asked_as(world):
        yield client


WHO = "SELECT DISTINCT organization FROM calls ORDER BY 1"


async def told(api: httpx.AsyncClient, by: str | None, sql: str = WHO, **more: Any) -> Any:
    """The first column, or the code of the refusal."""
    headers = {} if by is None else {"authorization": f"Bearer {by}"}
    answer = await api.post("/v1/query", json={"sql": sql, **more}, headers=headers)
    found = answer.json()
    return [row[0] for row in found["rows"]] if answer.status_code == 200 else (answer.status_code, found["error"]["code"])


async def test_the_operator_asks_for_one_or_all(api: httpx.AsyncClient) -> None:
    assert await told(api, OPERATOR) == ["acme"]
    assert await told(api, OPERATOR, organization="globex") == ["globex"]
    assert await told(api, OPERATOR, organization="*") == ["*", "acme", "default", "globex"]
    assert await told(api, OPERATOR, organization="x' OR '1'='1") == []
    assert await told(api, OPERATOR, organization="a\0") == (400, "invalid_field")
    for table, all_of_them in (("feedback", 4), ("bodies", 4), ("dead_letters", 2)):
        assert await told(api, OPERATOR, f"SELECT count(*) FROM {table}", organization="*") == [all_of_them]
    ratings = "SELECT rating FROM calls ORDER BY organization"
    assert await told(api, OPERATOR, ratings, organization="*") == [False, True, False, False]
    assert (await told(api, OPERATOR, "EXPLAIN FROM calls"))[1] == "not_read_only"
    assert await told(api, OPERATOR, "EXPLAIN FROM calls", organization="*")


async def test_a_reader_names_their_own_and_no_other(api: httpx.AsyncClient) -> None:
    assert await told(api, READER, organization="acme") == ["acme"]
    for said in TRICKS:
        if said.isprintable():
            assert await told(api, READER, organization=said) == (403, "organization_forbidden"), said
    assert await told(api, STRANGER) == ["*"]
    assert await told(api, STRANGER, organization="*") == (403, "organization_forbidden")
    for said in (None, ["*"], {"*": 1}, True, "x" * 1001):
        assert await told(api, READER, organization=said) == (422, "invalid_field")


async def test_said_twice_or_elsewhere_it_does_not_help(api: httpx.AsyncClient) -> None:
    api.headers["authorization"] = f"Bearer {READER}"
    twice = b'{"sql": "%b", "organization": "acme", "organization": "*"}' % WHO.encode()
    assert (await api.post("/v1/query", content=twice, headers={"content-type": "application/json"})).status_code == 403
    beside = await api.post("/v1/query?organization=*", json={"sql": WHO}, headers={"organization": "*", "helicone-organization-id": "*"})
    assert beside.json()["rows"] == [["acme"]]
    assert (await api.get("/v1/calls/of globex?organization=acme&organization=globex")).status_code == 403
    assert (await api.get("/v1/calls/of globex?organization=acme&organization=acme")).status_code == 404


async def test_one_call_of_another(api: httpx.AsyncClient) -> None:
    reader, operator = ({"authorization": f"Bearer {each}"} for each in (READER, OPERATOR))
    for organization in ("globex", "*", "acme "):
        asked = {"organization": organization}
        refused = await api.get("/v1/calls/of globex", params=asked, headers=reader)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "organization_forbidden")
    assert (await api.get("/v1/calls/of globex", headers=operator)).status_code == 404
    for organization in ("globex", "*"):
        found = await api.get("/v1/calls/of globex", params={"organization": organization}, headers=operator)
        assert (found.json()["organization"], found.json()["request"]["text"]) == ("globex", "globex")


NOBODY = {
    "no key anywhere": (None, {}, ["*", "acme", "default", "globex"]),
    "open, and there are keys": (Auth.OPEN, KEYS, (403, "organization_forbidden")),
    "open, and nobody knows yet whether there are": (Auth.OPEN, None, (403, "organization_forbidden")),
    "keys are asked for": (None, KEYS, (401, "key_missing")),
}


@pytest.mark.parametrize(("auth", "keys", "found"), NOBODY.values(), ids=NOBODY)
async def test_who_has_no_key(world: SmallLake, auth: Auth | None, keys: Keys | None, found: Any) -> None:
    async for api in asked_as(world, auth, keys):
        assert await told(api, None, organization="*") == found
