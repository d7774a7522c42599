"""Properties: the values of one key, ranked, with their shares and courses."""

from storage.dashboard import sending
from storage.dashboard.breakdown import RANK, SHOW, any_calls, broken_down, course_file, file
from storage.dashboard.filters import KEY_CHARACTERS, PROPERTY
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.property_names import property_chosen
from storage.dashboard.state import View
from storage.rest.sql import Sql

KEY = "key"


def key_of(view: View) -> str:
    return view.get(KEY).strip().lower()[:KEY_CHARACTERS]


async def _values(asking: Asking) -> Shown:
    key, names = await property_chosen(asking, asking.view, key_of(asking.view))
    found = await broken_down(asking, PROPERTY, key) if key else {"values": []}
    snippets = [] if key or not await any_calls(asking) else sending.with_headers(asking, sending.PROPERTY)
    return {"rank": "cost", **found, "keys": names, "key": key, "field": PROPERTY, "snippets": snippets}


def _file(asking: Asking) -> Sql:
    return file(asking, PROPERTY, key_of(asking.view))


def _course_file(asking: Asking) -> Sql:
    return course_file(asking, PROPERTY, key_of(asking.view))


PAGE = Page(
    name="properties",
    title="Properties",
    path="properties",
    key="p",
    icon="properties",
    template="people.html",
    own=(KEY, RANK, SHOW),
    panels=(
        Panel(name="values", title="Properties", template="breakdown.html", draw=_values, height="l", csv=_file),
        Panel(name="course", title="Properties over time", template="breakdown.html", draw=_values, csv=_course_file),
    ),
)
