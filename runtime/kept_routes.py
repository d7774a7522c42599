"""Queries that are saved and properties that are hidden, over HTTP, as Helicone's API has them; each organization's own."""

from collections.abc import Set
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from eventlog.control import Decided, decide, retract
from eventlog.events import Organization
from eventlog.kept import HiddenProperty, SavedQuery
from eventlog.keys import Scope
from runtime.decider import Decider
from runtime.deciding import Control
from runtime.moments import now
from storage.api import caller_of
from storage.rest.bodies import Body, Nothing
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data

MOST_QUERIES, MOST_HIDDEN = 200, 1000
"""Of one organization; everybody who follows what is decided has them in memory."""
MOST_SQL = 20_000

Key = Annotated[str, Path(max_length=1000)]


class Saved(Body):
    """SQL under a name."""

    name: str = Field(min_length=1, max_length=200)
    sql: str = Field(min_length=1, max_length=MOST_SQL)


class Ids(Body):
    ids: list[str] = Field(max_length=MOST_QUERIES)


class Hidden(Body):
    key: str = Field(min_length=1, max_length=1000, description="A property, such as `feature`.")


def kept_routes(control: Control) -> APIRouter:
    """What this process knows, and what is decided on the control topic."""
    routes = APIRouter(route_class=Enveloped, responses=ANSWERS)
    decider = Decider(control, again="Ask for the list before sending it again: it may have been decided.")
    _add_reading(routes, decider)
    _add_saving(routes, decider)
    _add_hiding(routes, decider)
    return routes


def hidden_in(known: Decided, organization: Organization | None) -> Set[str]:
    """Keys that this organization hides."""
    return {each.key for each in known.hidden_properties if each.organization == organization}


def _add_reading(routes: APIRouter, decider: Decider) -> None:
    @routes.get("/v1/helicone-sql/saved-queries", summary="Saved queries", tags=["sql"])
    async def listed(request: Request) -> Response:
        """The one changed last first."""
        kept = _queries(decider.known(), _organization(request, Scope.READ))
        return data([_shown(each) for each in sorted(kept.values(), key=lambda each: each.updated_at, reverse=True)])

    @routes.get("/v1/helicone-sql/saved-query/{id}", summary="One saved query", tags=["sql"])
    async def one(id: Key, request: Request) -> Response:  # noqa: A002 the name in the path
        """Its name and its SQL."""
        return data(_shown(_found(decider.known(), _organization(request, Scope.READ), id)))


def _add_saving(routes: APIRouter, decider: Decider) -> None:
    @routes.post("/v1/helicone-sql/saved-query", summary="Save a query", tags=["sql"])
    async def save(said: Saved, request: Request) -> Response:
        """A name may be used once: 409."""
        organization, at = _organization(request), now()
        async with decider.deciding() as (log, decided):
            _check_name(decided, organization, said.name)
            if len(_queries(decided, organization)) >= MOST_QUERIES:
                raise Wrong(f"There are {MOST_QUERIES} saved queries already; delete one first.", 409)
            query = SavedQuery(id=str(uuid4()), organization=organization, name=said.name, sql=said.sql, created_at=at, updated_at=at)
            await decide(log, [query])
        await decider.heard(lambda known: query.id in known.saved_queries)
        return data(_shown(query))

    @routes.put("/v1/helicone-sql/saved-query/{id}", summary="Change a saved query", tags=["sql"])
    async def change(id: Key, said: Saved, request: Request) -> Response:  # noqa: A002 the name in the path
        """Its name, its SQL, or both."""
        organization, at = _organization(request), now()
        async with decider.deciding() as (log, decided):
            before = _found(decided, organization, id)
            if said.name != before.name:
                _check_name(decided, organization, said.name)
            query = SavedQuery(id=id, organization=organization, name=said.name, sql=said.sql, created_at=before.created_at, updated_at=at)
            await decide(log, [query])
        await decider.heard(lambda known: known.saved_queries.get(id) == query)
        return data(_shown(query))

    @routes.delete("/v1/helicone-sql/saved-query/{id}", summary="Delete a saved query", tags=["sql"])
    async def remove(id: Key, request: Request) -> Response:  # noqa: A002 the name in the path
        """404 where there is none."""
        return await _remove(decider, _organization(request), [id])

    @routes.post("/v1/helicone-sql/saved-queries/bulk-delete", summary="Delete saved queries", tags=["sql"])
    async def remove_all(said: Ids, request: Request) -> Response:
        """All of them, or, where there is one that is not, none."""
        return await _remove(decider, _organization(request), said.ids)


async def _remove(decider: Decider, organization: Organization, ids: list[str]) -> Response:
    async with decider.deciding() as (log, decided):
        await retract(log, [_found(decided, organization, each) for each in ids])
    await decider.heard(lambda known: not known.saved_queries.keys() & set(ids))
    return data(None)


def _add_hiding(routes: APIRouter, decider: Decider) -> None:
    @routes.post("/v1/property/hide", summary="Hide a property", tags=["properties"])
    async def hide(said: Hidden, request: Request) -> Response:
        """`POST /v1/property/query` leaves it out. Calls keep it."""
        hidden = HiddenProperty(organization=_organization(request), key=said.key.lower())
        async with decider.deciding() as (log, decided):
            if len(hidden_in(decided, hidden.organization)) >= MOST_HIDDEN:
                raise Wrong(f"There are {MOST_HIDDEN} hidden properties already; show one again first.", 409)
            await decide(log, [hidden])
        await decider.heard(lambda known: hidden in known.hidden_properties)
        return data(None)

    @routes.post("/v1/property/restore", summary="Show a hidden property again", tags=["properties"])
    async def restore(said: Hidden, request: Request) -> Response:
        """Nothing happens to one that is not hidden."""
        hidden = HiddenProperty(organization=_organization(request), key=said.key.lower())
        async with decider.deciding() as (log, _):
            await retract(log, [hidden])
        await decider.heard(lambda known: hidden not in known.hidden_properties)
        return data(None)

    @routes.post("/v1/property/hidden/query", summary="Hidden properties", tags=["properties"])
    async def listed(body: Nothing, request: Request) -> Response:
        """Their keys, in order."""
        hidden = hidden_in(decider.known(), _organization(request, Scope.READ))
        return data([{"property": key} for key in sorted(hidden)])


def _organization(request: Request, scope: Scope = Scope.WRITE) -> Organization:
    """Raises Refused."""
    return caller_of(request, scope).organization


def _queries(known: Decided, organization: Organization) -> dict[str, SavedQuery]:
    return {each.id: each for each in known.saved_queries.values() if each.organization == organization}


def _found(known: Decided, organization: Organization, key: str) -> SavedQuery:
    """Raises Wrong."""
    query = _queries(known, organization).get(key)
    if query is None:
        raise Wrong("Saved query not found", 404)
    return query


def _check_name(known: Decided, organization: Organization, name: str) -> None:
    """Raises Wrong."""
    if any(each.name == name for each in _queries(known, organization).values()):
        raise Wrong(f"There is a saved query named {name!r} already; choose another name, or change that one.", 409)


def _shown(query: SavedQuery) -> dict[str, Any]:
    return {
        "id": query.id,
        "organization_id": query.organization,
        "name": query.name,
        "sql": query.sql,
        "created_at": query.created_at.isoformat(),
        "updated_at": query.updated_at.isoformat(),
    }
