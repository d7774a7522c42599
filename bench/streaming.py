"""A provider that streams 100 chunks as fast as it can, and a client that counts whole streams. Both plain asyncio protocols."""

import argparse
import asyncio
import json
import time

import uvloop

CHUNKS, TOGETHER = 100, 10
REQUEST = json.dumps({"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "x" * 900}]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(number: int) -> bytes:
    delta = {"content": f"word{number:04d} "}
    body = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    line = b"data: " + json.dumps(body | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode() + b"\n\n"
    return framed(line)


def framed(chunk: bytes) -> bytes:
    return f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"


EVENTS = [event(number) for number in range(CHUNKS - 1)] + [framed(b"data: [DONE]\n\n")]
END = b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    """Ten events a write, each an HTTP chunk of its own: a system call for each would measure this provider, not the proxy."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        if REQUEST[-20:] in self.seen:
            self.seen = b""
            self.transport.write(HEAD)  # type: ignore[attr-defined]
            self.next(0)

    def next(self, number: int) -> None:
        if number == CHUNKS:
            self.transport.write(END)  # type: ignore[attr-defined]
            return
        self.transport.write(b"".join(EVENTS[number : number + TOGETHER]))  # type: ignore[attr-defined]
        asyncio.get_running_loop().call_soon(self.next, number + TOGETHER)


class Client(asyncio.Protocol):
    """One connection that asks again as soon as a stream has ended."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request, self.until, self.streams, self.tail = request, until, 0, b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-len(END) :]
        if self.tail != END:
            return
        self.streams += 1
        if time.monotonic() < self.until:
            self.transport.write(self.request)  # type: ignore[attr-defined]
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the stream was cut"))


async def streams_per_second(port: int, *, seconds: float, connections: int = 16) -> float:
    """Whole streams per second over kept connections. Raises when a stream is cut."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    request = f"{head}authorization: Bearer sk-bench\r\ncontent-length: {len(REQUEST)}\r\n\r\n".encode() + REQUEST
    loop, began = asyncio.get_running_loop(), time.monotonic()
    clients = [Client(request, began + seconds) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(seconds + 20):
        await asyncio.gather(*(client.done for client in clients))
    return sum(client.streams for client in clients) / (time.monotonic() - began)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
