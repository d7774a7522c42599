"""Health: whether rows arrive, how far the readers of the log are behind, what could not be understood, and how the lake fares.

What is of all organizations is told to the operator alone, whoever sees all.
"""

import asyncio
from datetime import datetime

from storage.dashboard import figures, health_figures
from storage.dashboard.health_figures import FRESH, age
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.exposed import samples, shared
from storage.lacking import met
from storage.lake import Lake
from storage.lake_state import LakeState, state_of
from storage.refusal import Refusal, Refused
from storage.rest.sql import Sql

NEWEST_LETTERS = 8


def _operator(asking: Asking) -> None:
    """Raises Refused."""
    if not asking.request.app.state.admission.sees_all(asking.caller):
        raise Refused(_OPERATORS)


async def _now(asking: Asking) -> Shown:
    every = asking.request.app.state.admission.sees_all(asking.caller)
    newest, metrics = await asyncio.gather(asking.rows(figures.newest()), asyncio.to_thread(lambda: list(samples()) if every else []))
    at = datetime.fromisoformat(newest[0]["created_at"]) if newest else None
    passed = age(at, asking.now)
    together = shared()
    waits = {
        name: health_figures.total(metrics, f"heliograph_spill_{name}") if together else None
        for name in ("messages", "bytes", "oldest_seconds")
    }
    return {
        "newest": newest[0]["created_at"] if newest else None,
        "age": passed,
        "fresh": passed is not None and passed <= FRESH.total_seconds() * 1000,
        "every": every,
        "spill": waits,
        "log_bytes": health_figures.total(metrics, "heliograph_log_bytes"),
        "readers": health_figures.readers(metrics),
        "worries": health_figures.worries(metrics),
        "shared": together,
    }


async def _lag(asking: Asking) -> Shown:
    _operator(asking)
    metrics = await asyncio.to_thread(lambda: list(samples()))
    return {"readers": health_figures.readers(metrics), "shared": shared()}


async def _letters(asking: Asking) -> Shown:
    rows, newest = await asking.all_rows(_by_reason(), _newest_letters(NEWEST_LETTERS))
    every = asking.request.app.state.admission.sees_all(asking.caller)
    return {"rows": health_figures.letters(rows), "newest": newest, "every": every}


async def _lake(asking: Asking) -> Shown:
    _operator(asking)
    state = await asyncio.to_thread(_state, asking)
    return {
        "state": state,
        "met": met(asking.request),
        "size": health_figures.lake_size(state.tables),
        "days": health_figures.days(state),
        "ages": {each.name: age(each.newest, asking.now) for each in state.tables},
    }


def _state(asking: Asking) -> LakeState:
    return state_of(Lake(asking.request.app.state.storage), asking.now)


def _by_reason() -> Sql:
    return Sql(
        'SELECT reason, topic, count(*) AS letters, min("at") AS first, max("at") AS latest, arg_max(error, "at") AS error '
        "FROM dead_letters GROUP BY 1, 2 ORDER BY letters DESC, reason, topic LIMIT 100"
    )


def _newest_letters(limit: int) -> Sql:
    return Sql(
        'SELECT "at", topic, partition, "offset", reason, error, call_id, left(payload, 400) AS payload '
        'FROM dead_letters ORDER BY "at" DESC LIMIT ?',
        (limit,),
    )


def _letters_file(_: Asking) -> Sql:
    return _newest_letters(10_000)


_OPERATORS = Refusal(
    code="scope_missing",
    message="This is of all organizations: the operator sees it.",
    fix="Sign in with a key that has the scope `admin`.",
    status=403,
)

PAGE = Page(
    name="health",
    title="Health",
    path="health",
    key="y",
    icon="health",
    template="ops.html",
    filterable=False,
    panels=(
        Panel(name="now", title="Now", template="health_now.html", draw=_now, height="s"),
        Panel(name="lag", title="Readers of the event log", template="health_lag.html", draw=_lag, size="half", height="s"),
        Panel(
            name="letters", title="Dead letters", template="health_letters.html", draw=_letters, size="half", height="s", csv=_letters_file
        ),
        Panel(name="lake", title="Lake", template="health_lake.html", draw=_lake, height="m"),
    ),
)
