"""How a role serves an ASGI app on sockets that were bound elsewhere."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn


async def serve_asgi(app: Any, sockets: Sequence[socket.socket], stop: asyncio.Event, ready: Callable[[], None], *, drain_s: float) -> None:
    """Serves an ASGI app until `stop` is set; requests in flight have `drain_s` to end."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", server_header=False, date_header=False, timeout_graceful_shutdown=int(drain_s)
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=list(sockets))
    if server.should_exit:
        raise SystemExit(1)
    ready()
    await stop.wait()
    await server.shutdown(sockets=list(sockets))
