"""A client that is still sending when its answer is complete has that answer, and then no more of our time than it may have."""

import asyncio
import socket

import pytest

from ingress.config import ClientLimits
from ingress.exchange import Exchange, Handler
from ingress.server import ClientProtocol
from tests.fakes.ingress import HOST, running, serving
from tests.fakes.provider import Answering
from tests.fakes.raw_server import Peer, raw_server

TOTAL = 8 << 20


def refusing(status: bytes) -> Answering:
    async def answer(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 7\r\n\r\nrefused" % status)
        await peer.gone()

    return answer  # type: ignore[return-value]


def upload(port: int, *, close: bool, framing: bytes) -> bytes:
    closing = b"Connection: close\r\n" if close else b""
    target = b"Helicone-Target-URL: http://127.0.0.1:%d\r\n" % port
    return b"POST /v1/files HTTP/1.1\r\n" + HOST + target + closing + framing + b"\r\n"


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n" % TOTAL, b"Transfer-Encoding: chunked\r\n"], ids=["sized", "chunked"])
async def test_an_answer_before_the_end_of_an_upload_reaches_a_client_that_sends_it_all_first(framing: bytes) -> None:
    async with running() as world, raw_server(refusing(b"401 Unauthorized")) as server:  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(upload(server.port, close=True, framing=framing))
        piece = b"x" * 65_536
        for _ in range(TOTAL // len(piece)):
            writer.write(piece if b"Length" in framing else b"10000\r\n%b\r\n" % piece)
            await writer.drain()
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.endswith(b"refused")


async def test_a_refusal_of_ours_does_too() -> None:
    async with running() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST /v1/files HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % TOTAL)  # no Host
        for _ in range(TOTAL // 65_536):
            writer.write(b"x" * 65_536)
            await writer.drain()
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")


async def send_for_ever(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(30):
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            await asyncio.sleep(0.001)


BOUNDS = {"in time": ClientLimits(linger_s=0.2), "in bytes": ClientLimits(linger_s=60, linger_bytes=1 << 20)}


@pytest.mark.parametrize("limits", BOUNDS.values(), ids=BOUNDS)
async def test_a_client_that_goes_on_for_ever_is_cut_off(limits: ClientLimits) -> None:
    async with running(clients=limits) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"nonsense\r\n\r\n")
        with pytest.raises(ConnectionError):
            await send_for_ever(writer)
        writer.close()


async def never_ending(exchange: Exchange) -> None:
    exchange.start(200, [], length=None)
    exchange.send(b"x" * (32 << 20))
    exchange.cut()


async def whole(exchange: Exchange) -> None:
    exchange.answer(200, [], b"x" * (32 << 20))


TAKING_NOTHING = {
    "the last answer": (whole, b"Connection: close\r\n"),
    "an answer": (whole, b""),
    "part of one": (never_ending, b""),
    "while it could still send": (whole, b"Connection: close\r\nContent-Length: 9\r\n"),
}


@pytest.mark.parametrize(("handle", "headers"), TAKING_NOTHING.values(), ids=TAKING_NOTHING)
async def test_what_a_client_never_takes_is_not_kept_for_ever(handle: Handler, headers: bytes) -> None:
    connections: list[ClientProtocol] = []
    limits = ClientLimits(keep_alive_s=1, stalled_s=0.3, linger_s=0.1)
    async with serving(handle, connections, limits) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\n" + HOST + headers + b"\r\n")
            async with asyncio.timeout(30):
                while not connections or connections[0] in connections[0].connections:
                    await asyncio.sleep(0.01)
