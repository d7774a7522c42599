"""The calls of a session as a tree by their paths, with what each branch cost, took and used. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from storage.rest.sql import Row

DEEPEST = 12
"""Levels of a path that are told apart; the rest is one name."""
GIVEN_UP = frozenset({"interrupted_by_client"})


class Step(Struct, frozen=True, kw_only=True):
    """One call, and when it was within its session, in milliseconds from the session's beginning."""

    row: Row
    begins_ms: float
    ends_ms: float

    @property
    def failed(self) -> bool:
        return self.row["outcome"] != "completed" and self.row["outcome"] not in GIVEN_UP

    @property
    def unpriced(self) -> bool:
        return self.row["cost_usd"] is None and not self.failed


class Sums(Struct, frozen=True, kw_only=True):
    """Of a branch with all below it."""

    calls: int
    errors: int
    cost_usd: Decimal | None
    """None where none is known."""
    unpriced: int
    total_tokens: int | None
    busy_ms: float
    """In which at least one call was under way."""
    begins_ms: float
    ends_ms: float

    @property
    def spread_ms(self) -> float:
        """From the first beginning to the last end."""
        return self.ends_ms - self.begins_ms


class Branch(Struct, frozen=True, kw_only=True):
    """One path: its own calls, and the branches below."""

    name: str
    path: str
    sums: Sums
    steps: tuple[Step, ...] = ()
    branches: tuple["Branch", ...] = ()

    def walk(self) -> Iterator["Branch"]:
        """It and all below, in the order in which they are read."""
        yield self
        for each in self.branches:
            yield from each.walk()


def steps_of(rows: Sequence[Row]) -> list[Step]:
    """In the order of their beginning."""
    times = [instant_of(row["created_at"]) for row in rows]
    first = min(times, default=datetime.fromtimestamp(0, UTC))
    made = []
    for row, at in zip(rows, times, strict=True):
        begins = (at - first).total_seconds() * 1000
        made.append(Step(row=row, begins_ms=begins, ends_ms=begins + float(row["latency_ms"] or 0)))
    return sorted(made, key=lambda step: step.begins_ms)


def instant_of(text: str) -> datetime:
    """A time of the lake's, as answers write it."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def tree_of(steps: Sequence[Step]) -> Branch:
    """The root, whose own calls are those that name no path."""
    return _branch("", (), [(parts_of(step.row["session_path"]), step) for step in steps])


def parts_of(path: str | None) -> tuple[str, ...]:
    """`/plan//flights/` is plan, then flights."""
    parts = [part for part in (path or "").split("/") if part]
    return (*parts[: DEEPEST - 1], "/".join(parts[DEEPEST - 1 :])) if len(parts) > DEEPEST else tuple(parts)


def _branch(name: str, path: tuple[str, ...], placed: Sequence[tuple[tuple[str, ...], Step]]) -> Branch:
    own, below = [], dict[str, list[tuple[tuple[str, ...], Step]]]()
    for parts, step in placed:
        if parts:
            below.setdefault(parts[0], []).append((parts[1:], step))
        else:
            own.append(step)
    return Branch(
        name=name,
        path="/" + "/".join(path),
        sums=sums_of([step for _, step in placed]),
        steps=tuple(own),
        branches=tuple(_branch(part, (*path, part), found) for part, found in below.items()),
    )


def sums_of(steps: Sequence[Step]) -> Sums:
    costs = [_exact(step.row["cost_usd"]) for step in steps if step.row["cost_usd"] is not None]
    tokens = [int(step.row["total_tokens"]) for step in steps if step.row["total_tokens"] is not None]
    spans = busy([(step.begins_ms, step.ends_ms) for step in steps])
    return Sums(
        calls=len(steps),
        errors=sum(step.failed for step in steps),
        cost_usd=sum(costs, start=Decimal(0)) if costs else None,
        unpriced=sum(step.unpriced for step in steps),
        total_tokens=sum(tokens) if tokens else None,
        busy_ms=sum(end - begin for begin, end in spans),
        begins_ms=min((step.begins_ms for step in steps), default=0.0),
        ends_ms=max((step.ends_ms for step in steps), default=0.0),
    )


def busy(spans: Sequence[tuple[float, float]], *, apart: float = 0.0) -> list[tuple[float, float]]:
    """Spans that overlap, or lie at most `apart` from each other, as one."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1] + apart:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _exact(number: Any) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))
