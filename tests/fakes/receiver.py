"""A receiver of webhooks on this machine: it takes what it is sent, or does what it is told instead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes.raw_server import Peer, raw_server

PATIENCE_S = 30.0
CLOSE, STALL, DRIP = "close", "stall", "drip"
"""Instead of a status: it closes the connection, never answers, or answers 200 and never ends its body."""


@dataclass
class Taken:
    """A request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`plan` says how the next requests are answered; those beyond it get 200."""

    plan: list[int | str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    port: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?secret=s3cret"

    async def until(self, count: int) -> list[Taken]:
        """Waits for so many requests."""
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(lambda: len(self.taken) >= count)
        return self.taken

    async def serve(self, peer: Peer) -> None:
        while True:
            head, _, body = (await peer.request()).partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            how = self.plan.pop(0) if self.plan else 200
            async with self.news:
                self.taken.append(Taken(first.split(" ")[1], headers, body))
                self.news.notify_all()
            if how == CLOSE:
                return
            if how == STALL:
                await peer.gone()
            elif how == DRIP:
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")
                await peer.gone()
            else:
                await peer.send(b"HTTP/1.1 %d X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nok" % how)


@asynccontextmanager
async def receiver(*plan: int | str) -> AsyncIterator[Receiver]:
    made = Receiver(list(plan))
    async with raw_server(made.serve) as server:
        made.port = server.port
        yield made
