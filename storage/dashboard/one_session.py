"""One session, whenever it was: its figures, its calls on a timeline, and the tree of its paths with what each branch cost and took."""

from typing import Any

from storage.dashboard import session_figures
from storage.dashboard.filters import Filter
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.session_figures import MOST_CALLS
from storage.dashboard.session_timeline import timeline, tone_of
from storage.dashboard.session_tree import steps_of, tree_of
from storage.rest.sql import Sql

SESSION_ID, IDLE = "session_id", "idle"
_SQUEEZE = {"squeezed": True, "shown": False}


async def _whole(asking: Asking) -> Shown:
    said = asking.part(SESSION_ID)
    rows, tags = await asking.all_rows(session_figures.calls_of(said), session_figures.tag_of(said))
    steps = steps_of(rows[:MOST_CALLS])
    root = tree_of(steps)
    models: dict[str, int] = {}
    for row in rows:
        models[row["model"] or "not known"] = models.get(row["model"] or "not known", 0) + 1
    return {
        SESSION_ID: said,
        "root": root,
        "steps": steps,
        "cut": MOST_CALLS if len(rows) > MOST_CALLS else None,
        "names": list(dict.fromkeys(row["session_name"] for row in rows if row["session_name"])),
        "users": list(dict.fromkeys(row["user_id"] for row in rows if row["user_id"])),
        "models": sorted(models.items(), key=lambda each: -each[1]),
        "begins": rows[0]["created_at"] if rows else None,
        "judged": tags[0] if tags else {"tag": None, "rating": None, "comment": None},
        "timeline": timeline(root, steps, squeeze=_SQUEEZE.get(asking.view.get(IDLE))),
        "tone_of": tone_of,
    }


def _file(asking: Asking) -> Sql:
    return session_figures.calls_of(asking.part(SESSION_ID), limit=10_000)


async def _shell(asking: Asking) -> dict[str, Any]:
    return {SESSION_ID: asking.part(SESSION_ID), "whose": Filter("session", asking.part(SESSION_ID))}


PAGE = Page(
    name="session",
    title="Session",
    path="sessions/{session_id:path}",
    icon="sessions",
    template="session.html",
    navigable=False,
    filterable=False,
    own=(IDLE,),
    shell=_shell,
    panels=(Panel(name="whole", title="Session", template="session_whole.html", draw=_whole, height="l", csv=_file),),
)
