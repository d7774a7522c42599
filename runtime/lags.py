"""How far each reader of the log is behind, measured again and again, for `/metrics` and for those who must not run ahead of a reader."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from prometheus_client import Gauge

from eventlog.outages import Outage
from eventlog.port import Lag, Log, LogUnavailable
from eventlog.waiting import stopped_within

EVERY_S = 2.0

MESSAGES = Gauge(
    "heliograph_log_lag_messages", "Messages a reader is behind.", ["group", "topic", "partition"], multiprocess_mode="livemostrecent"
)
AGE = Gauge(
    "heliograph_log_lag_seconds", "Age of the oldest unread message.", ["group", "topic", "partition"], multiprocess_mode="livemostrecent"
)


class Lags:
    """The newest measurement. `reads` says which topics each group reads."""

    def __init__(self, events: Log, reads: Mapping[str, Sequence[str]], outage: Outage | None = None) -> None:
        self._events = events
        self._reads = reads
        self._newest: dict[str, list[Lag]] = {}
        self.outage = Outage(reader="lag") if outage is None else outage
        """Whether the log answers: it is asked all the time here, also while nobody has anything to read."""

    async def measure(self) -> None:
        """Raises LogUnavailable."""
        for group, topics in self._reads.items():
            self._newest[group] = await self._events.lag(group, topics)
            for each in self._newest[group]:
                MESSAGES.labels(group, each.topic, each.partition).set(each.messages)
                AGE.labels(group, each.topic, each.partition).set(each.seconds)

    def behind(self) -> timedelta:
        """The age of the oldest message that some reader has not read; a day while nothing was measured, so that nobody runs ahead."""
        return timedelta(seconds=max((each.seconds for each in self._all()), default=86_400.0))

    def _all(self) -> list[Lag]:
        return [each for lags in self._newest.values() for each in lags]


async def keep_measuring(lags: Lags, stop: asyncio.Event) -> None:
    """Until `stop` is set. A log that does not answer is asked again."""
    while not stop.is_set():
        try:
            await lags.measure()
            lags.outage.over()
        except LogUnavailable as error:
            lags.outage.goes_on(error)
        await stopped_within(stop, EVERY_S)
