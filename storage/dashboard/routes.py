"""Puts the dashboard into the app of the query port."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.routing import Route

from storage.dashboard.config import DashboardConfig
from storage.dashboard.desk import Desk
from storage.dashboard.forwarded import PATH, Forward
from storage.dashboard.page import BASE, Page
from storage.dashboard.pages import PAGES

Answer = Callable[[Request], Awaitable[Response]]


def install_dashboard(app: FastAPI, config: DashboardConfig, clock: Callable[[], float], pages: Sequence[Page] = PAGES) -> None:
    """At `/dashboard`, where `/` leads. `clock` gives seconds since 1970."""
    desk = Desk(config, pages, clock)
    app.state.home = BASE
    app.state.dashboard = config
    app.state.watchers = Counter()
    _get(app, f"{BASE}/sign-in", desk.sign_in_page)
    _get(app, f"{BASE}/live", desk.live)
    _get(app, f"{BASE}/values", desk.values)
    app.router.routes.append(Route(f"{BASE}/sign-in", desk.sign_in, methods=["POST"]))
    app.router.routes.append(Route(f"{BASE}/sign-out", desk.sign_out, methods=["POST"]))

    async def static(request: Request) -> Response:
        return desk.assets.answer(request.path_params["digest"], request.path_params["name"], request)

    async def slash(_: Request) -> Response:
        return RedirectResponse(BASE, 308)

    _get(app, f"{BASE}/static/{{digest}}/{{name}}", static)
    _get(app, f"{BASE}/", slash)
    sends = [each for page in pages for each in page.sends]
    app.router.routes.append(Route(PATH + "/{path:path}", Forward(desk.access, sends), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]))
    for page in pages:
        for panel in page.panels:
            if panel.csv is not None:
                _get(app, f"{BASE}/panels/{page.name}/{panel.name}.csv", partial(desk.file, page, panel))
            _get(app, f"{BASE}/panels/{page.name}/{panel.name}", partial(desk.panel, page, panel))
        for own in page.answers:
            _get(app, f"{BASE}/own/{page.name}/{own.name}", partial(desk.own, page, own))
        _get(app, f"{BASE}/{page.path}".rstrip("/"), partial(desk.page, page))


def _get(app: FastAPI, path: str, answer: Answer) -> None:
    app.router.routes.append(Route(path, answer, methods=["GET"]))
