"""Webhooks and alerts over HTTP: made, listed, tried and taken away; whose they are; what is refused and how; links that open."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from eventlog.control import decide
from eventlog.events import CallId, Organization
from eventlog.keys import Scope
from processors.webhooks.messages import CallTold
from runtime import decider
from runtime.deciding import Control, opened_log
from runtime.emitting import LateEmitter
from runtime.guard import Guard, GuardedApp
from runtime.prices import Prices, price_file
from runtime.query_side import query_app
from runtime.settings import Settings
from runtime.webhooks_side import links_of
from tests.fakes.facts import priced
from tests.fakes.hooks import webhook
from tests.fakes.keyring import READER, STRANGER, WRITER, key
from tests.fakes.receiver import receiver
from tests.fakes.small_lake import SmallLake

BOTH = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ggggggg"
THEIRS = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-hhhhhhh"
SAID: dict[str, Any] = {
    "destination": "https://app.example/hook",
    "config": {"sampleRate": 25, "propertyFilters": [{"key": "Plan", "value": "pro"}]},
    "includeData": False,
}
JSON = {"content-type": "application/json"}
ALERT: dict[str, Any] = {"name": "too dear", "metric": "cost", "threshold": 10}


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    chosen = Settings(data_dir=folder, **settings)
    control, judging = Control(chosen), LateEmitter(chosen)
    app = query_app(chosen, control, Prices(price_file(chosen), lambda: ()), judging)
    transport = httpx.ASGITransport(GuardedApp(app, Guard()), raise_app_exceptions=False)
    async with (
        control.following(),
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client
    await judging.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tmp_path) as client:
        yield client


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def made(api: httpx.AsyncClient, path: str, said: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await api.post(path, json=said, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


class TestWebhooks:
    async def test_made_listed_and_taken_away(self, api: httpx.AsyncClient) -> None:
        one = await made(api, "/v1/webhooks", SAID)
        assert re.fullmatch(r"[0-9a-f]{64}", one["hmac_key"])
        assert one == {
            "id": one["id"],
            "created_at": one["created_at"],
            "destination": "https://app.example/hook",
            "version": "2024-10-22",
            "config": {"sampleRate": 25.0, "propertyFilters": [{"key": "plan", "value": "pro"}], "includeData": False},
            "hmac_key": one["hmac_key"],
        }
        other = await made(api, "/v1/webhooks", {"destination": "https://app.example"})
        assert other["config"] == {"sampleRate": 100.0, "propertyFilters": [], "includeData": True}
        assert other["hmac_key"] != one["hmac_key"]
        listed = await api.get("/v1/webhooks")
        assert listed.json() == {"data": [one, other], "error": None}
        gone = await api.delete(f"/v1/webhooks/{one['id']}")
        assert (gone.status_code, gone.json()) == (201, {"data": None, "error": None})
        assert (await api.get("/v1/webhooks")).json()["data"] == [other]
        again = await api.delete(f"/v1/webhooks/{one['id']}")
        assert (again.status_code, again.json()) == (404, {"data": None, "error": "Webhook not found"})

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            pytest.param({"destination": "http://app.example"}, 400, "destination", id="http"),
            pytest.param({"destination": "https://10.0.0.1"}, 400, "destination", id="a private address"),
            pytest.param({"destination": "https://app.example/\ud800"}, 400, "destination", id="half a character"),
            pytest.param({"config": {"sampleRate": 101}}, 400, "config.sampleRate", id="more than all"),
            pytest.param({"config": {"sampleRate": -1}}, 400, "config.sampleRate", id="less than none"),
            pytest.param({"config": {"propertyFilters": [{"key": " ", "value": "x"}]}}, 400, "config.propertyFilters", id="no key"),
            pytest.param(
                {"config": {"propertyFilters": [{"key": "\ud800", "value": "x"}]}}, 400, "config.propertyFilters", id="half a key"
            ),
            pytest.param({"config": {"propertyFilters": [{"key": "a", "value": "x"}] * 21}}, 400, "config.propertyFilters", id="too many"),
            pytest.param({"config": {"propertyFilters": [{"key": "a"}]}}, 422, "config.propertyFilters.0.value", id="no value"),
            pytest.param({"destination": 1}, 422, "destination", id="no text"),
            pytest.param({"colour": "red"}, 422, "colour", id="a field that nobody reads"),
        ],
    )
    async def test_what_is_wrong_is_said(self, api: httpx.AsyncClient, change: dict[str, Any], status: int, field: str) -> None:
        answer = await api.post("/v1/webhooks", content=json.dumps(SAID | change), headers=JSON)
        assert (answer.status_code, answer.json()["data"]) == (status, None), answer.text
        assert field in answer.json()["error"]
        assert (await api.get("/v1/webhooks")).json()["data"] == []

    async def test_an_organization_has_so_many(self, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("runtime.webhooks.MOST_WEBHOOKS", 1)
        await made(api, "/v1/webhooks", SAID)
        answer = await api.post("/v1/webhooks", json=SAID)
        assert (answer.status_code, "remove one first" in answer.json()["error"]) == (400, True)

    async def test_a_log_that_takes_nothing(self, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decider, "PATIENCE_S", 0.0)
        answer = await api.post("/v1/webhooks", json=SAID)
        assert (answer.status_code, answer.json()["data"]) == (503, None)

    async def test_a_test_message(self, tmp_path: Path) -> None:
        async with receiver(200, 500) as app, serving(tmp_path, allow_private_targets=True) as api:
            one = await made(api, "/v1/webhooks", {"destination": app.url})
            for taken in (True, False):
                answer = await api.post(f"/v1/webhooks/{one['id']}/test")
                assert (answer.status_code, answer.json()["data"]["success"]) == (200, taken)
            answer = await api.post("/v1/webhooks/none/test")
            assert (answer.status_code, answer.json()["error"]) == (404, "Webhook not found")
        assert len(app.taken) == 2


class TestWhose:
    @pytest.fixture
    async def api(self, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
        both = (Scope.READ, Scope.WRITE)
        keys = [key(BOTH, *both), key(THEIRS, *both, organization="other"), key(READER, Scope.READ), key(WRITER, Scope.WRITE)]
        async with opened_log(Settings(data_dir=tmp_path)) as log:
            await decide(log, keys)
        async with serving(tmp_path) as client:
            yield client

    async def test_another_organization_s_are_not_there(self, api: httpx.AsyncClient) -> None:
        one = await made(api, "/v1/webhooks", SAID, **bearing(BOTH))
        alert = await made(api, "/v1/alerts", ALERT | {"webhook_id": one["id"]}, **bearing(BOTH))
        for path in ("/v1/webhooks", "/v1/alerts"):
            assert (await api.get(path, headers=bearing(THEIRS))).json()["data"] == []
        for method, path in (
            ("DELETE", f"/v1/webhooks/{one['id']}"),
            ("POST", f"/v1/webhooks/{one['id']}/test"),
            ("DELETE", f"/v1/alerts/{alert['id']}"),
        ):
            assert (await api.request(method, path, headers=bearing(THEIRS))).status_code == 404
        answer = await api.post("/v1/alerts", json=ALERT | {"webhook_id": one["id"]}, headers=bearing(THEIRS))
        assert (answer.status_code, "webhook_id" in answer.json()["error"]) == (400, True)
        assert (await api.get("/v1/webhooks", headers=bearing(BOTH))).json()["data"] == [one]

    @pytest.mark.parametrize(("text", "status"), [(None, 401), (STRANGER, 401), (READER, 403), (WRITER, 403)])
    async def test_it_takes_a_key_that_reads_and_writes(self, api: httpx.AsyncClient, text: str | None, status: int) -> None:
        headers = {} if text is None else bearing(text)
        for method, path, said in (("POST", "/v1/webhooks", SAID), ("GET", "/v1/webhooks", None), ("GET", "/v1/alerts", None)):
            answer = await api.request(method, path, json=said, headers=headers)
            assert (answer.status_code, answer.json()["data"]) == (status, None), path


class TestAlerts:
    async def test_made_listed_and_taken_away(self, api: httpx.AsyncClient) -> None:
        hook = await made(api, "/v1/webhooks", SAID)
        one = await made(api, "/v1/alerts", ALERT | {"webhook_id": hook["id"], "property": {"key": "Plan", "value": "pro"}})
        assert one == {
            "id": one["id"],
            "created_at": one["created_at"],
            "name": "too dear",
            "metric": "cost",
            "aggregation": None,
            "threshold": 10.0,
            "time_window_s": 3600,
            "minimum_request_count": 1,
            "cool_down_s": 300,
            "user_id": None,
            "property": {"key": "plan", "value": "pro"},
            "webhook_id": hook["id"],
            "status": "off",
            "since": None,
        }
        assert (await api.get("/v1/alerts")).json()["data"] == [one]
        needed = await api.delete(f"/v1/webhooks/{hook['id']}")
        assert (needed.status_code, "too dear" in needed.json()["error"]) == (409, True)
        assert (await api.delete(f"/v1/alerts/{one['id']}")).status_code == 201
        assert (await api.get("/v1/alerts")).json()["data"] == []
        assert (await api.delete(f"/v1/webhooks/{hook['id']}")).status_code == 201

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            pytest.param({"webhook_id": "none"}, 400, "webhook_id", id="no such webhook"),
            pytest.param({"threshold": -1}, 400, "threshold", id="below nothing"),
            pytest.param({"time_window_s": 59}, 400, "time_window_s", id="too short"),
            pytest.param({"time_window_s": 2_592_001}, 400, "time_window_s", id="too long"),
            pytest.param({"time_window_s": 10**30}, 400, "time_window_s", id="too long for any clock"),
            pytest.param({"minimum_request_count": 0}, 400, "minimum_request_count", id="no calls"),
            pytest.param({"cool_down_s": -1}, 400, "cool_down_s", id="before now"),
            pytest.param({"name": " "}, 400, "name", id="no name"),
            pytest.param({"name": "\ud800"}, 400, "name", id="half a name"),
            pytest.param({"user_id": "\ud800"}, 400, "user_id", id="half a user"),
            pytest.param({"metric": "joy"}, 422, "metric", id="no such metric"),
            pytest.param({"aggregation": "max"}, 422, "aggregation", id="no such aggregation"),
        ],
    )
    async def test_what_is_wrong_is_said(self, api: httpx.AsyncClient, change: dict[str, Any], status: int, field: str) -> None:
        hook = await made(api, "/v1/webhooks", SAID)
        body = json.dumps(ALERT | {"webhook_id": hook["id"]} | change)
        answer = await api.post("/v1/alerts", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["data"]) == (status, None), answer.text
        assert field in answer.json()["error"]


async def test_a_link_of_a_webhook_opens_as_long_as_there_is_the_webhook(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path / "lake")
    lake.add("calls", {"call_id": "call-000001"})
    lake.add("bodies", {"call_id": "call-000001", "side": "request", "text": '{"a": 1}'})
    chosen = Settings(data_dir=tmp_path)
    async with serving(tmp_path) as api:
        async with opened_log(chosen) as log:
            await decide(log, [webhook(created_at=datetime(2026, 1, 1, tzinfo=UTC)), webhook("w2", link_key="another")])
        link = urlsplit(links_of(chosen)(webhook(), CallTold.of(priced(1))))
        assert link.netloc == "localhost:8585"
        await opens(api, f"{link.path}?{link.query}", 200)
        for spoiled in (
            link.query.replace("webhook=w1", "webhook=w2"),
            link.query.replace("webhook=w1", "webhook=w3"),
            link.query.replace("webhook=w1&", ""),
            link.query.replace("organization=default", "organization=acme"),
        ):
            assert spoiled != link.query
            assert (await api.get(f"{link.path}?{spoiled}")).status_code == 403
        assert (await api.delete("/v1/webhooks/w1")).status_code == 201
        assert (await api.get(f"{link.path}?{link.query}")).status_code == 403


async def opens(api: httpx.AsyncClient, url: str, status: int) -> None:
    """The webhook was decided by somebody else: this process hears of it a moment later."""
    while not (await api.get("/v1/webhooks")).json()["data"]:
        await asyncio.sleep(0.01)
    answer = await api.get(url)
    assert (answer.status_code, answer.json().get("request")) == (status, {"a": 1}), answer.text


def test_ids_of_calls_are_what_links_name() -> None:
    link = links_of(Settings(public_url="https://llm.example/"))(webhook(organization=Organization("a&b")), CallTold.of(priced(1)))
    assert link.startswith(f"https://llm.example/v1/request/{CallId('call-000001')}/bodies?")
