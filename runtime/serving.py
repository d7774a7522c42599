"""How a role serves an ASGI app on sockets that were bound elsewhere: as careful with what comes in as the proxy is, answers apart."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ingress.config import ClientLimits
from ingress.exchange import Exchange
from ingress.server import ClientProtocol

_FIXES = {
    400: "Send one plain HTTP/1.1 request.",
    408: "Send the headers at once; HELIOGRAPH_CLIENTS__HEAD_S says how long they may take.",
    431: "Send fewer or shorter headers.",
    501: "Send a Content-Length, or chunks.",
    505: "Speak HTTP/1.1.",
}


async def serve_asgi(
    app: Any,
    sockets: Sequence[socket.socket],
    stop: asyncio.Event,
    ready: Callable[[], None],
    *,
    drain_s: float,
    limits: ClientLimits = ClientLimits(),  # noqa: B008 frozen
    before_end: Callable[[], Awaitable[None]] | None = None,
    protocol: type[asyncio.Protocol] | None = None,
) -> None:
    """Serves an ASGI app until `stop` is set; requests in flight have `drain_s` to end. `before_end` may hurry them.

    `protocol`: another than ours, which would know `limits`.
    """
    config = uvicorn.Config(
        app,
        http=protocol or _protocol_for(limits),
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.keep_alive_s),
        timeout_graceful_shutdown=int(drain_s),
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=list(sockets))
    if server.should_exit:
        raise SystemExit(1)
    ready()
    await stop.wait()
    if before_end is not None:
        await before_end()
    await server.shutdown(sockets=list(sockets))


def _protocol_for(of: ClientLimits) -> type[ClientProtocol]:
    """The proxy's connection to its clients, with nothing to proxy."""

    class Protocol(ClientProtocol):
        limits = of
        linger_s, linger_bytes, flush_s = limits.linger_s, limits.linger_bytes, limits.stalled_s
        handler = staticmethod(_nothing)
        is_ours = staticmethod(lambda url, headers: True)

        def _write_fault(self, status: int, code: str, message: str, field: str | None) -> None:
            error = {"code": code, "message": message, "field": field, "fix": _FIXES[status]}
            body = msgspec.json.encode({"error": error})
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)

    return Protocol


async def _nothing(exchange: Exchange) -> None:
    raise AssertionError("no request here is a proxied call")
