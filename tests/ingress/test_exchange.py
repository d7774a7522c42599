"""Raw bytes in, raw bytes out: what an exchange makes of a request, and what a client receives of an answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn

from ingress.exchange import ClientLeft, Exchange
from ingress.protocol import ExchangeProtocol

Handler = Callable[[Exchange], Awaitable[None]]


async def our_routes(scope: dict[str, object], receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"ours"})


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[int]:
    class Protocol(ExchangeProtocol):
        handler = staticmethod(handle)
        is_ours = staticmethod(lambda target, headers: target == b"/ours")

    config = uvicorn.Config(our_routes, port=0, log_level="critical", lifespan="off", http=Protocol, server_header=False, date_header=False)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def talk(port: int, *sent: bytes, until_closed: bool = True) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            return await (reader.read() if until_closed else reader.read(65536))
    finally:
        writer.close()


async def echo(exchange: Exchange) -> None:
    body = exchange.take_body()
    if body is None:
        body = b""
        while piece := await exchange.read():
            body += piece
    exchange.start(200, [(b"X-Case", b"kept")], length=None)
    exchange.send(exchange.method + b" " + exchange.target + b" " + body)
    exchange.finish()


POST = b"POST /a%2Fb?q=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
REQUESTS = {
    "in one piece": [POST + b"Content-Length: 5\r\n\r\nhello"],
    "in two pieces": [POST + b"Content-Length: 5\r\n\r\nhe", b"llo"],
    "byte by byte": [bytes([byte]) for byte in POST + b"Content-Length: 5\r\n\r\nhello"],
    "chunked": [POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\n", b"llo\r\n0\r\n\r\n"],
}


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_is_read_however_it_arrives(sent: list[bytes]) -> None:
    async with serving(echo) as port:
        answer = await talk(port, *sent)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nX-Case: kept\r\n")
    assert b"POST /a%2Fb?q=1 hello" in answer
    assert answer.endswith(b"\r\n0\r\n\r\n")


async def test_expect_100_continue_is_answered_when_the_body_is_wanted() -> None:
    async with serving(echo) as port:
        answer = await talk(port, POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", b"ab")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_an_answer_without_the_body_that_was_offered_closes_the_connection() -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.answer(413, [], b"too large")

    async with serving(refuse) as port:
        answer = await talk(port, b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer


async def test_an_old_client_gets_no_chunks() -> None:
    async with serving(echo) as port:
        answer = await talk(port, b"POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
    assert answer.endswith(b"\r\n\r\nPOST /x hi")
    assert b"chunked" not in answer


BODILESS = {"HEAD": (b"HEAD", 200), "304": (b"GET", 304), "204": (b"GET", 204)}


@pytest.mark.parametrize(("method", "status"), BODILESS.values(), ids=BODILESS)
async def test_an_answer_without_a_body_may_have_a_length(method: bytes, status: int) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.start(status, [(b"content-length", b"100")] if status != 204 else [], length=100)
        exchange.finish()

    async with serving(handle) as port:
        answer = await talk(port, method + b" / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert answer.endswith(b"\r\n\r\n")


BROKEN = {"short": b"12", "long": b"1234567"}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_an_answer_of_the_wrong_length_cuts_the_connection(body: bytes) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.start(200, [(b"content-length", b"5")], length=5)
        exchange.send(body)
        exchange.finish()

    async with serving(handle) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        seen = b""
        try:
            async with asyncio.timeout(30):
                seen = await reader.read()
        except ConnectionResetError:
            pass
        writer.close()
    assert not seen.endswith(b"\r\n\r\n12345")


async def test_pipelined_requests_and_our_own_routes_are_answered_in_order() -> None:
    get = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
    last = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    async with serving(echo) as port:
        answer = await talk(port, get % b"/one" + get % b"/ours" + get % b"/two" + last)
    places = [answer.index(text) for text in (b"GET /one", b"ours", b"GET /two", b"GET /last")]
    assert places == sorted(places)


async def test_a_client_that_leaves_ends_the_call() -> None:
    seen: list[str] = []
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("left" if exchange.disconnected else "cancelled")
            raise
        finally:
            ended.set()

    async with serving(handle) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await begun.wait()
        writer.transport.abort()
        async with asyncio.timeout(30):
            await ended.wait()
    assert seen == ["left"]


async def test_a_client_that_leaves_while_it_sends_is_told_to_the_reader() -> None:
    seen: list[str] = []
    ended = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        try:
            while await exchange.read():
                pass
        except (ClientLeft, asyncio.CancelledError):
            seen.append("left")
        ended.set()

    async with serving(handle) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()
        async with asyncio.timeout(30):
            await ended.wait()
    assert seen == ["left"]


async def test_a_fault_in_the_handler_is_a_500_and_no_trace() -> None:
    async def handle(exchange: Exchange) -> None:
        raise ZeroDivisionError("secret")

    async with serving(handle) as port:
        answer = await talk(port, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"secret" not in answer
