"""When the calls of a session were: a bar for each in the lane of its path, over an axis on which idle time may be squeezed. Pure.

Across everything is in percent; up in pixels, from the top of the lane.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from storage.dashboard import units
from storage.dashboard.charts import Tick
from storage.dashboard.scales import ticks
from storage.dashboard.session_tree import Branch, Step, busy

ROW, BAR = 18, 12
"""Pixels from one row of a lane to the next, and of a bar."""
THINNEST = 0.35
"""Percent: so that a short call is seen and can be pointed at."""
IDLE_MS, IDLE_SHARE = 1000.0, 0.03
"""What is squeezed at least: a pause of this length, and of this share of the whole."""
PAUSE, ALL_PAUSES = 2.5, 35.0
"""Percent that a squeezed pause takes, and that all take together."""
MOSTLY = 0.5
"""From this share of idle time on it is squeezed, unless the viewer says otherwise."""
LABEL_APART = 9.0
FAILED, GIVEN_UP, FINE, CACHED, UNKNOWN = 6, 3, 1, 2, 0
KINDS = ((FINE, "Completed"), (CACHED, "From the cache"), (FAILED, "Failed"), (GIVEN_UP, "Client gave up"), (UNKNOWN, "Not known"))


class Bar(Struct, frozen=True, kw_only=True):
    call_id: str
    x: float
    width: float
    y: float
    tone: int
    told: str
    """What it is, for people."""


class Lane(Struct, frozen=True, kw_only=True):
    name: str
    path: str
    depth: int
    height: int
    bars: tuple[Bar, ...]
    told: str


class Pause(Struct, frozen=True, kw_only=True):
    """Idle time that was squeezed."""

    x: float
    width: float
    text: str


class Timeline(Struct, frozen=True, kw_only=True):
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    """Labels under it, in time since the beginning."""
    pauses: tuple[Pause, ...]
    squeezed: bool
    may_squeeze: bool
    """There are pauses long enough."""
    legend: tuple[tuple[int, str], ...]


class Scale(Struct, frozen=True):
    """Pieces of time, each with where it begins and ends across."""

    pieces: tuple[tuple[float, float, float, float], ...]

    def at(self, ms: float) -> float:
        for begin, end, left, right in self.pieces:
            if ms <= end:
                return left + (right - left) * (max(ms - begin, 0.0) / (end - begin) if end > begin else 0.0)
        return 100.0


def timeline(root: Branch, steps: Sequence[Step], *, squeeze: bool | None = None) -> Timeline:
    """`squeeze`: None where it is as it fits best."""
    spans = [(step.begins_ms, step.ends_ms) for step in steps]
    total = max((end for _, end in spans), default=0.0) or 1.0
    under_way = busy(spans, apart=max(IDLE_MS, total * IDLE_SHARE)) or [(0.0, total)]
    idle = total - sum(end - begin for begin, end in under_way)
    may = len(under_way) > 1
    squeezed = may and (idle / total > MOSTLY if squeeze is None else squeeze)
    scale = _squeezed(under_way) if squeezed else Scale(((0.0, total, 0.0, 100.0),))
    lanes = tuple(_lane(each, scale) for each in root.walk() if each.steps)
    tones = {bar.tone for lane in lanes for bar in lane.bars}
    return Timeline(
        lanes=lanes,
        ticks=_sparse([(scale.at(begin), begin) for begin, _ in under_way] if squeezed else _round(total)),
        pauses=_pauses(under_way, scale) if squeezed else (),
        squeezed=squeezed,
        may_squeeze=may,
        legend=tuple(kind for kind in KINDS if kind[0] in tones),
    )


def tone_of(step: Step) -> int:
    outcome = step.row["outcome"]
    if outcome is None or outcome == "abandoned":
        return UNKNOWN
    if outcome == "completed":
        return CACHED if step.row["cache_hit"] else FINE
    return FAILED if step.failed else GIVEN_UP


def _lane(branch: Branch, scale: Scale) -> Lane:
    ends: list[float] = []
    bars = []
    for step in branch.steps:
        left = min(scale.at(step.begins_ms), 100.0 - THINNEST)
        right = max(scale.at(step.ends_ms), left + THINNEST)
        row = next((number for number, end in enumerate(ends) if end <= left), len(ends))
        ends[row:] = [right] if row == len(ends) else [right, *ends[row + 1 :]]
        bars.append(
            Bar(
                call_id=step.row["call_id"],
                x=round(left, 3),
                width=round(right - left, 3),
                y=row * ROW + (ROW - BAR) / 2,
                tone=tone_of(step),
                told=told(step),
            )
        )
    depth = branch.path.count("/") - (branch.path == "/")
    spent = units.money(branch.sums.cost_usd)
    return Lane(
        name=branch.name or "No path",
        path=branch.path,
        depth=depth,
        height=max(1, len(ends)) * ROW,
        bars=tuple(bars),
        told=f"{branch.path}: {len(bars)} calls, {spent} with all below",
    )


def told(step: Step) -> str:
    row = step.row
    parts = [row["model"] or "no model known", (row["outcome"] or "not known how it ended").replace("_", " ")]
    parts += [units.duration(row["latency_ms"]), units.money(row["cost_usd"]) if row["cost_usd"] is not None else "unpriced"]
    parts += [f"{units.count(row['total_tokens'])} tokens"] if row["total_tokens"] is not None else []
    return f"{', '.join(parts)}, after {units.duration(step.begins_ms)}"


def _squeezed(under_way: Sequence[tuple[float, float]]) -> Scale:
    pause = min(PAUSE, ALL_PAUSES / (len(under_way) - 1))
    left_over = 100.0 - pause * (len(under_way) - 1)
    whole = sum(end - begin for begin, end in under_way)
    pieces = []
    x = 0.0
    for number, (begin, end) in enumerate(under_way):
        if number:
            pieces.append((under_way[number - 1][1], begin, x, x + pause))
            x += pause
        wide = left_over * ((end - begin) / whole if whole else 1 / len(under_way))
        pieces.append((begin, end, x, x + wide))
        x += wide
    return Scale(tuple(pieces))


def _pauses(under_way: Sequence[tuple[float, float]], scale: Scale) -> tuple[Pause, ...]:
    made = []
    for (_, ended), (begins, _) in pairwise(under_way):
        left = scale.at(ended)
        made.append(Pause(x=round(left, 3), width=round(scale.at(begins) - left, 3), text=units.duration(begins - ended)))
    return tuple(made)


def _round(total: float) -> list[tuple[float, float]]:
    return [(ms / total * 100, ms) for ms in ticks(total, "duration", 6) if ms <= total]


def _sparse(found: Sequence[tuple[float, float]]) -> tuple[Tick, ...]:
    """Those that do not touch the one before."""
    kept: list[Tick] = []
    for at, ms in found:
        if (not kept or at - kept[-1].at >= LABEL_APART) and at <= 95:
            kept.append(Tick(round(at, 3), units.duration(ms) if ms else "0"))
    return tuple(kept)
