"""Calls that never ended: their request is in the lake, their deadline has passed, and no row tells of their end.

The proxy died halfway. Each becomes an amendment of revision -1, which any row of the call itself outdoes: a completion that was only late,
because it lay in a spill, replaces it by being there.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError
from msgspec import Struct

from eventlog.events import CallFacts, CallPriced, Outcome
from storage.lake import Lake
from storage.rows import calls_table
from storage.writing import append

log = structlog.get_logger()

REVISION = -1
ERROR = "abandoned: the proxy ended before the call did, and nothing was heard of it since"
UNKNOWN = frozenset({"completed_at", "latency_ms", "response_bytes", "attempts", "redactions"})
"""What nobody knows of such a call."""

_facts = msgspec.json.Decoder(CallFacts)


class Window(Struct, frozen=True):
    """When the calls began that are looked at: from `since` on, and before `before`. Aware times."""

    since: datetime
    before: datetime


class Watch:
    """Which window is to be looked at next. Each overlaps the last by a deadline; the first, and another every so often, reaches back.

    For a request may lie in a spill, and come to the lake when its time was looked at already.
    """

    REACH = timedelta(days=2)
    AGAIN = timedelta(hours=6)

    def __init__(self, deadline: timedelta) -> None:
        self._deadline = deadline
        self._seen: datetime | None = None
        self._reached_back: datetime | None = None

    def window(self, now: datetime, behind: timedelta) -> Window:
        """`behind`: how far the slowest reader is. What it has not read yet may be the end of a call."""
        before = now - self._deadline - behind
        if self._seen is None or self._reached_back is None or before - self._reached_back >= self.AGAIN:
            return Window(before - self.REACH, before)
        return Window(min(self._seen - self._deadline, before), before)

    def looked(self, window: Window) -> None:
        self._seen = window.before
        if window.before - window.since >= self.REACH:
            self._reached_back = window.before


def write_abandoned(lake: Lake, window: Window) -> int:
    """Writes an amendment for each abandoned call of the window; answers how many. Blocks. One that another process writes too is left."""
    amendments = lake.table("amendments")
    found = abandoned(lake, window)
    if not found:
        return 0
    now = datetime.fromtimestamp(time.time(), UTC)
    try:
        append(amendments, abandoned_table(found, now), CommitProperties(max_commit_retries=0))
    except CommitFailedError as error:
        log.info("abandoned_calls_left_for_later", error=str(error))
        return 0
    log.warning("calls_abandoned", calls=len(found))
    return len(found)


def abandoned_table(found: Sequence[CallFacts], now: datetime) -> pa.Table:
    """The rows of such calls, found at the time `now`."""
    return calls_table([_row(facts) for facts in found], revision=REVISION, unknown=UNKNOWN, amended_at=now)


def abandoned(lake: Lake, window: Window) -> list[CallFacts]:
    """The facts of the calls of which only a request is known. Blocks. Only theirs are read: of all calls of two days they are much."""
    is_request = pc.field("side") == "request"
    left = _table(lake, "bodies", ["call_id"], window, is_request).column("call_id")
    for name in ("calls", "amendments"):
        if not len(left):
            return []
        known = _table(lake, name, ["call_id"], window).column("call_id")
        left = left.filter(pc.invert(pc.is_in(left, value_set=known)))
    if not len(left):
        return []
    facts = _table(lake, "bodies", ["facts"], window, is_request, pc.field("call_id").isin(left.combine_chunks()))
    return [_facts.decode(text) for text in facts.column("facts").to_pylist() if text is not None]


def _table(lake: Lake, name: str, columns: list[str], window: Window, *conditions: pc.Expression) -> pa.Table:
    since, before = (_naive(at) for at in (window.since, window.before))
    days = [("day", ">=", since.date().isoformat()), ("day", "<=", before.date().isoformat())]
    condition = (pc.field("created_at") >= since) & (pc.field("created_at") < before)
    for each in conditions:
        condition &= each
    return lake.table(name).to_pyarrow_dataset(file_pruning_predicate=days).to_table(columns=columns, filter=condition)


def _naive(at: datetime) -> datetime:
    """As the lake keeps times: UTC, without a zone."""
    return at.astimezone(UTC).replace(tzinfo=None)


def _row(facts: CallFacts) -> CallPriced:
    return CallPriced(
        call=facts,
        completed_at=facts.created_at,
        outcome=Outcome.ABANDONED,
        latency_ms=0.0,
        model=facts.model_override or facts.model,
        price_source="unpriced: nothing was heard of the answer",
        error=ERROR,
    )
