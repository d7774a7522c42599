"""A real Chromium, and the dashboard served to it from a thread of this process, over a lake and keys of the test's own."""

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from eventlog.admission import Admission
from eventlog.keys import Keys
from ingress.secrets import presented
from runtime.deciding import Control
from runtime.guard import Guard, GuardedApp
from runtime.kept_routes import kept_routes
from runtime.settings import Settings
from storage.api import create_api
from storage.dashboard.config import DashboardConfig
from storage.dashboard.routes import install_dashboard
from tests.fakes.chromium import program
from tests.fakes.small_lake import SmallLake

ZONE = "Europe/Berlin"
PATIENCE_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Served:
    """The query port with its dashboard. `keys` may change while it runs. `keeping`: questions can be saved."""

    def __init__(self, folder: Path, clock: Any, *, keeping: bool = False) -> None:
        self.lake = SmallLake(folder / "lake")
        self.keys: Keys = {}
        self.app: FastAPI = create_api(self.lake.config, admission=Admission(known=lambda: self.keys), presented=presented)
        install_dashboard(self.app, DashboardConfig(), clock)
        if keeping:
            _keep(self.app, Control(Settings(data_dir=folder)))
        config = uvicorn.Config(GuardedApp(self.app, Guard()), port=0, log_config=None, ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.base = ""

    def __enter__(self) -> "Served":
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.05)
            assert self._thread.is_alive(), "the server ended"
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.base = f"http://localhost:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)


def _keep(app: FastAPI, control: Control) -> None:
    """What is saved is decided on an event log."""
    app.include_router(kept_routes(control))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any] | None]:
        async with control.following(), inner(app) as state:
            yield state

    app.router.lifespan_context = lifespan


class Eyes:
    """One browser window; what its pages say on the console, and whom they ask besides us, is an error in the end."""

    def __init__(self, browser: Browser, base: str, **context: Any) -> None:
        self.context: BrowserContext = browser.new_context(**{"timezone_id": ZONE, "locale": "en-GB", "base_url": base} | context)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self._base = base
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self._base, "data:", "blob:")):
            self.faults.append(f"asked {url}")

    def open(self, path: str) -> Page:
        self.page.goto(path)
        self.settled()
        return self.page

    def settled(self) -> None:
        """Every panel is there."""
        expect(self.page.locator("[data-src] > [aria-busy=true]")).to_have_count(0, timeout=PATIENCE_MS)

    def serious(self) -> list[str]:
        """What axe finds that keeps people out, and where."""
        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['target']}" for each in found if each["impact"] in {"serious", "critical"}]
