"""Many calls in one request, one to a line: `POST /v1/log/batch`, of our own. Each line is accepted or refused, by its number."""

import asyncio
from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from eventlog.events import RequestId
from eventlog.keys import NotAdmitted
from ingress.async_log import BadLog, Headers, Refused
from ingress.async_log_calls import NOT_NOW, Door, Logging, Told, answer, body_of
from ingress.async_log_events import CUSTOM
from ingress.log_line import parse_line

BATCH = "/v1/log/batch"
LINE = Door(BATCH, CUSTOM, Told.WORKER, parse_line)
"""What a line is."""
MOST_LINES = 10_000
TOGETHER = 64
"""Lines that are written at once."""


class Accepted(Struct, frozen=True, omit_defaults=True, rename={"request_id": "helicone-id"}):
    line: int
    request_id: RequestId
    warning: str | None = None


class RefusedLine(Struct, frozen=True, omit_defaults=True):
    line: int
    error: str
    field: str | None = None
    again: bool = False
    """It may be sent again as it is."""


def add_batch(routes: APIRouter, logging: Logging) -> None:
    @routes.post(
        BATCH,
        summary="Log many calls after the fact",
        openapi_extra={"requestBody": {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    )
    async def log_batch(request: Request) -> Response:
        """One call to a line, each as `POST /custom/v1/log` takes it, with `stated` beside. Each is accepted or refused, by its number."""
        return await _take_batch(logging, request)


async def _take_batch(logging: Logging, request: Request) -> Response:
    headers = [pair for pair in request.headers.raw if pair[0] != b"helicone-request-id"]  # no two calls have one
    try:
        logging.check_first(headers)
        body = await body_of(request)
    except NotAdmitted as refusal:
        return answer(LINE, refusal.status, str(refusal))
    except Refused as refusal:
        return Response(str(refusal), refusal.status, media_type="text/plain")
    except BadLog as error:
        return answer(LINE, 400, f"{error.field} {error}", field=error.field)
    lines = body.split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES and lines[-1].strip():
        return answer(LINE, 400, f"body has more than {MOST_LINES} lines", field="body")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        return answer(LINE, 400, "body has no line; send one JSON object to a line", field="body")
    fates: list[Accepted | RefusedLine] = []
    for first in range(0, len(numbered), TOGETHER):
        fates += await asyncio.gather(*(_line(logging, headers, *each) for each in numbered[first : first + TOGETHER]))
    return _told(fates)


async def _line(logging: Logging, headers: Headers, number: int, line: bytes) -> Accepted | RefusedLine:
    try:
        call = await logging.events_of(line, headers, LINE)
    except NotAdmitted as refusal:
        return RefusedLine(number, str(refusal), "Helicone-Auth")
    except Refused as refusal:
        return RefusedLine(number, str(refusal), "body")
    except BadLog as error:
        return RefusedLine(number, f"{error.field} {error}", error.field)
    if not await logging.log(call.received, call.completed):
        return RefusedLine(number, NOT_NOW, again=True)
    return Accepted(number, call.completed.call.request_id, call.warning)


def _told(fates: Sequence[Accepted | RefusedLine]) -> Response:
    """503 where lines were refused that may be sent again."""
    accepted = [fate for fate in fates if isinstance(fate, Accepted)]
    refused = [fate for fate in fates if isinstance(fate, RefusedLine)]
    told = msgspec.json.encode({"accepted": accepted, "refused": refused})
    if any(fate.again for fate in refused):
        return Response(told, 503, {"retry-after": "1"}, media_type="application/json")
    return Response(told, 200, media_type="application/json")
