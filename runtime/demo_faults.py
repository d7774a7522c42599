"""How the demo provider misbehaves: what `x-demo-fault` asks for, and an answer sent accordingly."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, Literal

import brotli
import msgspec
import zstandard
from msgspec import Meta, Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Span = Annotated[float, Meta(ge=0)]
Encoding = Literal["gzip", "br", "zstd"]

BODILESS = frozenset({204, 304})
TOO_LONG = 10
"""Bytes that `wrong-length` announces and never sends."""
MOST_WRITES = 5_000
"""A large body in single bytes would take for ever: `split` makes at most so many pieces of it."""
ONE_BY_ONE = 20_000
"""Bytes of a split body whose pieces each get a write of their own; the rest is left to the kernel."""
ARRIVAL_S = 0.02
"""For what was written to reach the other side before the connection goes."""


class Faults(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """One request's wishes. Spans are seconds but for `delay_ms`; sizes are bytes, as sent."""

    stall_before: Span | None = None
    stall_mid: Span | None = None
    reset_before: bool = False
    reset_after: Count | None = None
    half: bool = False
    wrong_length: bool = False
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    retry_after: Count | None = None
    malformed_json: bool = False
    encoding: Encoding | None = None
    size: Count | None = None
    split: Positive | None = None
    chunks: Count | None = None
    delay_ms: Span = 0.0


NONE = Faults()


class UnknownFault(Exception):
    """The header asks for something that there is not."""


class Answer(Struct, frozen=True, kw_only=True):
    """What will be sent: pieces that leave one by one, of a known length when they are not a stream."""

    status: int = 200
    kind: bytes = b"application/json"
    pieces: list[bytes]
    stream: bool = False

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


class DemoProtocol(HttpToolsProtocol):
    """Hands the application its connection, to break, and the request's target as it came. ASGI knows neither."""

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = {"demo.connection": {"transport": self.transport, "target": self.url}}
        super().on_headers_complete()


def connection_of(scope: Any) -> dict[str, Any]:
    """What `DemoProtocol` added; empty on another server."""
    found: dict[str, Any] = (scope.get("extensions") or {}).get("demo.connection", {})
    return found


def parse_faults(text: str) -> Faults:
    """`name=value, name, …` as a value; raises UnknownFault naming what is wrong."""
    pairs = (part.strip().partition("=") for part in text.split(",") if part.strip())
    try:
        return msgspec.convert({name.strip(): value.strip() or "true" for name, _, value in pairs}, Faults, strict=False)
    except msgspec.ValidationError as fault:
        raise UnknownFault(f"x-demo-fault: {fault}") from None


async def deliver(made: Answer, asked: Faults, scope: Any, receive: Receive, send: Send) -> None:
    """Sends the answer, breaking it as asked."""
    transport = connection_of(scope).get("transport")
    if asked.stall_before is not None:
        await asyncio.sleep(asked.stall_before)
    if asked.reset_before and transport is not None:
        await reset(transport, receive)
        return
    if asked.encoding is not None and made.status not in BODILESS:
        made = msgspec.structs.replace(made, pieces=compressed(made.pieces, asked.encoding))
    await send({"type": "http.response.start", "status": made.status, "headers": head(made, asked)})
    if await written(made, asked, send):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    elif transport is not None:
        await asyncio.sleep(ARRIVAL_S)
        await (reset(transport, receive) if asked.reset_after is not None else cut(transport, receive))


def head(made: Answer, asked: Faults) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", made.kind), (b"x-demo", b"yes")]
    if asked.retry_after is not None:
        headers.append((b"retry-after", b"%d" % asked.retry_after))
    if made.status in BODILESS:
        return headers
    if asked.encoding is not None:
        headers.append((b"content-encoding", asked.encoding.encode()))
    if not made.stream:
        headers.append((b"content-length", b"%d" % (made.size + (TOO_LONG if asked.wrong_length else 0))))
    return headers


async def written(made: Answer, asked: Faults, send: Send) -> bool:
    """Writes the body. False when it is not to be ended."""
    limit, sent = limit_of(made, asked), 0
    stall_at = made.size // 2 if asked.stall_mid is not None else None
    for piece in made.pieces if asked.split is None else slices(made.pieces, asked.split):
        if limit is not None and sent + len(piece) > limit:
            await send({"type": "http.response.body", "body": piece[: limit - sent], "more_body": True})
            return False
        if stall_at is not None and sent + len(piece) > stall_at:
            await send({"type": "http.response.body", "body": piece[: stall_at - sent], "more_body": True})
            await asyncio.sleep(asked.stall_mid or 0)
            piece, sent, stall_at = piece[stall_at - sent :], stall_at, None  # noqa: PLW2901 - the rest of it
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        sent += len(piece)
        await _pause(asked, sent)
    return not asked.wrong_length


async def _pause(asked: Faults, sent: int) -> None:
    """Between two pieces. A turn of the event loop keeps split pieces from leaving in one write."""
    if asked.delay_ms:
        await asyncio.sleep(asked.delay_ms / 1000)
    elif asked.split is not None and sent < ONE_BY_ONE:
        await asyncio.sleep(0)


def limit_of(made: Answer, asked: Faults) -> int | None:
    """After how many bytes of the body the connection ends; a stream's half is half of its events."""
    if asked.half and made.stream:
        return sum(map(len, made.pieces[: len(made.pieces) // 2]))
    return made.size // 2 if asked.half else asked.reset_after


async def reset(transport: Any, receive: Receive) -> None:
    """An RST, which a plain abort is not: without lingering, the kernel drops the connection instead of ending it."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await gone(receive)


async def cut(transport: Any, receive: Receive) -> None:
    transport.close()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Until the server knows that the connection is lost; it would take an application that ends earlier for a broken one."""
    while (await receive())["type"] != "http.disconnect":
        pass


def slices(pieces: Iterable[bytes], size: int) -> list[bytes]:
    body = b"".join(pieces)
    size = max(size, len(body) // MOST_WRITES)
    return [body[start : start + size] for start in range(0, len(body), size)]


def pattern(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def compressed(pieces: Iterable[bytes], encoding: Encoding) -> list[bytes]:
    """Each piece compressed and flushed, so that a receiver can decode it before the next comes."""
    if encoding == "gzip":
        gzipped = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        return [gzipped.compress(piece) + gzipped.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [gzipped.flush()]
    if encoding == "br":
        compressor = brotli.Compressor()
        return [compressor.process(piece) + compressor.flush() for piece in pieces] + [compressor.finish()]
    zstd = zstandard.ZstdCompressor().compressobj()
    return [zstd.compress(piece) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for piece in pieces] + [zstd.flush()]
