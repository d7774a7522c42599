"""The role of the processors on Kafka: completed calls are understood. Several may run; Kafka shares the partitions among them."""

import asyncio
import socket
import time
from collections.abc import Callable

from eventlog.port import Log
from processors.inline import run_calls
from processors.rates import RateBook
from runtime.cluster import open_log
from runtime.health import serve_health
from runtime.settings import Settings


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Until `stop` is set, and the topic is read to its end."""
    told = "waiting for Kafka"
    health = asyncio.create_task(serve_health(chosen, sockets, stop, lambda: told))
    events: Log | None = await open_log(chosen, stop, waiting=ready)
    if events is None:
        return
    ready()
    told = "ready"
    try:
        await run_calls(events, RateBook.bundled(), stop=stop, clock=time.time)
    finally:
        await events.close()
        health.cancel()
