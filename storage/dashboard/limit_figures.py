"""What is asked of the calls that were refused. As in `figures`: one SELECT each, values apart."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from storage.dashboard.figures import within
from storage.dashboard.filters import expression
from storage.dashboard.state import View
from storage.dashboard.zones import Bucket, Period
from storage.rest.sql import Sql, all_of, value

REFUSED = "(outcome IN ('rate_limited', 'rejected') OR status = 429)"
KIND = "CASE WHEN outcome IN ('rate_limited', 'rejected') THEN outcome ELSE 'provider' END"
"""Who refused the call: a limit of ours, we because it could not be meant, or the provider's own limit."""


def _those(view: View, period: Period) -> Sql:
    return all_of([within(view, period), Sql(REFUSED)])


def over_time(view: View, period: Period, bucket: Bucket) -> Sql:
    """A row for each piece and kind of refusal."""
    return (
        "SELECT " + bucket.sql + f" AS piece, {KIND} AS kind, count(*) AS calls FROM calls WHERE " + _those(view, period) + " GROUP BY 1, 2"
    )


def reasons(view: View, period: Period, *, limit: int = 60) -> Sql:
    """What was said to those refused, most often first: for a limit its policy, else the directive and what it should be."""
    return (
        f"SELECT {KIND} AS kind, error, count(*) AS calls, count(DISTINCT user_id) AS users, max(created_at) AS latest FROM calls WHERE "
        + _those(view, period)
        + " GROUP BY 1, 2 ORDER BY calls DESC, kind, error LIMIT "
        + value(limit)
    )


def by_value(view: View, period: Period, field: str, key: str = "", *, limit: int = 8) -> Sql:
    """Values of a field whose calls were refused most often, with how many values there are (`found`)."""
    kinds = ", ".join(f"count(*) FILTER ({KIND} = '{kind}') AS {kind}" for kind in ("rate_limited", "rejected", "provider"))
    return (
        "SELECT "
        + expression(field, key)
        + f" AS value, count(*) AS calls, {kinds}, count(*) OVER () AS found FROM calls WHERE "
        + _those(view, period)
        + " GROUP BY 1 ORDER BY calls DESC, value LIMIT "
        + value(limit)
    )


def newest(view: View, period: Period, *, limit: int = 25) -> Sql:
    return (
        f"SELECT call_id, created_at, {KIND} AS kind, status, user_id, model, provider, path, error FROM calls WHERE "
        + _those(view, period)
        + " ORDER BY created_at DESC LIMIT "
        + value(limit)
    )


def all_calls(view: View, period: Period) -> Sql:
    return "SELECT count(*) AS calls FROM calls WHERE " + within(view, period)
