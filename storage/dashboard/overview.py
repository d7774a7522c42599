"""The overview: what calls cost, how many there were, how they went and how fast, over time and by whom."""

from msgspec.structs import replace

from storage.dashboard import charts, figures, units
from storage.dashboard.charts import Line
from storage.dashboard.config import DashboardConfig
from storage.dashboard.figures import RANKED_BY
from storage.dashboard.filters import PROPERTY
from storage.dashboard.first_call import snippets
from storage.dashboard.overview_figures import cards, drawn, placed, whole
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.property_names import property_chosen
from storage.dashboard.ranked import ranked
from storage.dashboard.span import Span
from storage.dashboard.zones import bucket_of
from storage.rest.sql import Sql


async def _figures(asking: Asking) -> Shown:
    view, period, bucket = asking.view, asking.period, asking.bucket
    earlier = bucket_of(asking.before, asking.zone, bucket.step)
    questions = [figures.series(view, period, bucket), figures.unpriced(view, period)]
    if view.compare:
        questions.append(figures.series(view, asking.before, earlier))
    now, unpriced, *before = await asking.all_rows(*questions)
    total = whole(now)
    if total is None or not total["calls"]:
        return await _nothing(asking)
    pieces, old, old_pieces = placed(now, bucket), None, None
    if before and (old := whole(before[0])) is not None and old["calls"]:
        old_pieces = placed(before[0], earlier)
    return {
        "cards": cards(total, old if old_pieces else None, pieces, open_end=bucket.unfinished(period.until)),
        "charts": drawn(pieces, old_pieces, asking),
        "unpriced": unpriced,
        "unpriced_calls": total["unpriced"],
        "silent": total["calls"] - total["priced"] - total["unpriced"],
        "calls": total["calls"],
        "newest": None,
    }


async def _nothing(asking: Asking) -> Shown:
    """Before the first call, or where the filters and the time let none through."""
    newest = await asking.rows(figures.newest())
    app, host = asking.request.app, asking.request.url.hostname or "localhost"
    config: DashboardConfig = app.state.dashboard
    return {
        "cards": [],
        "newest": newest[0]["created_at"] if newest else None,
        "longer": replace(asking.view, span=Span(preset="90d")),
        "unfiltered": replace(asking.view, filters=(), search=""),
        "snippets": snippets(host, config.proxy_port, by_key=not app.state.admission.open),
    }


RANK, KEY = "rank", "key"


def rank_of(asking: Asking) -> str:
    said = asking.view.get(RANK, "cost")
    return said if said in RANKED_BY else "cost"


_LEADS = {"model": "models", "user": "users"}


def _ranking(field: str) -> Panel:
    titles = {"model": "Models", "provider": "Providers", "user": "Users", "outcome": "How calls ended"}

    async def draw(asking: Asking) -> Shown:
        by = rank_of(asking) if field != "outcome" else "calls"
        rows = await asking.rows(figures.ranking(asking.view, asking.period, field, by=by, brief=True))
        return {"ranked": ranked(rows, field, by=by), "by": by, "keys": [], "key": "", "field": field}

    def csv(asking: Asking) -> Sql:
        return figures.ranking(asking.view, asking.period, field, by=rank_of(asking), limit=10_000)

    return Panel(
        name=f"by-{field}",
        title=titles[field],
        template="overview_ranking.html",
        draw=draw,
        size="half",
        csv=csv,
        leads=_LEADS.get(field, ""),
    )


async def _by_property(asking: Asking) -> Shown:
    key, names = await property_chosen(asking, asking.view, asking.view.get(KEY).lower())
    by = rank_of(asking)
    rows = await asking.rows(figures.ranking(asking.view, asking.period, PROPERTY, key, by=by, brief=True)) if key else []
    return {"ranked": ranked(rows, PROPERTY, key, by=by), "by": by, "keys": names, "key": key, "field": PROPERTY}


async def _latencies(asking: Asking) -> Shown:
    rows = await asking.rows(figures.latencies(asking.view, asking.period))
    counts = {int(row["half"]): row["calls"] for row in rows}
    halves = range(min(counts, default=0), max(counts, default=0) + 1)
    pieces = [f"{units.duration(_ms(half))}" for half in halves]
    line = Line(name="Calls", values=[counts.get(half, 0) for half in halves], tone=3)
    return {"chart_drawn": charts.histogram("latencies", "Calls by how long they took", line, pieces) if rows else None}


def _ms(half: int) -> float:
    """The shortest latency that is counted there."""
    exact: float = 2 ** (half / 2)
    return float(f"{exact:.2g}")


def _property_csv(asking: Asking) -> Sql:
    return figures.ranking(asking.view, asking.period, PROPERTY, asking.view.get(KEY).lower(), by=rank_of(asking), limit=10_000)


def _series_csv(asking: Asking) -> Sql:
    return figures.series_file(asking.view, asking.period, asking.bucket)


PAGE = Page(
    name="overview",
    title="Overview",
    key="o",
    icon="overview",
    template="overview.html",
    own=(RANK, KEY),
    panels=(
        Panel(name="figures", title="Figures", template="overview_figures.html", draw=_figures, height="l", csv=_series_csv),
        _ranking("model"),
        _ranking("user"),
        Panel(
            name="by-property",
            title="Properties",
            template="overview_ranking.html",
            draw=_by_property,
            size="half",
            csv=_property_csv,
            leads="properties",
        ),
        _ranking("provider"),
        _ranking("outcome"),
        Panel(name="latencies", title="How long calls took", template="overview_latencies.html", draw=_latencies, size="half"),
    ),
)
