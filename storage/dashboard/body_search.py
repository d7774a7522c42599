"""A text sought in what was said: bodies read from the newest back, a stretch of time after the other, so that there is progress to show.

It is slower than everything else here, as it reads all bodies of the time range. So it is asked for, told how far it is, and ends when the
browser gives it up.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from time import perf_counter

from fastapi import Response

from storage.dashboard import call_list
from storage.dashboard.call_columns import COLUMN, Column, chosen, table_rows
from storage.dashboard.page import Asking, Hands
from storage.dashboard.streams import event, streamed
from storage.dashboard.zones import Period, moment
from storage.rest.sql import Row

SAID = "said"
CHARACTERS = 200
MOST = 200
"""Calls that are shown; then it stops."""
FIRST, LEAST, LONGEST = timedelta(hours=1), timedelta(minutes=5), timedelta(days=7)
"""Of a stretch: the first one, and between which it is fitted to how long the last one took."""
FAST_S, SLOW_S = 0.4, 2.0
TOGETHER = 200
"""Calls of one stretch that are looked at."""


async def search(asking: Asking, hands: Hands) -> Response:
    return streamed(_found(asking, hands))


def forms_of(text: str) -> tuple[str, ...]:
    """As the text may stand in a body that is JSON: as it is, escaped, and with everything beyond ASCII escaped."""
    escaped = (json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1])
    return tuple(dict.fromkeys((text, *escaped)))


def stretch_after(stretch: timedelta, took_s: float) -> timedelta:
    """How long the next one is."""
    fitted = stretch * 2 if took_s < FAST_S else stretch / 2 if took_s > SLOW_S else stretch
    return min(LONGEST, max(LEAST, fitted))


async def _found(asking: Asking, hands: Hands) -> AsyncIterator[bytes]:
    text = asking.view.get(SAID)[:CHARACTERS]
    forms, columns, period = forms_of(text), chosen(asking.view.all(COLUMN)), asking.period
    until, stretch, seen, found = period.until, FIRST, set[str](), 0
    while until > period.since and found < MOST and text:
        window, began = Period(max(period.since, until - stretch), until), perf_counter()
        hits = [hit for hit in await asking.rows(call_list.said_in(forms, window, TOGETHER)) if hit["call_id"] not in seen]
        rows = await _rows_of(hits, asking, columns)
        shown = rows[: MOST - found]
        seen, found = {hit["call_id"] for hit in hits}, found + len(shown)
        until = moment(hits[-1]["created_at"]) + timedelta(microseconds=1) if len(hits) == TOGETHER else window.since
        yield event("found", _progress(period, until, found, table_rows(asking, hands, shown, columns) if shown else ""))
        stretch = stretch_after(stretch, perf_counter() - began)
        hands.again()


async def _rows_of(hits: Sequence[Row], asking: Asking, columns: Sequence[Column]) -> list[Row]:
    """Of the calls that were found, those that pass the filters."""
    if not hits:
        return []
    times = [hit["created_at"].removesuffix("Z") for hit in hits]
    return await asking.rows(call_list.those(asking.view, columns, [hit["call_id"] for hit in hits], min(times), max(times)))


def _progress(period: Period, reached: datetime, found: int, html: str) -> dict[str, object]:
    done = (period.until - reached) / period.length
    return {"html": html, "found": found, "done": round(done, 4), "reached": reached.isoformat(), "full": found >= MOST}
