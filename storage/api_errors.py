"""Every way a request of the query port can fail, as one JSON shape with a stable code."""

from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from storage.door import refusal_json
from storage.refusal import Refusal, Refused

log = structlog.get_logger()


def answer_of(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    return Response(refusal_json(refusal), refusal.status, headers, media_type="application/json")


def install_error_answers(app: FastAPI) -> None:
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)


def error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI description of an endpoint: the errors it may answer with."""
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    return {status: {"description": _TITLES[status], "content": {"application/json": {"schema": schema}}} for status in statuses}


_TITLES = {
    400: "The request cannot be answered as it is.",
    401: "No good key was sent.",
    403: "The key may not do this, or not for that organization.",
    404: "There is no such thing.",
    409: "It contradicts what there is.",
    413: "The body is too large.",
    415: "The body is no JSON by its content type.",
    422: "The answer would be too large, or a field is wrong.",
    503: "Too much is asked at once, or the lake or the log is away.",
    504: "The question took too long.",
}

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "fix"],
            "properties": {
                "code": {"type": "string", "description": "Stable; programs may branch on it."},
                "message": {"type": "string"},
                "field": {"type": "string", "nullable": True, "description": "The part of the request at fault."},
                "fix": {"type": "string", "description": "What to do."},
                "position": {"type": "integer", "description": "Where in the SQL, in characters from 0."},
            },
        }
    },
}


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 the handler of this class
    return answer_of(error.refusal)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 the handler of this class
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        message = f"The body is no JSON: {first.get('ctx', {}).get('error', 'it cannot be parsed')}."
        return answer_of(Refusal(code="invalid_json", message=message, fix="Send one JSON object.", field="body"))
    named = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] != "extra_forbidden":  # a field that nobody knows is called as the client calls it
        named = [part for part in named if "[" not in part]  # of several types that are taken, Pydantic names the one it tried
    field = ".".join(named) or "body"
    refusal = Refusal(
        code="invalid_field",
        message=f"{field}: {first['msg']}.",
        fix="Correct the field; /docs shows what is taken.",
        field=field,
        status=422,
    )
    return answer_of(refusal)


_UNPARSED = "There was an error parsing the body"
"""What FastAPI says of all that its JSON parser raises beside syntax errors."""


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 the handler of this class
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 404:
        refusal = Refusal(code="not_found", message="There is nothing at this path.", fix="/docs lists what there is.", status=404)
    elif error.status_code == 405:
        headers["allow"] = allowed = ", ".join(sorted(_methods_at(request)))
        fix = f"Use {allowed or 'another method'}."
        refusal = Refusal(code="method_not_allowed", message=f"{request.method} is not answered here.", fix=fix, status=405)
    elif error.status_code == 400 and error.detail == _UNPARSED:
        message = "The body cannot be read as JSON: it is no UTF-8, nested too deeply, or holds a number of too many digits."
        refusal = Refusal(code="bad_request", message=message, fix="Send one JSON object of plain values.", field="body")
    else:
        refusal = Refusal(code="bad_request", message=str(error.detail), fix="/docs shows what is taken.", status=error.status_code)
    return answer_of(refusal, headers)


def _methods_at(request: Request) -> set[str]:
    """Of all endpoints at the path: the first one alone would speak for itself."""
    matched = (route for route in _flat(request.app.routes) if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in matched for method in getattr(route, "methods", None) or ()}


def _flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Those of routers that were included, too; none of ours has a prefix."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from [route] if inner is None else _flat(inner.routes)


async def _bug(request: Request, error: Exception) -> Response:
    """A fault of ours. The client learns that it is one; the log learns which."""
    log.error("query_port_failed", path=request.url.path, error=type(error).__name__)
    return answer_of(
        Refusal(
            code="internal_error", message="Heliograph failed to answer.", fix="The server's log says why; please report it.", status=500
        )
    )
