"""A client's connection: requests for a provider become exchanges, those for our own routes stay ASGI.

uvicorn's protocol parses, keeps connections alive, queues pipelined requests and drains at shutdown; all of that stays. What is
replaced is its request cycle, and how a connection is read and ended.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingress.exchange import Exchange, Handler
from ingress.flow import Farewell, Flow, close

IsOurs = Callable[[bytes, Sequence[tuple[bytes, bytes]]], bool]
"""Whether a request, told by its target and headers, is for one of our own routes."""

FAULT = b'{"error": {"code": "internal", "message": "A fault inside Heliograph; its log says more."}}'


class ExchangeProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, with exchanges for proxied calls. Subclass it to give `handler` and `is_ours`."""

    handler: Handler
    is_ours: IsOurs
    url = b""
    flow: Flow
    cycle: Any
    """The request that was read last; where requests are pipelined, not the one that is being answered."""
    answering: Any = None
    """The request that is being answered, or was answered last."""
    deaf = False
    """What still comes is not read as HTTP any more."""
    barren = 0
    """Bytes since a message began, or since the last of its body."""
    farewell: Farewell | None = None
    linger_s: float = 5.0
    linger_bytes: int = 16 << 20
    flush_s: float = 300.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline, self.reading_resumed)

    def reading_resumed(self) -> None:
        """After a pause, which was ours: the client could not send in the meantime."""

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            self.overhear(data)
        else:
            super().data_received(data)

    def overhear(self, data: bytes) -> None:
        if self.farewell is not None:
            self.farewell.swallow(data)

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        if self.is_ours(self.url, self.headers):
            self._as_asgi()
            return
        previous = self.cycle
        exchange = self.cycle = Exchange(self)
        if previous is None or previous.response_complete:
            self._start_asgi_task(exchange, None)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, None))  # type: ignore[arg-type]

    def _as_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.barren = 0
        cycle = self.cycle
        if type(cycle) is not Exchange:
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.feed(body)

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if type(cycle) is Exchange:
            cycle.feed_end()
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.farewell is not None:
            self.farewell.end()
        for queued, _ in self.pipeline:
            queued.disconnected = True
        for cycle in (self.answering, self.cycle):  # two of them, where requests were pipelined
            if cycle is not None and not cycle.response_complete:
                give_up(cycle)

    def hang_up(self) -> None:
        """Ends the connection after what was written; a client that may still be sending can read that first."""
        if self.cycle is None or (is_whole(self.cycle) and not self.flow.read_paused):
            self.close()
        else:
            self.bid_farewell()

    def close(self) -> None:
        close(self.loop, self.transport, flush_s=self.flush_s)

    def bid_farewell(self) -> None:
        """As `hang_up`, where a client is surely still sending."""
        if self.farewell is None and not self.transport.is_closing():
            self.deaf = True
            self.pipeline.clear()
            self.farewell = Farewell(
                self.loop, self.transport, linger_s=self.linger_s, linger_bytes=self.linger_bytes, flush_s=self.flush_s
            )
            self.flow.resume_reading()

    def reset(self) -> None:
        """Ends the connection by a TCP reset."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.answering = cycle
        if type(cycle) is not Exchange:
            super()._start_asgi_task(cycle, app)
            return
        task = cycle.task = self.loop.create_task(self._run(cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self.handler(exchange)
        except asyncio.CancelledError:
            if not exchange.disconnected:
                raise
        except Exception:
            self.logger.exception("proxy_bug")
            if not exchange.started:
                exchange.answer(500, ((b"content-type", b"application/json"),), FAULT)
        finally:
            if not exchange.response_complete and not exchange.disconnected:
                exchange.cut()


def is_whole(cycle: Any) -> bool:
    """All of the request has arrived. `cycle` is an exchange, or uvicorn's own for one of our routes."""
    return cycle.body_complete if type(cycle) is Exchange else not cycle.more_body


def give_up(cycle: Any) -> None:
    """Nobody waits for its answer any more."""
    if type(cycle) is Exchange:
        cycle.client_left()
    else:
        cycle.disconnected = True
        cycle.message_event.set()


def unend(cycle: Any) -> None:
    """The end of its request was told too early: the body is still to come."""
    if type(cycle) is Exchange:
        cycle.await_body()
    else:
        cycle.more_body = True
        cycle.message_event.clear()
