"""Tells a page that calls arrived: one event for each time that the newest call of the caller's is another.

The lake is asked as the caller, so that nobody learns when others call.
"""

from collections.abc import AsyncIterator, Callable

from fastapi import Request

from storage.dashboard import figures
from storage.dashboard.page import Asking
from storage.dashboard.streams import as_calls_come, event


async def arrivals(request: Request, again: Callable[[], Asking]) -> AsyncIterator[bytes]:
    """Events `calls` with when the newest call began, and whether it is the first that is told of."""
    yield b"retry: 3000\n\n"
    told: list[str | None] = []

    async def newest(asking: Asking) -> bytes | None:
        rows = await asking.rows(figures.newest())
        found = rows[0]["created_at"] if rows else None
        if told and found == told[-1]:
            return None
        said = event("calls", {"newest": found, "first": not told})
        told[:] = [found]
        return said

    async for each in as_calls_come(request, again, newest):
        yield each
