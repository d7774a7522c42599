"""Charts: what is drawn, as places and paths that a template writes out as SVG. Pure.

Everything across is in percent or in a stretched coordinate of 1000, so that a chart fits any width without being drawn again; everything
up is in pixels. What is not known is a gap. The figures are carried as text beside the drawing: for the crosshair, and as a table.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from storage.dashboard.scales import full, labelled, places, short, ticks
from storage.dashboard.units import FORMATS, Number
from storage.dashboard.zones import Bucket

WIDE = 1000
HEIGHT = 168
TOP = 10
"""Room above the highest line, for its label."""
TONES = 8


class Line(Struct, frozen=True, kw_only=True):
    """One series: a value for each piece, None where it is not known. `tone` is its colour, from 1; 0 is grey."""

    name: str
    values: Sequence[Number]
    tone: int = 1
    href: str | None = None
    """Where its name leads."""
    dashed: bool = False
    """It is there to compare with."""


class Tick(Struct, frozen=True):
    at: float
    text: str


class Bar(Struct, frozen=True):
    """Across in percent, up in pixels."""

    x: float
    width: float
    y: float
    height: float
    tone: int
    piece: int
    unfinished: bool = False


class Drawn(Struct, frozen=True, kw_only=True):
    """A path of a line and the area under it, in the stretched coordinate."""

    name: str
    tone: int
    line: str = ""
    area: str = ""
    tail: str = ""
    """To the last piece, which has not ended."""
    dashed: bool = False


class Legend(Struct, frozen=True, kw_only=True):
    name: str
    tone: int
    href: str | None = None


class Chart(Struct, frozen=True, kw_only=True):
    """All that the template needs."""

    name: str
    """Of its file when it is saved, and of its parts."""
    title: str
    summary: str
    """What somebody who does not see it is told."""
    unit: str
    height: int = HEIGHT
    rows: tuple[Tick, ...] = ()
    """Lines across: their height in pixels from the top."""
    columns: tuple[Tick, ...] = ()
    """Labels under it: their place in percent."""
    paths: tuple[Drawn, ...] = ()
    bars: tuple[Bar, ...] = ()
    legend: tuple[Legend, ...] = ()
    pieces: tuple[str, ...] = ()
    """What each piece is called."""
    cells: tuple[tuple[str, ...], ...] = ()
    """For each series the text of each value."""
    edges: tuple[str, ...] = ()
    """Of a time series: where each piece begins, and the last ends, in ISO 8601; for choosing a time range in it."""
    empty: bool = False


def lines(name: str, title: str, series: Sequence[Line], bucket: Bucket, until: datetime, *, unit: str, area: bool = False) -> Chart:
    """Lines over time. With `area`, filled down to 0."""
    known = [float(each) for line in series for each in line.values if each is not None]
    scale = ticks(max(known, default=0), unit)
    open_end = bucket.unfinished(until)
    paths = tuple(_path(line, scale[-1], area=area and not line.dashed, open_end=open_end) for line in series)
    return _over_time(name, title, series, bucket, until, unit, scale, paths=paths)


def stacked(
    name: str, title: str, series: Sequence[Line], bucket: Bucket, until: datetime, *, unit: str, over: Sequence[Line] = ()
) -> Chart:
    """Bars over time, one series upon another, and lines over them. Not for what cannot be added up."""
    heights = [[float(each or 0) for each in line.values] for line in series]
    tops = [list(accumulate(column)) for column in zip(*heights, strict=True)] if heights else []
    above = [float(each or 0) for line in over for each in line.values]
    scale = ticks(max([*(column[-1] for column in tops), *above], default=0), unit)
    open_end = bucket.unfinished(until)
    bars = tuple(
        replace(bar, unfinished=open_end and piece == len(tops) - 1)
        for piece, column in enumerate(tops)
        for number, top in enumerate(column)
        if (bar := _bar(piece, len(tops), column[number - 1] if number else 0.0, top, scale[-1], series[number].tone)) is not None
    )
    paths = tuple(_path(line, scale[-1], area=False, open_end=open_end) for line in over)
    return _over_time(name, title, [*series, *over], bucket, until, unit, scale, bars=bars, paths=paths)


def histogram(name: str, title: str, line: Line, pieces: Sequence[str], *, unit: str = "count", labels: int = 7) -> Chart:
    """Bars of pieces that have names, such as spans of latency."""
    values = [float(each or 0) for each in line.values]
    scale = ticks(max(values, default=0), unit)
    bars = [_bar(piece, len(values), 0.0, top, scale[-1], line.tone) for piece, top in enumerate(values)]
    columns = tuple(Tick(_middle(place, len(pieces)), pieces[place]) for place in places(len(pieces), labels))
    return Chart(
        name=name,
        title=title,
        summary=_summary([line], pieces, unit),
        unit=unit,
        rows=_rows(scale, unit),
        columns=columns,
        bars=tuple(bar for bar in bars if bar is not None),
        pieces=tuple(pieces),
        legend=(Legend(name=line.name, tone=line.tone),),
        cells=_cells([line], unit),
        empty=not any(values),
    )


def named(name: str, title: str, series: Sequence[Line], pieces: Sequence[str], *, unit: str, bars: bool, labels: int = 7) -> Chart:
    """Over pieces that have names and are in an order: bars, one series upon another, or lines. What is below 0 is not drawn."""
    drawn_bars: list[Bar] = []
    heights = [[max(float(each or 0), 0.0) for each in line.values] for line in series]
    tops = [list(accumulate(column)) for column in zip(*heights, strict=True)]
    highest = max((column[-1] for column in tops), default=0) if bars else max((each for line in heights for each in line), default=0)
    scale = ticks(highest, unit)
    for piece, column in enumerate(tops if bars else ()):
        lows = [0.0, *column]
        made = [_bar(piece, len(tops), low, top, scale[-1], line.tone) for low, top, line in zip(lows, column, series, strict=False)]
        drawn_bars += [bar for bar in made if bar is not None]
    return Chart(
        name=name,
        title=title,
        summary=_summary(series, pieces, unit),
        unit=unit,
        rows=_rows(scale, unit),
        columns=tuple(Tick(_middle(place, len(pieces)), pieces[place]) for place in places(len(pieces), labels)),
        bars=tuple(drawn_bars),
        paths=() if bars else tuple(_path(line, scale[-1], area=False) for line in series),
        pieces=tuple(pieces),
        legend=tuple(Legend(name=line.name, tone=line.tone) for line in series),
        cells=_cells(series, unit),
        empty=not any(each for line in series for each in line.values),
    )


def sparkline(values: Sequence[Number], *, open_end: bool = False) -> Drawn | None:
    """A small line without axes, in a field of 1000 by 32; None where there is nothing to draw. What has not ended is left out."""
    values = values[:-1] if open_end else values
    known = [float(each) for each in values if each is not None]
    if len(known) < 2:
        return None
    return _path(Line(name="", values=values), max(known) or 1.0, area=True, height=32, top=2)


def _over_time(
    name: str,
    title: str,
    series: Sequence[Line],
    bucket: Bucket,
    until: datetime,
    unit: str,
    scale: Sequence[float],
    *,
    paths: tuple[Drawn, ...] = (),
    bars: tuple[Bar, ...] = (),
) -> Chart:
    starts, step, zone = bucket.cuts, bucket.step, bucket.zone
    ends = [*starts[1:], max(until, starts[-1])]
    pieces = tuple(full(at, end, step, zone) for at, end in zip(starts, ends, strict=True))
    if bucket.unfinished(until):
        pieces = (*pieces[:-1], f"{pieces[-1]}, until now")
    return Chart(
        name=name,
        title=title,
        summary=_summary(series, pieces, unit),
        unit=unit,
        rows=_rows(scale, unit),
        columns=tuple(Tick(_middle(place, len(starts)), short(starts[place], step, zone)) for place in labelled(starts, step, zone)),
        paths=paths,
        bars=bars,
        legend=tuple(Legend(name=line.name, tone=line.tone, href=line.href) for line in series),
        pieces=pieces,
        cells=_cells(series, unit),
        edges=tuple(at.isoformat().replace("+00:00", "Z") for at in [*starts, ends[-1]]),
        empty=not any(each for line in series for each in line.values),
    )


def _summary(series: Sequence[Line], pieces: Sequence[str], unit: str) -> str:
    """The highest of each series and where it is."""
    told = []
    for line in series[:6]:
        known = [(float(each), place) for place, each in enumerate(line.values) if each is not None]
        if known:
            highest, place = max(known)
            told.append(f"{line.name}: highest {FORMATS[unit](highest)} at {pieces[place]}")
        else:
            told.append(f"{line.name}: nothing known")
    return ". ".join(told)


def _rows(scale: Sequence[float], unit: str) -> tuple[Tick, ...]:
    return tuple(Tick(_y(each, scale[-1], HEIGHT, TOP), _round(FORMATS[unit](each))) for each in scale)


def _round(text: str) -> str:
    """Of a step of a scale, without noughts that say nothing: $0.2, not $0.200."""
    return text.rstrip("0").rstrip(".") if "." in text and text[-1] == "0" else text


def _cells(series: Sequence[Line], unit: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(FORMATS[unit](each) for each in line.values) for line in series)


def _middle(place: int, count: int) -> float:
    """In percent."""
    return round((place + 0.5) / max(count, 1) * 100, 3)


def _y(number: float, largest: float, height: float, top: float) -> float:
    return round(height - number / largest * (height - top), 2) if largest else height


def _bar(piece: int, count: int, low: float, high: float, largest: float, tone: int) -> Bar | None:
    if high <= low:
        return None
    share = 100 / count
    gap = min(share * 0.18, 0.6)
    y = _y(high, largest, HEIGHT, TOP)
    height = max(round(_y(low, largest, HEIGHT, TOP) - y, 2), 0.75)
    return Bar(round(piece * share + gap / 2, 3), round(share - gap, 3), y, height, tone, piece)


def _path(line: Line, largest: float, *, area: bool, height: float = HEIGHT, top: float = TOP, open_end: bool = False) -> Drawn:
    """Runs of known values, each a line; a value alone is a line of no length, which round ends make a dot.

    With `open_end` the way to the last value is a path of its own.
    """
    count = max(len(line.values), 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, each in enumerate(line.values):
        if each is None:
            runs.append([])
        else:
            runs[-1].append((round((place + 0.5) / count * WIDE, 1), _y(float(each), largest, height, top)))
    runs = [run for run in runs if run]
    tail = ""
    if open_end and runs and len(runs[-1]) > 1 and line.values[-1] is not None:
        tail = f"M{_points(runs[-1][-2:])}"
        runs[-1] = runs[-1][:-1]
    drawn = "".join(f"M{_points(run)}{'h0' if len(run) == 1 else ''}" for run in runs)
    filled = "".join(f"M{run[0][0]:g} {height:g}L{_points(run)}L{run[-1][0]:g} {height:g}Z" for run in runs if len(run) > 1) if area else ""
    return Drawn(name=line.name, tone=line.tone, line=drawn, area=filled, tail=tail, dashed=line.dashed)


def _points(run: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:g} {y:g}" for x, y in run)
