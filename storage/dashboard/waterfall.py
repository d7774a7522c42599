"""How a call's time passed: waiting, answering, and each attempt, as bars on one axis. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from storage.dashboard import units
from storage.dashboard.scales import ticks

LEAST = 0.4
"""Percent: a bar that can be seen."""


class Bar(Struct, frozen=True, kw_only=True):
    """From `x`, so wide, in percent of the axis."""

    name: str
    x: float
    width: float
    tone: int
    text: str
    note: str = ""


class Waterfall(Struct, frozen=True, kw_only=True):
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    """Places in percent, and what stands there."""


def waterfall(latency_ms: float | None, ttft_ms: float | None, tries: Sequence[Mapping[str, Any]]) -> Waterfall | None:
    """None where no time is known."""
    ends = [float(each["began_ms"] or 0) + float(each["took_ms"] or 0) for each in tries]
    longest = max([latency_ms or 0.0, ttft_ms or 0.0, *ends])
    if longest <= 0:
        return None

    def bar(name: str, since: float, until: float, tone: int, note: str = "") -> Bar:
        width = max(LEAST, (until - since) / longest * 100)
        x = min(max(0.0, since / longest * 100), 100 - width)
        return Bar(name=name, x=round(x, 3), width=round(width, 3), tone=tone, text=units.duration(until - since), note=note)

    bars = []
    for number, each in enumerate(tries, 1):
        began, took = float(each["began_ms"] or 0), float(each["took_ms"] or 0)
        good = each["status"] is not None and each["status"] < 400
        note = " ".join(str(said) for said in (each["status"], each["failure"], each["origin"]) if said is not None)
        bars.append(bar(f"Attempt {number}", began, began + took, 2 if good else 6, note))
    if ttft_ms is not None and latency_ms is not None and latency_ms >= ttft_ms:
        bars += [bar("To the first token", 0, ttft_ms, 3), bar("Answer", ttft_ms, latency_ms, 1)]
    if latency_ms is not None:
        bars.append(bar("Whole call", 0, latency_ms, 0))
    scale = [at for at in ticks(longest, "duration") if at <= longest * 1.0001]
    return Waterfall(bars=tuple(bars), ticks=tuple((round(at / longest * 100, 3), units.duration(at) if at else "0") for at in scale))
