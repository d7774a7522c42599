"""The cards and charts of the overview, of the rows that the lake answered. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from storage.dashboard import charts, units
from storage.dashboard.charts import Line
from storage.dashboard.page import Asking
from storage.dashboard.units import Delta, Number
from storage.dashboard.zones import Bucket
from storage.rest.sql import Row

P50, P95, P99 = 0, 1, 2


class Card(Struct, frozen=True, kw_only=True):
    """A number, how it moved, and its course."""

    name: str
    value: str
    title: str = ""
    """All digits."""
    note: str = ""
    delta: Delta | None = None
    spark: charts.Drawn | None = None
    tone: int = 1


def whole(rows: Sequence[Row]) -> Row | None:
    """The row of all pieces together."""
    return next((row for row in rows if row["piece"] is None), None)


def placed(rows: Sequence[Row], bucket: Bucket) -> list[Row | None]:
    """For each piece of time its row; None where there are no calls."""
    pieces: list[Row | None] = [None] * len(bucket.cuts)
    for row in rows:
        place = None if row["piece"] is None else bucket.place(row["piece"])
        if place is not None:
            pieces[place] = row
    return pieces


def share(part: Number, whole: Number) -> float | None:
    return None if part is None or not whole else float(part) / float(whole)


def spread(row: Row | None, name: str, which: int) -> Number:
    """One of the quantiles of a row."""
    found: Sequence[Number] | None = None if row is None else row[name]
    return None if found is None else found[which]


def cards(total: Row, before: Row | None, pieces: Sequence[Row | None], *, open_end: bool = False) -> list[Card]:
    old = before or {}

    def delta(now: Number, was: Number, rising: str, form: Any) -> Delta | None:
        return units.delta(now, was, rising=rising, form=form) if before is not None else None

    def course(of: Any) -> charts.Drawn | None:
        return charts.sparkline([of(row) if row is not None else None for row in pieces], open_end=open_end)

    def counted(name: str) -> charts.Drawn | None:
        return charts.sparkline([row[name] or 0 if row is not None else 0 for row in pieces], open_end=open_end)

    unpriced = f"{units.count(total['unpriced'])} unpriced, not in the sum" if total["unpriced"] else ""
    uncounted = f"{units.count(total['uncounted'])} calls without counts" if total["uncounted"] else ""
    errors, errors_before = share(total["errors"], total["calls"]), share(old.get("errors"), old.get("calls"))
    hits, hits_before = share(total["hits"], total["calls"]), share(old.get("hits"), old.get("calls"))
    saved = total["saved_usd"] or Decimal(0)
    priced = total["priced"]
    per_call = share(total["cost_usd"], priced)
    per_call_before = share(old["cost_usd"], old["priced"]) if old else None
    return [
        Card(
            name="Cost",
            value=units.money(total["cost_usd"]),
            title=f"{total['cost_usd']} USD" if total["cost_usd"] is not None else "Not known",
            note=unpriced,
            delta=delta(total["cost_usd"], old.get("cost_usd"), "neutral", units.money),
            spark=counted("cost_usd"),
        ),
        Card(
            name="Calls",
            value=units.count(total["calls"]),
            title=f"{total['calls']:,} calls",
            delta=delta(total["calls"], old.get("calls"), "neutral", units.count),
            spark=counted("calls"),
        ),
        Card(
            name="Cost per call",
            value=units.money(per_call),
            title="Of calls whose cost is known",
            note=f"{units.count(priced)} priced",
            delta=delta(per_call, per_call_before, "neutral", units.money),
            spark=course(lambda row: share(row["cost_usd"], row["priced"])),
        ),
        Card(
            name="Tokens",
            value=units.count(total["total_tokens"]),
            title=f"{total['total_tokens']:,} tokens" if total["total_tokens"] is not None else "Not known",
            note=uncounted or f"{units.count(total['prompt_tokens'])} in, {units.count(total['completion_tokens'])} out",
            delta=delta(total["total_tokens"], old.get("total_tokens"), "neutral", units.count),
            spark=counted("total_tokens"),
        ),
        Card(
            name="Errors",
            value=units.percent(errors),
            title=f"{total['errors']:,} of {total['calls']:,} calls",
            note=f"{units.count(total['errors'])} calls",
            delta=delta(errors, errors_before, "bad", units.percent),
            spark=course(lambda row: share(row["errors"], row["calls"])),
            tone=6,
        ),
        Card(
            name="Latency p95",
            value=units.duration(spread(total, "latency", P95)),
            note=f"median {units.duration(spread(total, 'latency', P50))}",
            delta=delta(spread(total, "latency", P95), spread(before, "latency", P95), "bad", units.duration),
            spark=course(lambda row: spread(row, "latency", P95)),
            tone=3,
        ),
        Card(
            name="First token p50",
            value=units.duration(spread(total, "ttft", P50)),
            note=f"p95 {units.duration(spread(total, 'ttft', P95))}",
            delta=delta(spread(total, "ttft", P50), spread(before, "ttft", P50), "bad", units.duration),
            spark=course(lambda row: spread(row, "ttft", P50)),
            tone=3,
        ),
        Card(
            name="Saved by cache",
            value=units.money(saved),
            title=f"{saved} USD",
            note=f"{units.percent(hits)} of calls from the cache",
            delta=delta(saved, (old.get("saved_usd") or 0) if old else None, "good", units.money)
            or delta(hits, hits_before, "good", units.percent),
            spark=counted("saved_usd"),
            tone=2,
        ),
    ]


def earlier_line(pieces: Sequence[Row | None] | None, name: str, count: int) -> list[Line]:
    """The period before, laid under this one piece by piece; its last piece may lie beyond."""
    if pieces is None:
        return []
    values: list[Number] = [0 if row is None else row[name] for row in pieces][:count]
    return [Line(name="Period before", values=[*values, *[None] * (count - len(values))], tone=0, dashed=True)]


def drawn(pieces: Sequence[Row | None], before: Sequence[Row | None] | None, asking: Asking) -> list[charts.Chart]:
    bucket, until = asking.bucket, asking.period.until
    count = len(bucket.cuts)

    def counted(name: str) -> list[Number]:
        return [0 if row is None else row[name] or 0 for row in pieces]

    def known(name: str) -> list[Number]:
        """Of a sum: nothing where there are no calls, and not known where there are some and none was."""
        return [0 if row is None else row[name] for row in pieces]

    def spreads(name: str) -> list[Line]:
        return [
            Line(name=told, values=[spread(row, name, which) for row in pieces], tone=tone)
            for told, which, tone in (("p50", P50, 1), ("p95", P95, 3), ("p99", P99, 6))
        ]

    fine = [0 if row is None else row["calls"] - row["errors"] for row in pieces]
    return [
        charts.lines(
            "cost",
            "Cost",
            [*earlier_line(before, "cost_usd", count), Line(name="Cost", values=known("cost_usd"))],
            bucket,
            until,
            unit="money",
            area=True,
        ),
        charts.stacked(
            "calls",
            "Calls",
            [Line(name="Without error", values=fine), Line(name="Errors", values=counted("errors"), tone=6)],
            bucket,
            until,
            unit="count",
            over=earlier_line(before, "calls", count),
        ),
        charts.lines("latency", "Latency", spreads("latency"), bucket, until, unit="duration"),
        charts.lines("ttft", "Time to first token", spreads("ttft"), bucket, until, unit="duration"),
        charts.stacked(
            "tokens",
            "Tokens",
            [Line(name="Prompt", values=counted("prompt_tokens")), Line(name="Completion", values=counted("completion_tokens"), tone=2)],
            bucket,
            until,
            unit="count",
        ),
        charts.stacked("saved", "Saved by cache", [Line(name="Saved", values=counted("saved_usd"), tone=2)], bucket, until, unit="money"),
    ]
