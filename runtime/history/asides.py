"""What happens beside made-up calls: some are never heard of again, some get a price afterwards, some events nobody can read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from eventlog.events import CallFacts, CallId, DeadLetter, RequestId
from eventlog.own_prices import OwnPrice, OwnPrices
from eventlog.topics import FEEDBACK, REQUESTS
from processors.pricing.rates import RateBook
from runtime.history.arrow import Ints, dated_ids
from runtime.history.bodies import facts_of
from runtime.history.cast import AT_HOME, MODELS
from runtime.history.rows import Made
from runtime.repricing import change_of
from storage.abandoned import abandoned_table
from storage.repricing import Change
from storage.rows import dead_letters_table
from storage.schema import CALLS

CALLS_AN_ABANDONED = 30_000
CALLS_A_LETTER = 60_000
DEADLINE = timedelta(hours=1)
"""After so long a call counts as abandoned."""
PRICED_AFTER = timedelta(days=1)
MOST_PRICED = 500
HOME = next(at for at, model in enumerate(MODELS) if model.door is AT_HOME)
OWN_PRICE = OwnPrice(provider=AT_HOME.provider, model=MODELS[HOME].name, rates={"input": "0.14", "output": "0.38"})
"""What the hardware of one's own turned out to cost."""

LETTERS: tuple[tuple[str, str, str, str], ...] = (
    (REQUESTS.name, "undecodable", "JSON is malformed: invalid character (byte 118)", '{"event":"request-received","call":{"call_id":"019'),
    (FEEDBACK.name, "undecodable", "Expected `bool | null`, got `str` - at `$.rating`", '{"event":"feedback-given","rating":"good"}'),
    (FEEDBACK.name, "undecodable", "Object missing required field `given_at`", '{"event":"feedback-given","rating":true}'),
)
"""Topic, reason, what is wrong, and the line."""


def amendments_of(made: Made, calls: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Rows in the place of others: of calls that nobody heard the end of, and on one day of those that got a price afterwards."""
    parts = [_abandoned(made, calls, rng)]
    if made.span.day == made.plot.priced_day.date():
        parts.append(_priced(made, calls))
    return pa.concat_tables(parts)


def _abandoned(made: Made, calls: pa.Table, rng: np.random.Generator) -> pa.Table:
    rows = calls.take(pa.array(_some(len(calls), CALLS_AN_ABANDONED, rng))).to_pylist()
    began = np.array([int(row["created_at"].replace(tzinfo=UTC).timestamp() * 1000) for row in rows], np.int64)
    ids = dated_ids(began, rng).to_pylist()
    found = [_again(facts_of(row), CallId(id_)) for row, id_ in zip(rows, ids, strict=True)]
    noticed = made.span.end + DEADLINE
    return abandoned_table(found if noticed < made.plot.end else [], noticed)


def _again(facts: CallFacts, call_id: CallId) -> CallFacts:
    """Another call like it."""
    return replace(facts, call_id=call_id, request_id=RequestId(call_id))


def _priced(made: Made, calls: pa.Table) -> pa.Table:
    at = min(made.span.end + PRICED_AFTER, made.plot.end)
    own = np.flatnonzero((made.calls.model == HOME) & made.counted.known & ~made.calls.hit)[:MOST_PRICED]
    book = RateBook.bundled(OwnPrices([OWN_PRICE]).find)
    rows = calls.take(pa.array(own)).to_pylist()
    changes = [(row, change) for row in rows if (change := change_of(row, None, book)) is not None]
    return pa.Table.from_pylist([_changed(row, change, at) for row, change in changes], schema=CALLS)


def _changed(row: dict[str, Any], change: Change, at: datetime) -> dict[str, Any]:
    return row | {
        "revision": change.revision,
        "cost_usd": change.cost,
        "price_source": change.source,
        "price_basis": change.basis.value,
        "rates": list(change.rates.items()),
        "amended_at": at.replace(tzinfo=None),
    }


def letters_of(made: Made, rng: np.random.Generator) -> pa.Table:
    """Of each span some lines that are no events."""
    found = _some(made.span.calls, CALLS_A_LETTER, rng)
    return dead_letters_table([_letter(made, int(at), rng) for at in found])


def _letter(made: Made, at: int, rng: np.random.Generator) -> DeadLetter:
    topic, reason, error, payload = LETTERS[int(rng.integers(len(LETTERS)))]
    return DeadLetter(
        topic=topic,
        partition=int(rng.integers(4)),
        offset=int(made.span.number * 10_000 + at),
        reason=reason,
        error=error,
        at=datetime.fromtimestamp(int(made.calls.at[at]) / 1e6, UTC),
        payload=payload,
    )


def _some(calls: int, one_in: int, rng: np.random.Generator) -> Ints:
    """Places among so many calls, in order."""
    return np.sort(rng.choice(calls, min(calls, int(rng.poisson(calls / one_in))), replace=False)).astype(np.int64)
