"""Properties: which keys there are, which values, and what calls with them cost."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Callable, Set
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from eventlog.events import Organization
from storage.rest.asking import asker, rows
from storage.rest.bodies import Body, Nothing, OverTime, TimeFilter, within
from storage.rest.envelope import ANSWERS, Enveloped, data
from storage.rest.fields import PROPERTIES
from storage.rest.sql import EVERY, Sql, all_of, value

router = APIRouter(route_class=Enveloped, tags=["properties"], responses=ANSWERS)

MOST_VALUES = 1000
MOST_SHOWN = 10

Key = Annotated[str, Path(description="A property, such as `feature`.", max_length=1000)]


class Search(Body):
    term: str = Field(default="", alias="searchTerm", max_length=1000, description="Part of the value.")


class Span(Body):
    time_filter: TimeFilter = Field(default=TimeFilter(), alias="timeFilter")


class PropertyOverTime(OverTime):
    key: str = Field(alias="propertyKey", max_length=1000)


def hidden_of(request: Request, organization: Organization | None) -> Set[str]:
    """Keys that lists leave out; who made the app says how they are known."""
    hidden: Callable[[Organization | None], Set[str]] = getattr(request.app.state, "hidden_properties", lambda _: frozenset())
    return hidden(organization)


def _value(key: str) -> Sql:
    return PROPERTIES.at(key).sql


@router.post("/v1/property/query", summary="Keys of properties")
async def query(body: Nothing, request: Request) -> Response:
    """Those of any call, in order, but for those that are hidden."""
    question = Sql("SELECT DISTINCT unnest(map_keys(properties)) AS property FROM calls ORDER BY property")
    organization = asker(request)
    hidden = hidden_of(request, organization)
    return data([row for row in await rows(request, question, organization=organization) if row["property"] not in hidden])


@router.post("/v1/property/{key}/search", summary="Values of a property")
async def search(key: Key, body: Search, request: Request) -> Response:
    """Those that have the term in them, the most frequent first; at most 1,000."""
    term = EVERY if not body.term else "contains(lower(value), lower(" + value(body.term) + "))"
    found = "SELECT " + _value(key) + " AS value FROM calls"
    question = "SELECT value FROM (" + found + ") WHERE value IS NOT NULL AND " + term
    page = " GROUP BY value ORDER BY count(*) DESC, value LIMIT " + value(MOST_VALUES)
    return data([row["value"] for row in await rows(request, question + page, organization=asker(request))])


@router.post("/v1/property/{key}/top-costs/query", summary="The dearest values of a property")
async def top_costs(key: Key, body: Span, request: Request) -> Response:
    """Ten of them, with what their calls cost, USD."""
    return await _top(request, key, body, "coalesce(sum(cost_usd), 0) AS cost")


@router.post("/v1/property/{key}/top-requests/query", summary="The most frequent values of a property")
async def top_requests(key: Key, body: Span, request: Request) -> Response:
    """Ten of them, with how many calls have them."""
    return await _top(request, key, body, "count(*) AS count")


async def _top(request: Request, key: str, body: Span, figure: str) -> Response:
    found = "SELECT " + _value(key) + " AS value, cost_usd FROM calls WHERE " + within(body.time_filter)
    question = f"SELECT value, {figure} FROM (" + found + ") WHERE value IS NOT NULL GROUP BY value ORDER BY 2 DESC, value LIMIT "
    return data(await rows(request, question + value(MOST_SHOWN), organization=asker(request)))


@router.post("/v1/property/properties/over-time", summary="Calls and cost over time, by the values of a property")
async def over_time(body: PropertyOverTime, request: Request) -> Response:
    """One row for each step and value."""
    said = all_of([body.where(), Sql("property IS NOT NULL")])
    found = "SELECT *, " + _value(body.key) + " AS property FROM calls"
    question = (
        "SELECT property, coalesce(sum(cost_usd), 0) AS total_cost, count(*) AS request_count, " + body.step() + " AS created_at_trunc"
    )
    grouped = " GROUP BY property, created_at_trunc ORDER BY created_at_trunc, property"
    return data(await rows(request, question + " FROM (" + found + ") calls WHERE " + said + grouped, organization=asker(request)))
