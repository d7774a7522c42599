"""Every figure of the dashboard that is counted over calls, as questions: the one place where panels' SQL over `calls` is made.

A question is one grouped SELECT. `None` in a row is not known. Errors are calls that failed for another reason than that their client
gave up. Latencies are of all calls that have one, those answered from the cache included.
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from storage.dashboard.filters import expression
from storage.dashboard.state import View
from storage.dashboard.zones import Bucket, Period, instant
from storage.rest.sql import Sql, all_of, value

ERROR = "coalesce(outcome NOT IN ('completed', 'interrupted_by_client'), true)"
UNPRICED = f"cost_usd IS NULL AND NOT {ERROR}"
"""Something was answered, and nobody knows what it cost."""

SUMS = f"""count(*) AS calls,
    count(*) FILTER ({ERROR}) AS errors,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER ({UNPRICED}) AS unpriced,
    count(cost_usd) AS priced,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(cache_read_tokens) AS cache_read_tokens,
    sum(total_tokens) AS total_tokens,
    count(*) FILTER (total_tokens IS NULL) AS uncounted,
    count(*) FILTER (cache_hit) AS hits,
    sum(cost_saved_usd) AS saved_usd"""
"""Additive: sums and counts of parts make those of the whole."""
SPREADS = """quantile_cont(latency_ms, [0.5, 0.95, 0.99]) AS latency,
    quantile_cont(ttft_ms, [0.5, 0.95, 0.99]) AS ttft"""
"""Quantiles; NULL where there is none to take them of."""
RANKED_BY = {
    "cost": "cost_usd DESC NULLS LAST",
    "calls": "calls DESC",
    "tokens": "total_tokens DESC NULLS LAST",
    "errors": "errors DESC",
    "latency": "p95_ms DESC NULLS LAST",
}


def within(view: View, period: Period) -> Sql:
    """Holds for the view's calls that began in the period."""
    return all_of([period.contains(), view.condition()])


def totals(view: View, period: Period) -> Sql:
    """One row: everything together."""
    return f"SELECT {SUMS}, {SPREADS} FROM calls WHERE " + within(view, period)


def series(view: View, period: Period, bucket: Bucket) -> Sql:
    """A row for each piece that has calls, and one of all together, whose `piece` is NULL."""
    inner = (
        "SELECT "
        + bucket.sql
        + " AS piece, outcome, cost_usd, prompt_tokens, completion_tokens, cache_read_tokens, total_tokens, cache_hit, "
        + "cost_saved_usd, latency_ms, ttft_ms FROM calls WHERE "
        + within(view, period)
    )
    return f"SELECT piece, {SUMS}, {SPREADS} FROM (" + inner + ") GROUP BY GROUPING SETS ((piece), ())"


def series_file(view: View, period: Period, bucket: Bucket) -> Sql:
    """The series for a file: a row for each piece that has calls, named by when it begins in the viewer's zone."""
    begins = (
        "strftime(" + instant(bucket.cuts[0]) + f" + to_seconds({bucket.step.seconds} * piece), '%Y-%m-%dT%H:%M:%SZ')"
        if bucket.step.seconds
        else Sql("CAST(piece AS VARCHAR)")
    )
    spreads = ", ".join(
        f"{name}[{place}] AS {name}_p{quantile}_ms" for name in ("latency", "ttft") for place, quantile in ((1, 50), (2, 95), (3, 99))
    )
    return (
        "SELECT "
        + begins
        + f" AS begins, * EXCLUDE (piece, latency, ttft), {spreads} FROM ("
        + series(view, period, bucket)
        + ") WHERE piece IS NOT NULL ORDER BY piece"
    )


def series_by(view: View, period: Period, bucket: Bucket, field: str, key: str = "") -> Sql:
    """A row for each piece and value of a field: calls, errors, cost and tokens."""
    return (
        "SELECT "
        + bucket.sql
        + " AS piece, "
        + expression(field, key)
        + f" AS value, {SUMS} FROM calls WHERE "
        + within(view, period)
        + " GROUP BY 1, 2"
    )


def ranking(view: View, period: Period, field: str, key: str = "", *, by: str = "cost", limit: int = 8) -> Sql:
    """The first values of a field, in an order of `RANKED_BY`, with how many values there are (`found`)."""
    return (
        "SELECT "
        + expression(field, key)
        + f" AS value, {SUMS}, quantile_cont(latency_ms, 0.95) AS p95_ms, max(created_at) AS latest, count(*) OVER () AS found"
        + " FROM calls WHERE "
        + within(view, period)
        + f" GROUP BY 1 ORDER BY {RANKED_BY[by]}, calls DESC, value LIMIT "
        + value(limit)
    )


def unpriced(view: View, period: Period, *, limit: int = 5) -> Sql:
    """Of calls that no price was found for: their models and the reason, most calls first."""
    return (
        "SELECT model, price_source AS reason, count(*) AS calls FROM calls WHERE "
        + all_of([within(view, period), Sql(UNPRICED)])
        + " GROUP BY 1, 2 ORDER BY calls DESC, model LIMIT "
        + value(limit)
    )


RECENT = 4000
"""Calls that are looked at for the names of properties."""


def latencies(view: View, period: Period) -> Sql:
    """How many calls took how long: `half` counts halves of a doubling, from 1 ms on; what took less is in the first."""
    half = "CAST(floor(2 * log2(greatest(latency_ms, 1))) AS INTEGER)"
    return (
        f"SELECT {half} AS half, count(*) AS calls FROM calls WHERE "
        + all_of([within(view, period), Sql("latency_ms IS NOT NULL")])
        + " GROUP BY 1 ORDER BY 1"
    )


def property_names(view: View, period: Period, *, limit: int = 50) -> Sql:
    """Names of properties in the newest calls, and in how many of these each is."""
    recent = "SELECT properties FROM calls WHERE " + within(view, period) + " ORDER BY created_at DESC LIMIT " + value(RECENT)
    named = "SELECT unnest(map_keys(properties)) AS name FROM (" + recent + ")"
    return "SELECT name, count(*) AS calls FROM (" + named + ") GROUP BY 1 ORDER BY calls DESC, name LIMIT " + value(limit)


def values_of(view: View, period: Period, field: str, key: str = "", *, like: str = "", limit: int = 50) -> Sql:
    """The values of a field that have most calls, for choosing one."""
    of = expression(field, key)
    matching = [Sql("value IS NOT NULL"), *(["contains(lower(value), lower(" + value(like) + "))"] if like else [])]
    inner = "SELECT CAST(" + of + " AS VARCHAR) AS value FROM calls WHERE " + within(view, period)
    return (
        "SELECT value, count(*) AS calls FROM ("
        + inner
        + ") WHERE "
        + all_of(matching)
        + " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT "
        + value(limit)
    )


def organizations(period: Period) -> Sql:
    """Whose calls there are, most first."""
    return (
        "SELECT organization AS value, count(*) AS calls FROM calls WHERE " + period.contains() + " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 200"
    )


def counted(view: View, period: Period) -> Sql:
    """How many calls there are at all."""
    return "SELECT count(*) AS calls FROM calls WHERE " + within(view, period)


def newest() -> Sql:
    """When the newest call began, if there is any."""
    return Sql("SELECT created_at FROM calls ORDER BY created_at DESC LIMIT 1")
