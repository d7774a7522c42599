"""Judgements of calls, after the fact: `POST /v1/request/{id}/feedback` and `/score`, answered as Helicone's API answers them.

Whether there is such a call is not asked: its row may be on its way. What was answered 201 is on durable ground.
Source: Helicone's `requestController` and its swagger, "ResultSuccess_null" (read 2026-11). Ours takes scores with fractions too.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Request, Response

from eventlog.admission import Admission
from eventlog.events import FeedbackGiven, RequestId
from eventlog.keys import NotAdmitted, Scope
from ingress.secrets import presented

BODY_LIMIT = 64 << 10
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SPELLED = {"true": True, "false": False}

Judge = Callable[[FeedbackGiven], Awaitable[bool]]
"""Brings a judgement onto durable ground. False: it could not now."""


class Invalid(Exception):
    """A field of the body is not what it should be."""

    retryable = False

    def __init__(self, field: str, message: str, value: object = None) -> None:
        super().__init__(message)
        self.details = {field: {"message": message} | ({} if value is None else {"value": value})}


def rating_of(body: bytes) -> bool:
    """Raises Invalid."""
    rating = _only(_object_of(body), "rating")
    rating = _SPELLED.get(rating, rating) if isinstance(rating, str) else rating
    if not isinstance(rating, bool):
        raise Invalid("requestBody.rating", "invalid boolean value", rating)
    return rating


def scores_of(body: bytes) -> dict[str, float]:
    """True is 1, false is 0. Raises Invalid."""
    scores = _only(_object_of(body), "scores")
    if not isinstance(scores, dict):
        raise Invalid("requestBody.scores", "invalid object", scores)
    return {name: _score(name, value) for name, value in scores.items()}


def _score(name: str, value: object) -> float:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            pass
    raise Invalid(f"requestBody.scores.{name}", "a score is a number, true or false", None if isinstance(value, int) else value)


def _object_of(body: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("requestBody", "the body must be JSON") from None
    if not isinstance(found, dict):
        raise Invalid("requestBody", "the body must be an object", found)
    return found


def _only(found: Mapping[str, Any], field: str) -> Any:
    for name in found:
        if name != field:
            raise Invalid(f"requestBody.{name}", f'"{name}" is an excess property and therefore is not allowed')
    if field not in found:
        raise Invalid(f"requestBody.{field}", f"'{field}' is required")
    return found[field]


def feedback_routes(judge: Judge, admission: Admission, clock: Callable[[], float]) -> APIRouter:
    """`clock` gives seconds since 1970."""
    routes = APIRouter(tags=["feedback"])

    async def take(request: Request, request_id: str, said: Callable[[bytes], dict[str, Any]]) -> Response:
        try:
            caller = admission.known_caller(presented(request.headers.raw), Scope.WRITE)
        except NotAdmitted as refusal:
            return _answer(refusal.status, {"data": None, "error": str(refusal)})
        if _UUID.fullmatch(request_id) is None:
            return _answer(500, {"data": None, "error": "Invalid requestId: must be a valid UUID"})
        if not _is_json(request.headers.get("content-type", "")):
            return _answer(415, {"data": None, "error": "The body must be JSON. Send Content-Type: application/json."})
        body = await _body(request)
        if body is None:
            return _answer(413, {"data": None, "error": f"The body is larger than {BODY_LIMIT} bytes."})
        try:
            facts = said(body)
        except Invalid as invalid:
            return _answer(422, {"message": "Validation Failed", "details": invalid.details})
        event = FeedbackGiven(
            feedback_id=str(uuid4()),
            request_id=RequestId(request_id.lower()),
            organization=caller.organization,
            given_at=datetime.fromtimestamp(clock(), UTC),
            **facts,
        )
        if not await judge(event):
            return _answer(503, {"data": None, "error": "The event log takes nothing now. Send it again in a moment."}, retry=True)
        return _answer(201, {"data": None, "error": None})

    @routes.post("/v1/request/{request_id}/feedback", status_code=201, summary="Rate a call", openapi_extra=_takes({"rating": True}))
    async def feedback(request_id: str, request: Request) -> Response:
        """`{"rating": true}` or `false`. The id is what `Helicone-Id` answered. The newest rating of a call counts."""
        return await take(request, request_id, lambda body: {"rating": rating_of(body)})

    @routes.post(
        "/v1/request/{request_id}/score", status_code=201, summary="Score a call", openapi_extra=_takes({"scores": {"accuracy": 0.9}})
    )
    async def score(request_id: str, request: Request) -> Response:
        """`{"scores": {name: number, true or false}}`. The newest score of each name counts."""
        return await take(request, request_id, lambda body: {"scores": scores_of(body)})

    return routes


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def _body(request: Request) -> bytes | None:
    """None when it is larger than the limit."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _answer(status: int, told: Mapping[str, Any], *, retry: bool = False) -> Response:
    return Response(msgspec.json.encode(told), status, {"retry-after": "1"} if retry else None, media_type="application/json")


def _takes(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}, "example": example}}}}
