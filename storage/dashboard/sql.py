"""SQL: an editor with the schema beside it; what a question finds as a table, a chart and files.

The question is asked by the page's script at `POST /v1/query`, in the name of whoever looks: the answer is that of everybody's. A chart is
drawn here, of the same question.
"""

import json
from decimal import Decimal
from typing import Any

from msgspec import structs

from storage.dashboard import state
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.sql_chart import PIECES, Found, chart_of, kinds, picked
from storage.refusal import Refusal, Refused
from storage.rest.sql import Sql
from storage.views import VIEWS

STARTERS = (
    (
        "Cost by day and model",
        (
            "SELECT CAST(created_at AS DATE) AS day, model, sum(cost_usd) AS cost_usd\n"
            "FROM calls\nWHERE created_at > now() - INTERVAL 30 DAY\nGROUP BY ALL\nORDER BY day, cost_usd DESC"
        ),
    ),
    (
        "Latency by hour",
        (
            "SELECT date_trunc('hour', created_at) AS hour, count(*) AS calls,\n"
            "    quantile_cont(latency_ms, 0.5) AS p50_ms, quantile_cont(latency_ms, 0.95) AS p95_ms\n"
            "FROM calls\nWHERE created_at > now() - INTERVAL 2 DAY\nGROUP BY hour\nORDER BY hour"
        ),
    ),
    (
        "Users by cost",
        (
            "SELECT user_id, count(*) AS calls, sum(total_tokens) AS tokens, sum(cost_usd) AS cost_usd\n"
            "FROM calls\nGROUP BY user_id\nORDER BY cost_usd DESC NULLS LAST\nLIMIT 50"
        ),
    ),
    (
        "Errors by provider",
        (
            "SELECT provider, outcome, status, count(*) AS calls, max(created_at) AS newest\n"
            "FROM calls\nWHERE outcome <> 'completed'\nGROUP BY ALL\nORDER BY calls DESC"
        ),
    ),
    (
        "Cost by a property",
        (
            "SELECT properties['feature'] AS feature, count(*) AS calls, sum(cost_usd) AS cost_usd\n"
            "FROM calls\nGROUP BY feature\nORDER BY cost_usd DESC NULLS LAST"
        ),
    ),
    ("The newest calls", "SELECT *\nFROM calls\nORDER BY created_at DESC\nLIMIT 50"),
)
"""Questions to begin with."""


async def _shell(_: Asking) -> Shown:
    return {"views": list(VIEWS.values()), "starters": STARTERS, "most": state.OWN_CHARACTERS}


async def _chart(asking: Asking) -> Shown:
    text = asking.view.get("sql")
    if len(text) >= state.OWN_CHARACTERS:
        raise Refused(_LONG)
    try:
        answer = await asking.answer(Sql(text))
    except Refused as refused:
        raise Refused(structs.replace(refused.refusal, code="question_refused")) from None  # it is whoever asks who has to mend it
    said: dict[str, Any] = json.loads(answer.body, parse_float=Decimal)
    found = Found(columns=said["columns"], types=said["types"], rows=said["rows"])
    x, y, by = picked(found, *(asking.view.get(name) for name in ("x", "y", "by")))
    bars = asking.view.get("draw") != "lines"
    drawn = chart_of(found, x, y, by, bars=bars) if x and y else None
    known = kinds(found)
    return {
        "drawn": drawn,
        "x": x,
        "y": y,
        "by": by,
        "bars": bars,
        "columns": found.columns,
        "numbers": [name for name, kind in known.items() if kind == "number"],
        "rows": len(found.rows),
        "most": PIECES,
    }


_LONG = Refusal(
    code="question_too_long",
    message=f"A question is drawn up to {state.OWN_CHARACTERS:,} characters, as many as an address holds.",
    fix="Shorten it, or look at its rows as a table.",
    field="sql",
)

PAGE = Page(
    name="sql",
    title="SQL",
    path="sql",
    key="q",
    icon="sql",
    template="sql.html",
    own=("sql", "show", "x", "y", "by", "draw"),
    sends=(
        "POST /v1/query",
        "GET /v1/helicone-sql/saved-queries",
        "POST /v1/helicone-sql/saved-query",
        "PUT /v1/helicone-sql/saved-query/{id}",
        "DELETE /v1/helicone-sql/saved-query/{id}",
    ),
    panels=(Panel(name="chart", title="Chart", template="sql_chart.html", draw=_chart, live=False),),
    shell=_shell,
    filterable=False,
)
