"""Many calls in one request, one to a line: `POST /v1/log/batch`, of our own. Each line is accepted or refused, by its number."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from eventlog.codec import BatchId
from eventlog.events import RequestId
from eventlog.keys import NotAdmitted
from ingress.async_log import BadLog, Headers, Refused
from ingress.async_log_calls import NOT_NOW, Call, Door, Logging, Told, answer, body_of
from ingress.async_log_events import CUSTOM
from ingress.log_line import parse_line
from ingress.numbered import HEADER, Numbered, TooMuch

BATCH = "/v1/log/batch"
LINE = Door(BATCH, CUSTOM, Told.WORKER, parse_line)
"""What a line is."""
MOST_LINES = 10_000
NUMBERED_BYTES = 4 << 20
"""Of a batch that has a number: it goes to the log whole, and bodies may be several times as long there."""
TOGETHER, TOGETHER_BYTES = 1000, 1 << 20
"""Lines that are written at once."""
BREATHER = 64
"""Lines after which other calls have their turn."""

Line = tuple[int, bytes]
"""Its number, from 1, and what it says."""


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


Fate = Accepted | RefusedLine


def add_batch(routes: APIRouter, logging: Logging) -> None:
    @routes.post(
        BATCH,
        summary="Log many calls after the fact",
        openapi_extra={"requestBody": {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    )
    async def log_batch(request: Request) -> Response:
        """One call to a line, each as `POST /custom/v1/log` takes it, with `stated` beside. Each is accepted or refused, by its number.

        `Heliograph-Batch: <32 hex digits>/<number>` makes it safe to send again: it is taken once.
        """
        return await _take_batch(logging, request)


async def _take_batch(logging: Logging, request: Request) -> Response:
    headers = [pair for pair in request.headers.raw if pair[0] != b"helicone-request-id"]  # no two calls have one
    try:
        numbered = _numbered(headers)
        logging.check_first(headers)
        lines = _lines_of(await body_of(request), numbered)
        if numbered is not None:
            return await _take_numbered(logging, headers, lines, numbered)
    except NotAdmitted as refusal:
        return answer(LINE, refusal.status, str(refusal))
    except Refused as refusal:
        return Response(str(refusal), refusal.status, media_type="text/plain")
    except TooMuch as refusal:
        return answer(LINE, 413, f"{refusal}; send fewer lines at once", field="body")
    except BadLog as error:
        return answer(LINE, 400, f"{error.field} {error}", field=error.field)
    fates: list[Fate] = []
    for some in _together(lines):
        calls = [each async for each in _calls(logging, headers, some)]
        ready = [call.events for _, call in calls if isinstance(call, Call)]
        durable = not ready or await logging.log(ready, None)
        fates += [_fate(number, call, durable=durable) for number, call in calls]
    return _told(fates)


def _numbered(headers: Headers) -> Numbered | None:
    """Raises BadLog."""
    said = next((value for name, value in headers if name == HEADER), None)
    try:
        return None if said is None else Numbered.parse(said)
    except ValueError as error:
        raise BadLog("Heliograph-Batch", str(error)) from None


def _lines_of(body: bytes, numbered: Numbered | None) -> list[Line]:
    """Raises BadLog and TooMuch."""
    if numbered is not None and len(body) > NUMBERED_BYTES:
        raise TooMuch(f"a batch with a number has {NUMBERED_BYTES} bytes at most, decoded")
    lines = body.split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES and lines[-1].strip():
        raise BadLog("body", f"has more than {MOST_LINES} lines")
    listed = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not listed:
        raise BadLog("body", "has no line; send one JSON object to a line")
    return listed


def _together(lines: Sequence[Line]) -> Iterator[list[Line]]:
    some: list[Line] = []
    size = 0
    for line in lines:
        if some and (len(some) >= TOGETHER or size + len(line[1]) > TOGETHER_BYTES):
            yield some
            some, size = [], 0
        some.append(line)
        size += len(line[1])
    yield some


async def _calls(
    logging: Logging, headers: Headers, lines: Sequence[Line], numbered: Numbered | None = None
) -> AsyncIterator[tuple[int, Call | RefusedLine]]:
    caller = logging.admitted(headers)
    for place, (number, line) in enumerate(lines):
        if place % BREATHER == BREATHER - 1:
            await asyncio.sleep(0)
        chance = None if numbered is None or caller is None else numbered.chance(caller.organization, number)
        try:
            yield number, await logging.call_of(line, headers, LINE, chance=chance, caller=caller)
        except NotAdmitted as refusal:
            yield number, RefusedLine(number, str(refusal), "Helicone-Auth")
        except Refused as refusal:
            yield number, RefusedLine(number, str(refusal), "body")
        except BadLog as error:
            yield number, RefusedLine(number, f"{error.field} {error}", error.field)


async def _take_numbered(logging: Logging, headers: Headers, lines: Sequence[Line], numbered: Numbered) -> Response:
    """All that is no line's own fault, or nothing: it is to be sent again as it was. Raises NotAdmitted and TooMuch."""
    batch = BatchId.of_client(logging.caller_of(headers).organization, numbered.epoch, numbered.number)
    calls = [each async for each in _calls(logging, headers, lines, numbered)]
    ready = [call.events for _, call in calls if isinstance(call, Call)]
    if ready and not await logging.log(ready, batch):
        return answer(LINE, 503, NOT_NOW)
    return _told([_fate(number, call, durable=True) for number, call in calls])


def _fate(number: int, call: Call | RefusedLine, *, durable: bool) -> Fate:
    if isinstance(call, RefusedLine):
        return call
    return Accepted(number, call.facts.request_id, call.warning) if durable else RefusedLine(number, NOT_NOW, again=True)


def _told(fates: Sequence[Fate]) -> Response:
    """503 where lines were refused that may be sent again."""
    accepted = [fate for fate in fates if isinstance(fate, Accepted)]
    refused = [fate for fate in fates if isinstance(fate, RefusedLine)]
    told = msgspec.json.encode({"accepted": accepted, "refused": refused})
    if any(fate.again for fate in refused):
        return Response(told, 503, {"retry-after": "1"}, media_type="application/json")
    return Response(told, 200, media_type="application/json")
