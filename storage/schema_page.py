"""The schemas of the topics over HTTP, for whoever consumes them: code generators, validators, people."""

from typing import Any

import msgspec
from fastapi import APIRouter, Response

from eventlog.schemas import NAMES, schema_json, summaries
from storage.api_errors import error_answers
from storage.refusal import Refusal, Refused

MEDIA = "application/schema+json"

router = APIRouter(prefix="/v1/schemas", tags=["topics"])

_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "A JSON Schema (2020-12) with an example.", "content": {MEDIA: {"schema": {"type": "object"}}}},
    **error_answers(404),
}


@router.get("", summary="The schemas of the topics")
async def schemas() -> dict[str, Any]:
    """A schema has the name of its topic, without the prefix that a cluster may ask for."""
    listed = [msgspec.to_builtins(each) | {"path": f"{router.prefix}/{each.name}"} for each in summaries()]
    return {"schemas": listed}


@router.get("/{name}", responses=_DOCUMENT, response_class=Response, summary="The schema of a topic's events")
async def schema(name: str) -> Response:
    """JSON Schema (2020-12) of one event, which is one line of a message."""
    if name not in NAMES:
        raise Refused(
            Refusal(
                code="unknown_schema",
                message=f"There is no schema {name[:100]!r}.",
                fix=f"The schemas are {', '.join(NAMES)}.",
                field="name",
                status=404,
            )
        )
    return Response(schema_json(name), media_type=MEDIA)
