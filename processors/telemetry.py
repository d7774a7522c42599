"""What the processors count. Once for each batch, not for each call: a label costs a microsecond."""

from collections import Counter as Tally
from collections.abc import Iterable, Sequence

from prometheus_client import Counter, Gauge

from eventlog.events import CallPriced, PriceBasis

CALLS = Counter("heliograph_processor_calls", "Calls understood, by the dialect they spoke.", ["dialect"])
PRICED = Counter("heliograph_priced_calls", "Calls understood, by what their cost rests on; `unknown` is NULL in the lake.", ["basis"])
UNPRICED = Counter("heliograph_unpriced_calls", "Calls whose tokens are known and whose price nobody knows.", ["provider", "model"])
DEAD_LETTERS = Counter("heliograph_dead_letters", "Events that could not be understood, by reason.", ["reason"])
SCORED = Counter("heliograph_scored_calls", "Judgements that left the feedback join, with their call or without.")
HELD = Gauge("heliograph_join_held", "Events that the feedback join holds, by side.", ["side"], multiprocess_mode="livesum")

UNCLAIMED = "none"
"""The dialect label of calls that no dialect claims."""

REASONS = ("bad_header", "body_unreadable", "dialect_failed", "too_large", "undecodable", "usage_refused")
for _reason in REASONS:
    DEAD_LETTERS.labels(_reason)  # shown at 0: a series that begins with its first count has no rate to be alarmed by


for _basis in PriceBasis:
    PRICED.labels(_basis)

MODELS = 200
"""Models that are told apart by `heliograph_unpriced_calls`; callers choose the names, so there is no end of them."""
OTHER = "other"
_told_apart: set[tuple[str, str]] = set()


def count_calls(calls: Sequence[CallPriced]) -> None:
    for dialect, count in Tally(call.dialect for call in calls).items():
        CALLS.labels(dialect or UNCLAIMED).inc(count)
    for basis, count in Tally(call.price_basis or PriceBasis.UNKNOWN for call in calls).items():
        PRICED.labels(basis).inc(count)
    for name, count in Tally(map(_named, filter(_lacks_a_price, calls))).items():
        UNPRICED.labels(*name).inc(count)


def _lacks_a_price(call: CallPriced) -> bool:
    return call.price_basis is PriceBasis.UNKNOWN and call.usage is not None


def _named(call: CallPriced) -> tuple[str, str]:
    name = call.call.provider, call.model or ""
    if name not in _told_apart:
        if len(_told_apart) >= MODELS:
            return OTHER, OTHER
        _told_apart.add(name)
    return name


def count_dead_letters(reasons: Iterable[str]) -> None:
    for reason, letters in Tally(reasons).items():
        DEAD_LETTERS.labels(reason).inc(letters)
