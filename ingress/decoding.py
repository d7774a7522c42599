"""Content encodings undone piece by piece, in bounded output, whatever the input claims.

Each decoder eats bytes and hands on decoded pieces of at most about 64 KiB, each before it makes the next, so that a bomb is met one
piece at a time: whoever takes them ends it by raising. Damaged input is an `Undecodable`; input that merely stops early is not: what
came is what there is.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

PIECE = 65_536
ZSTD_WINDOW = 8 << 20
"""The largest window we make room for, and the largest that an encoder may use over HTTP (RFC 9659, section 3)."""

Take = Callable[[bytes], None]


class Undecodable(ValueError):
    """The content encoding cannot be undone; the message says why."""


class Decoder(Protocol):
    def feed(self, data: bytes) -> None:
        """Hands on what `data` decodes to, as far as it can be told yet. Raises Undecodable, and what the taker raises."""
        ...

    def end(self) -> None:
        """Hands on what was still held back."""
        ...


class Zlib:
    """gzip (of any number of members) and deflate (wrapped as the standard says, or bare as some servers send it)."""

    def __init__(self, take: Take, *, gzip: bool) -> None:
        self._take = take
        self._gzip = gzip
        self._engine = zlib.decompressobj(wbits=31) if gzip else None
        self._start = b""

    def feed(self, data: bytes) -> None:
        if self._engine is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._engine = zlib.decompressobj(wbits=15 if wrapped else -15)
        while data:
            self._member(self._engine, data)
            data = self._rest()

    def _member(self, engine: "zlib._Decompress", data: bytes) -> None:
        try:
            while data:
                self._take(engine.decompress(data, PIECE))
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

    def end(self) -> None:
        if self._engine is not None and not self._engine.eof:
            try:
                self._take(self._engine.flush())
            except zlib.error as error:
                raise self._damaged from error


class Brotli:
    def __init__(self, take: Take) -> None:
        self._take = take
        self._engine = brotli.Decompressor()

    def feed(self, data: bytes) -> None:
        if self._engine.is_finished():
            raise Undecodable("the brotli data is damaged")  # something follows its end: in one piece with it, the library says so too
        try:
            decoded = self._engine.process(data, output_buffer_limit=PIECE)
            while decoded:
                self._take(decoded)
                decoded = b"" if self._engine.is_finished() else self._engine.process(b"", output_buffer_limit=PIECE)
        except brotli.error as error:
            raise Undecodable("the brotli data is damaged") from error

    def end(self) -> None:
        """Nothing is ever held back."""


class Zstd:
    """Frame after frame. The library hands its output on as it makes it: four bytes of input may become 128 KiB."""

    def __init__(self, take: Take) -> None:
        engine = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._engine = engine.stream_writer(_Sink(take), write_size=PIECE)  # type: ignore[arg-type]

    def feed(self, data: bytes) -> None:
        try:
            self._engine.write(data)
        except zstandard.ZstdError as error:  # how it is worded depends on how the input was sliced
            raise Undecodable("the zstd data is damaged, or needs a window of more than 8 MiB") from error

    def end(self) -> None:
        """Nothing is ever held back."""


class _Sink:
    """A taker as a file, which the library wants."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def write(self, data: bytes) -> int:
        self._take(bytes(data))
        return len(data)


def decoders_of(content_encoding: str, take: Take) -> list[Decoder]:
    """The decoders that undo a Content-Encoding, each handing on to the next and the last one to `take`: feed the first, end them in order.

    Raises Undecodable for an encoding that nobody knows.
    """
    codings = [coding for coding in (each.strip().lower() for each in content_encoding.split(",")) if coding not in {"", "identity"}]
    if len(codings) > 2:
        raise Undecodable(f"{len(codings)} content encodings on top of each other")
    found: list[Decoder] = []
    for coding in codings:
        decoder = _decoder_of(coding, take)
        found.insert(0, decoder)
        take = decoder.feed
    return found


def _decoder_of(coding: str, take: Take) -> Decoder:
    match coding:
        case "gzip" | "x-gzip":
            return Zlib(take, gzip=True)
        case "deflate":
            return Zlib(take, gzip=False)
        case "br":
            return Brotli(take)
        case "zstd":
            return Zstd(take)
    raise Undecodable(f"unknown content encoding {coding[:40]!r}")
