"""What happens behind the proxy on one machine: events are understood, come to rest, and the log forgets what the lake has."""

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import timedelta

from prometheus_client import Gauge

from eventlog.control import Decided
from eventlog.embedded import EmbeddedLog
from eventlog.lifetimes import Lifetimes, lifetimes
from eventlog.outages import Outage
from eventlog.port import LogUnavailable
from eventlog.topics import CALLS, CONTROL, DEAD_LETTERS, FEEDBACK, PROMPTS, REQUESTS, RESPONSES, SCORED_CALLS
from eventlog.waiting import stopped_within
from processors.assembled import assemble
from processors.inline import run_calls
from processors.inline_join import keep_joining
from processors.pricing.rates import RateBook
from runtime.lags import EVERY_S, Lags
from runtime.lakes import lake_opened
from runtime.prices import followed_prices
from runtime.settings import Settings
from storage.lake import Lake
from storage.memory import frugal
from storage.sink import run_sink
from storage.upkeep import run_upkeep

RETENTION_EVERY = 30
"""Rounds of lag between two of retention."""
READS = {
    "calls": (RESPONSES.name,),
    "feedback": (CALLS.name, FEEDBACK.name),
    "sink": (REQUESTS.name, RESPONSES.name, CALLS.name, FEEDBACK.name, DEAD_LETTERS.name),
}
"""Who reads what."""

LOG_BYTES = Gauge("heliograph_log_bytes", "What the event log takes on disk.", multiprocess_mode="livemostrecent")


async def run(chosen: Settings, _sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set; then in order: what is on the log is understood, what was understood comes to rest."""
    frugal()
    events = await EmbeddedLog.open(chosen.log_dir, fsync=chosen.ingress().strict)
    with lake_opened():
        lake = await asyncio.to_thread(Lake.open, chosen.storage())
    try:
        async with followed_prices(chosen, stop) as followed:
            if followed is not None:
                prices, decided = followed
                ready()
                await _work(chosen, events, lake, RateBook.bundled(prices.find), decided, stop)
    finally:
        await events.close()


async def _work(chosen: Settings, events: EmbeddedLog, lake: Lake, rates: RateBook, decided: Decided, stop: asyncio.Event) -> None:
    usual = chosen.kept_in_lake()

    def kept() -> Lifetimes:
        return lifetimes(decided.retentions.values(), usual)

    understood, at_rest, lags = asyncio.Event(), asyncio.Event(), Lags(events, READS)
    async with asyncio.TaskGroup() as group:
        calls = group.create_task(run_calls(events, rates, stop=stop, clock=time.time))
        calls.add_done_callback(lambda _: understood.set())
        group.create_task(keep_joining(events, chosen.join_limits(), stop=understood, clock=time.time))
        sink = group.create_task(run_sink(events, lake, lake.config, assemble=assemble, stop=understood, erasures=lambda: decided.erasures))
        sink.add_done_callback(lambda _: at_rest.set())
        group.create_task(
            run_upkeep(lake, stop=understood, clock=time.time, behind=lags.behind, lifetimes=kept, erasures=lambda: decided.erasures)
        )
        group.create_task(_keep_log(events, chosen, lags, at_rest))


async def _keep_log(events: EmbeddedLog, chosen: Settings, lags: Lags, stop: asyncio.Event) -> None:
    """Tells how far behind everyone is, and lets the log forget what everyone has read."""
    rounds, outage = 0, Outage(reader="retention")
    while not stop.is_set():
        try:
            await lags.measure()
            LOG_BYTES.set(await events.size_bytes())
            if rounds % RETENTION_EVERY == RETENTION_EVERY - 1:
                await retain(events, max_age=chosen.log_max_age(), max_bytes=chosen.log.bytes, now=time.time())
            outage.over()
        except LogUnavailable as error:
            outage.goes_on(error)
        rounds += 1
        await stopped_within(stop, EVERY_S)


async def retain(events: EmbeddedLog, *, max_age: timedelta, max_bytes: int, now: float) -> None:
    """The log forgets what is too old or too much, of what everyone who reads it has read. Raises LogUnavailable."""
    for topic in READS["sink"]:
        readers = [group for group, topics in READS.items() if topic in topics]
        through = await events.read_by(readers, topic)
        await events.retain(topic, through=through, max_age=max_age, max_bytes=max_bytes, now=now)
    for topic in (SCORED_CALLS.name, PROMPTS.name, CONTROL.name):  # nobody of ours has to have read them: for whoever likes, or compacted
        await events.retain(topic, through=await events.ends(topic), max_age=max_age, max_bytes=max_bytes, now=now)
