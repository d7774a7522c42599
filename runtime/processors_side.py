"""The role of the processors on Kafka: faust workers. Several may run; Kafka shares the partitions among them."""

import asyncio
import socket
from collections.abc import Callable

import structlog

from eventlog.kafka import KafkaLog
from eventlog.outages import Outage
from eventlog.port import LogUnavailable, Place
from eventlog.topics import RESPONSES
from processors.rates import RateBook
from processors.worker import WorkerConfig, run_worker
from runtime.cluster import kafka_config, open_log
from runtime.health import health_served, of_group
from runtime.settings import Settings

log = structlog.get_logger()

LOOK_EVERY_S = 2.0


class Standing:
    """How the worker stands with the cluster, for `/readyz`."""

    def __init__(self) -> None:
        self._places: frozenset[Place] | None = None
        self.outage = Outage()

    def hear(self, places: frozenset[Place]) -> None:
        if places != self._places:
            log.info("ready", partitions=len(places))
        self._places = places

    @property
    def readiness(self) -> str:
        return of_group(self.outage, self._places)

    async def keep_looking(self, events: KafkaLog) -> None:
        """A cluster that is away is waited for without a word, by faust's clients. So it is asked, and what it says is told once."""
        while True:
            try:
                await events.ends(RESPONSES.name)
                self.outage.over()
            except LogUnavailable as error:
                self.outage.goes_on(error)
            await asyncio.sleep(LOOK_EVERY_S)


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set: what was begun is ended, and the rest waits on Kafka. Raises Misconfigured."""
    standing = Standing()
    config = WorkerConfig(kafka=kafka_config(chosen), directory=chosen.run_dir / "processors", join=chosen.join_limits())
    async with health_served(chosen, sockets, lambda: standing.readiness):
        events = await open_log(chosen, stop, waiting=ready, outage=standing.outage)
        if not isinstance(events, KafkaLog):
            return
        ready()
        looking = asyncio.create_task(standing.keep_looking(events))
        try:
            await run_worker(config, events, RateBook.bundled(), stop=stop, on_change=standing.hear)
        finally:
            looking.cancel()
            await events.close()
