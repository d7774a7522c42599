"""What a page is: a name in the navigation, a shell that is sent at once, and panels that are asked for by themselves.

A panel is a function from `Asking` (who asks, for what view, when) to what its template shows. It asks the lake by `asking.rows`, which
binds the caller's organization and stops the question when the browser gives the panel up.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from msgspec import Struct

from eventlog.events import Organization
from eventlog.keys import Caller
from storage.asked import Answer, SqlAsked
from storage.dashboard.state import View
from storage.dashboard.zones import Bucket, Period, bucket_of
from storage.formats import Format
from storage.passing import answered
from storage.refusal import Refusal, Refused
from storage.rest.sql import Row, Sql

BASE = "/dashboard"


class Asking:
    """One request of a page or a panel: who asks, for which view, and when that is."""

    def __init__(
        self, *, request: Request, view: View, now: datetime, zone: ZoneInfo, caller: Caller, organization: Organization | None
    ) -> None:
        self.request = request
        self.view = view
        self.now = now
        self.zone = zone
        self.caller = caller
        self.organization = organization
        """Whose rows; None: all."""

    @cached_property
    def period(self) -> Period:
        return self.view.span.period(self.now, self.zone)

    @cached_property
    def before(self) -> Period:
        """What the period is compared with."""
        return self.view.span.before(self.now, self.zone)

    @cached_property
    def bucket(self) -> Bucket:
        """How the period is cut into pieces."""
        return bucket_of(self.period, self.zone)

    def part(self, name: str) -> str:
        """A part of the page's path, also in its panels."""
        said: str = self.request.path_params.get(name) or self.view.get(name)
        return said

    async def rows(self, question: Sql) -> list[Row]:
        """The rows, decimals exact. Raises Refused, also where there are more than an answer may have."""
        found = json.loads((await self.answer(question)).body, parse_float=Decimal)
        if found["truncated"]:
            raise Refused(_TOO_MANY)
        return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]

    async def all_rows(self, *questions: Sql) -> list[list[Row]]:
        """Of several questions that are asked at once, the rows of each."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.rows(each)) for each in questions]
        return [task.result() for task in tasks]

    async def answer(self, question: Sql, form: Format = Format.JSON) -> Answer:
        asked = SqlAsked(sql=question.text, parameters=list(question.values), form=form, organization=self.organization)
        return await answered(self.request, asked)


_TOO_MANY = Refusal(
    code="too_many_rows",
    message="There is more to show than one panel can hold.",
    fix="Choose a shorter time range, or filter.",
    status=422,
)

Shown = Mapping[str, Any]
"""What a template is given."""
Draw = Callable[[Asking], Awaitable[Shown]]


class Panel(Struct, frozen=True, kw_only=True):
    """A part of a page, fetched at an address of its own: `/dashboard/panels/<page>/<panel>`."""

    name: str
    title: str
    template: str
    """Of its inside."""
    draw: Draw
    size: str = "wide"
    """How much of the page's grid: `wide`, `half`, `third`."""
    height: str = "m"
    """Of its place while it is empty: `s`, `m`, `l`."""
    csv: Callable[[Asking], Sql] | None = None
    """The question whose rows are the file that people save."""
    leads: str = ""
    """The page that tells more, if there is one by this name."""
    live: bool = True
    """Whether it is fetched anew when calls arrive, while the page is live."""


class Hands(Struct, frozen=True, kw_only=True):
    """What an address of a page's own works with."""

    render: Callable[[str, Asking, Shown], str]
    """A template as a panel has it, to HTML."""
    again: Callable[[], Asking]
    """Who asks, judged anew: for what goes on for long. Raises Refused."""


class Own(Struct, frozen=True, kw_only=True):
    """An address of a page's own that is no panel, such as a file or a stream: `/dashboard/own/<page>/<name>`."""

    name: str
    answer: Callable[[Asking, Hands], Awaitable[Response]]


class Page(Struct, frozen=True, kw_only=True):
    """A view of the dashboard."""

    name: str
    title: str
    path: str = ""
    """Behind `/dashboard/`; may have parts in braces, which its template and panels find in `asking.request.path_params`."""
    key: str = ""
    """`g`, then this letter, leads here."""
    icon: str = ""
    """A symbol of `static/icons.svg`."""
    template: str = "panels.html"
    panels: tuple[Panel, ...] = ()
    answers: tuple[Own, ...] = ()
    own: tuple[str, ...] = ()
    """Names of parameters that only this page takes."""
    sends: tuple[str, ...] = ()
    """What its scripts may send on in the caller's name, as `POST /v1/request/{id}/feedback`."""
    shell: Draw | None = None
    """More for its template, at once: asks nothing of the lake that takes time."""
    navigable: bool = True
    """Whether the navigation has it. A page about one thing is reached by a link."""
    filterable: bool = True
    """Whether it has the bar of time range and filters."""

    def panel(self, name: str) -> Panel | None:
        return next((each for each in self.panels if each.name == name), None)
