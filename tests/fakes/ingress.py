"""An ingress in this process: its real server and protocol on a free port, a fake provider behind it, a log in memory."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from eventlog.admission import Admission
from eventlog.codec import decode
from eventlog.events import RequestReceived, ResponseCompleted
from eventlog.spill_state import SpillState
from eventlog.topics import REQUESTS, RESPONSES
from ingress.app import Ingress, create_app
from ingress.cache_store import CacheStore
from ingress.config import ClientLimits, IngressConfig
from ingress.emitter import Emitter
from ingress.exchange import Handler
from ingress.ledger import Ledger
from ingress.provided import KeyFor, no_key
from ingress.proxy import Guard, everyone
from ingress.redactor import RedactionFor, nothing_redacted
from ingress.server import ClientProtocol, serve
from ingress.stored_prompts import StoredFor, no_prompts
from ingress.telemetry import Telemetry
from ingress.upstream import TimeLimits, Upstream
from tests.fakes.memory_log import MemoryLog
from tests.fakes.provider import Answering, Provider, provider, sized

HOST = b"Host: localhost\r\n"


@dataclass
class World:
    port: int
    log: MemoryLog
    provider: Provider
    ingress: Ingress

    async def requests(self, count: int = 1) -> list[RequestReceived]:
        return await self._events(REQUESTS.name, RequestReceived, count)

    async def responses(self, count: int = 1) -> list[ResponseCompleted]:
        return await self._events(RESPONSES.name, ResponseCompleted, count)

    async def _events(self, topic: str, kind: type[Any], count: int) -> list[Any]:
        """The events on the log, once there are `count`."""
        async with asyncio.timeout(30):
            while True:
                found = [event for message in self.log.messages(topic) for event in decode(kind, message)[0].events]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.005)

    async def talk(self, *pieces: bytes, until_closed: bool = True) -> bytes:
        """Sends the pieces one after the other; all that comes back until the connection closes, or the first of it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):  # refused before all was sent: the answer may be there nonetheless
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                return await (reader.read() if until_closed else reader.read(65536))
        finally:
            writer.close()

    async def post(self, path: str = "/v1/chat/completions", body: bytes = b"{}", headers: bytes = b"") -> bytes:
        """One POST on a connection of its own: the whole answer, with its head."""
        head = b"POST %b HTTP/1.1\r\n%b%bContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        return await self.talk(head % (path.encode(), HOST, headers, len(body)) + body)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def headers_of(answer: bytes) -> dict[str, str]:
    """By their names in lower case."""
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@asynccontextmanager
async def running(
    answer: Answering | None = None,
    *,
    log: MemoryLog | None = None,
    guard: Guard = everyone,
    limits: TimeLimits | None = None,
    private: bool = True,
    spill: Callable[[], SpillState] | None = None,
    admission: Admission | None = None,
    ledger: Ledger | None = None,
    cache: CacheStore | None = None,
    key_for: KeyFor = no_key,
    redaction_for: RedactionFor = nothing_redacted,
    stored_for: StoredFor = no_prompts,
    upstreams_of: tuple[str, ...] = ("openai", "anthropic", "groq"),
    **settings: Any,
) -> AsyncIterator[World]:
    """`settings` are IngressConfig's; every provider that is asked for in `upstreams` by default is the fake one."""
    log = log or MemoryLog()
    async with provider(answer or sized()) as behind:
        known = {"upstreams": dict.fromkeys(upstreams_of, behind.url)}
        config = IngressConfig(**(known | settings))
        telemetry = Telemetry()
        emitter = Emitter(await log.writer(), limits=config.emitter, telemetry=telemetry)
        upstream = Upstream(limits=limits, allow_private_targets=private)
        ingress = create_app(
            config,
            emitter,
            upstream,
            telemetry=telemetry,
            guard=guard,
            spill=spill,
            admission=admission,
            ledger=ledger,
            cache=cache,
            key_for=key_for,
            redaction_for=redaction_for,
            stored_for=stored_for,
        )
        stop, started = asyncio.Event(), asyncio.Event()
        listening = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(serve(ingress, [listening], stop=stop, on_started=started.set))
        await started.wait()
        try:
            yield World(listening.getsockname()[1], log, behind, ingress)
        finally:
            stop.set()
            await serving
            await upstream.aclose()


@asynccontextmanager
async def serving(
    handle: Handler, connections: list[ClientProtocol] | None = None, limits: ClientLimits | None = None
) -> AsyncIterator[int]:
    """The port of our client protocol alone, with `handle` behind it. The connections that are made join `connections`."""
    chosen = limits or ClientLimits()

    class Protocol(ClientProtocol):
        limits = chosen
        linger_s, linger_bytes, flush_s = chosen.linger_s, chosen.linger_bytes, chosen.stalled_s
        handler = staticmethod(handle)
        is_ours = staticmethod(lambda target, headers: False)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if connections is not None:
                connections.append(self)

    config = uvicorn.Config(object, log_level="critical", lifespan="off", http=Protocol, timeout_keep_alive=int(chosen.keep_alive_s))
    config.load()
    state = uvicorn.server.ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for protocol in list(state.connections):
            protocol.transport.abort()
