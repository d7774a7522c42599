"""The values of a field side by side: ranked, each with its figures, its share of the whole, and its course; the first as a chart.

What Users and Properties are made of. Pure, but for `broken_down`, which asks.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from storage.dashboard import charts, figures, units
from storage.dashboard.charts import Chart, Line
from storage.dashboard.filters import Filter
from storage.dashboard.overview_figures import placed, share, whole
from storage.dashboard.page import Asking, Shown
from storage.dashboard.ranked import BAD, NOT_GIVEN
from storage.dashboard.state import View
from storage.dashboard.units import Number
from storage.dashboard.zones import Bucket
from storage.rest.sql import Row, Sql

RANK, SHOW = "rank", "show"
SHOWN = (25, 100, 250)
"""How many values are shown: the first, until more are asked for."""
CHARTED = 6
"""Values that the chart has a line of its own for."""
FILE_ROWS = 10_000


class Measure(Struct, frozen=True, kw_only=True):
    """What values are ranked by."""

    column: str
    title: str
    unit: str
    additive: bool = True
    """Its parts make up the whole."""


MEASURES = {
    "cost": Measure(column="cost_usd", title="Cost", unit="money"),
    "calls": Measure(column="calls", title="Calls", unit="count"),
    "tokens": Measure(column="total_tokens", title="Tokens", unit="count"),
    "errors": Measure(column="errors", title="Errors", unit="count"),
    "latency": Measure(column="p95_ms", title="Latency p95", unit="duration", additive=False),
}


class Value(Struct, frozen=True, kw_only=True):
    """One value of the field."""

    place: int
    text: str
    said: str | None
    filter: Filter | None
    """By which its calls are found; None where none can say so."""
    row: Row
    share: float | None
    """Of the whole, of what it is ranked by; None where that cannot be added up."""
    bar: float
    """Its share against the largest, in percent."""
    failed: float
    bad: bool
    spark: charts.Drawn | None


def rank_of(view: View) -> str:
    said = view.get(RANK, "cost")
    return said if said in MEASURES else "cost"


def show_of(view: View) -> int:
    said = view.get(SHOW)
    return int(said) if said in {str(each) for each in SHOWN} else SHOWN[0]


def question(view: View, asking: Asking, field: str, key: str, limit: int) -> Sql:
    return figures.ranking(view, asking.period, field, key, by=rank_of(view), limit=limit)


def file(asking: Asking, field: str, key: str = "") -> Sql:
    return question(asking.view, asking, field, key, FILE_ROWS)


def course_file(asking: Asking, field: str, key: str = "") -> Sql:
    """Each piece of time and value, for a file."""
    by = figures.series_by(asking.view, asking.period, asking.bucket, field, key)
    return "SELECT * FROM (" + by + ") ORDER BY piece, calls DESC, value"  # noqa: S608


async def broken_down(asking: Asking, field: str, key: str = "") -> Shown:
    """Two rounds of questions: who is first, then how it went with those."""
    view, bucket = asking.view, asking.bucket
    rank, show = rank_of(view), show_of(view)
    rows = await asking.rows(question(view, asking, field, key, show))
    if not rows:
        return {"values": [], "rank": rank, "measures": MEASURES}
    those = view.having(*(Filter(field, _said(row), key) for row in rows))
    courses, all_calls = await asking.all_rows(
        figures.series_by(those, asking.period, bucket, field, key), figures.series(view, asking.period, bucket)
    )
    total = whole(all_calls) or {}
    by_value: dict[str | None, list[Row]] = {}
    for each in courses:
        by_value.setdefault(_said(each), []).append(each)
    pieces = {said: placed(found, bucket) for said, found in by_value.items()}
    return {
        "values": values(rows, pieces, total, field, key, rank, open_end=bucket.unfinished(asking.period.until)),
        "rank": rank,
        "show": show,
        "next_show": next((each for each in SHOWN if each > show), None),
        "found": rows[0]["found"],
        "measures": MEASURES,
        "total": total,
        "chart_drawn": chart(rows, pieces, placed(all_calls, bucket), rank, bucket, asking, found=rows[0]["found"]),
    }


async def any_calls(asking: Asking) -> bool:
    """Whether the view is about any; where it is not, nothing is missing of them."""
    return bool((await asking.rows(figures.counted(asking.view, asking.period)))[0]["calls"])


def values(
    rows: Sequence[Row], pieces: dict[str | None, list[Row | None]], total: Row, field: str, key: str, rank: str, *, open_end: bool
) -> list[Value]:
    measure = MEASURES[rank]
    largest = max((float(row[measure.column] or 0) for row in rows), default=0.0) or 1.0
    made = []
    for place, row in enumerate(rows, 1):
        said = _said(row)
        failed = row["errors"] / row["calls"]
        course = [_of(each, measure.column if measure.additive else "calls") for each in pieces.get(said, [])]
        made.append(
            Value(
                place=place,
                text=NOT_GIVEN if said is None else (said or "(empty)"),
                said=said,
                filter=None if said == "" else Filter(field, said, key),
                row=row,
                share=share(row[measure.column], total.get(measure.column)) if measure.additive else None,
                bar=round(float(row[measure.column] or 0) / largest * 100, 2),
                failed=failed,
                bad=failed >= BAD,
                spark=charts.sparkline(course, open_end=open_end),
            )
        )
    return made


def chart(
    rows: Sequence[Row],
    pieces: dict[str | None, list[Row | None]],
    whole_pieces: Sequence[Row | None],
    rank: str,
    bucket: Bucket,
    asking: Asking,
    *,
    found: int,
) -> Chart:
    """The first values over time, upon each other, and what all others have."""
    measure = MEASURES[rank] if MEASURES[rank].additive else MEASURES["calls"]
    first = rows[:CHARTED]
    lines = []
    for tone, row in enumerate(first, 1):
        said = _said(row)
        course = [_of(each, measure.column) for each in pieces.get(said, [None] * len(whole_pieces))]
        lines.append(Line(name=NOT_GIVEN if said is None else (said or "(empty)"), values=course, tone=tone))
    if found > len(first):
        sums = [sum((line.values[place] or 0 for line in lines), start=0) for place in range(len(whole_pieces))]
        left: list[Number] = [max(_of(each, measure.column) - sums[place], 0) for place, each in enumerate(whole_pieces)]
        lines.append(Line(name=f"{units.count(found - len(first))} others", values=left, tone=0))
    return charts.stacked("course", f"{measure.title} over time", lines, bucket, asking.period.until, unit=measure.unit)


def _of(row: Row | None, column: str) -> Any:
    return 0 if row is None else row[column] or 0


def _said(row: Row) -> str | None:
    return None if row["value"] is None else str(row["value"])
