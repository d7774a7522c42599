"""Whether a row that waits for its commit was erased before it came so far."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from eventlog.erasure import Erasure
from eventlog.events import DeadLetter, FeedbackGiven


class Erased:
    """Asked for every row. What happened after the newest erasure, as nearly all did, costs a comparison of times."""

    def __init__(self, erasures: Callable[[], Sequence[Erasure]]) -> None:
        self._erasures = erasures
        self._known: Sequence[Erasure] = ()
        self._newest: datetime | None = None

    def __call__(self, row: Any) -> bool:
        """`row`: an event, or a side of a call."""
        known = self._erasures()
        if known is not self._known:
            self._known, self._newest = known, max((each.before for each in known), default=None)
        if self._newest is None or _time_of(row) > self._newest:
            return False
        return any(_covers(each, row) for each in known)


def _time_of(row: Any) -> datetime:
    match row:
        case FeedbackGiven():
            return row.given_at
        case DeadLetter():
            return row.at
    at: datetime = row.call.created_at
    return at


def _covers(erasure: Erasure, row: Any) -> bool:
    match row:
        case FeedbackGiven():
            return erasure.covers_feedback(row)
        case DeadLetter():
            return erasure.covers_letter(row)
    return erasure.covers_call(row.call)
