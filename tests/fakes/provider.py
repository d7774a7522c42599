"""A small provider on loopback: each request is answered by the next words of a script, and remembered."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes.raw_server import Peer, raw_server

ANSWER = json.dumps({"model": "gpt-4o-mini-2024-07-18", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()
EVENTS = [
    b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"lo"}}]}\n\n',
    b'data: {"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]

Answering = Callable[[Peer, bytes], Awaitable[None]]


def sized(body: bytes = ANSWER, *, status: bytes = b"200 OK", headers: bytes = b"Content-Type: application/json\r\n") -> Answering:
    """A whole answer with its length."""

    async def answer(peer: Peer, request: bytes) -> None:
        await peer.send(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body))

    return answer


def streamed(events: Sequence[bytes] = EVENTS, *, headers: bytes = b"Content-Type: text/event-stream\r\n", end: bool = True) -> Answering:
    """Chunk by chunk, each on its own."""

    async def answer(peer: Peer, request: bytes) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % headers)
        for event in events:
            await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(0.005)
        if end:
            await peer.send(b"0\r\n\r\n")

    return answer


def raw(answer_bytes: bytes, *, then: str = "keep") -> Answering:
    """These bytes; then the connection is kept, closed (`close`), reset (`reset`), or nothing more happens (`stall`)."""

    async def answer(peer: Peer, request: bytes) -> None:
        await peer.send(answer_bytes)
        if then == "stall":
            await peer.gone()
        elif then == "reset":
            peer.reset()
        if then != "keep":
            raise ConnectionError

    return answer


@dataclass
class Provider:
    port: int
    requests: list[bytes] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def provider(answer: Answering) -> AsyncIterator[Provider]:
    made = Provider(0)

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            made.requests.append(request)
            await answer(peer, request)

    async with raw_server(script) as server:
        made.port, made.peers = server.port, server.peers
        yield made
