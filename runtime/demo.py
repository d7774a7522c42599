"""`heliograph demo provider`: a small provider of both dialects, for people without a key, and for tests.

With `faults`, a request's `x-demo-fault` header steers how it is answered, on every route, for instance `split=1, encoding=gzip`. A
name or value that there is not is answered with 400.

| fault | what happens |
| --- | --- |
| `stall-before=S`, `stall-mid=S` | silence of S seconds before the head, or halfway through the body |
| `reset-before`, `reset-after=N` | the connection is reset before the answer, or after N bytes of its body |
| `half` | half the body (of a stream: half its events), then the connection is cut |
| `wrong-length` | a length announced that is ten bytes too long, then the connection is closed |
| `status=N`, `retry-after=N` | another status, from 400 on with an error of the dialect; 204 and 304 have no body |
| `malformed-json` | a body, or the second event of a stream, that is no JSON |
| `encoding=gzip, br or zstd` | a compressed body; streams are flushed event by event |
| `size=N` | a body of exactly N bytes |
| `split=N` | the body in writes of N bytes |
| `chunks=N`, `delay-ms=N` | so many pieces of content in a stream, so long apart |
"""

import json
import socket
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import uvicorn
from msgspec.structs import replace

from runtime import demo_answers as answers
from runtime import demo_responses as responses
from runtime.demo_answers import Event, Json
from runtime.demo_faults import (
    BODILESS,
    Answer,
    DemoProtocol,
    Faults,
    Receive,
    Send,
    UnknownFault,
    connection_of,
    deliver,
    parse_faults,
    pattern,
)

EVENTS = b"text/event-stream; charset=utf-8"
BROKEN = b'{"id": "chatcmpl-demo", "choices": ['
GRACE_S = 2
"""For answers under way when the provider is stopped; a stalled one may have asked for minutes."""

WHOLE: dict[str, Callable[[Json], Json]] = {
    "/v1/chat/completions": answers.chat,
    "/v1/completions": answers.completion,
    "/v1/responses": responses.response,
    "/v1/embeddings": answers.embeddings,
    "/v1/moderations": answers.moderation,
    "/v1/messages": answers.message,
    "/v1/messages/count_tokens": answers.token_count,
}
STREAMED: dict[str, Callable[[Json, int | None], list[Event]]] = {
    "/v1/chat/completions": answers.chat_stream,
    "/v1/completions": answers.completion_stream,
    "/v1/responses": responses.response_stream,
    "/v1/messages": answers.message_stream,
}


def application(*, faults: bool) -> Any:
    """The provider as an ASGI application. Faults that break the connection need `DemoProtocol` below it."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        asked = Faults()
        try:
            asked = parse_faults(header(scope, b"x-demo-fault")) if faults else asked
            made = altered(await answer(scope, receive, asked.chunks), asked, scope)
        except UnknownFault as unknown:
            made = failing(400, scope, str(unknown))
        await deliver(made, asked, scope, receive, send)

    return app


def header(scope: Any, name: bytes) -> str:
    values: list[bytes] = [value for found, value in scope["headers"] if found == name]
    return b", ".join(values).decode("latin-1")


async def answer(scope: Any, receive: Receive, chunks: int | None) -> Answer:
    """What the provider says by itself."""
    path: str = scope["path"]
    if path == "/v1/echo" or path.startswith("/v1/echo/"):
        return await echo(scope, receive)
    raw = await read(receive)
    if path == "/healthz":
        return whole({"status": "ok"})
    if path == "/v1/models":
        return whole(answers.models())
    if path not in WHOLE:
        return failing(404, scope, f"There is no {path} here.")
    try:
        return said(path, json.loads(raw), chunks)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return failing(400, scope, "The body is no request of this kind.")


def said(path: str, body: Json, chunks: int | None) -> Answer:
    if body.get("stream") and path in STREAMED:
        return Answer(kind=EVENTS, pieces=[encoded(event) for event in STREAMED[path](body, chunks)], stream=True)
    return whole(WHOLE[path](body))


async def read(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
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
    return whole(
        {
            "method": scope["method"],
            "raw_path": target_of(scope).decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body_bytes": size,
            "body_sha256": digest.hexdigest(),
        }
    )


def target_of(scope: Any) -> bytes:
    """Path and query exactly as received; put together again where the server does not tell, which loses an empty query's mark."""
    kept: bytes | None = connection_of(scope).get("target")
    query: bytes = scope["query_string"]
    rebuilt: bytes = scope["raw_path"] + (b"?" + query if query else b"")
    return rebuilt if kept is None else kept


def altered(made: Answer, asked: Faults, scope: Any) -> Answer:
    """The answer with the faults of its content."""
    if asked.status in BODILESS:
        return Answer(status=asked.status, pieces=[])
    if asked.status >= 400:
        return failing(asked.status, scope, f"The demo provider was asked to fail with {asked.status}.")
    if asked.size is not None:
        return Answer(status=asked.status, kind=b"application/octet-stream", pieces=[pattern(asked.size)])
    if asked.malformed_json:
        made = replace(made, pieces=[made.pieces[0], b"data: " + BROKEN + b"\n\n", *made.pieces[2:]] if made.stream else [BROKEN])
    return made if asked.status == 200 else replace(made, status=asked.status)


def whole(body: Json, status: int = 200) -> Answer:
    return Answer(status=status, pieces=[json.dumps(body).encode()])


def failing(status: int, scope: Any, text: str) -> Answer:
    """An error in the shape of the caller's dialect."""
    anthropic = bool(header(scope, b"anthropic-version")) or scope["path"].startswith("/v1/messages")
    return whole(answers.anthropic_error(status, text) if anthropic else answers.openai_error(status, text), status)


def encoded(event: Event) -> bytes:
    name, data = event
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def server(*, faults: bool, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Server:
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
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


async def serve(sockets: list[socket.socket], *, faults: bool) -> None:
    """Serves on sockets that listen already, until interrupted."""
    await server(faults=faults).serve(sockets=sockets)
