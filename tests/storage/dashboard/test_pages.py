"""The dashboard over HTTP: its headers, signing in, what each may see, and figures that are those of SQL."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from eventlog.admission import Admission
from eventlog.keys import Keys, Scope
from ingress.secrets import presented
from storage.api import create_api
from storage.dashboard.access import TOKEN
from storage.dashboard.config import DashboardConfig
from storage.dashboard.page import Page
from storage.dashboard.pages import PAGES
from storage.dashboard.routes import install_dashboard
from tests.fakes.keyring import READER, STRANGER, WRITER, key, keyring
from tests.fakes.small_lake import SmallLake, calls

NOW = 1_767_400_000.0  # 2026-01-03T00:26:40Z
AT = "2026-01-02T20:00:00Z"


class World:
    """A lake, and the app over it, whose keys may change."""

    def __init__(self, folder: Path) -> None:
        self.lake = SmallLake(folder / "lake")
        self.keys: Keys = {}
        self._admission = Admission(known=lambda: self.keys)

    @asynccontextmanager
    async def serve(self, pages: Sequence[Page] = PAGES) -> AsyncIterator[httpx.AsyncClient]:
        app = self._app(pages)
        async with app.router.lifespan_context(app), self.bare(app) as client:
            yield client

    def bare(self, app: FastAPI | None = None) -> httpx.AsyncClient:
        """Of an app that has not started: it cannot ask the lake, and need not where only shells are looked at."""
        if app is None:
            app = self._app(PAGES)
            app.state.admission, app.state.presented = self._admission, presented
        return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://localhost")

    def _app(self, pages: Sequence[Page]) -> FastAPI:
        app = create_api(self.lake.config, admission=self._admission, presented=presented)
        install_dashboard(app, DashboardConfig(), lambda: NOW, pages)
        return app


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def web(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with world.serve() as client:
        yield client


@pytest.fixture
async def shell(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with world.bare() as client:
        yield client


def token_in(page: httpx.Response) -> dict[str, str]:
    found = re.search(r'data-token="([\w-]+)"', page.text)
    assert found
    return {TOKEN: found[1]}


async def sign_in(web: httpx.AsyncClient, said: str, **more: Any) -> httpx.Response:
    page = await web.get("/dashboard/sign-in")
    return await web.post("/dashboard/sign-in", json={"key": said, **more}, headers=token_in(page))


class TestPages:
    async def test_the_shell_comes_with_its_policy_and_asks_nothing(self, shell: httpx.AsyncClient) -> None:
        root = await shell.get("/")
        assert root.headers["location"] == "/dashboard"
        page = await shell.get("/dashboard")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert (page.headers["cache-control"], page.headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style", page.text)
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)

    async def test_files_are_kept_for_ever_under_their_digest(self, shell: httpx.AsyncClient) -> None:
        page = await shell.get("/dashboard")
        for address in re.findall(r'"(/dashboard/static/[^"]+)"', page.text):
            found = await shell.get(address)
            assert found.status_code == 200
            assert "immutable" in found.headers["cache-control"]
        old = await shell.get("/dashboard/static/0/dashboard.css")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
        assert (await shell.get("/dashboard/static/0/..%2fpage.py")).status_code == 404

    async def test_figures_are_those_of_the_calls(self, world: World, web: httpx.AsyncClient) -> None:
        world.lake.add("calls", *calls(3, created_at=AT, cost_usd="0.000004", total_tokens=7))
        world.lake.add("calls", {"call_id": "x", "created_at": AT, "model": "<b>m</b>"})
        shown = (await web.get("/dashboard/panels/overview/figures")).text
        assert 'title="0.000012 USD">$0.000012<' in shown
        assert 'title="4 calls">4<' in shown
        assert "1 of 4 calls are unpriced" in shown
        assert "&lt;b&gt;m&lt;/b&gt;" in shown
        assert "<b>m</b>" not in shown

    async def test_filters_hold_in_panels_files_and_links(self, world: World, web: httpx.AsyncClient) -> None:
        world.lake.add("calls", *calls(2, created_at=AT, user_id="ada", properties={"plan": "pro"}))
        world.lake.add("calls", {"call_id": "x", "created_at": AT, "user_id": "bob"})
        panel = (await web.get("/dashboard/panels/overview/by-model?property.plan=pro&range=7d")).text
        assert "2 calls" in panel
        assert 'href="/dashboard?range=7d&amp;property.plan=pro&amp;model=gpt-4o-mini"' in panel
        rows = (await web.get("/dashboard/panels/overview/by-user.csv?not.user=ada")).text.splitlines()
        assert [row.split(",")[:2] for row in rows[1:]] == [["bob", "1"]]
        page = (await web.get("/dashboard?user=ada&range=7d")).text
        assert "User is ada" in page
        assert "/dashboard/panels/overview/figures?range=7d&amp;user=ada" in page

    async def test_a_form_leads_to_the_address_of_what_it_says(self, shell: httpx.AsyncClient) -> None:
        answer = await shell.get("/dashboard?range=7d&model=a&add.field=status&add.key=&add.how=is&add.value=5xx&search=")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard?range=7d&model=a&status=5xx")

    async def test_what_cannot_be_meant_is_told_on_the_page(self, shell: httpx.AsyncClient) -> None:
        page = await shell.get("/dashboard?since=0001-01-01T00:00&colour=%3Cscript%3E")
        assert page.status_code == 200
        assert "The range lies outside the years 1990 to 2200." in page.text
        assert "<script>" not in page.text

    async def test_times_are_in_the_viewers_zone(self, shell: httpx.AsyncClient) -> None:
        shell.cookies.set("heliograph-zone", "Asia%2FKathmandu")
        page = await shell.get("/dashboard")
        assert "3 Jan, 06:11" in page.text
        assert "Asia/Kathmandu" in page.text

    async def test_a_damaged_lake_is_told_in_the_panel(self, world: World, web: httpx.AsyncClient) -> None:
        world.lake.add("calls", *calls(1, created_at=AT))
        world.lake.spoil("calls")
        panel = await web.get("/dashboard/panels/overview/figures")
        assert panel.status_code == 503
        assert 'role="alert"' in panel.text
        assert (await web.get("/dashboard")).status_code == 200

    async def test_values_to_choose_from(self, world: World, web: httpx.AsyncClient) -> None:
        world.lake.add("calls", *calls(2, created_at=AT, properties={"plan": "pro"}))
        assert (await web.get("/dashboard/values?field=properties")).json() == [{"value": "plan", "calls": 2}]
        assert (await web.get("/dashboard/values?field=property&key=plan")).json() == [{"value": "pro", "calls": 2}]
        assert (await web.get("/dashboard/values?field=model&like=GPT")).json() == [{"value": "gpt-4o-mini", "calls": 2}]
        assert (await web.get("/dashboard/values?field=colour")).json() == []


class TestAccess:
    @pytest.fixture(autouse=True)
    def some_keys(self, world: World) -> None:
        world.keys = keyring(key(READER, Scope.READ), key(WRITER, Scope.WRITE))
        for organization in ("acme", "other"):
            world.lake.add("calls", {"call_id": organization, "created_at": AT, "organization": organization, "model": f"m-{organization}"})

    async def test_nobody_comes_in_without_a_key(self, shell: httpx.AsyncClient) -> None:
        page = await shell.get("/dashboard?model=a")
        assert (page.status_code, page.headers["location"]) == (303, "/dashboard/sign-in?next=%2Fdashboard%3Fmodel%3Da")
        for path in ("panels/overview/figures", "values?field=model", "live"):
            assert (await shell.get(f"/dashboard/{path}")).status_code == 401

    async def test_a_session_sees_its_organization_and_ends_with_its_key(self, world: World, web: httpx.AsyncClient) -> None:
        answer = await sign_in(web, f" {READER} ", next="/dashboard?model=a")
        assert answer.json() == {"next": "/dashboard?model=a"}
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/dashboard" in cookie
        assert READER not in cookie
        panel = await web.get("/dashboard/panels/overview/by-model")
        assert "m-acme" in panel.text
        assert "m-other" not in panel.text
        assert (await web.get("/dashboard/panels/overview/by-model?organization=other")).status_code == 403
        world.keys = keyring(key(WRITER, Scope.WRITE))
        assert (await web.get("/dashboard/panels/overview/by-model")).status_code == 401

    async def test_an_admin_chooses_whose(self, world: World, web: httpx.AsyncClient) -> None:
        world.keys = keyring(key(READER, Scope.ADMIN))
        await sign_in(web, READER)
        assert "m-other" in (await web.get("/dashboard/panels/overview/by-model?organization=other")).text
        both = (await web.get("/dashboard/panels/overview/by-model?organization=*")).text
        assert "m-other" in both
        assert "m-acme" in both

    @pytest.mark.parametrize(("said", "status"), [(STRANGER, 401), (WRITER, 403), ("", 400), ("é" * 9, 400), ("x" * 501, 400)])
    async def test_keys_that_may_not(self, shell: httpx.AsyncClient, said: str, status: int) -> None:
        answer = await sign_in(shell, said)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers
        assert answer.json()["error"]["fix"]

    async def test_a_write_without_a_pages_token_is_refused(self, shell: httpx.AsyncClient) -> None:
        assert (await shell.post("/dashboard/sign-in", json={"key": READER})).status_code == 403
        await sign_in(shell, READER)
        page = await shell.get("/dashboard")
        assert (await shell.post("/dashboard/sign-out", json={})).status_code == 403
        foreign = token_in(page) | {"origin": "http://localhost:9999"}
        assert (await shell.post("/dashboard/sign-out", json={}, headers=foreign)).status_code == 403
        out = await shell.post("/dashboard/sign-out", json={}, headers=token_in(page))
        assert out.status_code == 200
        assert (await shell.get("/dashboard")).status_code == 303

    async def test_the_cookie_is_nothing_to_the_api(self, shell: httpx.AsyncClient) -> None:
        await sign_in(shell, READER)
        assert (await shell.post("/v1/query", json={"sql": "SELECT 1"})).status_code == 401

    async def test_what_a_page_sends_goes_on_in_the_callers_name(self, world: World) -> None:
        sending = Page(name="sql", title="SQL", path="sql", sends=("POST /v1/query", "GET /v1/calls/{id}"))
        async with world.serve([sending]) as web:
            await sign_in(web, READER)
            token = token_in(await web.get("/dashboard/sql"))
            asked = {"sql": "SELECT call_id FROM calls"}
            sent = partial(web.post, "/dashboard/send/v1/query", json=asked)
            assert (await sent()).status_code == 403
            assert (await sent(headers=token)).json()["rows"] == [["acme"]]
            assert (await web.get("/dashboard/send/v1/calls/other", headers=token)).json()["error"]["code"] == "call_not_found"
            for path in ("/v1/tables", "/v1/calls/a/b", "/v1/queryx", "/dashboard/send/v1/query", "//v1/query", "/v1/calls/a%2Fb"):
                assert (await web.post(f"/dashboard/send{path}", json=asked, headers=token)).status_code == 404, path
            with_key = token | {"authorization": f"Bearer {STRANGER}", "helicone-auth": f"Bearer {STRANGER}"}
            assert (await sent(headers=with_key)).status_code == 401

    async def test_organizations_are_told_to_whoever_may_choose_one(self, world: World, web: httpx.AsyncClient) -> None:
        assert (await web.get("/dashboard/values?field=organizations")).status_code == 401
        await sign_in(web, READER)
        assert (await web.get("/dashboard/values?field=organizations")).json() == []
        world.keys = keyring(key(READER, Scope.ADMIN))
        listed = (await web.get("/dashboard/values?field=organizations")).json()
        assert {each["value"] for each in listed} == {"acme", "other"}


async def test_a_file_that_cannot_be_read_is_named_where_its_rows_are_missing(world: World, web: httpx.AsyncClient) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        world.lake.add("calls", {"call_id": day, "request_id": day, "created_at": f"{day}T12:00:00", "cost_usd": "0.5"})
    gone = Path(sorted(world.lake.lake.files("calls"))[0])
    gone.unlink()
    panel = await web.get("/dashboard/panels/overview/figures?range=7d")
    assert panel.status_code == 200
    assert f"calls/day=2026-01-01/{gone.name}" in panel.text
    assert "1 file of the lake cannot be read" in panel.text
