"""`heliograph demo provider`: a small provider of both dialects, for people without a key, and for tests.

With `faults`, a request's `x-demo-fault` header steers how it is answered, for instance `split=1, encoding=gzip`:

| fault | what happens |
| --- | --- |
| `stall-before=S`, `stall-mid=S` | silence of S seconds before the head, or halfway through the body |
| `reset-before`, `reset-after=N` | the connection is reset before the answer, or after N bytes of its body |
| `half` | half the body, then the connection is cut |
| `wrong-length` | a length announced that is ten bytes too long, then the connection is closed |
| `status=N`, `retry-after=N` | an error of the dialect; 204 and 304 have no body |
| `malformed-json` | a body that is no JSON |
| `encoding=gzip, br or zstd` | a compressed body; streams are flushed event by event |
| `size=N` | a body of exactly N bytes |
| `split=N` | the body in writes of N bytes |
| `chunks=N`, `delay-ms=N` | so many pieces of content in a stream, so long apart |
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import Any

import brotli
import uvicorn
import zstandard
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime import demo_answers as answers
from runtime.demo_answers import Event, Json

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Faults = dict[str, str]
JSON, EVENTS = b"application/json", b"text/event-stream; charset=utf-8"

WHOLE: dict[str, Callable[[Json], Json]] = {
    "/v1/chat/completions": answers.chat,
    "/v1/completions": answers.completion,
    "/v1/responses": answers.response,
    "/v1/embeddings": answers.embeddings,
    "/v1/messages": answers.message,
}
STREAMED: dict[str, Callable[[Json, int | None], list[Event]]] = {
    "/v1/chat/completions": answers.chat_stream,
    "/v1/completions": answers.completion_stream,
    "/v1/responses": answers.response_stream,
    "/v1/messages": answers.message_stream,
}


class Answer:
    """What will be sent: pieces that leave one by one, of a known length when they are not a stream."""

    def __init__(self, status: int, kind: bytes, pieces: list[bytes], *, stream: bool = False) -> None:
        self.status, self.kind, self.pieces, self.stream = status, kind, pieces, stream
        self.headers: list[tuple[bytes, bytes]] = []


class DemoProtocol(HttpToolsProtocol):
    """Lets the application break its connection, which ASGI does not."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"demo.transport": self.transport}  # type: ignore[dict-item]


def application(*, faults: bool) -> Any:
    """The provider as an ASGI application."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        asked = parse_faults(headers.get("x-demo-fault", "")) if faults else {}
        if scope["path"] == "/healthz":
            await deliver(Answer(200, JSON, [b'{"status": "ok"}']), {}, scope, send)
        elif scope["path"].startswith("/v1/echo"):
            await deliver(await echo(scope, receive), asked, scope, send)
        else:
            body = await read(receive)
            await deliver(answer(scope["path"], body, headers, asked), asked, scope, send)

    return app


def parse_faults(text: str) -> Faults:
    pairs = (part.strip().partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


async def read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return bytes(body)


async def echo(scope: Any, receive: Receive) -> Answer:
    """What arrived. The body is counted and digested, not kept."""
    digest, size, more = sha256(), 0, True
    while more:
        event = await receive()
        piece = event.get("body", b"")
        digest.update(piece)
        size += len(piece)
        more = event.get("more_body", False)
    raw_path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    found = {
        "method": scope["method"],
        "raw_path": raw_path.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body_bytes": size,
        "body_sha256": digest.hexdigest(),
    }
    return Answer(200, JSON, [json.dumps(found).encode()])


def answer(path: str, raw: bytes, headers: dict[str, str], asked: Faults) -> Answer:
    """What the provider would say, faults of content included."""
    status = int(asked.get("status", 200))
    if status in {204, 304}:
        return Answer(status, JSON, [])
    if status >= 400:
        return failing(status, path, headers, asked)
    if "malformed-json" in asked:
        return Answer(200, JSON, [b'{"id": "chatcmpl-demo", "choices": ['])
    if "size" in asked:
        return Answer(200, b"application/octet-stream", [pattern(int(asked["size"]))])
    if path == "/v1/models":
        return whole(answers.models())
    if path not in WHOLE:
        return failing(404, path, headers, asked)
    try:
        body = json.loads(raw)
    except ValueError:
        return failing(400, path, headers, asked)
    if body.get("stream") and path in STREAMED:
        chunks = int(asked["chunks"]) if "chunks" in asked else None
        return Answer(200, EVENTS, [encoded(event) for event in STREAMED[path](body, chunks)], stream=True)
    return whole(WHOLE[path](body))


def whole(body: Json) -> Answer:
    return Answer(200, JSON, [json.dumps(body).encode()])


def failing(status: int, path: str, headers: dict[str, str], asked: Faults) -> Answer:
    anthropic = "anthropic-version" in headers or path.startswith("/v1/messages")
    made = whole(answers.anthropic_error(status) if anthropic else answers.openai_error(status))
    made.status = status
    if "retry-after" in asked:
        made.headers.append((b"retry-after", asked["retry-after"].encode()))
    return made


def encoded(event: Event) -> bytes:
    name, data = event
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def pattern(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def compressed(pieces: Iterable[bytes], encoding: str) -> list[bytes]:
    """Each piece compressed and flushed, so that a receiver can decode it before the next comes."""
    if encoding == "gzip":
        gzipped = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        return [gzipped.compress(piece) + gzipped.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [gzipped.flush()]
    if encoding == "br":
        compressor = brotli.Compressor()
        return [compressor.process(piece) + compressor.flush() for piece in pieces] + [compressor.finish()]
    if encoding == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return [zstd.compress(piece) + zstd.flush(flush) for piece in pieces] + [zstd.flush()]
    return [gzip.compress(b"".join(pieces), mtime=0)]


async def deliver(made: Answer, asked: Faults, scope: Any, send: Send) -> None:
    """Sends the answer, breaking it as asked."""
    transport = scope.get("extensions", {}).get("demo.transport")
    if "stall-before" in asked:
        await asyncio.sleep(float(asked["stall-before"]))
    if "reset-before" in asked and transport is not None:
        transport.abort()
        return
    pieces = made.pieces
    if "encoding" in asked and made.status not in {204, 304}:
        pieces = compressed(pieces, asked["encoding"])
        made.headers.append((b"content-encoding", asked["encoding"].encode()))
    headers = [(b"content-type", made.kind), (b"x-demo", b"yes"), *made.headers]
    size = sum(map(len, pieces))
    if not made.stream and made.status not in {204, 304}:
        headers.append((b"content-length", b"%d" % (size + (10 if "wrong-length" in asked else 0))))
    await send({"type": "http.response.start", "status": made.status, "headers": headers})
    if await written(pieces, size, asked, send):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    elif transport is not None:
        transport.abort() if "reset-after" in asked else transport.close()


async def written(pieces: list[bytes], size: int, asked: Faults, send: Send) -> bool:
    """Writes the body. False when it is not to be ended."""
    limit = size // 2 if "half" in asked else int(asked.get("reset-after", size))
    stall_at = size // 2 if "stall-mid" in asked else -1
    sent = 0
    for piece in slices(pieces, int(asked["split"])) if "split" in asked else pieces:
        if sent + len(piece) > limit:
            await send({"type": "http.response.body", "body": piece[: limit - sent], "more_body": True})
            await asyncio.sleep(0.02)  # so that it arrives before the connection goes
            return False
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        sent += len(piece)
        if 0 <= stall_at <= sent:
            await asyncio.sleep(float(asked["stall-mid"]))
            stall_at = -1
        if "delay-ms" in asked:
            await asyncio.sleep(float(asked["delay-ms"]) / 1000)
        elif "split" in asked and sent < 20_000:
            await asyncio.sleep(0)
    return "wrong-length" not in asked


def slices(pieces: Iterable[bytes], size: int) -> list[bytes]:
    body = b"".join(pieces)
    size = max(size, len(body) // 5_000)  # a large body in single bytes would take for ever
    return [body[start : start + size] for start in range(0, len(body), size)]


async def serve(port: int, host: str, *, faults: bool) -> None:
    """Serves until interrupted."""
    config = uvicorn.Config(
        application(faults=faults),
        host=host,
        port=port,
        http=DemoProtocol,
        ws="none",
        lifespan="off",
        log_level="critical",
        server_header=False,
        date_header=False,
        timeout_keep_alive=120,
    )
    await uvicorn.Server(config).serve()
