"""How long made-up calls take, from the first byte of the request. Pure, and whole columns at once."""

import numpy as np
from msgspec import Struct

from eventlog.events import Outcome
from runtime.history.arrow import Flags, Floats
from runtime.history.calls import Calls
from runtime.history.outcomes import ASKED, ENDINGS, OF_UNLUCKY, PROVIDER_ERRORS
from runtime.history.plot import Plot

SLOWED = 3.2
"""So much longer answers take at the provider with the incident."""
GAVE_UP_MS = 600_000.0
UNREACHABLE_MS = 45.0
REFUSED_MS, CACHE_MS, REFUSAL_MS = 0.9, 2.2, 140.0
"""Of what is refused here, of the cache, and of a provider that says no."""

TIMED_OUT: Flags = np.array([ending.outcome is Outcome.TIMED_OUT for ending in ENDINGS])
UNREACHED: Flags = np.array([ending.outcome is Outcome.UNREACHABLE for ending in ENDINGS])
BROKEN_OFF: Flags = np.array([ending.outcome in {Outcome.INTERRUPTED_BY_CLIENT, Outcome.INTERRUPTED_BY_PROVIDER} for ending in ENDINGS])


class Durations(Struct):
    """Milliseconds."""

    head: Floats
    """Of the last try: until the head of its answer."""
    body: Floats
    """From there to the end."""
    heard: Flags
    """A body of the provider's came, or the cache's."""

    def latency(self, before: Floats) -> Floats:
        """`before`: what went by before the last try."""
        return before + self.head + self.body

    def ttft(self, before: Floats, calls: Calls) -> Floats:
        """A whole answer begins when all of it is there."""
        whole = before + self.head + self.body * 0.995
        return np.where(calls.talk.stream | calls.hit, before + self.head, whole)


def durations(calls: Calls, plot: Plot, rng: np.random.Generator) -> Durations:
    ending, said, rows = calls.ends.ending, calls.talk, len(calls.at)
    slow = np.where(OF_UNLUCKY[calls.model] & plot.during_incident(calls.at), SLOWED * rng.lognormal(0, 0.3, rows), 1.0)
    head, body = said.ttft_ms * slow, said.said_ms * slow
    body = np.where(BROKEN_OFF[ending], body * rng.uniform(0.1, 0.8, rows), body)
    short = rng.gamma(3.0, 1 / 3.0, rows)
    for which, lasts in (
        (calls.hit, CACHE_MS),
        (~ASKED[ending], REFUSED_MS),
        (PROVIDER_ERRORS[ending], REFUSAL_MS),
        (UNREACHED[ending], UNREACHABLE_MS),
    ):
        head = np.where(which, lasts * short, head)
        body = np.where(which, lasts * short * 0.04, body)
    head = np.where(TIMED_OUT[ending], GAVE_UP_MS + short, head)
    body = np.where(TIMED_OUT[ending], 0.3, body)
    return Durations(head, body, ASKED[ending] & ~TIMED_OUT[ending] & ~UNREACHED[ending])
