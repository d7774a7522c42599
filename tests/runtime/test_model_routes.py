"""Lists of models as OpenAI's clients and Helicone's read them; the words of a health check; whose a key is."""

from pathlib import Path

import openai
import pytest

from eventlog.control import decide
from eventlog.keys import Auth, Scope
from runtime.deciding import opened_log
from runtime.settings import Settings
from tests.fakes.keyring import READER, WRITER, key
from tests.fakes.querying import bearing, serving

ADMIN = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ggggggg"


async def test_anybody_reads_them(tmp_path: Path) -> None:
    async with serving(tmp_path, auth=Auth.REQUIRED) as api:
        listed = (await api.get("/v1/models")).json()
        entry = next(each for each in listed["data"] if each["id"] == "gpt-4o-mini")
        assert (listed["object"], entry) == ("list", {"id": "gpt-4o-mini", "object": "model", "created": 0, "owned_by": "openai"})
        told = (await api.get("/v1/public/model-registry/models")).json()
        assert told["error"] is None
        registry = told["data"]
        assert registry["total"] == len(registry["models"]) == len(listed["data"])
        model = next(each for each in registry["models"] if each["id"] == "gpt-4o-mini")
        assert (model["author"], model["contextLength"], model["name"]) == ("openai", 128_000, "gpt 4o mini")
        endpoint = next(each for each in model["endpoints"] if each["provider"] == "openai")
        assert endpoint["pricing"] == {"prompt": 0.15, "completion": 0.6, "cacheRead": 0.075, "web_search": 10_000}
        assert {"name": "openai", "displayName": "OpenAI"} in registry["filters"]["providers"]
        assert "caching" in registry["filters"]["capabilities"]
        assert "openai" in registry["filters"]["authors"]
        tiered = [endpoint for model in registry["models"] for endpoint in model["endpoints"] if "pricingTiers" in endpoint]
        assert tiered
        assert all(endpoint["pricingTiers"][0] == endpoint["pricing"] | {"threshold": 0} for endpoint in tiered)


async def test_the_openai_client_reads_the_list(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        client = openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="anything", http_client=api)
        assert "gpt-4o-mini" in [model.id async for model in client.models.list()]


async def test_a_health_check(tmp_path: Path) -> None:
    async with serving(tmp_path, auth=Auth.REQUIRED) as api:
        assert (await api.get("/healthcheck")).json() == {"status": "healthy :)"}


@pytest.mark.parametrize(
    ("who", "status", "role"), [(ADMIN, 200, "admin"), (READER, 200, "member"), (WRITER, 403, None)], ids=["admin", "reader", "writer"]
)
async def test_whose_a_key_is(tmp_path: Path, who: str, status: int, role: str | None) -> None:
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(log, [key(ADMIN, Scope.ADMIN), key(READER, Scope.READ), key(WRITER, Scope.WRITE)])
    async with serving(tmp_path) as api:
        answer = await api.get("/v1/organization", headers=bearing(who))
        assert answer.status_code == status
        assert answer.json()["data"] == (None if role is None else [{"id": "acme", "name": "acme", "role": role}])


async def test_where_nobody_has_to_say_who_they_are(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        assert (await api.get("/v1/organization")).json()["data"] == [{"id": "default", "name": "default", "role": "admin"}]
