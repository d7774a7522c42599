"""Users: ranked, with their shares and courses; and one of them with his figures over time, his sessions and his newest calls."""

from storage.dashboard import sending
from storage.dashboard.breakdown import RANK, SHOW, broken_down, course_file, file
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.rest.sql import Sql

FIELD = "user"


async def _users(asking: Asking) -> Shown:
    found = await broken_down(asking, FIELD)
    nobody = bool(found["values"]) and all(each.said is None for each in found["values"])
    return {**found, "key": "", "field": FIELD, "snippets": sending.with_headers(asking, sending.USER) if nobody else []}


def _file(asking: Asking) -> Sql:
    return file(asking, FIELD)


def _course_file(asking: Asking) -> Sql:
    return course_file(asking, FIELD)


PAGE = Page(
    name="users",
    title="Users",
    path="users",
    key="u",
    icon="users",
    template="people.html",
    own=(RANK, SHOW),
    panels=(
        Panel(name="values", title="Users", template="breakdown.html", draw=_users, height="l", csv=_file),
        Panel(name="course", title="Users over time", template="breakdown.html", draw=_users, csv=_course_file),
    ),
)
