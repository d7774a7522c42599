"""How fast a client's connection is read, and how it ends without taking the last answer with it."""

import asyncio
from collections.abc import Callable, Sized

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Reads on only while no pipelined request waits: else every answer would let in as many requests again as were just read.

    `resumed` is called when reading goes on after a pause.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized, resumed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self._resumed = resumed

    def resume_reading(self) -> None:
        if self.read_paused and not self._pipeline:
            super().resume_reading()
            self._resumed()


class Farewell:
    """Our side is closed, the client's is not: what it still sends is read and forgotten, within limits.

    To close while it sends would make TCP reset the connection, and the client might lose an answer that it has not read yet
    (RFC 9112, section 9.6). While it still takes what was written, it has `flush_s` instead of `linger_s`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, *, linger_s: float, linger_bytes: int, flush_s: float
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._left = linger_bytes
        self._linger_s = linger_s
        self._until = loop.time() + flush_s
        self._timer = loop.call_later(linger_s, self._look)
        transport.write_eof()

    def swallow(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._transport.abort()

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() and self._loop.time() < self._until:
            self._timer = self._loop.call_later(self._linger_s, self._look)
        else:
            self._transport.abort()

    def end(self) -> None:
        self._timer.cancel()


def close(loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, *, flush_s: float) -> None:
    """Closes once everything is written. A client that takes nothing would make that last for ever: it has `flush_s`."""
    transport.close()
    if transport.get_write_buffer_size():
        loop.call_later(flush_s, transport.abort)
