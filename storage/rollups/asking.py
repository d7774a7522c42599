"""Asking for calls added up, without knowing of rollups: the answer is that of `calls`, only sooner.

    question = asked(Counted(since=since, before=now, piece=Sql("date_trunc('day', created_at)"), cuts=midnights,
                             by={"model": Sql("model")}, reads={"model"}, quantiles=(0.5, 0.95, 0.99)))

is a SELECT with the columns `piece`, `model`, those of `MEASURES`, and lists `latency` and `ttft`. Whole days and hours are taken from
`calls_by_day` and `calls_by_hour`, what remains at both ends, and hours that a cut goes through, from `calls`; all of it from there when
the question asks about a column that rollups do not keep apart (`DIMENSIONS`).
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from storage.carried import quoted
from storage.rest.sql import EVERY, Sql, all_of, joined
from storage.rollups.measures import ADDED, DIMENSIONS, KEYS, MEASURES, SKETCHES
from storage.rollups.shaping import Given, answered, buckets
from storage.rollups.spans import Sources, Span, divided, instant

FEW_DAYS = 3
"""Fewer whole days are taken hour by hour."""


class Counted(Struct, frozen=True, kw_only=True):
    """What is asked. Expressions are over the columns of `calls`."""

    since: datetime | None = None
    """Aware. Calls that began then or later; None: all."""
    before: datetime | None = None
    """Aware. And before then."""
    where: Sql = EVERY
    reads: Collection[str] = frozenset()
    """The columns that `where` and `by` read; `created_at` must not be among them."""
    by: Mapping[str, Sql] = {}
    """What is kept apart, each by the name its column gets."""
    piece: Sql | None = None
    """An expression over `created_at` alone that only changes at `cuts`: a piece of time, told in the column `piece`."""
    cuts: Collection[datetime] = ()
    """All of them within the time asked about, aware."""
    whole: bool = False
    """Once more all together, in a row where `piece` is NULL; not beside `by`."""
    measures: Collection[str] = tuple(MEASURES)
    """Those of `MEASURES` that are asked for: what is not is neither read nor planned."""
    quantiles: tuple[float, ...] = ()
    """Of latencies and of times to the first token, from 0 to 1; within 1 % of those that `quantile_cont` gives."""


def asked(counted: Counted) -> Sql:
    """One row for each piece and value that there are calls of, in no order. Raises ValueError for a piece without cuts."""
    if counted.piece is not None and not counted.cuts:
        raise ValueError("a piece of time is told by an expression and by the cuts at which it changes; name the cuts")
    keys = {**({} if counted.piece is None else {"piece": counted.piece}), **counted.by}
    named = {f"key_{place}": expression for place, expression in enumerate(keys.values())}
    held, given = _gathered(counted, named)
    measures = {name: MEASURES[name] for name in counted.measures}
    answer = answered(given, list(named), measures, counted.quantiles, whole=counted.whole)
    if named:
        renamed = [f"{key} AS {quoted(name)}" for key, name in zip(named, keys, strict=True)]
        shown = [*renamed, *measures, *(("latency", "ttft") if counted.quantiles else ())]
        answer = f"SELECT {', '.join(shown)} FROM ({answer})"
    return held + answer


def latencies(counted: Counted) -> Sql:
    """How many calls, `n`, are in each `bucket` of latencies (`sketch.value_sql` tells what it is of); `by` and `piece` are not heeded."""
    held, given = _gathered(counted, {}, sketches=True)
    return held + buckets("latency_sketch", given, ())


def _gathered(counted: Counted, named: Mapping[str, Sql], *, sketches: bool = False) -> tuple[Sql, list[Given]]:
    """A WITH, and what it names."""
    sources = sources_of(counted)
    rows = _rows(counted, sources, named, sketches=sketches or bool(counted.quantiles))
    calls = _calls(counted, sources, named)
    held = [_held("rolled", rows, kept=True)] * bool(rows) + [_held("loose", calls, kept=bool(rows))] * bool(calls)
    given = [Given("rolled", calls=False)] * bool(rows) + [Given("loose", calls=True)] * bool(calls)
    return "WITH " + joined(", ", held) + " ", given


def _held(name: str, selects: list[Sql], *, kept: bool) -> Sql:
    """`kept`: read once though used several times, which is for rows that are few."""
    return f"{name} AS {'' if kept else 'NOT '}MATERIALIZED (" + joined(" UNION ALL ", selects) + ")"


def sources_of(counted: Counted) -> Sources:
    """Pure. Where a question allows it, everything but the ends is taken from rollups."""
    asked_for = Span(_naive(counted.since), _naive(counted.before))
    if not DIMENSIONS.issuperset(counted.reads):
        return Sources(calls=(asked_for,))
    return divided(asked_for, [cut for cut in map(_naive, counted.cuts) if cut is not None], least_days=FEW_DAYS)


def _rows(counted: Counted, sources: Sources, named: Mapping[str, Sql], *, sketches: bool) -> list[Sql]:
    """Of rollups."""
    columns = [*counted.measures, *(SKETCHES if sketches else ())]
    told = ", ".join((*KEYS, *columns))
    hours, days, selects = sources.hours, sources.days, []
    if hours is not None:
        others = [] if days is None else ["NOT (" + days.condition("hour") + ")"]
        cut = ["hour NOT IN (" + joined(", ", map(instant, sources.cut)) + ")"] if sources.cut else []
        selects.append(("hour", all_of([hours.condition("hour"), *others, *cut])))
    if days is not None:
        selects.append(("day", days.condition("day")))
    return [
        _select(named, columns, f"(SELECT {grain} AS created_at, {grain}, {told} FROM calls_by_{grain})", all_of([inside, counted.where]))
        for grain, inside in selects
    ]


def _calls(counted: Counted, sources: Sources, named: Mapping[str, Sql]) -> list[Sql]:
    """Of calls themselves."""
    inside = [span.condition("created_at") for span in sources.calls]
    if sources.cut:
        inside.append("date_trunc('hour', created_at) IN (" + joined(", ", map(instant, sources.cut)) + ")")
    return [_select(named, ADDED, "calls", all_of([each, counted.where])) for each in inside]


def _select(named: Mapping[str, Sql], columns: Collection[str], source: str, where: Sql) -> Sql:
    keys = (expression + f" AS {key}" for key, expression in named.items())
    return "SELECT " + joined(", ", [*keys, *map(Sql, columns)]) + f" FROM {source} WHERE " + where


def _naive(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None)
