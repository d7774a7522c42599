"""What the processors count. Once for each batch, not for each call: a label costs a microsecond."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter, Gauge

CALLS = Counter("heliograph_processor_calls", "Calls understood, by the dialect they spoke.", ["dialect"])
DEAD_LETTERS = Counter("heliograph_dead_letters", "Events that could not be understood, by reason.", ["reason"])
SCORED = Counter("heliograph_scored_calls", "Judgements that left the feedback join, with their call or without.")
HELD = Gauge("heliograph_join_held", "Events that the feedback join holds, by side.", ["side"], multiprocess_mode="livesum")

UNCLAIMED = "none"
"""The dialect label of calls that no dialect claims."""

REASONS = ("bad_header", "body_unreadable", "dialect_failed", "too_large", "undecodable", "usage_refused")
for _reason in REASONS:
    DEAD_LETTERS.labels(_reason)  # shown at 0: a series that begins with its first count has no rate to be alarmed by


def count_calls(dialects: Iterable[str | None]) -> None:
    for dialect, calls in Tally(dialects).items():
        CALLS.labels(dialect or UNCLAIMED).inc(calls)


def count_dead_letters(reasons: Iterable[str]) -> None:
    for reason, letters in Tally(reasons).items():
        DEAD_LETTERS.labels(reason).inc(letters)
