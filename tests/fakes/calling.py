"""The calling side towards a `RawServer`: an `Upstream` with short limits, and the ways a call is made and read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ingress.upstream import Answer, Origin, TimeLimits, Upstream
from tests.fakes.raw_server import Peer, RawServer, Script

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
QUICK = TimeLimits(connect_s=2, first_byte_s=0.3, idle_s=0.3, pool_s=0.3, keep_alive_s=30)


@asynccontextmanager
async def upstream(**options: object) -> AsyncIterator[Upstream]:
    made = Upstream(**({"limits": QUICK, "allow_private_targets": True} | options))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.aclose()


def answering(answer: bytes, *, every: int | None = None, close: bool = False) -> Script:
    """The same answer to every request; `close`: one to a connection."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer, every=every)
            if close:
                return

    return script


def in_turn(*answers: bytes) -> Script:
    """One answer after the other on a connection."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        await peer.gone()

    return script


async def stall(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


async def stall_midway(peer: Peer) -> None:
    await peer.request()
    await peer.send(OK + b"Content-Length: 10\r\n\r\nhello")
    await peer.gone()


async def ask(up: Upstream, port: int, method: bytes = b"GET", body: bytes | AsyncIterator[bytes] | None = None) -> Answer:
    return await up.send(Origin("http", "127.0.0.1", port), method, b"/x", [(b"x-a", b"1")], body)


async def whole(answer: Answer) -> bytes:
    """The body; the connection goes back."""
    body = b""
    while piece := await answer.read():
        body += piece
    answer.close()
    return body


def counts(up: Upstream, server: RawServer) -> tuple[int, int]:
    """Open and idle connections to `server`."""
    return up.connections().get(f"http://127.0.0.1:{server.port}", (0, 0))


async def until(holds: Callable[[], bool], *, within_s: float = 5) -> None:
    """Polls: what happens on the other side of a socket cannot be awaited."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)
