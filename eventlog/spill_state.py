"""What a spill may hold, what of an append is spilled, and how the spill fares. Values, and functions of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import structlog
from msgspec import Struct

from eventlog.bodies import bare
from eventlog.codec import Message
from eventlog.embedded_store import OVERHEAD_BYTES
from eventlog.port import LogUnavailable

log = structlog.get_logger()

RESERVE = 4
"""A quarter of the limit, on top of it, is for facts alone. As much is for what Kafka refuses for good."""


class SpillConfig(Struct, frozen=True, kw_only=True):
    """Where what Kafka does not take is kept, and how much of it. For each process."""

    directory: Path
    limit_bytes: int = 1 << 30
    """Of messages. Above it bodies are given up, and a quarter above it events; the disk may need half as much again."""
    most_age: timedelta = timedelta(days=21)
    """What a run left behind longer ago is not sent: its first messages may be on Kafka already, and readers know a repeat for 30 days."""
    fsync: bool = False
    """Whether what was spilled survives a power cut; without, a crash of any process but not of the machine."""


class SpillState(Struct, frozen=True, kw_only=True):
    """How the spill fares. Counts are since the start of this run."""

    spilling: bool = False
    """Appends go to disk."""
    since: float | None = None
    """When that began, in seconds since 1970."""
    messages: int = 0
    """On disk and not sent yet: of this run, and of the ended run whose spill is being drained."""
    bytes: int = 0
    """Of all spills that this run owns."""
    oldest_s: float = 0.0
    """Age of the oldest message that is not sent yet."""
    spilled_events: int = 0
    dropped: Mapping[str, int] = {}
    """Events, or their bodies, that were given up, by reason."""
    put_aside: int = 0
    """Messages that Kafka refuses for good; each lies in a file with its reason."""
    corrupt: int = 0
    """Spills that could not be sent to their end; each lies in a folder whose name says why."""
    reason: str = ""
    """Why messages do not reach Kafka, or why the spill cannot be used, with the setting and the remedy."""

    @property
    def dropped_bodies(self) -> int:
        return sum(count for reason, count in self.dropped.items() if reason.startswith("body_"))


class Tally:
    """What one run spilled, gave up and put aside, since its start; and why messages do not reach Kafka now."""

    def __init__(self) -> None:
        self.spilled_events = 0
        self.dropped: Counter[str] = Counter()
        self.put_aside = 0
        self.corrupt = 0
        self.reason = ""
        self._told: set[str] = set()

    def fails(self, error: Exception) -> None:
        """Remembers why. Each reason is told once, until Kafka takes messages again."""
        self.reason = str(error)
        if self.reason not in self._told:
            self._told.add(self.reason)
            log.warning("kafka_takes_nothing", error=self.reason)

    def flows(self) -> None:
        self.reason = ""
        self._told.clear()


class Fitted(Struct, frozen=True):
    """What of an append is spilled."""

    messages: tuple[Message, ...]
    bodies: int = 0
    """How many were given up."""


def fit(messages: Sequence[Message], held_bytes: int, limit_bytes: int) -> Fitted:
    """All of it while there is room; then the facts. Raises LogUnavailable when there is no room for facts either."""
    if held_bytes + measured(messages) <= limit_bytes:
        return Fitted(tuple(messages))
    light = [bare(message) for message in messages]
    fitted = Fitted(tuple(each.message for each in light), sum(each.bodies for each in light))
    if held_bytes + measured(fitted.messages) <= limit_bytes + limit_bytes // RESERVE:
        return fitted
    raise LogUnavailable(f"the spill holds {held_bytes} bytes, and its limit is {limit_bytes}; see HELIOGRAPH_SPILL__BYTES")


def measured(messages: Sequence[Message]) -> int:
    """What messages count for in a spill."""
    return sum(len(message.value) + OVERHEAD_BYTES for message in messages)
