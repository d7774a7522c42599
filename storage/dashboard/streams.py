"""Events to a browser that keeps listening: of calls that arrive, of a search that goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from fastapi import Request
from fastapi.responses import StreamingResponse

from storage.dashboard.page import Asking
from storage.dashboard.writing import HEADERS
from storage.query import Snapshots
from storage.refusal import Refused

LOOK_S = 1.0
"""Between two looks at the lake's version, which cost nothing."""
STILL_S = 15.0
"""A comment is sent so often, by which a browser that is gone is noticed."""
LASTS_S = 600.0
"""Then the browser connects anew."""

Look = Callable[[Asking], Awaitable[bytes | None]]
"""What there is to tell, if anything."""


def event(name: str, said: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(said) + b"\n\n"


async def as_calls_come(request: Request, again: Callable[[], Asking], look: Look) -> AsyncIterator[bytes]:
    """What `look` tells: at once, and each time that the lake has a newer commit of calls.

    `again` judges who asks anew, at every look: it raises Refused where nobody may look any more.
    """
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
