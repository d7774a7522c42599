"""Limits: who was refused, when, by which limit and why; limits of the providers beside those of one's own."""

import re
from collections.abc import Sequence
from typing import Any

from storage.dashboard import charts, limit_figures
from storage.dashboard.by_value import KEY, MOST_FILE, ByValue
from storage.dashboard.charts import Line
from storage.dashboard.overview_figures import share
from storage.dashboard.page import Asking, Page, Panel, Shown
from storage.dashboard.ranked import bar, named
from storage.dashboard.units import Number
from storage.dashboard.zones import Bucket
from storage.rest.sql import Row, Sql

KINDS = {"rate_limited": ("Limits of yours", 3), "rejected": ("Rejected", 6), "provider": ("The provider's limits", 4)}
"""Names and colours."""
_POLICY = re.compile(
    r"rate_limited: (?P<quota>[\d.]+);w=(?P<window>\d+)(?:;u=(?P<unit>\w+))?(?:;s=(?P<segment>[\w-]+))? is reached(?P<key>.*)"
)


def policy_told(error: str | None) -> str | None:
    """A limit that was reached, in words; None where the error tells of none."""
    found = _POLICY.fullmatch(error or "")
    if found is None:
        return None
    unit = "cents" if found["unit"] == "cents" else "calls"
    segment = found["segment"]
    whose = "for everybody together" if segment is None else "for each user" if segment == "user" else f"for each {segment}"
    return f"{found['quota']} {unit} in {_span(int(found['window']))} {whose}{', a limit of the key' if found['key'] else ''}"


def _span(seconds: int) -> str:
    for length, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % length == 0:
            count = seconds // length
            return f"a{'n' if name == 'hour' else ''} {name}" if count == 1 else f"{count} {name}s"
    return "a second" if seconds == 1 else f"{seconds} seconds"


def over_time(rows: Sequence[Row], bucket: Bucket) -> dict[str, list[Number]]:
    """By kind: how many in each piece."""
    found: dict[str, list[Number]] = {kind: [0] * len(bucket.cuts) for kind in KINDS}
    for row in rows:
        place = bucket.place(row["piece"])
        if place is not None:
            found[row["kind"]][place] = row["calls"]
    return found


async def _figures(asking: Asking) -> Shown:
    view, period, bucket = asking.view, asking.period, asking.bucket
    rows, [all_calls] = await asking.all_rows(limit_figures.over_time(view, period, bucket), limit_figures.all_calls(view, period))
    pieces = over_time(rows, bucket)
    sums = {kind: sum(row["calls"] for row in rows if row["kind"] == kind) for kind in KINDS}
    total = sum(sums.values())
    lines = [Line(name=name, values=pieces[kind], tone=tone) for kind, (name, tone) in KINDS.items()]
    return {
        "total": total,
        "calls": all_calls["calls"],
        "share": share(total, all_calls["calls"]),
        "sums": [(KINDS[kind][0], count, share(count, all_calls["calls"])) for kind, count in sums.items()],
        "drawn": charts.stacked("refused", "Refused calls", lines, bucket, period.until, unit="count") if total else None,
    }


async def _reasons(asking: Asking) -> Shown:
    rows = await asking.rows(limit_figures.reasons(asking.view, asking.period))
    return {"rows": [dict(row) | {"policy": policy_told(row["error"]), "name": KINDS[row["kind"]][0]} for row in rows]}


def ranks(rows: Sequence[Row], field: str, key: str = "") -> list[dict[str, Any]]:
    largest = max((row["calls"] for row in rows), default=0)
    return [
        {
            "text": text,
            "filter": wanted,
            "calls": row["calls"],
            "notes": [f"{row[name]:,} {told}" for name, told in _NOTES if row[name]],
            "bar": bar(row["calls"], largest),
        }
        for row in rows
        for text, wanted in [named(row["value"], field, key)]
    ]


_NOTES = (("rate_limited", "limited"), ("rejected", "rejected"), ("provider", "by the provider"))


BY = ByValue(template="limits_by.html", question=limit_figures.by_value, ranks=ranks)


async def _newest(asking: Asking) -> Shown:
    rows = await asking.rows(limit_figures.newest(asking.view, asking.period))
    return {"rows": [dict(row) | {"policy": policy_told(row["error"]), "name": KINDS[row["kind"]][0]} for row in rows]}


def _reasons_file(asking: Asking) -> Sql:
    return limit_figures.reasons(asking.view, asking.period, limit=MOST_FILE)


def _newest_file(asking: Asking) -> Sql:
    return limit_figures.newest(asking.view, asking.period, limit=10_000)


PAGE = Page(
    name="limits",
    title="Limits",
    path="limits",
    key="l",
    icon="limits",
    template="ops.html",
    own=(KEY,),
    panels=(
        Panel(name="figures", title="Refused calls", template="limits_figures.html", draw=_figures, height="m"),
        Panel(
            name="reasons",
            title="Limits that were reached, and other reasons",
            template="limits_reasons.html",
            draw=_reasons,
            csv=_reasons_file,
        ),
        BY.panel("user", "By user"),
        BY.of_a_property(),
        BY.panel("model", "By model"),
        Panel(name="newest", title="Newest refusals", template="limits_newest.html", draw=_newest, csv=_newest_file),
    ),
)
