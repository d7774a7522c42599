"""Answers the dashboard's addresses: pages, their panels, files of figures, what arrives, signing in and out, and the static files."""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec
import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from msgspec import Struct

from storage.dashboard import figures, filters, live, state
from storage.dashboard.access import Access, SignInNeeded, local
from storage.dashboard.assets import Assets
from storage.dashboard.config import DashboardConfig
from storage.dashboard.linked import Linked, parts_of
from storage.dashboard.page import BASE, Asking, Hands, Own, Page, Panel, Shown
from storage.dashboard.property_names import property_names
from storage.dashboard.session import KEY_CHARACTERS, Sessions
from storage.dashboard.shown import shell
from storage.dashboard.streams import streamed
from storage.dashboard.writing import HEADERS, Writer
from storage.dashboard.zones import UTC_ZONE, zone_of
from storage.formats import Format
from storage.lacking import lacked_by, telling
from storage.refusal import Refusal, Refused
from storage.rest.envelope import OURS
from storage.rest.sql import Row
from storage.whose import whose

log = structlog.get_logger()

ZONE = "heliograph-zone"
"""The cookie that a script sets: the name of the viewer's time zone."""


class SignedIn(Struct, forbid_unknown_fields=True):
    """What the sign-in page sends."""

    key: str
    next: str = BASE


class Desk:
    """`clock` gives seconds since 1970."""

    def __init__(self, config: DashboardConfig, pages: Sequence[Page], clock: Callable[[], float]) -> None:
        self.config, self.pages, self._clock = config, pages, clock
        self.assets = Assets()
        self._writer = Writer(self.assets)
        self._sessions = Sessions(config.secret, clock)
        self.access = Access(self._sessions, config.public_url)

    async def page(self, page: Page, request: Request) -> Response:
        """The shell, at once. An address that a form made is written anew first."""
        try:
            asking, read = self._asking(page, request)
        except SignInNeeded:
            return self._to_sign_in(request)
        except Refused as refused:
            return self._writer.html(request, "refused.html", self._bare(request) | {"refusal": refused.refusal}, refused.refusal.status)
        links = self._links(page, asking)
        if not read.canonical and not read.troubles:
            return RedirectResponse(links.here(), 303, HEADERS)
        more = await page.shell(asking) if page.shell is not None else {}
        shown = shell(self, page, asking, links, read.troubles) | self._bare(request) | dict(more)
        return self._writer.html(request, page.template, shown)

    async def panel(self, page: Page, panel: Panel, request: Request) -> Response:
        """The inside of a panel, or what is said in its place."""
        try:
            asking, _ = self._asking(page, request)
            shown = await panel.draw(asking)
        except Refused as refused:
            return self._refused(request, refused.refusal)
        except BaseExceptionGroup as group:
            raised = [error for error in group.exceptions if isinstance(error, Refused)]
            if not raised:
                raise
            return self._refused(request, raised[0].refusal)
        csv = self._links(page, asking).panel(panel, csv=True) if panel.csv is not None else None
        known = self._known(page, asking) | {"panel": panel, "csv": csv} | dict(shown)
        if lacked := lacked_by(request):
            return self._writer.html(request, "unread.html", known | {"inner": panel.template, "unread": sorted(lacked)})
        return self._writer.html(request, panel.template, known)

    def _known(self, page: Page, asking: Asking) -> dict[str, Any]:
        """What the template of a panel is given, whatever it shows."""
        return {"asking": asking, "view": asking.view, "links": self._links(page, asking), "page": page, "Filter": filters.Filter}

    async def own(self, page: Page, own: Own, request: Request) -> Response:
        """What a page answers beside its panels."""
        asking, _ = self._asking(page, request)

        def render(template: str, asking: Asking, shown: Shown) -> str:
            return self._writer.text(template, self._known(page, asking) | dict(shown))

        return telling(request, await own.answer(asking, Hands(render=render, again=lambda: self._asking(page, request)[0])))

    async def file(self, page: Page, panel: Panel, request: Request) -> Response:
        """The rows of a panel as CSV. Where some could not be read, its name says so."""
        try:
            asking, _ = self._asking(page, request)
        except SignInNeeded:
            return self._to_sign_in(request)
        assert panel.csv is not None  # noqa: S101 the route looked
        answer = await asking.answer(panel.csv(asking), Format.CSV)
        whole = "" if not lacked_by(request) else "-incomplete"
        name = f"heliograph-{page.name}-{panel.name}{whole}.csv"
        headers = HEADERS | {"content-disposition": f'attachment; filename="{name}"'}
        return telling(request, Response(answer.body, 200, headers, "text/csv; charset=utf-8"))

    async def values(self, request: Request) -> Response:
        """Values of a field, `field` and `key`, that calls of the view have: for choosing one. As JSON."""
        page = Page(name="values", title="", own=("field", "key", "like"))
        asking, _ = self._asking(page, request)
        view, field = asking.view, asking.view.get("field")
        if field == "organizations":
            return _json(await self._organizations(asking))
        if field == "properties":
            rows = await property_names(asking, view, asking.period)
            return _json([{"value": row["name"], "calls": row["calls"]} for row in rows])
        if choices := list(getattr(filters.FIELDS.get(field), "choices", {})):
            return _json([{"value": each, "calls": None} for each in choices])
        if field not in filters.FIELDS or (field == filters.PROPERTY and not view.get("key")):
            return _json([])
        try:
            question = figures.values_of(view, asking.period, field, view.get("key").lower(), like=view.get("like"))
        except KeyError:
            return _json([])
        return _json(await asking.rows(question))

    async def _organizations(self, asking: Asking) -> list[Row]:
        """Those there are, for whoever may choose one."""
        if not asking.request.app.state.admission.sees_all(asking.caller):
            return []
        asking.organization = None
        return await asking.rows(figures.organizations(asking.period))

    async def live(self, request: Request) -> Response:
        page = Page(name="live", title="")
        self._asking(page, request)
        return streamed(live.arrivals(request, lambda: self._asking(page, request)[0]))

    async def sign_in_page(self, request: Request) -> Response:
        visit = secrets.token_urlsafe(18)
        shown = self._bare(request) | {
            "token": self.access.token(request, visit=visit),
            "next": local(request.query_params.get("next", BASE)),
            "wrong": self._wrong(request),
        }
        answer = self._writer.html(request, "sign_in.html", shown)
        if not request.cookies.get("heliograph-visit"):
            self.access.visit(request, answer, visit)
        return answer

    async def sign_in(self, request: Request) -> Response:
        """Takes a key, and answers with a session and where to go."""
        self.access.demand_token(request)
        try:
            said = msgspec.json.decode(await request.body(), type=SignedIn)
        except msgspec.MsgspecError as error:
            raise Refused(Refusal(code="invalid_json", message=str(error), fix='Send {"key": "sk-…"}.', field="body")) from None
        key = said.key.strip().removeprefix("Bearer ").strip()
        if not key or len(key) > KEY_CHARACTERS or not key.isascii():
            raise Refused(Refusal(code="key_unknown", message="This is no key of Heliograph's.", fix="Paste the whole key.", field="key"))
        caller = self.access.signed_in(request, key)
        log.info("dashboard_signed_in", key=caller.key.id if caller.key else None, organization=caller.organization)
        answer = _json({"next": local(said.next)})
        self.access.begin(request, answer, key)
        return answer

    async def sign_out(self, request: Request) -> Response:
        self.access.demand_token(request)
        answer = _json({"next": f"{BASE}/sign-in"})
        self.access.end(request, answer)
        return answer

    def _asking(self, page: Page, request: Request) -> tuple[Asking, state.Read]:
        """Raises Refused."""
        caller = self.access.caller(request)
        zone = zone_of(unquote(request.cookies.get(ZONE, ""))) or UTC_ZONE
        parts = [part for part in parts_of(page) if part not in request.path_params]
        read = state.read(request.query_params.multi_items(), zone, (*page.own, *parts))
        sees_all = request.app.state.admission.sees_all(caller)
        organization = whose(read.view.organization, caller.organization, sees_all=sees_all)
        now = datetime.fromtimestamp(self._clock(), UTC)
        return Asking(request=request, view=read.view, now=now, zone=zone, caller=caller, organization=organization), read

    def _links(self, page: Page, asking: Asking) -> Linked:
        """Of a panel the parts of its page's path are among the parameters."""
        at = {part: asking.request.path_params.get(part) or asking.view.get(part) for part in parts_of(page)}
        return Linked(self.pages, page, asking.view.without_own(*at), at)

    def _bare(self, request: Request) -> dict[str, Any]:
        """What every shell needs, also where nobody is known."""
        theme = request.cookies.get("heliograph-theme", "")
        return {
            "theme": theme if theme in {"light", "dark"} else "",
            "zone_chosen": "1" if request.cookies.get(ZONE) else "",
            "version": self.config.version,
        }

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        if refusal.code in OURS:
            log.error("dashboard_question_refused", code=refusal.code, error=refusal.message)
            refusal = Refusal(code="internal_error", message="Heliograph failed to answer.", fix="The server's log says why.", status=500)
        return self._writer.html(request, "panel_refused.html", {"refusal": refusal}, refusal.status)

    def _to_sign_in(self, request: Request) -> Response:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{BASE}/sign-in?{urlencode({'next': local(here)})}", 303, HEADERS)

    def _wrong(self, request: Request) -> str:
        """What is wrong with the key that the browser has, if it has one."""
        try:
            self.access.caller(request)
        except Refused as refused:
            return refused.wrong if isinstance(refused, SignInNeeded) else refused.refusal.message
        return ""


def _json(found: Any) -> Response:
    return Response(msgspec.json.encode(found), 200, HEADERS, "application/json")
