"""The role of the demo provider of `up --demo`."""

import asyncio
import socket
from collections.abc import Callable

from runtime.demo import application
from runtime.demo_faults import DemoProtocol
from runtime.serving import serve_asgi
from runtime.settings import Settings


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Answers as a provider would until `stop` is set."""
    await serve_asgi(application(faults=True), sockets, stop, ready, drain_s=chosen.shutdown_s, protocol=DemoProtocol)
