"""What is asked of the calls that the cache answered. As in `figures`: one grouped SELECT each, values apart."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from storage.dashboard.figures import within
from storage.dashboard.filters import expression
from storage.dashboard.state import View
from storage.dashboard.zones import Period
from storage.rest.sql import Sql, all_of, value


def reused(view: View, period: Period, *, limit: int = 25) -> Sql:
    """Answers that were given again, most often first, with how many there are (`found`). `call_id`: whose answer it is."""
    return (
        "SELECT cache_reference_id AS call_id, any_value(model) AS model, any_value(path) AS path, count(*) AS hits, "
        "sum(cost_saved_usd) AS saved_usd, count(DISTINCT user_id) AS users, max(created_at) AS latest, count(*) OVER () AS found "
        "FROM calls WHERE "
        + all_of([within(view, period), Sql("cache_hit AND cache_reference_id IS NOT NULL")])
        + " GROUP BY 1 ORDER BY hits DESC, saved_usd DESC NULLS LAST, call_id LIMIT "
        + value(limit)
    )


def waits(view: View, period: Period) -> Sql:
    """Of each model how long callers waited: the mean of what the provider answered, and of the cache's answers mean and number."""
    return (
        "SELECT model, count(*) FILTER (cache_hit AND latency_ms IS NOT NULL) AS hits, "
        "avg(latency_ms) FILTER (cache_hit) AS hit_ms, "
        "avg(latency_ms) FILTER (outcome = 'completed' AND NOT coalesce(cache_hit, false)) AS asked_ms FROM calls WHERE "
        + within(view, period)
        + " GROUP BY 1 HAVING count(*) FILTER (cache_hit) > 0"
    )


def hits_by(view: View, period: Period, field: str, key: str = "", *, limit: int = 8) -> Sql:
    """Values of a field for which the cache saved most, of all their calls, with how many values there are (`found`)."""
    return (
        "SELECT "
        + expression(field, key)
        + " AS value, count(*) AS calls, count(*) FILTER (cache_hit) AS hits, sum(cost_saved_usd) AS saved_usd, "
        + "count(*) OVER () AS found FROM calls WHERE "
        + within(view, period)
        + " GROUP BY 1 HAVING hits > 0 ORDER BY saved_usd DESC NULLS LAST, hits DESC, value LIMIT "
        + value(limit)
    )
