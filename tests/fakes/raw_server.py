"""A server of raw bytes: for each connection a script of what to send, and a record of what came."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Peer"], Coroutine[Any, Any, None]]


@dataclass
class Peer:
    """One accepted connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    task: asyncio.Task[Any]
    received: bytearray = field(default_factory=bytearray)

    async def request(self) -> bytes:
        """The next whole request: head, and body by content-length or chunks."""
        head = await self._until(b"\r\n\r\n")
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return head + await self._until(b"0\r\n\r\n")
        if b"content-length: " in lower:
            length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await self.reader.readexactly(length)
            self.received += body
            return head + body
        return head

    async def head(self) -> bytes:
        return await self._until(b"\r\n\r\n")

    async def _until(self, end: bytes) -> bytes:
        data = await self.reader.readuntil(end)
        self.received += data
        return data

    async def send(self, data: bytes, *, every: int | None = None) -> None:
        """At once, or in slices of `every` bytes that leave one by one."""
        step = every or len(data) or 1
        for start in range(0, len(data), step):
            self.writer.write(data[start : start + step])
            await self.writer.drain()
            if every:
                await asyncio.sleep(0)

    def reset(self) -> None:
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Waits until the other side is gone."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


@dataclass
class RawServer:
    port: int
    peers: list[Peer]


@asynccontextmanager
async def raw_server(script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[RawServer]:
    """Runs `script` for every connection on a free port; closes what is left at the end."""
    peers: list[Peer] = []
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        peer = Peer(reader, writer, task)
        peers.append(peer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(peer)
        with suppress(ConnectionError):
            writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(accept, host, 0, ssl=tls, limit=1 << 20)
    try:
        yield RawServer(server.sockets[0].getsockname()[1], peers)
    finally:
        server.close()
        for peer in peers:
            peer.writer.transport.abort()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0)
