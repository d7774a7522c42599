"""What a question found, as a chart: which columns, and what stands where. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct

from storage.dashboard import charts
from storage.dashboard.charts import TONES, Chart, Line
from storage.dashboard.scales import day_text

PIECES = 400
"""More do not fit into a chart; the first are drawn."""
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT")
_TIMES = ("DATE", "TIMESTAMP")
_UNITS = (("_usd", "money"), ("_ms", "duration"), ("_bytes", "size"))


class Found(Struct, frozen=True, kw_only=True):
    """An answer: columns, their types in DuckDB's words, and rows."""

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]


def kinds(found: Found) -> Mapping[str, str]:
    """Of each column: `number`, `time`, or `text`."""
    return {name: _kind(kind) for name, kind in zip(found.columns, found.types, strict=True)}


def _kind(kind: str) -> str:
    if kind.endswith("]"):
        return "text"
    if kind in (*_NUMBERS, "DOUBLE") or kind.startswith("DECIMAL"):
        return "number"
    return "time" if kind.startswith(_TIMES) else "text"


def picked(found: Found, x: str, y: str, by: str) -> tuple[str, str, str]:
    """What goes across, up, and apart by colour; empty where nothing does. What was not said, or is no column, is chosen: times go across.

    `by` of `-` takes nothing apart.
    """
    known = kinds(found)
    of = {kind: [name for name, each in known.items() if each == kind] for kind in ("time", "text", "number")}
    x = x if x in known else next(iter([*of["time"], *of["text"], *of["number"]]), "")
    numbers = [name for name in of["number"] if name != x]
    y = y if y in of["number"] else _first_choice(numbers)
    if by not in known:
        by = next((name for name in of["text"] if name != x), "") if not by and x in of["time"] else ""
    return x, y, by if by != x else ""


def _first_choice(numbers: Sequence[str]) -> str:
    """Money before anything else."""
    return next((name for name in numbers if unit_of(name) == "money"), next(iter(numbers), ""))


def unit_of(name: str) -> str:
    """By what columns of ours end in."""
    return next((unit for end, unit in _UNITS if name.lower().endswith(end)), "count")


def chart_of(found: Found, x: str, y: str, by: str, *, bars: bool) -> Chart:
    """Rows of one place and one series are added up. Times are in order; everything else stays as it was found."""
    at = {name: place for place, name in enumerate(found.columns)}
    cells: dict[tuple[str, str], Decimal] = {}
    pieces: dict[str, None] = {}
    sums: dict[str, Decimal] = {}
    timed = kinds(found)[x] == "time"
    for row in found.rows:
        across, apart, number = _text(row[at[x]], timed=timed), _text(row[at[by]]) if by else y, row[at[y]]
        pieces[across] = None
        if number is not None:
            cells[across, apart] = cells.get((across, apart), Decimal(0)) + Decimal(str(number))
        sums[apart] = sums.get(apart, Decimal(0)) + abs(Decimal(str(number or 0)))
    shown = (sorted(pieces) if timed else list(pieces))[:PIECES]
    years = {piece[:4] for piece in shown}
    names = sorted(sums, key=lambda name: -sums[name])
    largest, rest = (names, []) if len(names) <= TONES else (names[: TONES - 1], names[TONES - 1 :])
    series = [Line(name=name, values=[cells.get((piece, name)) for piece in shown], tone=tone) for tone, name in enumerate(largest, 1)]
    if rest:
        others = [[cells[piece, name] for name in rest if (piece, name) in cells] for piece in shown]
        series.append(Line(name=f"{len(rest)} others", values=[sum(each) if each else None for each in others], tone=0))
    labels = [_day(piece, year=len(years) > 1) for piece in shown] if timed else shown
    title = f"{y} by {x}" + (f" and {by}" if by else "")
    return charts.named("query", title, series, labels, unit=unit_of(y), bars=bars)


def _day(text: str, *, year: bool) -> str:
    """`2026-03-01 13:00` as people say it. What is no such time stays as it is."""
    day, _, clock = text.partition(" ")
    try:
        at = date.fromisoformat(day)
    except ValueError:
        return text
    return " ".join([day_text(at), *([str(at.year)] if year else []), *([clock] if clock else [])])


def _text(value: Any, *, timed: bool = False) -> str:
    if value is None:
        return "NULL"
    if timed:
        day, _, clock = str(value).partition("T")
        clock = clock.removesuffix("Z").removesuffix(".000000").removesuffix(":00")
        return f"{day} {clock}" if clock and clock != "00:00" else day
    return str(value)[:60] or "(empty)"
