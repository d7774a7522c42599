"""Prompts, written as Helicone's API has it under `prompt-2025`: made, renamed, tagged, given versions and environments, deleted."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, Field, WithJsonSchema

from eventlog.keys import Scope
from storage.rest.bodies import Body, nullable
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data
from storage.rest.prompt_desk import Asked, asked, changing
from storage.rest.prompts import Named, PromptKey, VersionKey

BODY_BYTES = 512 << 10
"""Of a prompt's body as JSON; it is on the log in one message."""
MOST_TAGS = 100


def _body(said: dict[str, Any]) -> dict[str, Any]:
    messages = said.get("messages", [])
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise ValueError("messages must be a list of objects")
    return said


Name = Annotated[str, Field(min_length=1, max_length=1000)]
Tags = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=MOST_TAGS)]
Message = Annotated[str, Field(alias="commitMessage", max_length=10_000, description="What is said of it.")]
ENVIRONMENT = r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}$"
Environment = Annotated[
    str,
    Field(
        pattern=ENVIRONMENT,
        description="Letters, digits, `_`, `.`, `-` and blanks.",
        examples=["production"],
    ),
]
PromptBody = Annotated[
    dict[str, Any],
    AfterValidator(_body),
    WithJsonSchema(
        {
            "type": "object",
            "description": f"What is sent to a model, with `{{{{hc:name:type}}}}` where inputs go; at most {BODY_BYTES >> 10} KiB.",
            "example": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Greet {{hc:name:string}}."}]},
        }
    ),
]


class NewPrompt(Body):
    name: Name
    tags: Tags = Field(default=[])
    body: PromptBody = Field(alias="promptBody")


class NewName(Body):
    name: Name


class NewTags(Body):
    tags: Tags


class Versioned(Body):
    prompt: Named = Field(alias="promptId")
    version: Named = Field(alias="promptVersionId")


class NewVersion(Versioned):
    """One that is made of another."""

    major: bool = Field(alias="newMajorVersion", description="Whether it is the first of a new major version.")
    environment: Annotated[
        Environment | None, nullable("string", pattern=ENVIRONMENT, description="It stands for the new version then.")
    ] = None
    message: Message
    body: PromptBody = Field(alias="promptBody")


class Placed(Versioned):
    environment: Environment


router = APIRouter(
    route_class=Enveloped,
    tags=["prompts"],
    responses={
        **ANSWERS,
        404: ANSWERS[400] | {"description": "There is no such prompt, or version."},
        413: ANSWERS[400] | {"description": "The prompt's body is too large."},
    },
)


@router.post("/v1/prompt-2025", status_code=201, summary="Make a prompt")
async def create(body: NewPrompt, request: Request) -> Response:
    """With version 1.0, which `production` stands for."""
    desk, kept = _writer(request), _as_kept(body.body)
    with changing():
        first = await desk.changes.create(desk.organization, body.name, _tags(body.tags), kept, _model(body.body))
    return data({"id": first.prompt, "versionId": first.id}, 201)


@router.post("/v1/prompt-2025/update", summary="Give a prompt a version")
async def update(body: NewVersion, request: Request) -> Response:
    """The next minor one of the version that is named, or the first of the next major one. What a version says never changes."""
    desk, kept = _writer(request), _as_kept(body.body)
    prompt = desk.prompt(body.prompt)
    base = desk.version(body.version, prompt)
    with changing():
        made = await desk.changes.add(
            prompt, base, major=body.major, message=body.message, body=kept, model=_model(body.body), environment=body.environment
        )
    return data({"id": made.id})


@router.post("/v1/prompt-2025/update/environment", summary="Have an environment stand for a version")
async def place(body: Placed, request: Request) -> Response:
    """And for no other of its prompt."""
    desk = _writer(request)
    version = desk.version(body.version, desk.prompt(body.prompt))
    with changing():
        await desk.changes.place(version, body.environment)
    return data(None)


@router.post("/v1/prompt-2025/remove/environment", summary="Have an environment stand for a version no longer")
async def displace(body: Placed, request: Request) -> Response:
    desk = _writer(request)
    version = desk.version(body.version, desk.prompt(body.prompt))
    if body.environment not in desk.library.environments(version):
        raise Wrong(f"The environment {body.environment} does not stand for this version.", 404)
    with changing():
        await desk.changes.displace(version, body.environment)
    return data(None)


async def rename(prompt_id: PromptKey, body: NewName, request: Request) -> Response:
    desk = _writer(request)
    with changing():
        await desk.changes.rename(desk.prompt(prompt_id), body.name)
    return data(None)


for method, last in (("POST", "rename"), ("PATCH", "name")):
    router.add_api_route(f"/v1/prompt-2025/id/{{promptId}}/{last}", rename, methods=[method], summary="Rename a prompt")


@router.patch("/v1/prompt-2025/id/{promptId}/tags", summary="Set a prompt's tags")
async def tag(prompt_id: PromptKey, body: NewTags, request: Request) -> Response:
    """In the place of those that it has. It answers them."""
    desk, tags = _writer(request), _tags(body.tags)
    with changing():
        await desk.changes.tag(desk.prompt(prompt_id), tags)
    return data(tags)


@router.delete("/v1/prompt-2025/{promptId}", summary="Delete a prompt")
async def delete(prompt_id: PromptKey, request: Request) -> Response:
    """With all its versions. Calls that name it keep what they say."""
    desk = _writer(request)
    with changing():
        await desk.changes.delete(desk.prompt(prompt_id))
    return data(None)


@router.delete("/v1/prompt-2025/{promptId}/{promptVersionId}", summary="Delete a version")
async def delete_version(prompt_id: PromptKey, version_id: VersionKey, request: Request) -> Response:
    """Environments that stand for it, `production` too, stand for nothing then. Its number is not given again."""
    desk = _writer(request)
    version = desk.version(version_id, desk.prompt(prompt_id))
    with changing():
        await desk.changes.delete_version(version)
    return data(None)


def _writer(request: Request) -> Asked:
    return asked(request, Scope.WRITE)


def _tags(said: list[str]) -> list[str]:
    """Each once, in their order."""
    return list(dict.fromkeys(each.strip() for each in said if each.strip()))


def _model(body: dict[str, Any]) -> str:
    said = body.get("model")
    return said if isinstance(said, str) else ""


def _as_kept(body: dict[str, Any]) -> bytes:
    """Raises Wrong."""
    try:
        kept = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise Wrong("promptBody holds half of a character, a number that is none in JSON, or is nested too deeply.", 422) from None
    if len(kept) > BODY_BYTES:
        raise Wrong(f"promptBody takes {len(kept)} bytes as JSON; {BODY_BYTES} may be kept. Leave out what the call can add.", 413)
    return kept
