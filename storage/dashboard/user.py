"""One user: his figures over time, what he uses and for what, his sessions and his newest calls."""

from typing import Any

from msgspec.structs import replace

from storage.dashboard import figures, session_figures
from storage.dashboard.filters import PROPERTY, Filter
from storage.dashboard.overview_figures import cards, drawn, placed, whole
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.property_names import property_chosen
from storage.dashboard.ranked import ranked
from storage.dashboard.span import Span
from storage.dashboard.state import View
from storage.dashboard.zones import bucket_of
from storage.rest.sql import Sql, value

USER_ID, KEY = "user_id", "key"
SESSIONS, CALLS = 10, 10


def his(asking: Asking) -> View:
    """The view, of this user's calls alone."""
    kept = tuple(each for each in asking.view.filters if each.field != "user" or each.negated)
    return replace(asking.view, filters=(*kept, Filter("user", asking.part(USER_ID))))


async def _figures(asking: Asking) -> Shown:
    view, period, bucket = his(asking), asking.period, asking.bucket
    questions = [figures.series(view, period, bucket)]
    earlier = bucket_of(asking.before, asking.zone, bucket.step)
    if view.compare:
        questions.append(figures.series(view, asking.before, earlier))
    found = await asking.all_rows(*questions)
    total = whole(found[0])
    if total is None or not total["calls"]:
        return {"cards": [], "charts": [], "user_id": asking.part(USER_ID), "longer": replace(asking.view, span=Span(preset="90d"))}
    pieces = placed(found[0], bucket)
    old = whole(found[1]) if view.compare else None
    old_pieces = placed(found[1], earlier) if old is not None and old["calls"] else None
    made = drawn(pieces, old_pieces, asking)
    return {
        "cards": cards(total, old if old_pieces is not None else None, pieces, open_end=bucket.unfinished(period.until)),
        "charts": [each for each in made if each.name in {"cost", "calls", "latency", "tokens"}],
        "user_id": asking.part(USER_ID),
    }


async def _sessions(asking: Asking) -> Shown:
    of = session_figures.sessions(his(asking), asking.period)
    rows = await asking.rows(session_figures.listed(of, sort="start", limit=SESSIONS))
    return {"rows": rows, "found": rows[0]["found"] if rows else 0, "whose": Filter("user", asking.part(USER_ID))}


async def _models(asking: Asking) -> Shown:
    rows = await asking.rows(figures.ranking(his(asking), asking.period, "model", brief=True))
    return {"ranked": ranked(rows, "model", by="cost"), "keys": [], "key": ""}


async def _properties(asking: Asking) -> Shown:
    key, names = await property_chosen(asking, his(asking), asking.view.get(KEY).lower())
    rows = await asking.rows(figures.ranking(his(asking), asking.period, PROPERTY, key, brief=True)) if key else []
    return {"ranked": ranked(rows, PROPERTY, key, by="cost"), "keys": names, "key": key}


async def _calls(asking: Asking) -> Shown:
    return {"rows": await asking.rows(_newest(asking, CALLS)), "whose": Filter("user", asking.part(USER_ID))}


def _newest(asking: Asking, limit: int) -> Sql:
    shown = "call_id, created_at, model, session_id, outcome, status, latency_ms, total_tokens, cost_usd, error"
    condition = figures.within(his(asking), asking.period)
    return f"SELECT {shown} FROM calls WHERE " + condition + " ORDER BY created_at DESC LIMIT " + value(limit)  # noqa: S608


def _series_file(asking: Asking) -> Sql:
    return figures.series_file(his(asking), asking.period, asking.bucket)


def _sessions_file(asking: Asking) -> Sql:
    return session_figures.listed(session_figures.sessions(his(asking), asking.period), sort="start", limit=10_000)


def _calls_file(asking: Asking) -> Sql:
    return _newest(asking, 4_000)


def _models_file(asking: Asking) -> Sql:
    return figures.ranking(his(asking), asking.period, "model", limit=10_000)


async def _shell(asking: Asking) -> dict[str, Any]:
    return {"user_id": asking.part(USER_ID), "whose": Filter("user", asking.part(USER_ID))}


PAGE = Page(
    name="user",
    title="User",
    path="users/{user_id:path}",
    icon="users",
    template="user.html",
    navigable=False,
    own=(KEY,),
    shell=_shell,
    panels=(
        Panel(name="figures", title="Figures", template="user_figures.html", draw=_figures, height="l", csv=_series_file),
        Panel(name="models", title="Models", template="user_ranking.html", draw=_models, size="half", csv=_models_file),
        Panel(name="properties", title="Properties", template="user_ranking.html", draw=_properties, size="half", leads="properties"),
        Panel(name="sessions", title="Newest sessions", template="user_sessions.html", draw=_sessions, csv=_sessions_file),
        Panel(name="calls", title="Newest calls", template="user_calls.html", draw=_calls, csv=_calls_file),
    ),
)
