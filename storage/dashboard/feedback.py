"""Feedback and scores: how calls were judged over time, by what, and the worst of them."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from storage.dashboard import charts, feedback_figures, figures, sending
from storage.dashboard.charts import Line
from storage.dashboard.feedback_figures import BINS, CUTS
from storage.dashboard.filters import KEY_CHARACTERS, Filter
from storage.dashboard.overview_figures import placed, share
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.property_names import property_chosen
from storage.dashboard.ranked import NOT_GIVEN
from storage.dashboard.units import Number, decimal
from storage.dashboard.zones import Bucket
from storage.rest.sql import Row, Sql

KEY, SCORE, WORST = "key", "score", "worst"
ROWS = 40
"""Of the worst calls."""
VALUES = 10
"""By each of the ways in which ratings are cut."""
LOW = 0.5
"""A share of good below this is one to look at."""


class Judged(Struct, frozen=True, kw_only=True):
    """Calls of one value, and how they were rated."""

    text: str
    filters: tuple[Filter, ...]
    rated: int
    good: int

    @property
    def share(self) -> float:
        return self.good / self.rated

    @property
    def low(self) -> bool:
        return self.share < LOW


def cut(rows: Sequence[Row], way: str) -> list[Row]:
    return [row for row in rows if row["cut"] == CUTS[way]]


def judged(rows: Sequence[Row], way: str, key: str = "") -> list[Judged]:
    """Those with most ratings."""
    return [_judged(row, way, key) for row in cut(rows, way) if row["rated"]][:VALUES]


def _judged(row: Row, way: str, key: str) -> Judged:
    said, version = row[way], row["version"] if way == "prompt" else None
    text = NOT_GIVEN if said is None else (said or "(empty)")
    return Judged(
        text=f"{text} · {version}" if version else text,
        filters=() if said == "" else (Filter(way, said, key),),
        rated=row["rated"],
        good=row["good"],
    )


def ratings_chart(rows: Sequence[Row], bucket: Bucket, asking: Asking) -> list[charts.Chart]:
    pieces = placed(cut(rows, "piece"), bucket)
    good: list[Number] = [0 if row is None else row["good"] for row in pieces]
    bad: list[Number] = [0 if row is None else row["rated"] - row["good"] for row in pieces]
    shares: list[Number] = [None if row is None else share(row["good"], row["rated"]) for row in pieces]
    both = [Line(name="Good", values=good, tone=2), Line(name="Bad", values=bad, tone=6)]
    until = asking.period.until
    return [
        charts.stacked("ratings", "Ratings", both, bucket, until, unit="count"),
        charts.lines("good", "Share of good", [Line(name="Good", values=shares, tone=2)], bucket, until, unit="percent"),
    ]


async def _ratings(asking: Asking) -> Shown:
    view, period, bucket = asking.view, asking.period, asking.bucket
    key, names = await property_chosen(asking, view, view.get(KEY).strip().lower()[:KEY_CHARACTERS])
    rows, counted = await asking.all_rows(feedback_figures.ratings(view, period, bucket, key), figures.counted(view, period))
    whole = next(iter(cut(rows, "all")), None)
    calls = counted[0]["calls"]
    if whole is None or not whole["judged"]:
        return {"whole": None, "calls": calls, "snippets": sending.with_feedback(asking)}
    return {
        "whole": whole,
        "calls": calls,
        "charts": ratings_chart(rows, bucket, asking) if whole["rated"] else [],
        "ways": [
            ("model", "By model", judged(rows, "model")),
            ("prompt", "By prompt and version", judged(rows, "prompt")),
            ("property", "By property", judged(rows, "property", key)),
        ],
        "keys": names,
        "key": key,
        "snippets": [],
    }


class Scored(Struct, frozen=True, kw_only=True):
    """One score by its name."""

    name: str
    row: Row
    spark: charts.Drawn | None
    tone: int


async def _scores(asking: Asking) -> Shown:
    view, period, bucket = asking.view, asking.period, asking.bucket
    rows = await asking.rows(feedback_figures.scores(view, period, bucket))
    wholes = [row for row in rows if row["whole"]]
    names = [row["name"] for row in wholes]
    chosen = view.get(SCORE) if view.get(SCORE) in names else (names[0] if names else "")
    if not chosen:
        return {"scores": []}
    by_name = {name: placed([row for row in rows if not row["whole"] and row["name"] == name], bucket) for name in names[:50]}
    found = await asking.rows(feedback_figures.bins(view, period, bucket, chosen))
    return {
        "scores": [
            Scored(name=row["name"], row=row, tone=place % 8 + 1, spark=charts.sparkline([_mean(piece) for piece in by_name[row["name"]]]))
            for place, row in enumerate(wholes[:50])
        ],
        "more": max(0, len(wholes) - 50),
        "chosen": chosen,
        "charts": [_spread(chosen, by_name.get(chosen, []), bucket, asking), *_histogram(chosen, found)],
        "decimal": decimal,
    }


def _mean(row: Row | None) -> Number:
    return None if row is None else row["mean"]


def _spread(name: str, pieces: Sequence[Row | None], bucket: Bucket, asking: Asking) -> charts.Chart:
    """Mean, and what the lowest and the highest tenth lie beyond."""

    def quantile(which: int) -> list[Number]:
        return [None if row is None else row["spread"][which] for row in pieces]

    lines = [
        Line(name="p90", values=quantile(2), tone=0),
        Line(name="Mean", values=[_mean(row) for row in pieces], tone=1),
        Line(name="p10", values=quantile(0), tone=3),
    ]
    return charts.lines("score", f"{name} over time", lines, bucket, asking.period.until, unit="decimal")


def _histogram(name: str, found: Sequence[Row]) -> list[charts.Chart]:
    if not found:
        return []
    low, high = float(found[0]["low"]), float(found[0]["high"])
    if low == high:
        line = Line(name="Calls", values=[found[0]["given"]])
        return [charts.histogram("score-spread", f"{name}, how it spreads", line, [decimal(low)])]
    given = {row["bin"]: row["given"] for row in found}
    pieces = [f"{decimal(low + (high - low) * place / BINS)} – {decimal(low + (high - low) * (place + 1) / BINS)}" for place in range(BINS)]
    line = Line(name="Calls", values=[given.get(place, 0) for place in range(BINS)])
    return [charts.histogram("score-spread", f"{name}, how it spreads", line, pieces, labels=5)]


async def _worst(asking: Asking) -> Shown:
    by = asking.view.get(WORST)
    rows = await asking.rows(_worst_question(asking, ROWS))
    said: dict[tuple[Any, Any], str] = {}
    if rows:
        found = await asking.rows(feedback_figures.comments([row["request_id"] for row in rows]))
        said = {(row["organization"], row["request_id"]): row["comment"] for row in found}
    return {
        "rows": [(row, said.get((row["organization"], row["request_id"]))) for row in rows],
        "by": by,
        "names": list(dict.fromkeys([*([by] if by else []), *(name for row in rows for name in row["scores"])])),
        "full": len(rows) == ROWS,
        "decimal": decimal,
    }


def _worst_question(asking: Asking, limit: int) -> Sql:
    by = asking.view.get(WORST)
    if by:
        return feedback_figures.lowest(asking.view, asking.period, by, limit=limit)
    return feedback_figures.badly_rated(asking.view, asking.period, limit=limit)


def _ratings_file(asking: Asking) -> Sql:
    key = asking.view.get(KEY).strip().lower()
    return feedback_figures.ratings_file(asking.view, asking.period, asking.bucket, key)


def _scores_file(asking: Asking) -> Sql:
    return feedback_figures.scores_file(asking.view, asking.period, asking.bucket)


def _worst_file(asking: Asking) -> Sql:
    return _worst_question(asking, 10_000)


PAGE = Page(
    name="feedback",
    title="Feedback",
    path="feedback",
    key="b",
    icon="feedback",
    template="feedback.html",
    own=(KEY, SCORE, WORST),
    panels=(
        Panel(name="ratings", title="Ratings", template="feedback_ratings.html", draw=_ratings, height="l", csv=_ratings_file),
        Panel(name="scores", title="Scores", template="feedback_scores.html", draw=_scores, csv=_scores_file),
        Panel(name="worst", title="Worst first", template="feedback_worst.html", draw=_worst, csv=_worst_file),
    ),
)
