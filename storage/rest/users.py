"""Users: calls that say the same `Helicone-User-Id`, with their times, tokens and cost."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from storage.rest.asking import asker, rows
from storage.rest.bodies import Body, Filter, nullable
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data
from storage.rest.fields import OF_A_USER, TOTAL, USERS
from storage.rest.filter_sql import condition
from storage.rest.filter_tree import Both, parts_of, read, tables_of
from storage.rest.histograms import Quantile, bars_of, spread
from storage.rest.request_page import check_limit, descends
from storage.rest.sessions import unix_times
from storage.rest.sql import EVERY, Sql, all_of, value, values

router = APIRouter(route_class=Enveloped, tags=["users"], responses=ANSWERS)

MOST = 1000
LATEST_S = 100_000_000_000
"""In the year 5138. What is more is milliseconds, which clients send under a name that says seconds."""


class UserTimes(Body):
    """From the one instant on, and before the other; seconds since 1970, or milliseconds."""

    start: Annotated[float | None, nullable("number")] = Field(None, alias="startTimeUnixSeconds")
    end: Annotated[float | None, nullable("number")] = Field(None, alias="endTimeUnixSeconds")


class Users(Body):
    user_ids: Annotated[list[str] | None, nullable("array", items={"type": "string"})] = Field(None, alias="userIds", max_length=MOST)
    time_filter: UserTimes = Field(default=UserTimes(), alias="timeFilter")


class UserMetrics(Body):
    """Which users: a filter may ask about their calls, and about themselves (`users_view`)."""

    filter: Filter = "all"
    offset: int = Field(default=0, ge=0, le=2**53)
    limit: int = Field(default=100, description=f"0 to {MOST}.")
    time_filter: UserTimes = Field(default=UserTimes(), alias="timeFilter")
    behind: int = Field(default=0, alias="timeZoneDifferenceMinutes", ge=-1440, le=1440, description="Not read: times are UTC.")
    sort: Annotated[dict[str, Any] | None, nullable("object", example={"cost": "desc"})] = None


class UserSpread(Body):
    filter: Filter = "all"
    quantile: Quantile = Field(default=Quantile.P75, alias="pSize", description="Bars go up to there.")
    interquartile: bool = Field(default=False, alias="useInterquartile", description="Bars leave out what is far from the middle half.")
    time_filter: UserTimes = Field(default=UserTimes(), alias="timeFilter")


def _times(said: UserTimes) -> Sql:
    start, end = (None if each is None else each if abs(each) > LATEST_S else each * 1000 for each in (said.start, said.end))
    return unix_times(start, end, ("startTimeUnixSeconds", "endTimeUnixSeconds"))


_FIGURES = f"""user_id, count(*) AS total_requests, min(created_at) AS first_active, max(created_at) AS last_active,
    count(DISTINCT created_at::DATE) AS active_for, count(*) / count(DISTINCT created_at::DATE) AS average_requests_per_day_active,
    avg({TOTAL}) AS average_tokens_per_request, coalesce(sum(completion_tokens), 0) AS total_completion_tokens,
    coalesce(sum(prompt_tokens), 0) AS total_prompt_tokens, coalesce(sum(cost_usd), 0) AS cost"""
SORTS = (
    *("user_id", "active_for", "first_active", "last_active", "total_requests", "average_requests_per_day_active"),
    *("average_tokens_per_request", "total_completion_tokens", "total_prompt_tokens", "cost"),
)


def _users(said: Any, times: Sql) -> Sql:
    """Users with their figures. What the filter asks of them, and of their calls, must hold of both. Raises BadFilter."""
    about = [(part, tables_of(part)) for part in parts_of(read(said, OF_A_USER))]
    if any(USERS in tables and len(tables) > 1 for _, tables in about):
        raise Wrong("filter asks about users and about their calls under one or; ask about them one by one")
    of_calls = condition(Both(tuple(part for part, tables in about if USERS not in tables)), within=times)
    calls = all_of([Sql("user_id IS NOT NULL"), times, of_calls])
    users = condition(Both(tuple(part for part, tables in about if USERS in tables)))
    return f"SELECT * FROM (SELECT {_FIGURES} FROM calls WHERE " + calls + " GROUP BY user_id) WHERE " + users


@router.post("/v1/user/query", summary="What users used")
async def query(body: Users, request: Request) -> Response:
    """All of them, or those that are named; the dearest first."""
    named = EVERY if not body.user_ids else "user_id IN " + values(body.user_ids)
    question = (
        """SELECT user_id, count(*) AS count, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
        coalesce(sum(completion_tokens), 0) AS completion_tokens, coalesce(sum(cost_usd), 0) AS cost FROM calls WHERE """
        + all_of([Sql("user_id IS NOT NULL"), named, _times(body.time_filter)])
        + " GROUP BY user_id ORDER BY cost DESC, user_id"
    )
    return data(await rows(request, question, organization=asker(request)))


@router.post("/v1/user/metrics/query", summary="Users with their figures, page by page")
async def metrics(body: UserMetrics, request: Request) -> Response:
    """`count` is of all users that the filter is for, `hasUsers` whether there is any at all."""
    organization = asker(request)
    check_limit(body.limit, MOST)
    chosen = _users(body.filter, _times(body.time_filter))
    page = f" ORDER BY {_sorted(body.sort)}, user_id LIMIT " + value(body.limit) + " OFFSET " + value(body.offset)
    found = await rows(request, "SELECT user_id AS id, * FROM (" + chosen + ")" + page, organization=organization)
    sql = "SELECT count(*) AS users, EXISTS (SELECT 1 FROM calls WHERE user_id IS NOT NULL) AS any FROM ("
    [counted] = await rows(request, sql + chosen + ")", organization=organization)
    return data({"users": found, "count": counted["users"], "hasUsers": counted["any"]})


def _sorted(said: Mapping[str, Any] | None) -> str:
    """Raises Wrong."""
    for name, way in (said or {}).items():
        if name not in SORTS:
            raise Wrong(f"sort.{name[:100]} cannot be sorted by; there are {', '.join(SORTS)}")
        return f"{name} {'desc' if descends(way, f'sort.{name}') else 'asc'}"
    return "last_active DESC"


@router.post("/v1/user/metrics-overview/query", summary="How users are spread by calls and cost")
async def overview(body: UserSpread, request: Request) -> Response:
    """Bars of calls and of USD of a user."""
    users = _users(body.filter, _times(body.time_filter))
    figures = "SELECT total_requests AS request_count, cost AS user_cost FROM (" + users + ")"
    names = ("request_count", "user_cost")
    bars = await rows(request, spread(figures, names, body.quantile, interquartile=body.interquartile), organization=asker(request))
    return data({name: bars_of(bars, name) for name in names})
