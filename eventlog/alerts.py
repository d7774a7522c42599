"""Alerts: what must not go beyond a limit, over which time, and who is told. Pure: when one begins and ends is a function of values."""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from eventlog.events import Instant, Organization
from eventlog.webhooks import PropertyIs

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
"""Of a window."""


class AlertMetric(StrEnum):
    """What is measured."""

    COST = "cost"
    """The sum of what calls cost, USD. A call whose cost is not known adds nothing."""
    ERROR_RATE = "error_rate"
    """Percent of the calls that were not answered with a 2xx status."""
    LATENCY = "latency"
    """Milliseconds from a request's first byte to its answer's last."""


class Aggregation(StrEnum):
    """What is made of the latencies of many calls."""

    P95 = "p95"
    """19 of 20 calls were no slower."""
    MEAN = "mean"


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="alert"):
    """As it was decided. What was decided last under its id counts."""

    id: str
    organization: Organization
    """Whose calls are measured."""
    name: str
    metric: AlertMetric
    threshold: float
    """Beyond it the alert goes on: USD, percent or milliseconds."""
    aggregation: Aggregation = Aggregation.P95
    """Of latencies alone."""
    window_s: int
    """Calls count that began within so many seconds."""
    minimum_calls: int = 1
    """With fewer nothing is beyond the threshold."""
    cool_down_s: int = 300
    """It begins or ends at most once in so many seconds."""
    user_id: str | None = None
    """Only this user's calls."""
    property: PropertyIs | None = None
    """Only calls with this property."""
    webhook: str
    """The id of the webhook that is told."""
    created_at: Instant


class AlertState(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="alert-state"):
    """How an alert stands, and since when. Decided by whoever measures."""

    id: str
    """The alert's."""
    on: bool
    """It goes on."""
    since: Instant
    """When it began, or ended."""
    value: float | None = None
    """What was measured then; None: there were no calls."""
    calls: int = 0
    """Of how many calls."""
    told: bool = False
    """The webhook has taken the message, or it was given up."""


class Measured(Struct, frozen=True):
    """An alert's metric, over its window."""

    value: float | None
    """None: not known, as there are no calls."""
    calls: int


def turned(alert: Alert, state: AlertState | None, measured: Measured, now: datetime) -> AlertState | None:
    """The state that begins now; None when nothing changes. `state` is None for an alert that never went on."""
    beyond = measured.value is not None and measured.calls >= alert.minimum_calls and measured.value > alert.threshold
    if beyond == (state is not None and state.on):
        return None
    if state is not None and now - state.since < timedelta(seconds=alert.cool_down_s):
        return None
    return AlertState(id=alert.id, on=beyond, since=now, value=measured.value, calls=measured.calls)
