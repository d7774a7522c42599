"""A message on its way to one webhook: what it is, what came of a try, when the next one is due. Pure."""

from collections.abc import Callable
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from eventlog.webhooks import Webhook
from processors.webhooks.messages import CallTold

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0


class AlertTold(Struct, frozen=True):
    """A message about an alert, written out."""

    body: bytes


class Origin(Struct, frozen=True):
    """Where on the log the event lies that is told."""

    topic: str
    partition: int
    offset: int
    index: int
    appended_at: float
    """Seconds since 1970."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One message for one webhook."""

    key: str
    """Names it: the same after a restart, and wherever it is sent from."""
    told: CallTold | AlertTold
    origin: Origin
    done: Callable[[], None]
    """Called once: it was taken, or its dead letter is durable, or nobody wants it any more."""
    wanted: Callable[[], bool]
    """False once its partition is another's: that one delivers it."""


class Tried(Struct, frozen=True, kw_only=True):
    """What came of sending it once."""

    status: int | None = None
    """Of the answer; None when there was none."""
    error: str = ""
    """Why there was none, for people."""
    refused: bool = False
    """We may not send there. No further try is made."""

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status <= 299

    def __str__(self) -> str:
        return self.error if self.status is None else f"it answered {self.status}"


class Lost(StrEnum):
    """Why a message was given up: the reason of its dead letter."""

    FAILED = "webhook_failed"
    """No try was answered with a 2xx status in the time it had."""
    REFUSED = "webhook_refused"
    """Its destination is none that we may send to."""
    OVERLOADED = "webhook_overloaded"
    """Too many waited for its webhook already."""


def pause_after(tries: int, drawn: float) -> float:
    """Seconds until the next try, after so many. It doubles, and the half of it is as `drawn` from 0 to 1: so that not all come at once."""
    whole = min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20), LONGEST_PAUSE_S)
    return whole * (0.5 + drawn / 2)


def host_of(webhook: Webhook) -> str:
    """What may be said of a destination: the rest of it may be a secret."""
    return urlsplit(webhook.destination).hostname or "?"
