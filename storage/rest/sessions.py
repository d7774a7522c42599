"""Sessions: calls that say the same `Helicone-Session-Id`, each with its times, its cost and its users."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from storage.rest.asking import asker, rows
from storage.rest.bodies import Body, Filter, nullable
from storage.rest.envelope import ANSWERS, Enveloped, data
from storage.rest.fields import OF_A_SESSION, SESSIONS, TOTAL
from storage.rest.filter_sql import condition
from storage.rest.filter_tree import BadFilter, Both, Node, Predicate, parts_of, read, tables_of
from storage.rest.histograms import Quantile, bars_of, spread
from storage.rest.sql import EVERY, Sql, all_of, joined, time, value

router = APIRouter(route_class=Enveloped, tags=["sessions"], responses=ANSWERS)

MOST_NAMES = 50


class SessionTimes(Body):
    """From the one instant on, and before the other; milliseconds since 1970."""

    start: Annotated[float | None, nullable("number")] = Field(None, alias="startTimeUnixMs")
    end: Annotated[float | None, nullable("number")] = Field(None, alias="endTimeUnixMs")


class Sessions(Body):
    """Which sessions: a filter may ask about their calls, and about themselves (`sessions_request_response_rmt`)."""

    filter: Filter = "all"
    time_filter: SessionTimes = Field(default=SessionTimes(), alias="timeFilter", description="Of the calls that count.")
    search: str = Field(default="", max_length=1000, description="Part of the session's id or name, or of a path in it.")
    name_equals: Annotated[str | None, nullable("string", maxLength=1000)] = Field(None, alias="nameEquals", max_length=1000)
    behind: int = Field(default=0, alias="timezoneDifference", ge=-1440, le=1440, description="Not read: times are UTC.")


class SessionPage(Sessions):
    offset: int = Field(default=0, ge=0, le=2**53)
    limit: int = Field(default=50, ge=0, le=1000)


class SessionNames(Body):
    """Which sessions, by their name, and how their figures are spread."""

    name_contains: str = Field(default="", alias="nameContains", max_length=1000)
    behind: int = Field(default=0, alias="timezoneDifference", ge=-1440, le=1440, description="Not read: times are UTC.")
    quantile: Quantile = Field(default=Quantile.P75, alias="pSize", description="Bars go up to there.")
    interquartile: bool = Field(default=False, alias="useInterquartile", description="Bars leave out what is far from the middle half.")
    time_filter: SessionTimes = Field(default=SessionTimes(), alias="timeFilter")
    filter: Filter = "all"


def unix_times(start_ms: float | None, end_ms: float | None, names: tuple[str, str], column: str = "created_at") -> Sql:
    """Raises BadFilter."""
    bounds = ((names[0], ">=", start_ms), (names[1], "<", end_ms))
    return all_of(f"{column} {sign} " + time(_moment(ms, name)) for name, sign, ms in bounds if ms is not None)


def _moment(ms: float, field: str) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None).isoformat(sep=" ")
    except (ValueError, OverflowError, OSError):
        raise BadFilter(f"timeFilter.{field}", "is no time") from None


def _times(said: SessionTimes) -> Sql:
    return unix_times(said.start, said.end, ("startTimeUnixMs", "endTimeUnixMs"))


def _contains(column: str, part: str) -> Sql:
    return f"contains(lower({column}), lower(" + value(part) + "))"


class Split:
    """A filter, part by part: what its calls alone decide is asked of them first, what the sessions decide of the grouped ones.

    Where both stand under one `or`, what it asks of a call is a column of the session: whether one of its calls is so.
    """

    def __init__(self, node: Node, span: Sql) -> None:
        """`span`: when the calls began that count."""
        about = [(part, SESSIONS in tables_of(part)) for part in parts_of(node)]
        self.columns: list[Sql] = []
        self.calls = condition(Both(tuple(part for part, sessions in about if not sessions)), within=span)
        self.sessions = condition(Both(tuple(part for part, sessions in about if sessions)), self._column, within=span)

    def _column(self, predicate: Predicate, asked: Sql) -> Sql:
        if predicate.table == SESSIONS:
            return asked
        name = f"holds_{len(self.columns)}"
        self.columns.append("bool_or(" + asked + f") AS {name}")
        return Sql(name)


_GROUPED = f"""session_id, coalesce(arg_max(session_name, created_at), '') AS session_name, min(created_at) AS created_at,
    max(created_at) AS latest_request_created_at, coalesce(sum(cost_usd), 0) AS total_cost, count(*) AS total_requests,
    coalesce(sum(prompt_tokens), 0) AS prompt_tokens, coalesce(sum(completion_tokens), 0) AS completion_tokens,
    coalesce(sum({TOTAL}), 0) AS total_tokens, avg(latency_ms) AS avg_latency,
    list_sort(list(DISTINCT user_id) FILTER (user_id IS NOT NULL)) AS user_ids"""
_TAGS = """SELECT session_id, arg_max(tag, {given: given_at, id: feedback_id}) AS tag FROM feedback
    WHERE session_id IS NOT NULL AND tag IS NOT NULL GROUP BY session_id"""
_SHOWN = """created_at, latest_request_created_at, session_id, session_name, total_cost, total_requests, prompt_tokens, completion_tokens,
    total_tokens, avg_latency, coalesce(user_ids, []) AS user_ids, nullif(tag, '') AS session_tag"""


def _sessions(said: Any, span: Sql, calls: Sequence[Sql]) -> Sql:
    """Sessions with their figures. Raises BadFilter."""
    split = Split(read(said, OF_A_SESSION), span)
    where = all_of([Sql("session_id IS NOT NULL"), span, *calls, split.calls])
    columns = joined(", ", [Sql(_GROUPED), *split.columns])
    grouped = "SELECT " + columns + " FROM calls WHERE " + where + " GROUP BY session_id"
    return "SELECT * FROM (" + grouped + f") LEFT JOIN ({_TAGS}) USING (session_id) WHERE " + split.sessions


def _chosen(body: Sessions) -> Sql:
    found = joined(" OR ", (_contains(column, body.search) for column in ("session_id", "session_name", "session_path")))
    named = EVERY if body.name_equals is None else "coalesce(session_name, '') = " + value(body.name_equals)
    return _sessions(body.filter, _times(body.time_filter), [found if body.search else EVERY, named])


def _named(body: SessionNames) -> Sql:
    named = _contains("coalesce(session_name, '')", body.name_contains) if body.name_contains else EVERY
    return _sessions(body.filter, _times(body.time_filter), [named])


@router.post("/v1/session/query", summary="Sessions")
async def query(body: SessionPage, request: Request) -> Response:
    """Those that began last first."""
    page = " ORDER BY created_at DESC, session_id LIMIT " + value(body.limit) + " OFFSET " + value(body.offset)
    return data(await rows(request, f"SELECT {_SHOWN} FROM (" + _chosen(body) + ")" + page, organization=asker(request)))


@router.post("/v1/session/count", summary="How many sessions, and what is usual of them")
async def count(body: SessionPage, request: Request) -> Response:
    """Offset and limit are not read."""
    sql = """SELECT count(*) AS count, coalesce(sum(total_cost), 0) AS total_cost, avg(total_cost) AS avg_cost,
        avg(avg_latency) AS avg_latency, avg(total_requests) AS avg_requests FROM ("""
    [row] = await rows(request, sql + _chosen(body) + ")", organization=asker(request))
    return data(row)


@router.post("/v1/session/name/query", summary="Names of sessions")
async def names(body: SessionNames, request: Request) -> Response:
    """At most 50, those used last first."""
    sql = """SELECT session_name AS name, min(created_at) AS created_at, max(latest_request_created_at) AS last_used,
        min(created_at) AS first_used, count(*) AS session_count, avg(avg_latency) AS avg_latency FROM ("""
    page = ") GROUP BY session_name ORDER BY last_used DESC, name LIMIT " + value(MOST_NAMES)
    return data(await rows(request, sql + _named(body) + page, organization=asker(request)))


FIGURES = {
    "session_count": "total_requests",
    "session_duration": "date_diff('millisecond', created_at, latest_request_created_at) / 1000",
    "session_cost": "total_cost",
}
"""Calls of a session, seconds from its first call to its last, USD."""


@router.post("/v1/session/metrics/query", summary="How sessions are spread by calls, duration and cost")
async def metrics(body: SessionNames, request: Request) -> Response:
    """Bars of calls, seconds and USD of a session, and the mean of each."""
    organization = asker(request)
    columns = ", ".join(f"{sql} AS {name}" for name, sql in FIGURES.items())
    figures = f"SELECT {columns} FROM (" + _named(body) + ")"
    bars = await rows(request, spread(figures, FIGURES, body.quantile, interquartile=body.interquartile), organization=organization)
    means = ", ".join(f"avg({name}) AS {name}" for name in FIGURES)
    [mean] = await rows(request, f"SELECT {means} FROM (" + figures + ")", organization=organization)
    average = {name: [] if mean[name] is None else [{"average": mean[name]}] for name in FIGURES}
    return data({**{name: bars_of(bars, name) for name in FIGURES}, "average": average})
