"""The role of the processors on Kafka: faust workers. Several may run; Kafka shares the partitions among them."""

import asyncio
import socket
from collections.abc import Callable

from eventlog.kafka import KafkaLog
from eventlog.outages import Outage
from eventlog.port import LogUnavailable
from eventlog.topics import RESPONSES
from processors.pricing.rates import RateBook
from processors.worker import WorkerConfig, run_worker
from runtime.cluster import kafka_config, open_log
from runtime.health import Membership, health_served
from runtime.prices import followed_prices
from runtime.settings import Settings

LOOK_EVERY_S = 2.0


async def keep_looking(events: KafkaLog, outage: Outage) -> None:
    """A cluster that is away is waited for without a word, by faust's clients. So it is asked, and what it says is told once."""
    while True:
        try:
            await events.ends(RESPONSES.name)
            outage.over()
        except LogUnavailable as error:
            outage.goes_on(error)
        await asyncio.sleep(LOOK_EVERY_S)


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set: what was begun is ended, and the rest waits on Kafka. Raises Misconfigured."""
    member = Membership()
    config = WorkerConfig(kafka=kafka_config(chosen), directory=chosen.run_dir / "processors", join=chosen.join_limits())
    async with health_served(chosen, sockets, lambda: member.readiness):
        events = await open_log(chosen, stop, waiting=ready, outage=member.outage)
        if not isinstance(events, KafkaLog):
            return
        ready()
        looking = asyncio.create_task(keep_looking(events, member.outage))
        try:
            async with followed_prices(chosen, stop) as followed:
                if followed is not None:
                    await run_worker(config, events, RateBook.bundled(followed[0].find), stop=stop, on_change=member.hear)
        finally:
            looking.cancel()
            await events.close()
