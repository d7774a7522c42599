"""How every endpoint here answers: `{"data": …, "error": null}`; `{"data": null, "error": "…"}` with a status that says whose fault it is.

Shapes and statuses are those of Helicone's API (its OpenAPI document, read 2026-11). Where that answers 500 for what its caller did wrong,
here it is 400.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from storage.lacking import telling
from storage.refusal import Refused
from storage.rest.filter_tree import BadFilter

log = structlog.get_logger()

Handle = Callable[[Request], Coroutine[Any, Any, Response]]

_encoder = msgspec.json.Encoder(decimal_format="number")


class Wrong(Exception):
    """What was asked cannot be answered; `status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def data(found: Any, status: int = 200, **beside: Any) -> Response:
    """A success. `beside` stands next to the data: what the original does not have."""
    return Response(_encoder.encode({"data": found, "error": None, **beside}), status, media_type="application/json")


def plain(found: Any) -> Response:
    """JSON without an envelope, as a body is fetched."""
    return Response(_encoder.encode(found), media_type="application/json")


def failed(error: str, status: int, **beside: Any) -> Response:
    """`error` may repeat what was sent, and JSON can send halves of characters."""
    sayable = error.encode("utf-8", "replace").decode()
    return Response(_encoder.encode({"data": None, "error": sayable, **beside}), status, media_type="application/json")


class Enveloped(APIRoute):
    """An endpoint whose errors are answered in the envelope, whatever else the port does with its own."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return telling(request, await handle(request))
            except Wrong as error:
                return failed(str(error), error.status)
            except BadFilter as error:
                return failed(f"{error.field} {error}", 400)
            except Refused as error:
                return _refused(error)
            except RequestValidationError as error:
                return _invalid(error)
            except HTTPException as error:
                return failed(_UNREADABLE if error.status_code == 400 else str(error.detail), error.status_code)

        return answered


_UNREADABLE = "The body cannot be read as JSON: it is no UTF-8, nested too deeply, or holds a number of too many digits."


OURS = frozenset({"invalid_sql", "invalid_parameters", "forbidden_function"})
"""The statement was made here: when the engine does not take it, the fault is not the caller's."""


def _refused(error: Refused) -> Response:
    refusal = error.refusal
    if refusal.code in OURS:
        log.error("rest_question_refused", code=refusal.code, error=refusal.message)
        return failed("Heliograph failed to answer; the server's log says why.", 500)
    message = f"{refusal.message} {refusal.fix}"
    if refusal.status == 401:
        return failed(message, 401, trace="isAuthenticated.error")
    return failed(message, refusal.status)


def _invalid(error: RequestValidationError) -> Response:
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        return failed(f"The body is no JSON: {faults[0].get('ctx', {}).get('error', 'it cannot be parsed')}.", 400)
    details = {_path(fault["loc"]): {"message": fault["msg"]} for fault in faults[:MOST_FAULTS]}
    told = "; ".join(f"{field.removeprefix('requestBody.')}: {each['message']}" for field, each in details.items())
    return failed(f"Validation Failed: {told}", 422, message="Validation Failed", details=details)


MOST_FAULTS = 20


def _path(where: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in ("requestBody" if part == "body" else part for part in where))


FAILURE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["data", "error"],
    "properties": {
        "data": {"nullable": True, "description": "null"},
        "error": {"type": "string"},
        "trace": {"type": "string"},
        "message": {"type": "string"},
        "details": {"type": "object"},
    },
}

ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {"application/json": {"schema": FAILURE_SCHEMA}}}
    for status, description in {
        400: "What was asked cannot be meant.",
        401: "No good key was sent.",
        403: "The key may not do this.",
        413: "The body is too large.",
        415: "The body is no JSON by its content type.",
        422: "A field of the body is wrong.",
        503: "Too much is asked at once, or the lake is away.",
        504: "The question took too long.",
    }.items()
}
"""The errors of an endpoint, for the OpenAPI document."""
