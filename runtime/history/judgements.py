"""What people say of made-up calls: ratings, scores, comments, properties given later, tags of sessions. Whole columns at once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from runtime.history.arrow import Flags, Floats, Ints, masked, no_maps, nothing, random_ids, words
from runtime.history.cast import FEATURES, MODELS
from runtime.history.rhythm import microseconds
from runtime.history.rows import Made
from storage.schema import FEEDBACK, PROPERTIES, SCORES, TIME

RATED, SCORED, SETTLED, TAGGED = 0.03, 0.012, 0.002, 0.015
"""How often: of calls, and the last of sessions."""
PATIENCE_S = 140.0
GOOD: Floats = np.array([model.good for model in MODELS])
PEOPLE_SEE: Flags = np.array([feature.name != "semantic-search" for feature in FEATURES])
COMMENTS = (
    *("Not what I asked for.", "The order number is wrong.", "Too long.", "Made up a source.", "It repeats itself.", "Wrong language."),
    *("Answered only half of my question.", "The total does not match the invoice.", "Polite, and of no use."),
)
PRAISE = ("Exactly right.", "Saved me an hour.", "Clear and short.")
COMMENTED = 0.22
SCORES_GIVEN = ("helpfulness", "groundedness", "relevance")
TAGS = ("resolved", "escalated", "follow-up")
OUTCOMES = ("resolved", "reopened")
RATING, SCORE, PROPERTY, TAG = range(4)


def feedback_of(made: Made, calls: pa.Table, rng: np.random.Generator) -> pa.Table:
    """What is said of the calls of one span, until the end of the history."""
    row, kind = _said_of(made, rng)
    given = _given_at(made, row, rng)
    kept = given < microseconds(made.plot.end)
    row, kind, given = row[kept], kind[kept], given[kept]
    order = np.argsort(given, kind="stable")
    row, kind, given = row[order], kind[order], given[order]
    columns = _columns(made, calls, (row, kind, given), rng)
    return pa.Table.from_arrays([columns[field.name] for field in FEEDBACK], schema=FEEDBACK)


def _said_of(made: Made, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Which calls, and what kind of judgement."""
    calls = made.calls
    groups = calls.groups
    chance = rng.random((4, len(calls.at)))
    seen = calls.completed & PEOPLE_SEE[groups.feature]
    first = groups.in_session & (groups.place == 0)
    chosen = (chance[0] < RATED) & seen, (chance[1] < SCORED) & seen, (chance[2] < SETTLED) & seen, (chance[3] < TAGGED) & first
    rows = [np.flatnonzero(each) for each in chosen]
    return np.concatenate(rows), np.repeat(np.arange(4), [len(each) for each in rows])


def _given_at(made: Made, row: Ints, rng: np.random.Generator) -> Ints:
    """Some while after the answer, in microseconds since 1970."""
    waited_s = rng.lognormal(np.log(PATIENCE_S), 1.3, len(row))
    answered_ms = (made.lasted.head + made.lasted.body)[row]
    return made.calls.at[row] + (answered_ms * 1000 + waited_s * 1e6).astype(np.int64)


def _columns(made: Made, calls: pa.Table, said: tuple[Ints, Ints, Ints], rng: np.random.Generator) -> dict[str, pa.Array]:
    row, kind, given = said
    count = len(row)
    is_rating, of_session = kind == RATING, kind == TAG
    good = rng.random(count) < GOOD[made.calls.model[row]]
    comment = is_rating & (rng.random(count) < np.where(good, COMMENTED / 4, COMMENTED))
    words_at = np.where(good, len(COMMENTS) + rng.integers(0, len(PRAISE), count), rng.integers(0, len(COMMENTS), count))
    at = pa.array(given, TIME)
    where = pa.array(row)
    return {
        "feedback_id": random_ids(count, rng),
        "request_id": _unless(of_session, calls.column("request_id"), where),
        "organization": words([made.organization], row * 0),
        "given_at": at,
        "rating": masked(good, is_rating, pa.bool_()),
        "scores": _scores(kind == SCORE, GOOD[made.calls.model[row]], rng),
        "properties": _properties(kind == PROPERTY, good),
        "session_id": _unless(~of_session, calls.column("session_id"), where),
        "rating_retracted": pa.array(np.zeros(count, bool)),
        "comment": words([*COMMENTS, *PRAISE], np.where(comment, words_at, -1)),
        "tag": words(TAGS, np.where(of_session, rng.integers(0, len(TAGS), count), -1)),
        "property_count": pa.array((kind == PROPERTY).astype(np.int32)),
        "day": at.cast(pa.date32()),
    }


def _unless(left_out: Flags, column: pa.ChunkedArray, where: pa.Array) -> pa.Array:
    taken = column.take(where).combine_chunks()
    return pc.if_else(pa.array(left_out), nothing(len(taken), taken.type), taken)


def _scores(given: Flags, good: Floats, rng: np.random.Generator) -> pa.Array:
    """All names where scores are given, each between 0 and 1."""
    names, rows = len(SCORES_GIVEN), int(given.sum())
    values = np.round(np.clip(rng.normal(good[given, None] - 0.08, 0.12, (rows, names)), 0, 1), 3)
    offsets = np.concatenate([[0], np.cumsum(given * names)]).astype(np.int32)
    keys = pa.array(SCORES_GIVEN * rows, pa.string())
    return pa.MapArray.from_arrays(offsets, keys, pa.array(values.ravel())).cast(SCORES)


def _properties(given: Flags, good: Flags) -> pa.Array:
    if not given.any():
        return no_maps(len(given), PROPERTIES)
    kinds = pa.array([[], *([("ticket_state", each)] for each in OUTCOMES)], PROPERTIES)
    return kinds.take(pa.array(np.where(given, np.where(good, 1, 2), 0)))
