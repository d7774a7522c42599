"""The role of a sink on Kafka: events come to rest. Several may run; who holds the first partition of calls keeps the lake tidy."""

import asyncio
import socket
import time
from collections.abc import Callable

from eventlog.following import Following
from eventlog.lifetimes import Lifetimes, lifetimes
from eventlog.port import Log
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from processors.assembled import assemble
from runtime.cluster import open_log
from runtime.deciding import beside, copy_of, opened_log
from runtime.health import Membership, health_served
from runtime.lags import Lags, keep_measuring
from runtime.lakes import lake_opened
from runtime.settings import Settings
from storage.lake import Lake
from storage.memory import frugal
from storage.sink import run_sink
from storage.upkeep import run_upkeep

READS = {
    "processors": (RESPONSES.name, CALLS.name, FEEDBACK.name),
    "sink": (REQUESTS.name, RESPONSES.name, CALLS.name, FEEDBACK.name, DEAD_LETTERS.name),
}
LEASE = (CALLS.name, 0)
"""Whoever holds this partition does what one must do alone."""


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set: then what was read is committed, and the rest waits on Kafka."""
    frugal()
    config, member = chosen.storage(), Membership()
    async with health_served(chosen, sockets, lambda: member.readiness):
        events = await open_log(chosen, stop, waiting=ready, outage=member.outage)
        if events is None:
            return
        try:
            with lake_opened():
                lake = await asyncio.to_thread(Lake.open, config)
            ready()
            following = Following(lambda: opened_log(chosen), copy_of(chosen))
            async with beside(following.run(), "control"):
                await _work(chosen, events, lake, following, member, stop)
        finally:
            await events.close()


async def _work(chosen: Settings, events: Log, lake: Lake, following: Following, member: Membership, stop: asyncio.Event) -> None:
    lags, usual = Lags(events, READS, member.outage), chosen.kept_in_lake()

    def kept() -> Lifetimes | None:
        """Not by a copy on disk: it may be of long ago, and what is removed is gone."""
        return lifetimes(following.decided.retentions.values(), usual) if following.heard.is_set() else None

    async with asyncio.TaskGroup() as group:
        group.create_task(run_sink(events, lake, lake.config, assemble=assemble, stop=stop, drains=False, on_change=member.hear))
        group.create_task(
            run_upkeep(lake, stop=stop, clock=time.time, behind=lags.behind, ours=lambda: member.holds(LEASE), lifetimes=kept)
        )
        group.create_task(keep_measuring(lags, stop))
