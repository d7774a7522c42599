"""Events to a browser that keeps listening: of calls that arrive, of a search that goes on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from fastapi import Request
from fastapi.responses import StreamingResponse

from eventlog.events import Organization
from storage.dashboard.page import Asking
from storage.dashboard.writing import HEADERS
from storage.refusal import Refusal, Refused
from storage.snapshots import Snapshots

LOOK_S = 1.0
"""Between two looks at the lake's version, which cost nothing."""
STILL_S = 15.0
"""A comment is sent so often, by which a browser that is gone is noticed."""
LASTS_S = 600.0
"""Then the browser connects anew."""

WATCHERS = 100
"""Browsers' pages of one organization that are told of calls at the same time."""
_TOO_MANY = Refusal(code="too_many_watchers", message="Too many pages watch already.", fix="Close some of them.", status=503)

Look = Callable[[Asking], Awaitable[bytes | None]]
"""What there is to tell, if anything."""


def event(name: str, said: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(said) + b"\n\n"


async def as_calls_come(request: Request, again: Callable[[], Asking], look: Look) -> AsyncIterator[bytes]:
    """What `look` tells: at once, and each time that the lake has a newer commit of calls.

    `again` judges who asks anew, at every look: it raises Refused where nobody may look any more. Raises it, too, where too many watch.
    """
    with _watching(request, again()):
        async for each in _as_calls_come(request, again, look):
            yield each


@contextmanager
def _watching(request: Request, asking: Asking) -> Iterator[None]:
    """Raises Refused where as many of an organization watch as may."""
    watchers: Counter[Organization | None] = request.app.state.watchers
    if watchers[asking.organization] >= WATCHERS:
        raise Refused(_TOO_MANY)
    watchers[asking.organization] += 1
    try:
        yield
    finally:
        watchers[asking.organization] -= 1


async def _as_calls_come(request: Request, again: Callable[[], Asking], look: Look) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    ends, told_at = loop.time() + LASTS_S, loop.time()
    version: int | None = -1
    while loop.time() < ends and not request.app.state.pool.closed:
        asking, now = again(), await asyncio.to_thread(_version, request)
        said = await look(asking) if now != version else None
        version = now
        if said is None and loop.time() - told_at > STILL_S:
            said = b": still here\n\n"
        if said is not None:
            yield said
            told_at = loop.time()
        await asyncio.sleep(LOOK_S)


def _version(request: Request) -> int | None:
    snapshots: Snapshots = request.app.state.snapshots
    return snapshots.sources(["calls"])["calls"].version


def streamed(events: AsyncIterator[bytes]) -> StreamingResponse:
    """The events, and in the end one that says so. What is refused on the way is an event too: the status went long ago."""

    async def told() -> AsyncIterator[bytes]:
        try:
            async for each in events:
                yield each
            yield event("ended", {})
        except Refused as refused:
            said = refused.refusal
            yield event("refused", {"code": said.code, "message": said.message, "fix": said.fix})

    return StreamingResponse(told(), headers=HEADERS | {"x-accel-buffering": "no"}, media_type="text/event-stream")
