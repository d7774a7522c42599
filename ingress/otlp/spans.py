"""A span as it came, whichever encoding it came in.

Source: `opentelemetry/proto/trace/v1/trace.proto` and `common.proto`, version 1.9 (read 2026-11-27).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from ingress.async_log import BadLog

Value: TypeAlias = "str | bool | int | float | bytes | Sequence[Value] | Mapping[str, Value] | None"
Attributes: TypeAlias = Mapping[str, Value]

MOST_SPANS = 50_000
"""Of a request, resources and scopes counted with them. SDKs send 512 at once, Collectors 8,192."""
TOO_MANY = f"hold more than {MOST_SPANS:,} spans; send fewer at once"
DEEPEST = 64
"""A value within a value."""
MOST_VALUES = 500_000
"""Of a span, values within values counted: vectors are some thousands each."""
MOST_ATTRIBUTES = 10_000
"""Of a span, of a resource or of an event. SDKs keep 128 of them, unless they are told otherwise."""
MOST_EVENTS = 10_000
"""Of a span: some senders tell each piece of a stream by one."""


class Room:
    """How many values a span may still have."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def take(self, path: str, depth: int) -> None:
        """Raises BadLog."""
        self._left -= 1
        if self._left < 0:
            raise BadLog(path[:200], f"holds more than {MOST_VALUES:,} values")
        if depth > DEEPEST:
            raise BadLog(path[:200], f"is nested deeper than {DEEPEST} values")


class SpanEvent(Struct, frozen=True):
    name: str
    at: float
    """Seconds since 1970; 0 where it does not say."""
    attributes: Attributes


class Span(Struct, frozen=True, kw_only=True):
    path: str
    """Where it stands in what was sent."""
    trace_id: str
    """32 lower-case hexadecimal digits."""
    span_id: str
    """16 of them."""
    parent_id: str | None
    name: str
    began: float
    """Seconds since 1970."""
    ended: float
    attributes: Attributes
    resource: Attributes
    """What is said of whoever sent it."""
    events: Sequence[SpanEvent] = ()
    failed: bool = False
    """Its status is an error."""
    message: str | None = None
    """What the status says."""


class Refusal(NamedTuple):
    """A span that is not taken, by the path of the field that is wrong."""

    field: str
    error: str

    def __str__(self) -> str:
        return f"{self.field} {self.error}"


class Export(NamedTuple):
    """All that one request tells."""

    spans: Sequence[Span]
    refused: Sequence[Refusal]


def span_id_of(raw: bytes, length: int, path: str) -> str:
    """Raises BadLog. Nought is no id: it says that there is none."""
    if len(raw) != length or not any(raw):
        raise BadLog(path, f"must be {2 * length} hexadecimal digits, not all of them 0")
    return raw.hex()


def checked_times(began_ns: int, ended_ns: int, ahead_of: float, path: str) -> tuple[float, float]:
    """Seconds since 1970, of nanoseconds. Without an end it took no time. Nothing is later than `ahead_of`. Raises BadLog."""
    if began_ns <= 0:
        raise BadLog(f"{path}.startTimeUnixNano", "is required: nanoseconds since 1970")
    began, ended = began_ns / 1e9, (ended_ns or began_ns) / 1e9
    if ended < began:
        raise BadLog(f"{path}.endTimeUnixNano", "cannot be before startTimeUnixNano")
    for name, moment in (("startTimeUnixNano", began), ("endTimeUnixNano", ended)):
        if moment > ahead_of:
            raise BadLog(f"{path}.{name}", "is in the future; it is nanoseconds since 1970")
    return began, ended
