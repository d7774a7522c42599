"""The questions that an analyst and a dashboard ask, as both engines are asked them, and how alike two answers are."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from msgspec import Struct

Ask = Callable[[str], pa.Table]
"""One SELECT over the rows of one organization."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLOSE = 1e-5
"""Of floats: a quantile between two 32-bit ones is rounded differently."""


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of each engine. `{user}` and the like stand for other values in every round: no answer is one that was kept."""

    name: str
    ours: str
    theirs: str = ""
    """`{calls}` is its table of calls; the same words as ours where it is empty."""
    rated: bool = False
    """Ours has what was judged, so theirs is asked of the view that joins it too."""
    compared: tuple[str, ...] = ()
    """Columns; all of them where there is none."""

    def for_ours(self, values: Mapping[str, str]) -> str:
        return self.ours.format(calls="calls", **values)

    def for_theirs(self, values: Mapping[str, str], calls: str) -> str:
        return (self.theirs or self.ours).format(calls=calls, **values)


OWN = "WHERE organization = 'default'"
"""What binds ClickHouse to one tenant; ours is bound by its views."""
FACTS = ("call_id", "created_at", "model", "total_tokens", "cost_usd")


def rows_of(name: str, condition: str = "", then: str = "", *, compared: tuple[str, ...] = FACTS) -> Question:
    """Whole calls, ratings and scores with them."""
    ours, theirs = (f"WHERE {condition}", f"{OWN} AND {condition}") if condition else ("", OWN)
    return Question(
        name=name,
        ours=f"SELECT * FROM {{calls}} {ours} {then}",
        theirs=f"SELECT * FROM {{calls}} {theirs} {then}",
        rated=True,
        compared=compared,
    )


def quantiles_of(name: str, ours: str, theirs: str, *, compared: tuple[str, ...] = ()) -> Question:
    return Question(
        name=name,
        ours=f"SELECT date_trunc('hour', created_at) AS hour, {ours} AS found FROM {{calls}} GROUP BY 1",
        theirs=f"SELECT toStartOfHour(created_at) AS hour, {theirs} AS found FROM {{calls}} {OWN} GROUP BY 1",
        compared=compared,
    )


NEWEST = "ORDER BY created_at DESC LIMIT"
QUESTIONS = (
    Question(
        name="1 cost by day and model",
        ours="SELECT date_trunc('day', created_at) AS day, model, count(*) AS n, sum(cost_usd) AS usd FROM {calls} GROUP BY 1, 2",
        theirs=f"SELECT toStartOfDay(created_at) AS day, model, count() AS n, sum(cost_usd) AS usd FROM {{calls}} {OWN} GROUP BY 1, 2",
    ),
    quantiles_of("2 p95 latency by hour, exact", "quantile_cont(latency_ms, 0.95)", "quantileExactInclusive(0.95)(latency_ms)"),
    quantiles_of("2 the same, approximate in both", "approx_quantile(latency_ms, 0.95)", "quantile(0.95)(latency_ms)", compared=("hour",)),
    Question(
        name="3 top users by cost",
        ours="SELECT user_id, count(*) AS n, sum(cost_usd) AS usd FROM {calls} GROUP BY 1 ORDER BY usd DESC LIMIT 20",
        theirs=f"SELECT user_id, count() AS n, sum(cost_usd) AS usd FROM {{calls}} {OWN} GROUP BY 1 ORDER BY usd DESC LIMIT 20",
    ),
    Question(
        name="4 cost by a property",
        ours="SELECT properties['feature'] AS value, count(*) AS n, sum(cost_usd) AS usd FROM {calls} GROUP BY 1",
        theirs=f"SELECT properties['feature'] AS value, count() AS n, sum(cost_usd) AS usd FROM {{calls}} {OWN} GROUP BY 1",
        rated=True,
    ),
    Question(
        name="5 the last day by hour",
        ours="SELECT date_trunc('hour', created_at) AS hour, count(*) AS n, sum(cost_usd) AS usd FROM {calls}"
        " WHERE created_at >= TIMESTAMP '{since}' GROUP BY 1",
        theirs="SELECT toStartOfHour(created_at) AS hour, count() AS n, sum(cost_usd) AS usd FROM {calls} "
        + OWN
        + " AND created_at >= toDateTime64('{since}', 6, 'UTC') GROUP BY 1",
    ),
    rows_of("6 a user's newest 100 calls", "user_id = '{user}'", f"{NEWEST} 100"),
    rows_of("6 the newest 100 of a heavy user", "user_id = '{heavy}'", f"{NEWEST} 100"),
    rows_of("6 all calls of a user", "user_id = '{user}'"),
    rows_of("7 one call by its id", "call_id = '{call}'"),
    rows_of("7 one call by its request id", "request_id = '{request}'"),
    rows_of("8 the latest 50", then=f"{NEWEST} 50", compared=("created_at",)),
    Question(
        name="9 error rate by provider",
        ours="SELECT provider, count(*) AS n, avg((outcome <> 'completed')::INT) AS failed FROM {calls} GROUP BY 1",
        theirs=f"SELECT provider, count() AS n, avg(outcome != 'completed') AS failed FROM {{calls}} {OWN} GROUP BY 1",
    ),
    rows_of("10 a session's calls", "session_id = '{session}'", "ORDER BY created_at"),
)

_SUMS = (
    "count(*) AS n, sum(cost_usd) AS usd, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,"
    " sum((outcome <> 'completed')::INT) AS failed, sum(cost_saved_usd) AS saved, sum(cache_hit::INT) AS hits"
)
_THEIR_SUMS = _SUMS.replace("(outcome <> 'completed')::INT", "toInt64(outcome != 'completed')").replace(
    "cache_hit::INT", "toInt64(cache_hit)"
)


def _ranked(name: str, column: str) -> Question:
    best = "GROUP BY 1 ORDER BY usd DESC LIMIT 10"
    return Question(
        name=name,
        ours=f"SELECT {column} AS name, {_SUMS} FROM {{calls}} {best}",
        theirs=f"SELECT {column} AS name, {_THEIR_SUMS} FROM {{calls}} {OWN} {best}",
    )


PANELS = (
    Question(
        name="sums by hour",
        ours=f"SELECT date_trunc('hour', created_at) AS hour, {_SUMS} FROM {{calls}} GROUP BY 1",
        theirs=f"SELECT toStartOfHour(created_at) AS hour, {_THEIR_SUMS} FROM {{calls}} {OWN} GROUP BY 1",
    ),
    quantiles_of("latency by hour", "quantile_cont(latency_ms, [0.5, 0.95, 0.99])", "quantilesExactInclusive(0.5, 0.95, 0.99)(latency_ms)"),
    quantiles_of("time to first token by hour", "quantile_cont(ttft_ms, [0.5, 0.95])", "quantilesExactInclusive(0.5, 0.95)(ttft_ms)"),
    _ranked("by model", "model"),
    _ranked("by provider", "provider"),
    _ranked("top users", "user_id"),
    _ranked("by a property", "properties['feature']"),
)
"""What an overview page shows of all there is."""

HEAVY = 10
"""So many users have most calls."""


def values_of(ask: Ask, rounds: int) -> list[dict[str, str]]:
    """What stands in the questions, another for each round; the same at every start over the same lake."""
    newest = ask("SELECT max(created_at) AS at FROM calls").column("at")[0].as_py()
    users = [
        str(user) for user in ask("SELECT user_id FROM calls WHERE user_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1")["user_id"]
    ]
    somewhere = "SELECT call_id, request_id, session_id FROM calls WHERE {} ORDER BY hash(call_id) LIMIT {}"
    calls = ask(somewhere.format("true", rounds)).to_pylist()
    named = ask(somewhere.format("request_id <> call_id", rounds)).to_pylist() or calls
    sessions = ask(somewhere.format("session_id IS NOT NULL", rounds)).to_pylist()
    middle = len(users) // 2
    found = [
        {
            "since": f"{newest - timedelta(days=1):%Y-%m-%d %H:%M:%S}",
            "user": users[(middle + place) % len(users)],
            "heavy": users[place % min(HEAVY, len(users))],
            "call": calls[place % len(calls)]["call_id"],
            "request": named[place % len(named)]["request_id"],
            "session": sessions[place % len(sessions)]["session_id"],
        }
        for place in range(rounds)
    ]
    return [{name: value.replace("'", "''") for name, value in each.items()} for each in found]


def difference(ours: pa.Table, theirs: pa.Table, question: Question) -> str | None:
    """What is not alike in two answers; None when they are. Counts and sums must agree to the digit, other floats nearly."""
    columns = question.compared or tuple(ours.column_names)
    mine, other = (sorted((_row(each, columns) for each in table.select(columns).to_pylist()), key=repr) for table in (ours, theirs))
    if len(mine) != len(other):
        return f"{len(mine)} rows, and {len(other)}"
    return next((f"{a} is not {b}" for a, b in zip(mine, other, strict=True) if not _alike(a, b)), None)


def _row(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple(_value(row[column]) for column in columns)


def _value(value: Any) -> Any:
    """ClickHouse gives whole seconds as a number, times their zone, and an empty text for a property that is not there."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (Decimal((aware - EPOCH) // timedelta(microseconds=1)) / 1_000_000).normalize()
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value).normalize()
    if isinstance(value, list):
        return tuple(_value(each) for each in value)
    return value if value != "" else None


def _alike(mine: Any, other: Any) -> bool:
    if isinstance(mine, tuple) and isinstance(other, tuple):
        return len(mine) == len(other) and all(_alike(a, b) for a, b in zip(mine, other, strict=True))
    if isinstance(mine, float) or isinstance(other, float):
        if mine is None or other is None:
            return mine is other
        return abs(float(mine) - float(other)) <= CLOSE * max(abs(float(mine)), abs(float(other)))
    return bool(mine == other)
