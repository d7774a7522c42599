"""Calls by filter, by id, counted; what was filled into a call's prompt; and a call's bodies behind a signed link."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from eventlog.events import Organization
from storage.rest.asking import asker, rows
from storage.rest.bodies import Body, Filter, nullable
from storage.rest.envelope import ANSWERS, Enveloped, data, failed, plain
from storage.rest.fields import OF_A_CALL
from storage.rest.filter_sql import condition
from storage.rest.filter_tree import read
from storage.rest.links import links_of
from storage.rest.request_page import MOST, NEWEST, check_limit, cursor_of, page, place_of, sort_of
from storage.rest.request_rows import NOT_ASKED_FOR, bodies_of, judgements_of, rows_of, sides_of, told
from storage.rest.sql import Row, Sql, all_of, value, values

LINK = "/v1/request/{}/bodies"
SCORED = Sql("cardinality(scores) > 0 OR rating IS NOT NULL")


class RequestQuery(Body):
    """Which calls, in which order, which page of them."""

    filter: Filter = "all"
    offset: int = Field(default=0, ge=0, le=2**53, description="Calls that are passed over.")
    limit: int = Field(default=10, description=f"Calls of a page, 0 to {MOST}.")
    sort: Annotated[dict[str, Any] | None, nullable("object", example={"created_at": "desc"})] = None
    cursor: Annotated[str | None, nullable("string", description="Where the page before ended, as it said; new calls do not move it.")] = (
        None
    )
    is_scored: Annotated[bool | None, nullable("boolean", description="With a score or a rating, or without.")] = Field(
        None, alias="isScored"
    )
    is_cached: Annotated[bool | None, nullable("boolean", description="Not read; filter by `cached`.")] = Field(None, alias="isCached")
    include_inputs: bool = Field(default=False, alias="includeInputs", description="What was filled into the prompt, too.")
    is_part_of_experiment: Annotated[bool | None, nullable("boolean", description="True finds none: there are no experiments.")] = Field(
        None, alias="isPartOfExperiment"
    )


class RequestIds(Body):
    request_ids: list[Annotated[str, Field(max_length=1000)]] = Field(alias="requestIds", max_length=MOST)


RequestKey = Annotated[str, Path(description="A request id, or a call id.", max_length=1000)]


def where(body: RequestQuery) -> Sql:
    """The condition that a call must meet. Raises BadFilter."""
    conditions = [condition(read(body.filter, OF_A_CALL))]
    if body.is_scored is not None:
        conditions.append(SCORED if body.is_scored else "NOT (" + SCORED + ")")
    if body.is_part_of_experiment:
        conditions.append(Sql("false"))
    return all_of(conditions)


router = APIRouter(route_class=Enveloped, tags=["requests"], responses=ANSWERS)


async def query(body: RequestQuery, request: Request) -> Response:
    """Calls that a filter is for, as Helicone's API tells them; `cursor` names the next page."""
    organization = asker(request)
    check_limit(body.limit, MOST)
    sort = sort_of(body.sort)
    after = None if body.cursor is None else place_of(body.cursor, sort)
    found = await rows(request, page(where(body), sort, limit=body.limit, offset=body.offset, after=after), organization=organization)
    more = len(found) == body.limit > 0 and not sort.random
    cursor = cursor_of(sort, found[-1]["key"], found[-1]["call_id"]) if more else None
    shown = await _shown(request, found, organization, inputs=body.include_inputs)
    return data(shown, 201, cursor=cursor)


for path in ("/v1/request/query", "/v1/request/query-clickhouse"):
    router.add_api_route(path, query, methods=["POST"], status_code=201, summary="Calls by filter")


@router.post("/v1/request/count/query", summary="How many calls a filter is for")
async def count(body: RequestQuery, request: Request) -> Response:
    """Sort, offset and limit are not read."""
    organization = asker(request)
    [row] = await rows(request, "SELECT count(*) AS calls FROM calls WHERE " + where(body), organization=organization)
    return data(row["calls"])


@router.post("/v1/request/query-ids", summary="Calls by their request ids")
async def query_ids(body: RequestIds, request: Request) -> Response:
    """Those that there are, newest first."""
    organization = asker(request)
    if not body.request_ids:
        return data([])
    wanted = "request_id IN " + values(dict.fromkeys(each.lower() for each in body.request_ids))
    found = await rows(request, page(wanted, NEWEST, limit=MOST, offset=0, after=None), organization=organization)
    return data(await _shown(request, found, organization))


@router.get("/v1/request/{id}", summary="One call")
async def one(
    id: RequestKey,  # noqa: A002 the name in the path
    request: Request,
    include_body: Annotated[bool, Query(alias="includeBody", description="Its bodies, too.")] = False,
) -> Response:
    """Of several calls with a request id, the newest."""
    organization = asker(request)
    found = await rows(request, _by_key(id), organization=organization)
    if not found:
        return failed("Request not found", 404)
    [shown] = await _shown(request, found, organization, bodies=include_body)
    return data(shown)


@router.get("/v1/request/{id}/inputs", summary="What was filled into a call's prompt")
async def inputs(id: RequestKey, request: Request) -> Response:  # noqa: A002 the name in the path
    """Null where the call names no prompt."""
    organization = asker(request)
    found = await rows(request, _by_key(id), organization=organization)
    if not found:
        return failed("Request not found", 404)
    [row] = await rows(request, rows_of(found), organization=organization)
    if row["prompt_id"] is None and not row["prompt_inputs"]:
        return data(None)
    named = {"prompt_id": row["prompt_id"], "version_id": row["prompt_version"], "environment": None}
    return data({"inputs": row["prompt_inputs"] or {}, **named})


@router.post("/v1/request/{id}/assets/{asset}", summary="Not kept apart")
async def assets(id: RequestKey, asset: str, request: Request) -> Response:  # noqa: A002 the name in the path
    """Images and files of a call stand in its bodies."""
    asker(request)
    return failed("Assets are not kept apart: what was sent stands in the call's bodies.", 404)


@router.get("/v1/request/{id}/bodies", summary="A call's bodies, by a signed link")
async def bodies(id: RequestKey, request: Request) -> Response:  # noqa: A002 the name in the path
    """The link is the `signed_body_url` of a call; it opens for a day, without a key."""
    said = dict(request.query_params)
    if not links_of(request).opens(LINK.format(id), said):
        return failed("This link has ended, or is none of ours. Ask for the call again.", 403)
    organization = Organization(said["organization"])
    found = await rows(request, _by_key(id), organization=organization)
    if not found:
        return failed("Request not found", 404)
    sides = sides_of(await rows(request, bodies_of(found, within=None), organization=organization))
    shown = sides.get(found[0]["call_id"], {})
    return plain({"request": shown.get("request"), "response": shown.get("response")})


def _by_key(key: str) -> Sql:
    same = "call_id = " + value(key)
    wanted = same + " OR request_id = " + value(key.lower())
    return "SELECT call_id, request_id, created_at FROM calls WHERE " + wanted + " ORDER BY created_at DESC, call_id DESC LIMIT 1"


async def _shown(
    request: Request, found: Sequence[Row], organization: Organization | None, *, bodies: bool = True, inputs: bool = False
) -> list[dict[str, Any]]:
    """A page's calls in its order."""
    if not found:
        return []
    questions = [rows_of(found), judgements_of(found), *([bodies_of(found)] if bodies else [])]
    answers = await asyncio.gather(*(rows(request, question, organization=organization) for question in questions))
    calls = {row["call_id"]: row for row in answers[0]}
    judged = {row["request_id"]: row for row in answers[1]}
    sides = sides_of(answers[2]) if bodies else {each["call_id"]: NOT_ASKED_FOR for each in found}
    return [_one(calls[each["call_id"]], judged, sides, request, inputs=inputs) for each in found if each["call_id"] in calls]


def _one(row: Row, judged: Mapping[str, Row], sides: Mapping[str, Mapping[str, Any]], request: Request, *, inputs: bool) -> dict[str, Any]:
    link = links_of(request).to(LINK.format(row["call_id"]), request, organization=row["organization"])
    shown = told(row, judged.get(row["request_id"]), sides.get(row["call_id"], {}), link)
    return {**shown, "inputs": row["prompt_inputs"] or {}} if inputs else shown
