"""The SQL by which calls become rows of a rollup, and rows of rollups become fewer.

What is added up and each sketch go ways of their own, and meet in the end by what they are grouped by: so a bucket of a sketch is a narrow
row, and a question that asks for no quantiles reads no sketch.
"""

# ruff: noqa: S608 SQL is made of names of ours

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from storage.rollups.measures import BUCKETS, KEYS, MEASURES, SKETCHES, Measure
from storage.rollups.sketch import quantile_sql, value_sql

Measures = Mapping[str, Measure]
"""By the names of their columns."""

EMPTY = "MAP {}::MAP(INTEGER, BIGINT)"


class Given(Struct, frozen=True):
    """A SELECT, or the name of one, with the columns that are grouped by: calls, or rows of rollups."""

    sql: str
    calls: bool

    @property
    def source(self) -> str:
        return self.sql if self.sql.isidentifier() else f"({self.sql})"


def view_of_calls(calls: str, grain: str) -> str:
    """The rows that calls make, as the view shows them. Sketches cost nothing where they are not asked for.

    A sketch is made of a list, not by the aggregate `histogram`: DuckDB 2.0 plans that in a way that reads all rows whatever is asked for,
    and it takes twice as long.
    """
    sums = [f"{measure.of_calls} AS {name}" for name, measure in MEASURES.items()]
    counted = {name: f"list_aggregate(list({bucket}), 'histogram')" for name, bucket in BUCKETS.items()}
    sketches = [f"coalesce(CAST({each} AS MAP(INTEGER, BIGINT)), {EMPTY}) AS {name}" for name, each in counted.items()]
    begins = f"date_trunc('{grain}', created_at) AS {grain}"
    return f"SELECT {', '.join((begins, *KEYS, *sums, *sketches))} FROM ({calls}) GROUP BY ALL"


def view_of_rows(rows: str, grain: str) -> str:
    """Rows of the table, as the view shows them."""
    sums = (f"CAST({name} AS {measure.type}) AS {name}" for name, measure in MEASURES.items())
    return f"SELECT {', '.join((f'begins AS {grain}', *KEYS, *sums, *SKETCHES))} FROM ({rows}) WHERE grain = '{grain}'"


def added_up(given: Sequence[Given], by: Sequence[str], measures: Measures = MEASURES, *, whole: bool = False) -> str:
    """The measures for each value of `by`. `whole`: and once more of all together, where `by` is NULL."""
    of_calls = ", ".join((*by, *(f"{measure.of_calls} AS {name}" for name, measure in measures.items())))
    of_rows = ", ".join((*by, *measures))
    parts = (
        f"SELECT {of_calls} FROM {each.source}{grouped(by)}" if each.calls else f"SELECT {of_rows} FROM {each.source}" for each in given
    )
    merged = ", ".join((*by, *(f"{measure.of_rows(name)} AS {name}" for name, measure in measures.items())))
    return f"SELECT {merged} FROM ({' UNION ALL '.join(parts)}){grouped(by, whole=whole)}"


def buckets(sketch: str, given: Sequence[Given], by: Sequence[str], *, whole: bool = False) -> str:
    """How many values are in each bucket, for each value of `by`."""
    of_calls = ", ".join((*by, f"{BUCKETS[sketch]} AS bucket", "count(*) AS n"))
    of_rows = ", ".join((*by, f"unnest(map_keys({sketch})) AS bucket", f"unnest(map_values({sketch})) AS n"))
    parts = (
        f"SELECT {of_calls} FROM {each.source} WHERE {SKETCHES[sketch]} IS NOT NULL GROUP BY ALL"
        if each.calls
        else f"SELECT {of_rows} FROM {each.source}"
        for each in given
    )
    listed = ", ".join((*by, "bucket"))
    sets = f"GROUPING SETS (({listed}), (bucket))" if whole else listed
    return f"SELECT {listed}, CAST(sum(n) AS BIGINT) AS n FROM ({' UNION ALL '.join(parts)}) GROUP BY {sets}"


def rolled_up(given: Sequence[Given], by: Sequence[str]) -> str:
    """Rows of a rollup, one for each value of `by`, sketches too."""
    sketches = (
        f"SELECT {', '.join(by)}, map(list(bucket ORDER BY bucket), list(n ORDER BY bucket)) AS {sketch} "
        f"FROM ({buckets(sketch, given, by)}) GROUP BY {', '.join(by)}"
        for sketch in SKETCHES
    )
    joined = (f"coalesce(any_value({sketch}), {EMPTY}) AS {sketch}" for sketch in SKETCHES)
    return _met([added_up(given, by), *sketches], by, MEASURES, joined)


def answered(given: Sequence[Given], by: Sequence[str], measures: Measures, quantiles: Sequence[float] = (), *, whole: bool = False) -> str:
    """The measures for each value of `by`, and the quantiles in lists, each by the name of its sketch: `latency`, `ttft`.

    `whole`: and once more of all together, where `by` is NULL. Of calls alone the quantiles are exact, which also is faster.
    """
    asked = {sketch: sketch.removesuffix("_sketch") for sketch in SKETCHES} if quantiles else {}
    if [each.calls for each in given] == [True]:
        listed = ", ".join(f"{each!r}::DOUBLE" for each in quantiles)
        exact = (f"quantile_cont(CAST({SKETCHES[sketch]} AS DOUBLE), [{listed}]) AS {name}" for sketch, name in asked.items())
        sums = (f"{measure.of_calls} AS {name}" for name, measure in measures.items())
        return f"SELECT {', '.join((*by, *sums, *exact))} FROM {given[0].source}{grouped(by, whole=whole)}"
    lists = (quantile_lists(sketch, name, given, by, quantiles, whole=whole) for sketch, name in asked.items())
    added = added_up(given, by, measures, whole=whole)
    return _met([added, *lists], by, measures, (f"any_value({name}) AS {name}" for name in asked.values())) if asked else added


def quantile_lists(
    sketch: str, name: str, given: Sequence[Given], by: Sequence[str], quantiles: Sequence[float], *, whole: bool = False
) -> str:
    """The quantiles that a sketch tells, in one list `name`, for each value of `by`."""
    over = f"PARTITION BY {', '.join(by)}" if by else ""
    reached = f"sum(n) OVER ({over} ORDER BY bucket) AS reached, sum(n) OVER ({over}) AS counted"
    listed = ", ".join(quantile_sql(each, "told", "reached", "counted") for each in quantiles)
    inner = f"SELECT *, {value_sql('bucket')} AS told, {reached} FROM ({buckets(sketch, given, by, whole=whole)})"
    return f"SELECT {', '.join((*by, f'[{listed}] AS {name}'))} FROM ({inner}){grouped(by)}"


def _met(selects: Sequence[str], by: Sequence[str], measures: Measures, more: Iterable[str]) -> str:
    """Rows that have the same `by`, as one."""
    merged = (f"{measure.of_rows(name)} AS {name}" for name, measure in measures.items())
    united = " UNION ALL BY NAME ".join(selects)
    return f"SELECT {', '.join((*by, *merged, *more))} FROM ({united}){grouped(by)}"


def grouped(by: Sequence[str], *, whole: bool = False) -> str:
    """Nothing is grouped to nothing, not to a row of nothing."""
    listed = ", ".join(by)
    if not by:
        return " HAVING count(*) > 0"
    return f" GROUP BY GROUPING SETS (({listed}), ()) HAVING count(*) > 0" if whole else f" GROUP BY {listed}"
