"""What is known of a call, before it is made into a line: values and references, nothing read yet."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

ANSWERED, CANCELLED, TIMED_OUT, FAILED = 200, -3, -2, -100
"""Statuses; the negative ones are of calls that have none of HTTP's."""


class About(NamedTuple):
    """Whose call it is and what belongs to it, as the application says it."""

    user_id: Any = None
    properties: Any = None
    session_id: Any = None
    session_name: Any = None
    session_path: Any = None
    provider: Any = None
    url: Any = None
    headers: Any = None


class Told(NamedTuple):
    """A call that is over. Times are seconds since 1970."""

    request_id: str
    request: Any
    response: Any
    about: About
    told_at: float
    started_at: Any = None
    ended_at: Any = None
    """None: when it was told."""
    status: Any = None
    """None: what the answer says, else 200."""
    ttft_ms: Any = None
    cost_usd: Any = None
    pieces: Sequence[Any] | None = None
    """Of a stream, in the place of `response`."""
    base_url: str | None = None
    """Of the client that was called: its path is told by the shape of the answer."""


class Judged(NamedTuple):
    """What is said of a call: `body` goes to this endpoint of it, `feedback` or `score`."""

    request_id: str
    endpoint: str
    body: Mapping[str, Any]
