"""Calls as they come to rest, while somebody watches: looked for when the lake has a newer commit, at most every second."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from fastapi import Response

from storage.dashboard import call_list
from storage.dashboard.call_columns import COLUMN, Column, chosen, table_rows
from storage.dashboard.page import Asking, Hands
from storage.dashboard.streams import STILL, event, streamed
from storage.query import Snapshots
from storage.rest.sql import Row

SINCE = "ended"
LOOK_S, STILL_S, LASTS_S = 1.0, 15.0, 600.0
"""Between two looks; between two signs of life; until the browser comes again, and is judged anew if it was not before."""
LOOKED_AT = 600
MOST = 100
"""Calls of one look. More are told by their number, and a page holds no more."""
KNOWN = 2000
"""Calls that are remembered, so that none is told twice."""


async def tail(asking: Asking, hands: Hands) -> Response:
    return streamed(_arrivals(asking, hands))


async def _arrivals(asking: Asking, hands: Hands) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    loop = asyncio.get_running_loop()
    ends, told_at = loop.time() + LASTS_S, loop.time()
    columns = chosen(asking.view.all(COLUMN))
    ended, told = _since(asking), deque[str](maxlen=KNOWN)
    version: int | None = -1
    seen: datetime | None = ended  # what ended until then is on the page, or older than what the page has
    yield event("watching", {"ended": ended.isoformat()})
    while loop.time() < ends and not asking.request.app.state.pool.closed:
        now_version = await asyncio.to_thread(_version, asking)
        if now_version != version:
            version, now = now_version, hands.again()
            rows = await now.rows(call_list.arrived(now.view, columns, now.now, ended, LOOKED_AT))
            known = set(told)
            fresh = [row for row in rows if row["call_id"] not in known]
            told.extend(row["call_id"] for row in fresh)
            ended = max([ended, *(_time(row["completed_at"]) for row in fresh)])
            if seen is not None:
                fresh, seen = [row for row in fresh if _time(row["completed_at"]) > seen], None
            if fresh:
                yield event("calls", _said(now, hands, fresh, columns, ended))
                told_at = loop.time()
        if loop.time() - told_at > STILL_S:
            yield STILL
            told_at = loop.time()
        await asyncio.sleep(LOOK_S)


def _said(asking: Asking, hands: Hands, rows: list[Row], columns: Sequence[Column], ended: datetime) -> dict[str, object]:
    """The rows as the table has them, newest first; `more`: how many are only counted."""
    newest = sorted(rows, key=lambda row: (row["created_at"], row["call_id"]), reverse=True)[:MOST]
    return {"html": table_rows(asking, hands, newest, columns), "more": len(rows) - len(newest), "ended": ended.isoformat()}


def _since(asking: Asking) -> datetime:
    """When the call that ended last, of those that the browser has, did so. One that has none is told of the last hour."""
    earliest = asking.now - timedelta(hours=1)
    try:
        return max(_time(asking.view.get(SINCE)), earliest)
    except ValueError:
        return earliest


def _time(iso: str) -> datetime:
    at = datetime.fromisoformat(iso)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _version(asking: Asking) -> int | None:
    snapshots: Snapshots = asking.request.app.state.snapshots
    return snapshots.sources(["calls"])["calls"].version
