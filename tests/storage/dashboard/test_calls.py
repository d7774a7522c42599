"""The pages of calls over HTTP: what they show and to whom, files, a search in bodies, and bodies of any size."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.admission import Admission
from eventlog.keys import Keys, Scope
from ingress.secrets import presented
from storage.api import create_api
from storage.dashboard.call_bodies import SHOWN_CHARACTERS
from storage.dashboard.config import DashboardConfig
from storage.dashboard.routes import install_dashboard
from tests.fakes.keyring import READER, STRANGER, key, keyring
from tests.fakes.small_lake import SmallLake

NOW = 1_767_400_000.0  # 2026-01-03T00:26:40Z
AT = "2026-01-02T20:00:00Z"
CALL = "/dashboard/panels/call"


class World:
    """A lake, the app over it, and what it was asked for an invoice."""

    def __init__(self, folder: Path) -> None:
        self.lake = SmallLake(folder / "lake")
        self.keys: Keys = {}

    async def serve(self) -> AsyncIterator[httpx.AsyncClient]:
        app = create_api(self.lake.config, admission=Admission(known=lambda: self.keys), presented=presented)
        install_dashboard(app, DashboardConfig(invoice=invoice), lambda: NOW)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://localhost") as client,
        ):
            yield client


def invoice(row: Any) -> dict[str, Any]:
    line = {"for": "prompt", "count": "7", "unit": "tokens", "rate_usd": "3", "per": "million tokens", "amount_usd": "0.000021"}
    return {"lines": [line], "total_usd": "0.000021", "cost_usd": row["cost_usd"], "reason": None}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def web(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async for client in world.serve():
        yield client


def ids(text: str) -> list[str]:
    return re.findall(r'data-call="([^"]+)"', text)


def events(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(data)) for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n", text)]


def add(world: World, call_id: str, request: str | None = None, response: str | None = None, **more: Any) -> None:
    world.lake.add("calls", {"call_id": call_id, "created_at": AT, **more})
    for side, text in (("request", request), ("response", response)):
        if text is not None:
            world.lake.add("bodies", {"call_id": call_id, "created_at": AT, "side": side, "text": text, "size": len(text)})


async def test_a_table_of_chosen_columns_in_an_order_and_its_file(world: World, web: httpx.AsyncClient) -> None:
    for number, cost in enumerate(("0.2", None, "0.1")):
        add(world, f"c{number}", cost_usd=cost, properties={"plan": f"<b>{number}</b>"}, user_id="ada")
    add(world, "other", user_id="bob")
    said = "column=property.plan&column=cost&column=model&sort=cost&user=ada&model=gpt-4o-mini"
    shown = (await web.get(f"/dashboard/panels/calls/list?{said}")).text
    assert ids(shown) == ["c0", "c2", "c1"]
    assert "&lt;b&gt;0&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert 'aria-sort="descending"' in shown
    file = await web.get(f"/dashboard/panels/calls/list.csv?{said}")
    assert file.text.splitlines()[:2] == [
        "call_id,created_at,property.plan,cost,model",
        "c0,2026-01-02T20:00:00.000000Z,<b>0</b>,0.2,gpt-4o-mini",
    ]
    assert "3</b> calls" in (await web.get("/dashboard/panels/calls/sums?user=ada")).text
    page = (await web.get(f"/dashboard/calls?{said}&call=c0")).text
    assert "the first 10,000 rows at most" in page
    assert "call_id=c0" in page


async def test_nothing_here_and_nothing_anywhere(world: World, web: httpx.AsyncClient) -> None:
    assert "Send the first call" in (await web.get("/dashboard/panels/calls/list")).text
    add(world, "c0")
    assert "No calls here" in (await web.get("/dashboard/panels/calls/list?range=1h")).text


async def test_a_call_by_either_id_with_its_arithmetic(world: World, web: httpx.AsyncClient) -> None:
    attempt = {"origin": "https://a.example", "status": 429, "failure": None, "began_ms": 0.0, "took_ms": 40.0}
    asked = json.dumps({"messages": [{"role": "user", "content": "Hello <i>you</i>"}]})
    answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": "And you"}}]})
    add(
        world, "c0", asked, answer, request_id="r/0", cost_usd="0.000021", tries=[attempt], attempts=2, ttft_ms=50.0, cache_hit=True,
        cache_reference_id="c9", cost_saved_usd="0.5", user_id="ada", session_id="s", price_source="list", price_note="A note.",
    )  # fmt: skip
    for address in (f"{CALL}/whole?call_id=c0", f"{CALL}/whole?call_id=r%2F0"):
        shown = (await web.get(address)).text
        for text in (
            "Hello &lt;i&gt;you&lt;/i&gt;",
            "And you",
            "0.000021",
            "million tokens",
            "Attempt 1",
            "429 https://a.example",
            "A note.",
        ):
            assert text in shown
        assert 'href="/dashboard/calls/c9"' in shown
        assert 'href="/dashboard/calls?user=ada"' in shown
        assert 'href="/dashboard/calls?session=s"' in shown
        assert "It saved <b" in shown
        assert "$OPENAI_API_KEY" in shown
    assert (await web.get("/dashboard/calls/r%2F0")).status_code == 200
    missing = await web.get(f"{CALL}/whole?call_id=nobody")
    assert missing.status_code == 404
    assert "There is no call" in missing.text


async def test_bodies_that_are_not_there_say_why(world: World, web: httpx.AsyncClient) -> None:
    add(world, "c0")
    assert (await web.get(f"{CALL}/whole?call_id=c0")).text.count("Nothing of it is at rest") == 4
    add(world, "c1", "", None, stream=True)
    world.lake.add("bodies", {"call_id": "c1", "created_at": AT, "side": "response", "omitted": True})
    shown = (await web.get(f"{CALL}/whole?call_id=c1")).text
    assert "The caller asked that it be not kept." in shown
    assert "It was empty." in shown


async def test_a_body_of_twenty_megabytes(world: World, web: httpx.AsyncClient) -> None:
    large = json.dumps({"messages": [{"role": "user", "content": "x" * (20 << 20)}]})
    add(world, "c0", large, "{")
    shown = await web.get(f"{CALL}/whole?call_id=c0")
    assert len(shown.text) < 300_000
    assert "more characters" in shown.text
    raw = (await web.get(f"{CALL}/raw?call_id=c0")).text
    assert len(raw) < SHOWN_CHARACTERS * 1.1
    assert "data-foldable" not in raw
    following = re.search(r'data-more="([^"]+)"', raw)
    assert following
    assert f"from={SHOWN_CHARACTERS}" in following[1]
    assert "x" * 1000 in (await web.get(following[1].replace("&amp;", "&"))).text
    file = await web.get("/dashboard/own/call/body?call_id=c0")
    assert file.text == large
    assert file.headers["content-disposition"] == 'attachment; filename="c0-request-text.txt"'
    assert file.headers["content-security-policy"].startswith("default-src 'none'")
    assert "data-foldable" in (await web.get(f"{CALL}/raw?call_id=c0&side=row")).text
    assert (await web.get("/dashboard/own/call/body?call_id=c0&form=1;DROP")).status_code == 404


async def test_what_was_said_is_found_in_every_form(world: World, web: httpx.AsyncClient) -> None:
    add(world, "c0", json.dumps({"prompt": 'Caf\u00e9 "Luna"'}))
    add(world, "c1", json.dumps({"prompt": 'Caf\u00e9 "Luna"'}, ensure_ascii=False), model="other")
    add(world, "c2", json.dumps({"prompt": "Tea"}))
    found = events((await web.get("/dashboard/own/calls/search", params={"said": 'CAF\u00c9 "luna"'.lower(), "range": "7d"})).text)
    assert [name for name, _ in found[-1:]] == ["ended"]
    assert sorted(ids("".join(said["html"] for name, said in found if name == "found"))) == ["c0", "c1"]
    assert found[-2][1]["done"] == 1
    done = [said["done"] for name, said in found if name == "found"]
    assert done == sorted(done)
    narrowed = events((await web.get("/dashboard/own/calls/search?said=luna&model=other&column=call")).text)
    assert narrowed[-2][1]["found"] == 1


async def test_another_organization_sees_nothing_of_a_call(world: World, web: httpx.AsyncClient) -> None:
    world.keys = keyring(key(READER, Scope.READ))
    add(world, "c0", '{"prompt": "secret"}', organization="others")
    world.lake.add("bodies", {"call_id": "c0", "created_at": AT, "side": "request", "text": "secret", "organization": "others"})
    web.headers["authorization"] = f"Bearer {READER}"
    for address in (f"{CALL}/whole", f"{CALL}/raw", f"{CALL}/feedback", "/dashboard/own/call/body"):
        assert (await web.get(f"{address}?call_id=c0")).status_code == 404
    assert ids((await web.get("/dashboard/panels/calls/list?range=7d")).text) == []
    assert '"found":0' in (await web.get("/dashboard/own/calls/search?said=secret&range=7d")).text
    web.headers["authorization"] = f"Bearer {STRANGER}"
    assert (await web.get("/dashboard/own/calls/search?said=secret")).status_code == 401
    assert (await web.get("/dashboard/own/calls/tail")).status_code == 401
