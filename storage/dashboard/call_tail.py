"""Calls as they come to rest, while somebody watches."""

from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from fastapi import Response

from storage.dashboard import call_list
from storage.dashboard.call_columns import COLUMN, chosen, table_rows
from storage.dashboard.page import Asking, Hands
from storage.dashboard.streams import as_calls_come, event, streamed
from storage.rest.sql import Row

SINCE = "ended"
LOOKED_AT = 600
"""Calls of one look, those that ended last. That there were more is told."""
MOST = 100
"""Of them, those that are told each. The others are told by their number, and a page holds no more."""
KNOWN = 2000
"""Calls that are remembered, so that none is told twice."""


async def tail(asking: Asking, hands: Hands) -> Response:
    return streamed(_arrivals(asking, hands))


async def _arrivals(asking: Asking, hands: Hands) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    watch = _Watch(asking, hands)
    yield event("watching", {"ended": watch.ended.isoformat()})
    async for each in as_calls_come(asking.request, hands.again, watch.look):
        yield each


class _Watch:
    """What was told already."""

    def __init__(self, asking: Asking, hands: Hands) -> None:
        self._hands = hands
        self._columns = chosen(asking.view.all(COLUMN))
        self.ended = _since(asking)
        """When the call that ended last did so, of those that were told."""
        self._seen: datetime | None = self.ended
        """What ended until then is on the page, or older than what the page has."""
        self._told = deque[str](maxlen=KNOWN)

    async def look(self, asking: Asking) -> bytes | None:
        found = await asking.rows(call_list.arrived(asking.view, self._columns, asking.now, self.ended, LOOKED_AT))
        known = set(self._told)
        fresh = [row for row in found if row["call_id"] not in known]
        self._told.extend(row["call_id"] for row in fresh)
        self.ended = max([self.ended, *(_time(row["completed_at"]) for row in fresh)])
        if self._seen is not None:
            fresh, self._seen = [row for row in fresh if _time(row["completed_at"]) > self._seen], None
        return self._said(asking, fresh, whole=len(found) < LOOKED_AT) if fresh else None

    def _said(self, asking: Asking, rows: list[Row], *, whole: bool) -> bytes:
        """The rows as the table has them, newest first; `more`: how many are only counted; `whole`: whether those are all."""
        newest = sorted(rows, key=lambda row: (row["created_at"], row["call_id"]), reverse=True)[:MOST]
        html = table_rows(asking, self._hands, newest, self._columns)
        return event("calls", {"html": html, "more": len(rows) - len(newest), "whole": whole, "ended": self.ended.isoformat()})


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
