"""Content encodings undone piece by piece, in bounded output, whatever the input claims.

Each decoder eats bytes and yields decoded pieces one at a time, as they are asked for, so that a bomb is met step by step. Damaged input
is an `Undecodable`; input that merely stops early is not: what came is what there is.
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli
import zstandard

PIECE = 65_536
ZSTD_WINDOW = 8 << 20
"""The largest window we make room for, and the largest that an encoder may use over HTTP (RFC 9659, section 3)."""

ZSTD_SLICE = 256
"""Bytes fed at once: four of them may become 128 KiB, so this many become 8 MiB at most."""


class Undecodable(ValueError):
    """The content encoding cannot be undone; the message says why."""


class Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` decodes to, as far as it can be told yet. Raises Undecodable."""
        ...

    def end(self) -> Iterator[bytes]:
        """What was still held back."""
        ...


class Zlib:
    """gzip (of any number of members) and deflate (wrapped as the standard says, or bare as some servers send it)."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._engine = zlib.decompressobj(wbits=31) if gzip else None
        self._start = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._engine is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._engine = zlib.decompressobj(wbits=15 if wrapped else -15)
        while data:
            yield from self._member(self._engine, data)
            data = self._rest()

    def _member(self, engine: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        try:
            while data:
                yield engine.decompress(data, PIECE)
                data = engine.unconsumed_tail
        except zlib.error as error:
            raise self._damaged from error

    @property
    def _damaged(self) -> Undecodable:
        return Undecodable(f"the {'gzip' if self._gzip else 'deflate'} data is damaged")

    def _rest(self) -> bytes:
        """What follows the member just ended: another one. Padding after the last, and anything after a deflate stream, is nothing."""
        engine = self._engine
        if engine is None or not engine.eof or not self._gzip:
            return b""
        rest = engine.unused_data
        if rest:
            self._engine = zlib.decompressobj(wbits=31)
        return rest.lstrip(b"\0")

    def end(self) -> Iterator[bytes]:
        if self._engine is not None and not self._engine.eof:
            try:
                yield self._engine.flush()
            except zlib.error as error:
                raise self._damaged from error


class Brotli:
    def __init__(self) -> None:
        self._engine = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._engine.is_finished():
            raise Undecodable("the brotli data is damaged")  # something follows its end: in one piece with it, the library says so too
        try:
            decoded = self._engine.process(data, output_buffer_limit=PIECE)
            while decoded:
                yield decoded
                decoded = b"" if self._engine.is_finished() else self._engine.process(b"", output_buffer_limit=PIECE)
        except brotli.error as error:
            raise Undecodable("the brotli data is damaged") from error

    def end(self) -> Iterator[bytes]:
        return iter(())


class Zstd:
    """Frame after frame. The library hands its output on as it makes it."""

    def __init__(self) -> None:
        self._made: list[bytes] = []
        engine = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._engine = engine.stream_writer(_Sink(self._made), write_size=PIECE)  # type: ignore[arg-type]

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), ZSTD_SLICE):
            try:
                self._engine.write(data[start : start + ZSTD_SLICE])
            except zstandard.ZstdError as error:  # how it is worded depends on how the input was sliced
                raise Undecodable("the zstd data is damaged, or needs a window of more than 8 MiB") from error
            pieces = self._made.copy()
            self._made.clear()
            yield from pieces

    def end(self) -> Iterator[bytes]:
        return iter(())


class _Sink:
    """A list as a file, which the library wants."""

    def __init__(self, made: list[bytes]) -> None:
        self._made = made

    def write(self, data: bytes) -> int:
        self._made.append(bytes(data))
        return len(data)


def decoders_of(content_encoding: str) -> list[Decoder]:
    """The decoders that undo a Content-Encoding, in the order to apply them. Raises Undecodable for one that nobody knows."""
    codings = [coding for coding in (each.strip().lower() for each in content_encoding.split(",")) if coding not in {"", "identity"}]
    if len(codings) > 2:
        raise Undecodable(f"{len(codings)} content encodings on top of each other")
    return [_decoder_of(coding) for coding in reversed(codings)]


def _decoder_of(coding: str) -> Decoder:
    match coding:
        case "gzip" | "x-gzip":
            return Zlib(gzip=True)
        case "deflate":
            return Zlib(gzip=False)
        case "br":
            return Brotli()
        case "zstd":
            return Zstd()
    raise Undecodable(f"unknown content encoding {coding[:40]!r}")
