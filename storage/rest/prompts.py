"""Prompts, asked for as Helicone's API has it under `prompt-2025`: listed, their versions, by environment, and a version's body by a link.

Paths and shapes are those of its OpenAPI document and docs (read 2026-11). What there is none of is 404 here, and 500 there.
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import Raw
from pydantic import Field

from eventlog.events import Organization
from eventlog.prompts import PRODUCTION, PromptVersion
from eventlog.prompts_kept import PromptsKept
from storage.rest.asking import rows
from storage.rest.bodies import Body, nullable
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data, failed, plain
from storage.rest.links import links_of
from storage.rest.prompt_desk import LINK, NO_VERSION, asked, kept_here, told, version_told
from storage.rest.sql import value

MOST = 1000
Named = Annotated[str, Field(max_length=1000)]
PromptKey = Annotated[str, Path(alias="promptId", description="A prompt's id.", max_length=1000)]
VersionKey = Annotated[str, Path(alias="promptVersionId", description="A version's id, a UUID.", max_length=1000)]


class PromptQuery(Body):
    """Which prompts, which page of them."""

    search: Named = Field(default="", description="Part of a name, in any case.")
    tags: list[Named] = Field(default=[], alias="tagsFilter", description="With one of these tags; empty: whatever theirs.")
    page: int = Field(default=0, ge=0, le=2**53, description="From 0.")
    page_size: int = Field(default=50, alias="pageSize", ge=1, le=MOST)


class OfPrompt(Body):
    prompt: Named = Field(alias="promptId")


class OfVersion(Body):
    version: Named = Field(alias="promptVersionId")


class VersionsQuery(OfPrompt):
    major: Annotated[int | None, nullable("integer", description="Of this one alone.")] = Field(default=None, alias="majorVersion")


class OfEnvironment(OfPrompt):
    environment: Named


router = APIRouter(route_class=Enveloped, tags=["prompts"], responses={**ANSWERS, 404: ANSWERS[400] | {"description": "There is none."}})


@router.get("/v1/prompt-2025/id/{promptId}", summary="One prompt")
async def one(prompt_id: PromptKey, request: Request) -> Response:
    return data(told(asked(request).prompt(prompt_id)))


@router.post("/v1/prompt-2025/query", summary="Prompts by name and tag")
async def query(body: PromptQuery, request: Request) -> Response:
    """Newest first."""
    desk, tags = asked(request), set(body.tags)
    found = [
        each
        for each in desk.library.prompts(desk.organization)
        if body.search.casefold() in each.name.casefold() and (not tags or not tags.isdisjoint(each.tags))
    ]
    first = body.page * body.page_size
    return data([told(each) for each in found[first : first + body.page_size]])


@router.get("/v1/prompt-2025/count", summary="How many prompts there are")
async def count(request: Request) -> Response:
    desk = asked(request)
    return data(len(desk.library.prompts(desk.organization)))


@router.get("/v1/prompt-2025/tags", summary="The tags of all prompts")
async def tags(request: Request) -> Response:
    desk = asked(request)
    return data(sorted({tag for prompt in desk.library.prompts(desk.organization) for tag in prompt.tags}))


@router.get("/v1/prompt-2025/environments", summary="The environments of all prompts")
async def environments(request: Request) -> Response:
    desk = asked(request)
    versions = [version for prompt in desk.library.prompts(desk.organization) for version in desk.library.versions(prompt)]
    return data(sorted({name for version in versions for name in desk.library.environments(version)}))


@router.post("/v1/prompt-2025/query/versions", summary="The versions of a prompt")
async def versions(body: VersionsQuery, request: Request) -> Response:
    """Newest first."""
    desk = asked(request)
    found = desk.library.versions(desk.prompt(body.prompt))
    return data([version_told(each, desk.library, request) for each in found if body.major in (None, each.major)])


@router.post("/v1/prompt-2025/query/total-versions", summary="How many versions a prompt has")
async def totals(body: OfPrompt, request: Request) -> Response:
    desk = asked(request)
    found = desk.library.versions(desk.prompt(body.prompt))
    return data({"totalVersions": len(found), "majorVersions": len({each.major for each in found})})


def _version_routes(root: str, *, bodied: bool, summary: str) -> None:
    """One version, found in three ways."""

    async def answered(found: PromptVersion, kept: PromptsKept, request: Request) -> Response:
        body = await _body(found, kept) if bodied else None
        return data(version_told(found, kept.library, request, body))

    async def at(prompt: str, environment: str, request: Request) -> Response:
        desk = asked(request)
        found = desk.library.at(desk.prompt(prompt), environment)
        if found is None:
            raise Wrong(f"Prompt {environment} version not found", 404)
        return await answered(found, desk.kept, request)

    @router.post(f"{root}/query/version", summary=f"A version{summary}")
    async def version(body: OfVersion, request: Request) -> Response:
        desk = asked(request)
        return await answered(desk.version(body.version), desk.kept, request)

    @router.post(f"{root}/query/production-version", summary=f"The version in production{summary}")
    async def production(body: OfPrompt, request: Request) -> Response:
        return await at(body.prompt, PRODUCTION, request)

    @router.post(f"{root}/query/environment-version", summary=f"The version that an environment stands for{summary}")
    async def environment(body: OfEnvironment, request: Request) -> Response:
        return await at(body.prompt, body.environment, request)


_version_routes("/v1/prompt-2025", bodied=False, summary="")
_version_routes("/v2/prompt-2025", bodied=True, summary=", and its body")


@router.get("/v1/prompt-2025/{promptVersionId}/prompt-body", summary="A version's body")
async def body_of(version_id: VersionKey, request: Request) -> Response:
    desk = asked(request)
    return data(Raw(await _body(desk.version(version_id), desk.kept)))


@router.get(LINK.format("{promptVersionId}"), summary="A version's body, by a signed link")
async def linked(version_id: VersionKey, request: Request) -> Response:
    """The link is the `s3_url` of a version; it opens for a day, without a key."""
    said = dict(request.query_params)
    if not links_of(request).opens(LINK.format(version_id), said):
        return failed("This link has ended, or is none of ours. Ask for the version again.", 403)
    kept = kept_here(request)
    found = kept.library.version(Organization(said["organization"]), version_id)
    if found is None:
        return failed(NO_VERSION, 404)
    return plain(Raw(await _body(found, kept)))


@router.get("/v1/prompt-2025/id/{promptId}/{promptVersionId}/inputs", summary="What was filled into a version for a call")
async def inputs(
    prompt_id: PromptKey,
    version_id: VersionKey,
    request: Request,
    request_id: Annotated[str, Query(alias="requestId", description="The call's request id.", max_length=1000)],
) -> Response:
    """As the call said with `Helicone-Prompt-Id` and `-Version`, which is the version's id or its number, such as 1.2."""
    desk = asked(request)
    version = desk.version(version_id, desk.prompt(prompt_id))
    wanted = (
        "prompt_id = " + value(version.prompt) + " AND prompt_version IN (" + value(version.id) + ", " + value(str(version.number)) + ")"
    )
    its = "request_id = " + value(request_id.lower()) + " AND " + wanted
    question = "SELECT prompt_inputs FROM calls WHERE " + its + " ORDER BY created_at DESC LIMIT 1"
    found = await rows(request, question, organization=desk.organization)
    if not found:
        raise Wrong("Prompt inputs not found", 404)
    shown: dict[str, Any] = {"request_id": request_id, "version_id": version.id, "inputs": found[0]["prompt_inputs"] or {}}
    return data({**shown, "environment": None})


async def _body(version: PromptVersion, kept: PromptsKept) -> bytes:
    """Raises Wrong."""
    found = await asyncio.to_thread(kept.body, version)
    if found is None:
        raise Wrong("The body cannot be read now; the server's log says why.", 503)
    return found
