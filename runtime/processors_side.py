"""The role of the processors on Kafka: faust workers. Several may run; Kafka shares the partitions among them."""

import asyncio
import socket
from collections.abc import Callable

from eventlog.kafka import KafkaLog
from eventlog.port import Place
from processors.rates import RateBook
from processors.worker import WorkerConfig, run_worker
from runtime.cluster import kafka_config, open_log
from runtime.health import serve_health
from runtime.settings import Settings


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set: what was begun is ended, and the rest waits on Kafka. Raises Misconfigured."""
    told = "waiting for Kafka"

    def hear(_: frozenset[Place]) -> None:
        nonlocal told
        told = "ready"

    config = WorkerConfig(kafka=kafka_config(chosen), directory=chosen.run_dir / "processors", join=chosen.join_limits())
    health = asyncio.create_task(serve_health(chosen, sockets, stop, lambda: told))
    events = await open_log(chosen, stop, waiting=ready)
    if not isinstance(events, KafkaLog):
        return
    ready()
    told = "waiting for Kafka to hand out partitions"
    try:
        await run_worker(config, events, RateBook.bundled(), stop=stop, on_change=hear)
    finally:
        await events.close()
        health.cancel()
