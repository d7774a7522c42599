"""Questions about what was said of calls: ratings and scores. Those calls are few: each question gathers them once, and cuts them."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Sequence

from storage.dashboard.figures import within
from storage.dashboard.filters import expression
from storage.dashboard.state import View
from storage.dashboard.zones import Bucket, Period
from storage.rest.sql import Sql, all_of, value, values

RATED = Sql("rating IS NOT NULL")
SCORED = Sql("cardinality(scores) > 0")
JUDGED = Sql("rating IS NOT NULL OR cardinality(scores) > 0")
BINS = 12
WAYS = ("model", "prompt", "property")
SHOWN = (
    "call_id, request_id, organization, created_at, model, user_id, session_id, prompt_id, prompt_version, outcome, cost_usd, rating, "
    "scores"
)


def ratings(view: View, period: Period, bucket: Bucket, key: str) -> Sql:
    """Good and bad: all together, by piece of time, by model, by prompt with its version, and by a property's values.

    `cut` tells which: 31 for all, then one bit less for each that it is cut by.
    """
    inner = (
        "SELECT "
        + bucket.sql
        + " AS piece, model, prompt_id AS prompt, prompt_version AS version, "
        + expression("property", key)
        + " AS property, rating FROM calls WHERE "
        + all_of([within(view, period), JUDGED])
    )
    return (
        """SELECT grouping(piece, model, prompt, version, property) AS cut, piece, model, prompt, version, property, count(*) AS judged,
            count(rating) AS rated, count(*) FILTER (rating) AS good FROM ("""
        + inner
        + ") GROUP BY GROUPING SETS ((), (piece), (model), (prompt, version), (property)) ORDER BY rated DESC"
    )


CUTS = {"all": 0b11111, "piece": 0b01111, "model": 0b10111, "prompt": 0b11001, "property": 0b11110}


def ratings_file(view: View, period: Period, bucket: Bucket, key: str) -> Sql:
    """For a file: what `cut` says in words."""
    words = " ".join(f"WHEN {cut} THEN '{name}'" for name, cut in CUTS.items())
    return (
        f"SELECT CASE cut {words} END AS cut_by, * EXCLUDE (cut) FROM (" + ratings(view, period, bucket, key) + ") ORDER BY cut_by, piece"
    )


def scores(view: View, period: Period, bucket: Bucket) -> Sql:
    """By name, and by name and piece of time (`piece`): how many, mean, and how they spread."""
    inner = _entries(view, period, bucket)
    return (
        """SELECT name, piece, grouping(piece) AS whole, count(*) AS given, avg(score) AS mean, min(score) AS least, max(score) AS most,
            quantile_cont(score, [0.1, 0.5, 0.9]) AS spread FROM ("""
        + inner
        + ") GROUP BY GROUPING SETS ((name), (name, piece)) ORDER BY given DESC, name"
    )


def scores_file(view: View, period: Period, bucket: Bucket) -> Sql:
    of = scores(view, period, bucket)
    spreads = "spread[1] AS p10, spread[2] AS p50, spread[3] AS p90"
    return f"SELECT name, piece, given, mean, least, most, {spreads} FROM (" + of + ") ORDER BY name, piece NULLS FIRST"


def bins(view: View, period: Period, bucket: Bucket, name: str) -> Sql:
    """Of one score: how many lie in each twelfth between the least and the most."""
    inner = "SELECT score FROM (" + _entries(view, period, bucket) + ") WHERE name = " + value(name)
    return (
        f"""SELECT least(CAST(floor((score - low) / nullif(high - low, 0) * {BINS}) AS INTEGER), {BINS - 1}) AS bin, any_value(low) AS low,
            any_value(high) AS high, count(*) AS given
        FROM (SELECT score, min(score) OVER () AS low, max(score) OVER () AS high FROM ("""
        + inner
        + ")) GROUP BY 1 ORDER BY 1"
    )


def _entries(view: View, period: Period, bucket: Bucket) -> Sql:
    scored = "SELECT " + bucket.sql + " AS piece, scores FROM calls WHERE " + all_of([within(view, period), SCORED])
    each = "SELECT piece, unnest(map_entries(scores)) AS entry FROM (" + scored + ")"
    return "SELECT piece, entry.key AS name, entry.value AS score FROM (" + each + ") WHERE isfinite(entry.value)"


def badly_rated(view: View, period: Period, *, limit: int) -> Sql:
    """Newest first."""
    return (
        f"SELECT {SHOWN} FROM calls WHERE "
        + all_of([within(view, period), Sql("rating = false")])
        + " ORDER BY created_at DESC, call_id LIMIT "
        + value(limit)
    )


def lowest(view: View, period: Period, name: str, *, limit: int) -> Sql:
    """By one score, the lowest first."""
    score = "scores[" + value(name) + "]"
    return (
        f"SELECT {SHOWN} FROM calls WHERE "
        + all_of([within(view, period), score + " IS NOT NULL"])
        + " ORDER BY "
        + score
        + " ASC, created_at DESC, call_id LIMIT "
        + value(limit)
    )


def comments(request_ids: Sequence[str]) -> Sql:
    """The newest comment on each of these requests."""
    return (
        "SELECT organization, request_id, arg_max(comment, given_at) AS comment FROM feedback WHERE comment IS NOT NULL AND request_id IN "
        + values(request_ids)
        + " GROUP BY 1, 2"
    )
