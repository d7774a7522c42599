"""Every figure of the dashboard that is counted over calls, as questions: the one place where panels' SQL over `calls` is made.

A question is one SELECT. `None` in a row is not known. What is counted by model, provider, outcome and status alone is taken from what
upkeep added up by hour and day (`storage/rollups/asking.py`), with sums to the last digit and quantiles within 1 %; the rest from calls.
Errors are calls that failed for another reason than that their client gave up. Latencies are of all calls that have one, those answered
from the cache included.
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Collection, Mapping

from msgspec import structs

from storage.dashboard.filters import FIELDS, expression
from storage.dashboard.state import View
from storage.dashboard.zones import Bucket, Period, instant
from storage.rest.sql import Sql, all_of, value
from storage.rollups import asking as rollups
from storage.rollups.asking import Counted
from storage.rollups.measures import ERROR, MEASURES
from storage.rollups.sketch import ENDLESS, value_sql

UNPRICED = f"cost_usd IS NULL AND NOT {ERROR}"
"""Something was answered, and nobody knows what it cost."""

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


NOTHING: Mapping[str, tuple[str, str]] = {}

_OF = {
    **{name: name for name in ("calls", "errors", "cost_usd")},
    "unpriced": "unpriced_answers",
    "priced": "calls - unpriced",
    **{name: name for name in ("prompt_tokens", "completion_tokens", "cache_read_tokens", "total_tokens", "uncounted")},
    "hits": "cache_hits",
    "saved_usd": "cost_saved_usd",
    "latest": "newest_at",
}
"""What is told, and what it is of the columns of rollups."""
SUMS = tuple(_OF)


def added(
    view: View,
    period: Period,
    *,
    by: Mapping[str, tuple[str, str]] = NOTHING,
    bucket: Bucket | None = None,
    quantiles: tuple[float, ...] = (),
    whole: bool = False,
    sums: Collection[str] = SUMS,
) -> Sql:
    """What the view's calls come to, for each piece of time and each value of fields (with their keys), named as the columns are to be.

    `sums`: those of `SUMS` that are asked for.
    """
    counted = structs.replace(
        _counted(view, period, by),
        measures=[name for name in MEASURES if any(name in _OF[each].split() for each in sums)],
        piece=None if bucket is None else bucket.sql,
        cuts=() if bucket is None else [cut for cut in bucket.cuts if period.since <= cut < period.until] or [period.since],
        whole=whole,
        quantiles=quantiles,
    )
    keys = [*(["piece"] if bucket else []), *by, *(["latency", "ttft"] if quantiles else [])]
    return f"SELECT {', '.join([*keys, *(f'{_OF[name]} AS {name}' for name in sums)])} FROM (" + rollups.asked(counted) + ")"


def _counted(view: View, period: Period, by: Mapping[str, tuple[str, str]] = NOTHING) -> Counted:
    """All together, but for what `by` keeps apart."""
    fields = {each.field for each in view.filters} | {field for field, _ in by.values()}
    reads = {FIELDS[field].column or field for field in fields} | ({"error"} if view.search else set())
    return Counted(
        since=period.since,
        before=None if period.goes_on else period.until,
        where=view.condition(),
        reads=reads,
        by={name: expression(*field) for name, field in by.items()},
    )


_BRIEF = ("calls", "errors", "cost_usd", "unpriced")
_COUNTS = ("calls", "errors", "unpriced", "priced", "uncounted", "hits")
QUANTILES = (0.5, 0.95, 0.99)


def totals(view: View, period: Period) -> Sql:
    """One row: everything together."""
    none = ", ".join(f"coalesce({name}, 0) AS {name}" for name in _COUNTS)
    sums = added(view, period, quantiles=QUANTILES)
    return f"SELECT * REPLACE ({none}) FROM (SELECT 1) LEFT JOIN (" + sums + ") ON true"


def series(view: View, period: Period, bucket: Bucket) -> Sql:
    """A row for each piece that has calls, and one of all together, whose `piece` is NULL; none where there are no calls."""
    return added(view, period, bucket=bucket, quantiles=QUANTILES, whole=True)


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
        + f" AS begins, * EXCLUDE (piece, latency, ttft, latest), {spreads} FROM ("
        + series(view, period, bucket)
        + ") WHERE piece IS NOT NULL ORDER BY piece"
    )


def series_by(view: View, period: Period, bucket: Bucket, field: str, key: str = "") -> Sql:
    """A row for each piece and value of a field: calls, errors, cost and tokens."""
    return added(view, period, by={"value": (field, key)}, bucket=bucket)


def ranking(view: View, period: Period, field: str, key: str = "", *, by: str = "cost", limit: int = 8, brief: bool = False) -> Sql:
    """The first values of a field, in an order of `RANKED_BY`, with how many values there are (`found`).

    `brief`: with calls, errors and cost alone, and what it is ranked by. What is not asked for is not read.
    """
    column = RANKED_BY[by].partition(" ")[0]
    shown = tuple(dict.fromkeys((*_BRIEF, column))) if brief else (*SUMS, "p95_ms")
    sums = [name for name in shown if name != "p95_ms"]
    added_up = added(view, period, by={"value": (field, key)}, sums=sums, quantiles=(0.95,) if "p95_ms" in shown else ())
    return (
        f"SELECT value, {', '.join(shown).replace('p95_ms', 'latency[1] AS p95_ms')}, count(*) OVER () AS found FROM ("
        + added_up
        + f") ORDER BY {RANKED_BY[by].replace('p95_ms', 'latency[1]')}, calls DESC, value LIMIT "
        + value(limit)
    )


def unpriced(view: View, period: Period, *, limit: int = 5) -> Sql:
    """The models of calls that no price was found for, most calls first."""
    by_model = added(view, period, by={"model": ("model", "")}, sums=("unpriced",))
    return "SELECT model, unpriced AS calls FROM (" + by_model + ") WHERE unpriced > 0 ORDER BY calls DESC, model LIMIT " + value(limit)


def by_model(view: View, period: Period, *, limit: int = 300) -> Sql:
    """Of each model of each provider its sums, what costs most first, with how many there are (`found`)."""
    sums = added(view, period, by={"model": ("model", ""), "provider": ("provider", "")})
    return (
        "SELECT *, count(*) OVER () AS found FROM ("
        + sums
        + ") ORDER BY cost_usd DESC NULLS LAST, calls DESC, model, provider LIMIT "
        + value(limit)
    )


def unpriced_models(view: View, period: Period, *, limit: int = 50) -> Sql:
    """As `unpriced`, of each provider: with tokens, and when the newest was."""
    return (
        "SELECT model, provider, price_source AS reason, count(*) AS calls, sum(total_tokens) AS total_tokens, max(created_at) AS latest "
        "FROM calls WHERE "
        + all_of([within(view, period), Sql(UNPRICED)])
        + " GROUP BY 1, 2, 3 ORDER BY calls DESC, model, provider LIMIT "
        + value(limit)
    )


RECENT = 4000
"""Calls that are looked at for the names of properties."""


def latencies(view: View, period: Period) -> Sql:
    """How many calls took how long, within 1 %: `half` counts halves of a doubling, from 1 ms on; what took less is in the first."""
    half = f"CAST(floor(2 * log2(greatest({value_sql('bucket')}, 1))) AS INTEGER)"
    counted = rollups.latencies(_counted(view, period))
    return f"SELECT {half} AS half, CAST(sum(n) AS BIGINT) AS calls FROM (" + counted + f") WHERE bucket < {ENDLESS} GROUP BY 1 ORDER BY 1"


def recent(view: View, period: Period) -> Sql:
    """Since when the newest calls of the view were made, few enough to be looked at closely; NULL where there are none."""
    newest = "SELECT created_at FROM calls WHERE " + within(view, period) + " ORDER BY created_at DESC LIMIT " + value(RECENT)
    return "SELECT min(created_at) AS since FROM (" + newest + ")"


def property_names(view: View, period: Period, *, limit: int = 50) -> Sql:
    """Names of properties, and how many calls have each."""
    named = "SELECT unnest(map_keys(properties)) AS name FROM calls WHERE " + within(view, period)
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
