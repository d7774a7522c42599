"""What the ingress counts. A call adds to plain numbers; once a second they are published to Prometheus.

Publishing costs some microseconds for each series, and so would each call if it went there itself. With PROMETHEUS_MULTIPROC_DIR set,
`/metrics` adds up all processes that share the directory; that variable is prometheus_client's own.
"""

import asyncio
import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from eventlog.events import Outcome
from eventlog.redaction import Detector
from eventlog.spill_state import SpillState

LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
PUBLISH_S = 1.0
OTHER = "other"
"""The provider label of every target that callers name and nobody knows: callers must not make series."""
UNKNOWN = "unknown"
"""The provider label of calls that were refused before their provider was known."""

CALLS = Counter("heliograph_ingress_calls", "Calls that ended, by provider and outcome.", ["provider", "outcome"])
LATENCY = Histogram("heliograph_ingress_latency_seconds", "From a request's first byte to its answer's last.", buckets=LATENCY_S)
TTFT = Histogram("heliograph_ingress_ttft_seconds", "From a request's first byte to the first of its answer's body.", buckets=LATENCY_S)
EMITTED = Counter("heliograph_events_emitted", "Events that the log took.", ["topic"])
DROPPED = Counter("heliograph_events_dropped", "Events, or their bodies, that were given up, by reason.", ["reason"])
LIMITS_NOT_COUNTED = Counter("heliograph_limits_not_counted", "Calls that passed although a limit held for them: it could not be counted.")
LIMITS_COUNTED_HERE = Counter("heliograph_limits_counted_locally", "Calls that were counted on this machine alone, because Redis was away.")
CACHE_ASKED = Counter("heliograph_cache_lookups", "Answers that were looked for in the cache, by what came of it.", ["result"])
CACHE_FAILED = Counter("heliograph_cache_failures", "Times that nothing could be looked up in the cache, or kept there.")
COSTS_UNKNOWN = Counter("heliograph_limits_costs_unknown", "Calls that were limited by cost, and whose cost is not known: they count 0.")
REDACTIONS = Counter("heliograph_redactions", "Things that were replaced in stored bodies, by what found them.", ["detector"])
SPILLED = Counter("heliograph_events_spilled", "Events that went to disk, because Kafka did not take them.")
SPILL_BYTES = Gauge("heliograph_spill_bytes", "What waits on disk for Kafka.", multiprocess_mode="livesum")
SPILL_MESSAGES = Gauge("heliograph_spill_messages", "Messages that wait on disk for Kafka.", multiprocess_mode="livesum")
SPILL_AGE = Gauge("heliograph_spill_oldest_seconds", "Age of the oldest message that waits on disk.", multiprocess_mode="livemax")

DETECTORS, OWN = frozenset(each.value for each in Detector), "own"
LOSSES = (
    "body_over_memory",
    "event_over_memory",
    "body_over_event_limit",
    "event_over_limit",
    "shutdown",
    "unencodable",
    "redaction_failed",
    "redaction_behind",
    "redaction_slow",
    "redaction_large",
    "redaction_unknown",
)
"""Reasons for which events, or their bodies, are given up."""
SPILL_LOSSES = ("body_over_spill", "body_refused", "event_refused", "spill_kept_aside")
"""Those of the spill in front of Kafka."""


class Observed:
    """A histogram's share of one process, not yet published."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def publish(self, histogram: Histogram) -> None:
        """Adds to the buckets themselves: `observe`, called for each call, would cost as much as publishing at once."""
        for bucket, count in zip(histogram._buckets, self.counts, strict=True):
            if count:
                bucket.inc(count)
        if self.total:
            histogram._sum.inc(self.total)
        self.counts = [0] * len(self.counts)
        self.total = 0.0


class Telemetry:
    """The counts of one process since they were last published."""

    def __init__(self) -> None:
        self._calls: Tally[tuple[str, Outcome]] = Tally()
        self._emitted: Tally[str] = Tally()
        self._dropped: Tally[str] = Tally()
        self._latency = Observed(LATENCY_S)
        self._ttft = Observed(LATENCY_S)
        self._spill: Callable[[], SpillState] | None = None
        self._spill_published = SpillState()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, spill: Callable[[], SpillState]) -> None:
        """Publish how this spill fares too."""
        self._spill = spill

    def expect(self, providers: Iterable[str], topics: Iterable[str]) -> None:
        """Shows at 0 whatever may come to be counted: a series that begins with its first count has no rate to be alarmed by."""
        for provider in (*providers, OTHER, UNKNOWN):
            for outcome in Outcome:
                CALLS.labels(provider, outcome.value)
        for detector in (*DETECTORS, OWN):
            REDACTIONS.labels(detector)
        for topic in topics:
            EMITTED.labels(topic)
        for reason in (*LOSSES, *(SPILL_LOSSES if self._spill is not None else ())):
            DROPPED.labels(reason)

    def call_ended(self, provider: str, outcome: Outcome, latency_s: float, ttft_s: float | None) -> None:
        self._calls[provider, outcome] += 1
        self._latency.add(latency_s)
        if ttft_s is not None:
            self._ttft.add(ttft_s)

    def events_emitted(self, topic: str, count: int) -> None:
        self._emitted[topic] += count

    def events_dropped(self, reason: str, count: int) -> None:
        self._dropped[reason] += count

    def redacted(self, counts: Mapping[str, int]) -> None:
        """Whatever the patterns of one's own are called, they are one series: callers' names must not make more."""
        for name, count in counts.items():
            REDACTIONS.labels(name if name in DETECTORS else OWN).inc(count)

    def cache_asked(self, *, hit: bool) -> None:
        CACHE_ASKED.labels("hit" if hit else "miss").inc()

    def cache_failed(self) -> None:
        CACHE_FAILED.inc()

    def cost_unknown(self) -> None:
        COSTS_UNKNOWN.inc()

    def limit_not_counted(self) -> None:
        LIMITS_NOT_COUNTED.inc()

    def limit_counted_here(self) -> None:
        LIMITS_COUNTED_HERE.inc()

    def publish(self) -> None:
        for (provider, outcome), count in self._calls.items():
            CALLS.labels(provider, outcome.value).inc(count)
        for topic, count in self._emitted.items():
            EMITTED.labels(topic).inc(count)
        for reason, count in self._dropped.items():
            DROPPED.labels(reason).inc(count)
        for tally in (self._calls, self._emitted, self._dropped):
            tally.clear()
        self._latency.publish(LATENCY)
        self._ttft.publish(TTFT)
        if self._spill is not None:
            self._publish_spill(self._spill())

    def _publish_spill(self, state: SpillState) -> None:
        """Its counts are sums since the start, of which some were published before."""
        before, self._spill_published = self._spill_published, state
        SPILLED.inc(state.spilled_events - before.spilled_events)
        for reason, count in state.dropped.items():
            DROPPED.labels(reason).inc(count - before.dropped.get(reason, 0))
        SPILL_BYTES.set(state.bytes)
        SPILL_MESSAGES.set(state.messages)
        SPILL_AGE.set(state.oldest_s)

    def start(self) -> None:
        """Publishes once a second from now on."""
        self.publish()
        self._timer = asyncio.get_running_loop().call_later(PUBLISH_S, self.start)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.publish()


def exposition() -> bytes:
    """All metrics of this process, or of all that share a directory, in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
