"""Tells a page that calls arrived: server-sent events, one for each time that the newest call of the caller's is another.

The lake's version is looked at, which costs nothing; only when it moved is the lake asked, as the caller, so that nobody learns when
others call.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from fastapi import Request

from eventlog.events import Organization
from storage.asked import SqlAsked
from storage.dashboard import figures
from storage.passing import answered
from storage.query import Snapshots

LOOK_S = 1.0
STILL_S = 15.0
"""A comment is sent so often, by which a browser that is gone is noticed."""
LASTS_S = 600.0
"""Then the browser connects anew, and is judged anew if it was not before."""


async def arrivals(request: Request, allowed: Callable[[], Organization | None]) -> AsyncIterator[bytes]:
    """Events `calls` with when the newest call began. `allowed` says whose rows, each time; it raises where nobody may look any more."""
    yield b"retry: 3000\n\n"
    loop = asyncio.get_running_loop()
    ends, told_at = loop.time() + LASTS_S, loop.time()
    version: int | None = -1
    newest = None
    first = True
    while loop.time() < ends and not request.app.state.pool.closed:
        now = await asyncio.to_thread(_version, request)
        organization = allowed()
        if now != version:
            found = await _newest(request, organization)
            if found != newest or first:
                yield f"event: calls\ndata: {json.dumps({'newest': found, 'first': first})}\n\n".encode()
                told_at = loop.time()
            version, newest, first = now, found, False
        elif loop.time() - told_at > STILL_S:
            yield b": still here\n\n"
            told_at = loop.time()
        await asyncio.sleep(LOOK_S)


def _version(request: Request) -> int | None:
    snapshots: Snapshots = request.app.state.snapshots
    return snapshots.sources(["calls"])["calls"].version


async def _newest(request: Request, organization: Organization | None) -> str | None:
    """When the newest call began; None where there is none."""
    asked = SqlAsked(sql=figures.newest().text, organization=organization)
    rows = json.loads((await answered(request, asked)).body)["rows"]
    return rows[0][0] if rows else None
