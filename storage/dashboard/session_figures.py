"""Questions about sessions: many calls each, told apart by `session_id`. Figures of a session are of its calls that the view is about."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from storage.dashboard.figures import UNPRICED, within
from storage.dashboard.state import View
from storage.dashboard.zones import Period
from storage.rest.sql import EVERY, Sql, all_of, value
from storage.rollups.measures import ERROR

ENDS = "max(coalesce(completed_at, created_at))"
SORTS = {
    "start": "begins",
    "name": "name",
    "duration": "duration_ms",
    "calls": "calls",
    "cost": "cost_usd",
    "tokens": "total_tokens",
    "errors": "errors",
    "users": "users",
}
"""What sessions can be sorted by."""
ONE = f"""session_id,
    arg_max(session_name, created_at) AS name,
    min(created_at) AS begins,
    date_diff('microsecond', min(created_at), {ENDS}) / 1000.0 AS duration_ms,
    count(*) AS calls,
    count(*) FILTER ({ERROR}) AS errors,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER ({UNPRICED}) AS unpriced,
    sum(total_tokens) AS total_tokens,
    count(DISTINCT user_id) AS users,
    max(user_id) AS a_user"""
WITHOUT_NAME = "-"
"""How an address asks for sessions without a name."""
MOST_CALLS = 3000
"""Of one session that are shown."""


def sessions(view: View, period: Period, *, named: str = "", failed: bool = False) -> Sql:
    """A row for each session. `named`: of those with this name; `failed`: of those with an error."""
    inner = f"SELECT {ONE} FROM calls WHERE " + all_of([within(view, period), Sql("session_id IS NOT NULL")]) + " GROUP BY session_id"
    conditions = [
        (Sql("name IS NULL") if named == WITHOUT_NAME else "name = " + value(named)) if named else EVERY,
        Sql("errors > 0") if failed else EVERY,
    ]
    return "SELECT * FROM (" + inner + ") WHERE " + all_of(conditions)


def listed(of: Sql, *, sort: str, descending: bool = True, limit: int = 50, offset: int = 0) -> Sql:
    """Some of the sessions, in an order of `SORTS`, with how many there are of each kind (`found`)."""
    order = f"{SORTS[sort]} {'DESC' if descending else 'ASC'} NULLS LAST, begins DESC, session_id"
    return "SELECT *, count(*) OVER () AS found FROM (" + of + f") ORDER BY {order} LIMIT " + value(limit) + " OFFSET " + value(offset)


def kinds(of: Sql, *, limit: int = 8) -> Sql:
    """Sessions by their name, and all of them together in the row whose `everything` is 1."""
    return (
        """SELECT name, grouping(name) AS everything, count(*) AS sessions, sum(calls) AS calls, sum(cost_usd) AS cost_usd,
            sum(cost_usd) / nullif(count(cost_usd), 0) AS cost_each, sum(unpriced) AS unpriced, sum(total_tokens) AS total_tokens,
            median(duration_ms) AS median_ms, quantile_cont(duration_ms, 0.95) AS p95_ms, count(*) FILTER (errors > 0) AS failed,
            max(users) AS most_users, count(*) OVER () - 1 AS found FROM ("""
        + of
        + ") GROUP BY GROUPING SETS ((name), ()) ORDER BY everything DESC, sessions DESC, name LIMIT "
        + value(limit + 1)
    )


def calls_of(session_id: str, *, limit: int = MOST_CALLS + 1) -> Sql:
    """The calls of one session, oldest first, whenever they were."""
    return (
        """SELECT call_id, created_at, latency_ms, ttft_ms, session_path, session_name, user_id, model, provider, outcome, status, error,
            cost_usd, prompt_tokens, completion_tokens, total_tokens, cache_hit, price_source, rating, prompt_id
        FROM calls WHERE session_id = """
        + value(session_id)
        + " ORDER BY created_at, call_id LIMIT "
        + value(limit)
    )


def tag_of(session_id: str) -> Sql:
    """The newest tag and rating that were given to the session itself."""
    return (
        "SELECT arg_max(tag, given_at) FILTER (tag IS NOT NULL) AS tag, arg_max(rating, given_at) FILTER (rating IS NOT NULL) AS rating, "
        "arg_max(comment, given_at) FILTER (comment IS NOT NULL) AS comment FROM feedback WHERE session_id = " + value(session_id)
    )
