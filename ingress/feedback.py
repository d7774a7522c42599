"""Judgements of calls and sessions, after the fact, answered as Helicone's API answers them, and its proxy's older `/v1/feedback`.

Whether there is such a call is not asked: its row may be on its way. What was answered 200 or 201 is on durable ground. Where Helicone
answers 500 to a mistake of the caller's, we answer 400 or 422.
Source: Helicone's `requestController`, `sessionController`, `FeedbackManager` and its swagger, "ResultSuccess_null" (read 2026-11).
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct
from msgspec.structs import asdict

from eventlog.admission import Admission
from eventlog.events import FeedbackGiven, RequestId
from eventlog.keys import NotAdmitted, Scope
from ingress.answers import ANY_ERROR
from ingress.judgements import RETRACTION, Invalid, Judgement, legacy_of, property_of, rating_of, request_id_of, scores_of, tag_of
from ingress.secrets import presented

BODY_LIMIT = 64 << 10
LEGACY = ("/v1/feedback", "/feedback")
SOME_ID = "0190c5d4-9c8b-7b1e-8f3a-0123456789ab"
LEGACY_PATHS = frozenset(path.encode() for path in LEGACY)
OF_REQUESTS = b"/v1/request/"
OF_SESSIONS = b"/v1/session/"
"""What is said of a call, or of a session, after the fact; no provider has such paths."""

Judge = Callable[[FeedbackGiven], Awaitable[bool]]
"""Brings a judgement onto durable ground. False: it could not now."""
Read = Callable[[bytes], Judgement]


class Refused(Exception):
    """The request is nothing that is taken here."""

    retryable = False

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class About(Struct, frozen=True, kw_only=True):
    """What is judged, and how; and the answer, once that is on durable ground."""

    said: Judgement
    request_id: RequestId = RequestId("")
    session_id: str | None = None
    status: int = 201
    answer: Mapping[str, str | None] = MappingProxyType({"data": None, "error": None})


class Desk:
    """Takes judgements. `clock` gives seconds since 1970."""

    def __init__(self, judge: Judge, admission: Admission, clock: Callable[[], float]) -> None:
        self._judge, self._admission, self._clock = judge, admission, clock

    async def take(self, request: Request, read: Callable[[bytes], About], *, plain: bool = False) -> Response:
        """`plain`: an unknown key is told in text."""
        try:
            caller = self._admission.known_caller(presented(request.headers.raw), Scope.WRITE)
            about = read(b"" if request.method == "DELETE" else await _json_of(request))
        except NotAdmitted as refusal:
            return Response(str(refusal), refusal.status, media_type="text/plain") if plain else _failed(refusal.status, str(refusal))
        except Refused as refused:
            return _failed(refused.status, str(refused))
        except Invalid as invalid:
            told = "; ".join(f"{field.removeprefix('requestBody.')} {each['message']}" for field, each in invalid.details.items())
            wrong = {"message": "Validation Failed", "details": invalid.details}
            return _answer(422, {"data": None, "error": f"Validation Failed: {told}", **wrong})
        event = FeedbackGiven(
            feedback_id=str(uuid4()),
            request_id=about.request_id,
            session_id=about.session_id,
            organization=caller.organization,
            given_at=datetime.fromtimestamp(self._clock(), UTC),
            **asdict(about.said),
        )
        if not await self._judge(event):
            return _failed(503, "The event log takes nothing now. Send it again in a moment.", retry=True)
        return _answer(about.status, dict(about.answer))


def feedback_routes(judge: Judge, admission: Admission, clock: Callable[[], float]) -> APIRouter:
    """`clock` gives seconds since 1970."""
    routes, desk = APIRouter(tags=["feedback"], responses=ANY_ERROR), Desk(judge, admission, clock)
    _add_calls(routes, desk)
    _add_sessions(routes, desk)
    _add_legacy(routes, desk)
    return routes


def _add_calls(routes: APIRouter, desk: Desk) -> None:
    of_call = "/v1/request/{request_id}"

    @routes.post(f"{of_call}/feedback", status_code=201, summary="Rate a call", openapi_extra=_takes({"rating": True, "comment": "Fast."}))
    async def feedback(request_id: str, request: Request) -> Response:
        """`{"rating": true}` or `false`; null takes it back. The id is what `Helicone-Id` answered. The newest rating of a call counts."""
        return await desk.take(request, _of_call(request_id, rating_of))

    @routes.delete(f"{of_call}/feedback", status_code=200, summary="Take a call's rating back")
    async def no_feedback(request_id: str, request: Request) -> Response:
        """`rating` is NULL then; the table `feedback` keeps what was said."""
        return await desk.take(request, _of_call(request_id, _taken_back, 200))

    @routes.post(f"{of_call}/score", status_code=201, summary="Score a call", openapi_extra=_takes({"scores": {"accuracy": 0.9}}))
    async def score(request_id: str, request: Request) -> Response:
        """`{"scores": {name: number, true or false}}`; null takes one back. The newest score of each name counts."""
        return await desk.take(request, _of_call(request_id, scores_of))

    @routes.put(
        f"{of_call}/property",
        status_code=201,
        summary="Give a call a property",
        openapi_extra=_takes({"key": "ticket", "value": "T-1"}),
    )
    async def prop(request_id: str, request: Request) -> Response:
        """`{"key": …, "value": …}`. Laid over what the call itself said; the newest value counts."""
        return await desk.take(request, _of_call(request_id, property_of))


def _add_sessions(routes: APIRouter, desk: Desk) -> None:
    of_session = "/v1/session/{session_id:path}"

    @routes.post(f"{of_session}/feedback", summary="Rate a session", openapi_extra=_takes({"rating": True}))
    async def feedback(session_id: str, request: Request) -> Response:
        """`{"rating": true}`, `false`, or null, which takes it back. In the table `feedback`; the ratings of its calls stay."""
        return await desk.take(request, _of_session(session_id, rating_of))

    @routes.delete(f"{of_session}/feedback", summary="Take a session's rating back")
    async def no_feedback(session_id: str, request: Request) -> Response:
        return await desk.take(request, _of_session(session_id, _taken_back))

    @routes.post(f"{of_session}/tag", summary="Tag a session", openapi_extra=_takes({"tag": "checkout"}))
    async def tag(session_id: str, request: Request) -> Response:
        """`{"tag": …}`; null takes it back. The newest tag of a session counts."""
        return await desk.take(request, _of_session(session_id, tag_of))


def _add_legacy(routes: APIRouter, desk: Desk) -> None:
    for path in LEGACY:

        @routes.post(path, summary="Rate a call, as older clients do", openapi_extra=_takes({"helicone-id": SOME_ID, "rating": True}))
        async def feedback(request: Request) -> Response:
            """`{"helicone-id": …, "rating": true}`; or `name`, `value` and `data-type` of a score, or of a property."""
            return await desk.take(request, _of_body, plain=True)


def _of_call(sent: str, read: Read, status: int = 201) -> Callable[[bytes], About]:
    def about(body: bytes) -> About:
        request_id = request_id_of(sent)
        if request_id is None:
            raise Refused(400, "Invalid requestId: must be a valid UUID")
        return About(request_id=request_id, said=read(body), status=status)

    return about


def _of_session(session_id: str, read: Read) -> Callable[[bytes], About]:
    def about(body: bytes) -> About:
        if not session_id:
            raise Refused(400, "Invalid sessionId: must not be empty")
        return About(session_id=session_id, said=read(body), status=200)

    return about


def _of_body(body: bytes) -> About:
    sent, request_id, said = legacy_of(body)
    return About(request_id=request_id, said=said, status=200, answer={"message": "Feedback added successfully.", "helicone_id": sent})


def _taken_back(_: bytes) -> Judgement:
    return RETRACTION


async def _json_of(request: Request) -> bytes:
    """Raises Refused."""
    if not _is_json(request.headers.get("content-type", "")):
        raise Refused(415, "The body must be JSON. Send Content-Type: application/json.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            raise Refused(413, f"The body is larger than {BODY_LIMIT} bytes.")
    return bytes(body)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _failed(status: int, message: str, *, retry: bool = False) -> Response:
    return _answer(status, {"data": None, "error": message}, retry=retry)


def _answer(status: int, told: Mapping[str, Any], *, retry: bool = False) -> Response:
    return Response(msgspec.json.encode(told), status, {"retry-after": "1"} if retry else None, media_type="application/json")


def _takes(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}, "example": example}}}}
