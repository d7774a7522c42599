"""Where a client tells of a call afterwards, as Helicone's hosts answer it: on the worker's paths, and on those of its API.

200 means that both events are on durable ground. What Helicone answers with 200 and an error in the body is an error here.
Source: Helicone's `apiRouter.ts`, `AsyncLogManager.ts` and `traceController.ts` (read 2026-11-24).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from eventlog.admission import Admission
from eventlog.keys import NotAdmitted
from ingress.answers import ANY_ERROR
from ingress.async_log import BadLog, Refused, parse_log
from ingress.async_log_batch import BATCH, add_batch
from ingress.async_log_calls import NOT_NOW, Door, Log, Logging, Parse, Told, answer, body_of
from ingress.async_log_events import CUSTOM
from ingress.log_message import EXAMPLE as MESSAGE
from ingress.log_message import parse_message

EXAMPLE = {
    "providerRequest": {
        "url": "https://api.openai.com/v1/chat/completions",
        "json": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        "meta": {"Helicone-User-Id": "user-123"},
    },
    "providerResponse": {
        "status": 200,
        "headers": {},
        "json": {"model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}},
    },
    "timing": {
        "startTime": {"seconds": 1764000000, "milliseconds": 0},
        "endTime": {"seconds": 1764000001, "milliseconds": 250},
        "timeToFirstToken": 120,
    },
}


DOORS = (
    Door("/custom/v1/log", CUSTOM, Told.WORKER),
    Door("/oai/v1/log", "openai", Told.WORKER),
    Door("/anthropic/v1/log", "anthropic", Told.WORKER),
    Door("/googleapis/v1/log", "google", Told.WORKER),
    Door("/v1/trace/custom/v1/log", "openai", Told.TRACE),
    Door("/v1/trace/custom/log", "openai", Told.TRACE),
    Door("/v1/trace/custom/log/typed", "openai", Told.TYPED),
    Door("/v1/log/request", CUSTOM, Told.TRACE, parse_message),
)
_EXAMPLES: Mapping[Parse, Any] = {parse_log: EXAMPLE, parse_message: MESSAGE}
PATHS = frozenset({BATCH.encode(), *(door.path.encode() for door in DOORS)})


def async_log_routes(log: Log, admission: Admission, clock: Callable[[], float], *, body_limit: int) -> APIRouter:
    """`clock` gives seconds since 1970; a body is kept up to `body_limit` bytes."""
    routes, logging = APIRouter(tags=["logging"], responses=ANY_ERROR), Logging(log, admission, clock, body_limit)

    def serve(door: Door) -> None:
        async def log_call(request: Request) -> Response:
            return await _take(logging, door, request)

        example = _EXAMPLES[door.parse]
        content = {"application/json": {"schema": {"type": "object"}, "example": example}}
        routes.add_api_route(
            door.path,
            log_call,
            methods=["POST"],
            summary="Log a call after the fact",
            response_class=Response,
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )

    for door in DOORS:
        serve(door)
    add_batch(routes, logging)

    return routes


async def _take(logging: Logging, door: Door, request: Request) -> Response:
    headers = request.headers.raw
    try:
        logging.check_first(headers)
        call = await logging.call_of(await body_of(request), headers, door)
    except NotAdmitted as refusal:
        return answer(door, refusal.status, str(refusal), trace=refusal.code)
    except Refused as refusal:
        return Response(str(refusal), refusal.status, media_type="text/plain")
    except BadLog as error:
        return answer(door, 400, f"{error.field} {error}", field=error.field)
    if not await logging.log([call.events], None):
        return answer(door, 503, NOT_NOW)
    told = {"helicone-id": call.facts.request_id} | ({} if call.warning is None else {"helicone-warning": _plain(call.warning)})
    return Response("ok" if door.told is Told.WORKER else None, 200, told, media_type="text/plain")


def _plain(warning: str) -> str:
    """Names in it may come from a body: what no header can hold is shown as `?`."""
    return re.sub(r"[^\x20-\x7e]", "?", warning)
