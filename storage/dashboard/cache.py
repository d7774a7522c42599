"""Cache: what was answered again instead of asked anew, what that saved, and which answers are worth keeping."""

from collections.abc import Sequence
from typing import Any

from storage.dashboard import cache_figures, charts, figures, units
from storage.dashboard.by_value import KEY, MOST_FILE, ByValue
from storage.dashboard.charts import Line
from storage.dashboard.overview_figures import placed, share, whole
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.ranked import bar, more, named
from storage.dashboard.units import Number
from storage.dashboard.zones import bucket_of
from storage.rest.sql import Row, Sql


def time_saved(rows: Sequence[Row]) -> float | None:
    """Milliseconds that callers did not wait, about: as long as the provider takes for the same model, less what the cache took."""
    known = [row for row in rows if row["asked_ms"] is not None and row["hit_ms"] is not None]
    if not known:
        return None
    return float(sum(max(0.0, float(row["asked_ms"]) - float(row["hit_ms"])) * row["hits"] for row in known))


async def _figures(asking: Asking) -> Shown:
    view, bucket, until = asking.view, asking.bucket, asking.period.until
    earlier = bucket_of(asking.before, asking.zone, bucket.step)
    questions = [figures.added(view, asking.period, bucket=bucket, whole=True), cache_figures.waits(view, asking.period)]
    questions += [figures.added(view, asking.before, bucket=earlier, whole=True)] if view.compare else []
    now, waits, *before = await asking.all_rows(*questions)
    total, old = whole(now), whole(before[0]) if before else None
    hits = total["hits"] if total else 0
    if total is None or not hits:
        return {"hits": 0, "calls": total["calls"] if total else 0}
    pieces = placed(now, bucket)

    def column(of: Any, nothing: Number = 0) -> list[Number]:
        return [nothing if row is None else of(row) for row in pieces]

    rate, saved, waited = share(hits, total["calls"]), total["saved_usd"], time_saved(waits)
    moved = {
        "hits": units.delta(hits, old["hits"], rising="good") if old else None,
        "rate": units.delta(rate, share(old["hits"], old["calls"]), rising="good", form=units.percent) if old else None,
        "saved": units.delta(saved, old["saved_usd"] or 0, rising="good", form=units.money) if old else None,
    }
    drawn = [
        charts.stacked(
            "hits",
            "Calls by who answered",
            [
                Line(name="Cache", values=column(lambda row: row["hits"]), tone=2),
                Line(name="Provider", values=column(lambda row: row["calls"] - row["hits"]), tone=0),
            ],
            bucket,
            until,
            unit="count",
        ),
        charts.lines(
            "hit-rate",
            "Hit rate",
            [Line(name="Hit rate", values=column(lambda row: share(row["hits"], row["calls"]), None), tone=2)],
            bucket,
            until,
            unit="percent",
            area=True,
        ),
        charts.stacked(
            "saved",
            "Cost saved",
            [Line(name="Saved", values=column(lambda row: row["saved_usd"] or 0), tone=2)],
            bucket,
            until,
            unit="money",
        ),
    ]
    spent = share(saved, float(saved or 0) + float(total["cost_usd"] or 0))
    return {"hits": hits, "calls": total["calls"], "rate": rate, "saved": saved, "spent": spent, "waited": waited, "moved": moved} | {
        "charts": drawn
    }


def ranks(rows: Sequence[Row], field: str, key: str = "") -> list[dict[str, Any]]:
    """What the cache saved for each value, with the share of its calls."""
    largest = max((float(row["saved_usd"] or 0) for row in rows), default=0.0)
    return [
        {
            "text": text,
            "filter": wanted,
            "hits": row["hits"],
            "rate": row["hits"] / row["calls"],
            "saved": row["saved_usd"],
            "bar": bar(row["saved_usd"], largest),
        }
        for row in rows
        for text, wanted in [named(row["value"], field, key)]
    ]


BY = ByValue(template="cache_by.html", question=cache_figures.hits_by, ranks=ranks)


async def _reused(asking: Asking) -> Shown:
    rows = await asking.rows(cache_figures.reused(asking.view, asking.period))
    return {"rows": rows, "more": more(rows)}


def _series_file(asking: Asking) -> Sql:
    return figures.series_file(asking.view, asking.period, asking.bucket)


def _reused_file(asking: Asking) -> Sql:
    return cache_figures.reused(asking.view, asking.period, limit=MOST_FILE)


PAGE = Page(
    name="cache",
    title="Cache",
    path="cache",
    key="h",
    icon="cache",
    template="ops.html",
    own=(KEY,),
    panels=(
        Panel(name="figures", title="Answered again", template="cache_figures.html", draw=_figures, csv=_series_file),
        BY.panel("model", "By model"),
        BY.panel("user", "By user"),
        BY.of_a_property(),
        Panel(name="reused", title="Answers given again most often", template="cache_reused.html", draw=_reused, csv=_reused_file),
    ),
)
