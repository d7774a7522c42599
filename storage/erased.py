"""Whether a row that waits for its commit was erased before it came so far."""

from collections.abc import Callable, Sequence
from typing import Any

from eventlog.erasure import Erasure
from eventlog.events import DeadLetter, FeedbackGiven


def is_erased(erasures: Callable[[], Sequence[Erasure]], row: Any) -> bool:
    """`row`: an event, or a side of a call. Of what happens now it costs a comparison of times for each erasure that still counts."""
    return any(_covers(each, row) for each in erasures())


def _covers(erasure: Erasure, row: Any) -> bool:
    match row:
        case FeedbackGiven():
            return erasure.covers_feedback(row)
        case DeadLetter():
            return erasure.covers_letter(row)
    return erasure.covers_call(row.call)
