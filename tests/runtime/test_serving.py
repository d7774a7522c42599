"""What the query port accepts as HTTP: heads are bounded in size and time, and whoever cannot be understood is told so in its shape."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from ingress.config import ClientLimits
from runtime.serving import serve_asgi


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body it got."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    text = b"%d" % len(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop, ready = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(serve_asgi(app, [listening], stop, ready.set, drain_s=1, limits=ClientLimits(**limits)))
        await ready.wait()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            await serving


async def spoken(port: int, *pieces: bytes) -> bytes:
    """All that is answered, until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
FAULTS = {
    "one header that is too long": (HEAD + b"a: " + b"x" * 70_000 + b"\r\n\r\n", 431, "head_too_large"),
    "headers without end": (HEAD + b"a: b\r\n" * 100_000, 431, "head_too_large"),
    "a header without end": (HEAD + b"a: " + b"x" * 600_000, 431, "head_too_large"),
    "a target without end": (b"GET /" + b"x" * 600_000, 431, "head_too_large"),
    "trailers without end": (
        b"POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 100_000,
        431,
        "trailers_too_large",
    ),
    "no HTTP": (b"hello\r\n\r\n", 400, "bad_request"),
    "two hosts": (HEAD + b"Host: y\r\n\r\n", 400, "bad_request"),
    "both framings": (HEAD + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, "bad_request"),
    "another coding": (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n", 501, "transfer_coding_unsupported"),
}


@pytest.mark.parametrize(("sent", "status", "code"), FAULTS.values(), ids=FAULTS)
async def test_what_is_refused(sent: bytes, status: int, code: str) -> None:
    async with served() as port:
        head, _, body = (await spoken(port, sent)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    error = json.loads(body)["error"]
    assert error.keys() == {"code", "message", "field", "fix"}
    assert error["code"] == code
    assert error["fix"]


async def test_a_head_that_never_ends_is_given_up() -> None:
    async with served(head_s=0.1) as port:
        found = await spoken(port, HEAD)
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"head_too_slow" in found


async def test_what_is_answered() -> None:
    async with served() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/", headers={"a": "x" * 60_000})).text == "0"
        assert (await client.post("/", content=b"x" * 3_000_000)).text == "3000000"

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"12345"

        assert (await client.post("/", content=chunks())).text == "15"


async def test_requests_in_a_row_on_one_connection() -> None:
    async with served() as port:
        found = await spoken(port, HEAD + b"\r\n", HEAD + b"\r\n" + HEAD + b"connection: close\r\n\r\n")
    assert found.count(b"HTTP/1.1 200 ") == 3
