"""The role of a sink on Kafka: events come to rest. Several may run; who holds the first partition of calls keeps the lake tidy."""

import asyncio
import socket
import time
from collections.abc import Callable

import structlog

from eventlog.outages import Outage
from eventlog.port import Log, Place
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from processors.assembled import assemble
from runtime.cluster import open_log
from runtime.health import health_served, of_group
from runtime.lags import Lags, keep_measuring
from runtime.settings import Misconfigured, Settings
from storage.lake import Lake, LakeUnreachable
from storage.migration import LakeTooNew
from storage.sink import run_sink
from storage.upkeep import run_upkeep

log = structlog.get_logger()

READS = {
    "processors": (RESPONSES.name, CALLS.name, FEEDBACK.name),
    "sink": (REQUESTS.name, RESPONSES.name, CALLS.name, FEEDBACK.name, DEAD_LETTERS.name),
}
LEASE = (CALLS.name, 0)
"""Whoever holds this partition does what one must do alone."""


class Holdings:
    """What this sink holds now."""

    def __init__(self) -> None:
        self._places: frozenset[Place] | None = None
        self.outage = Outage()

    def hear(self, places: frozenset[Place]) -> None:
        if places != self._places:
            log.info("ready", partitions=len(places))
        self._places = places

    @property
    def leads(self) -> bool:
        return self._places is not None and LEASE in self._places

    @property
    def readiness(self) -> str:
        return of_group(self.outage, self._places)


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set: then what was read is committed, and the rest waits on Kafka."""
    config, holdings = chosen.storage(), Holdings()
    async with health_served(chosen, sockets, lambda: holdings.readiness):
        events = await open_log(chosen, stop, waiting=ready, outage=holdings.outage)
        if events is None:
            return
        try:
            try:
                lake = await asyncio.to_thread(Lake.open, config)
            except (LakeTooNew, LakeUnreachable) as error:
                raise Misconfigured(str(error)) from error
            ready()
            await _work(events, lake, Lags(events, READS, holdings.outage), holdings, stop)
        finally:
            await events.close()


async def _work(events: Log, lake: Lake, lags: Lags, holdings: Holdings, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(run_sink(events, lake, lake.config, assemble=assemble, stop=stop, drains=False, on_change=holdings.hear))
        group.create_task(run_upkeep(lake, stop=stop, clock=time.time, behind=lags.behind, ours=lambda: holdings.leads))
        group.create_task(keep_measuring(lags, stop))
