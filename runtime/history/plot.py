"""What happens in a made-up history: an incident at one provider, a model that is replaced, prompts that get a new version. Pure."""

from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct

from runtime.history.arrow import Flags, Ints
from runtime.history.rhythm import microseconds

INCIDENT_AT, INCIDENT = 0.72, timedelta(hours=3, minutes=20)
"""As a share of the history; at the busiest time of that day."""
CHANGE_AT = 0.5
RAMP = timedelta(hours=30)
"""How long it takes until all calls go to the new model."""
PROMPT_AT = 0.62
PRICED_AT = 0.2
"""One day of the model without a price gets one afterwards."""
BUSY_HOUR = 13


class Plot(Struct, frozen=True):
    """When what happens. Aware times."""

    begin: datetime
    end: datetime

    def _at(self, share: float) -> datetime:
        return self.begin + (self.end - self.begin) * share

    @property
    def incident(self) -> tuple[datetime, datetime]:
        day = self._at(INCIDENT_AT)
        begin = day.replace(hour=BUSY_HOUR, minute=10, second=0, microsecond=0)
        begin = begin if self.begin <= begin and begin + INCIDENT <= self.end else day
        return begin, min(begin + INCIDENT, self.end)

    @property
    def priced_day(self) -> datetime:
        return self._at(PRICED_AT)

    def during_incident(self, at: Ints) -> Flags:
        """`at` in microseconds since 1970, here and below."""
        begin, end = map(microseconds, self.incident)
        return (at >= begin) & (at < end)

    def replaced(self, at: Ints, rng: np.random.Generator) -> Flags:
        """Whether the call goes to the new model."""
        begin = microseconds(self._at(CHANGE_AT))
        ramp = min(RAMP, (self.end - self.begin) / 20) / timedelta(microseconds=1)
        return rng.random(len(at)) < (at - begin) / ramp

    def new_prompts(self, at: Ints) -> Flags:
        return at >= microseconds(self._at(PROMPT_AT))
