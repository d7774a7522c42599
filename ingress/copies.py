"""What is remembered of a body: a bounded, decoded copy, beside the bytes that pass unaltered.

`Kept` remembers bytes up to a limit, beyond it the head and the tail: usage stands in the last events of a stream. `Copy` undoes the
content encoding on the way. The law of both: one byte at a time equals all at once.
"""

import base64
import codecs
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from eventlog.events import Body
from ingress.decoding import Decoder, Undecodable, decoders_of
from ingress.secrets import MASK

TAIL = 65_536
"""Bytes kept of the end of a body that passed its limit."""
BOMB = 16
"""A body that decodes to more than this many times its limit is read no further."""


class _Enough(Exception):
    """It decodes to more than anyone wants to see."""


class Kept:
    """The first bytes, and the last, of what was fed; all of it while it is at most `limit`."""

    __slots__ = ("_head", "_head_limit", "_limit", "_tail", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head_limit = max(limit - TAIL, limit // 2)
        self._head: bytes | bytearray = b""
        self._tail: bytearray | None = None
        self.size = 0

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            self._overflow(piece)
        elif not self._head:
            self._head = piece
        else:
            if type(self._head) is bytes:
                self._head = bytearray(self._head)
            self._head += piece

    def _overflow(self, piece: bytes) -> None:
        if self._tail is None:
            room = self._head_limit - len(self._head)
            rest = self._head[self._head_limit :] + piece[max(0, room, len(piece) - TAIL) :]
            self._head, self._tail = bytes(self._head[: self._head_limit]) + piece[: max(0, room)], bytearray(rest)
        else:
            self._tail += piece
        if len(self._tail) > 4 * TAIL:
            del self._tail[:-TAIL]

    @property
    def truncated(self) -> bool:
        return self._tail is not None

    @property
    def head(self) -> bytes | bytearray:
        return self._head

    @property
    def tail(self) -> bytes:
        """The last 64 KiB (the last bytes beyond the head, if they are fewer) of what passed the limit; empty when it all fitted."""
        return b"" if self._tail is None else bytes(self._tail[-TAIL:])

    def ending(self, length: int) -> bytes:
        """The last bytes that were fed, at most 64 KiB."""
        kept = self._head if self._tail is None else self._tail
        return bytes(kept[-length:])


class Copy:
    """The copy of one side of a call. `size` counts bytes on the wire; what is kept is decoded."""

    __slots__ = ("_chain", "_decoded", "_limit", "_raw", "size", "undecodable")

    def __init__(self, limit: int, content_encoding: str | None = None) -> None:
        self.size = 0
        self.undecodable: str | None = None
        self._limit = limit
        self._decoded = Kept(limit)
        self._raw: Kept | None = None
        self._chain: Sequence[Decoder] = ()
        if content_encoding:
            self._open(content_encoding)

    @property
    def limit(self) -> int:
        return self._limit

    def ends(self, length: int) -> tuple[bytes | bytearray, ...]:
        """The first bytes that are kept, and the last, so many of each; all of it at once where there are not more."""
        kept = self._decoded
        if kept.size <= 2 * length and not kept.truncated:
            return (kept.head,)
        return bytes(kept.head[:length]), kept.ending(length)

    def of(self, data: bytes) -> "Copy":
        """A copy, within the same limit, of what is sent instead: a whole body, not encoded."""
        other = Copy(self._limit)
        other.feed(data)
        return other

    def _open(self, content_encoding: str) -> None:
        try:
            self._chain = decoders_of(content_encoding)
        except Undecodable as error:
            self.undecodable = str(error)
        if self._chain or self.undecodable:
            self._raw = Kept(self._limit)

    def feed(self, piece: bytes) -> None:
        """Never raises for what the bytes hold."""
        if self._raw is None:
            self.size += len(piece)
            self._decoded.feed(piece)
        else:
            for _ in self.steps(piece):
                pass

    def steps(self, piece: bytes) -> Iterator[None]:
        """Feeds a piece a step at a time. Each takes some microseconds, a zstd bomb's some milliseconds, and there may be thousands."""
        self.size += len(piece)
        if self._raw is not None:
            self._raw.feed(piece)
        try:
            for decoded in _through(self._chain, piece) if self._chain else ():
                self._take(decoded)
                yield
        except _Enough:
            self._chain = ()
        except Undecodable as error:
            self._chain, self.undecodable = (), str(error)

    def _take(self, decoded: bytes) -> None:
        room = BOMB * self._limit - self._decoded.size
        self._decoded.feed(decoded if len(decoded) <= room else decoded[:room])
        if len(decoded) > room:
            raise _Enough

    def end(self) -> None:
        """No more comes; what decoders held back is kept."""
        if not self._chain:
            return
        chain, self._chain = self._chain, ()
        try:
            for decoded in _ends(chain):
                self._take(decoded)
        except _Enough:
            pass
        except Undecodable as error:
            self.undecodable = str(error)

    @property
    def encoded(self) -> bool:
        return self._raw is not None

    @property
    def truncated(self) -> bool:
        kept = self._raw if self.undecodable is not None and self._raw is not None else self._decoded
        return kept.truncated

    @property
    def head(self) -> bytes | bytearray:
        """Decoded, as far as it was kept before the limit."""
        return self._decoded.head

    def ending(self, length: int) -> bytes:
        """The last decoded bytes so far."""
        return self._decoded.ending(length)

    def body(self, content_type: str | None, *, omitted: bool = False, broken_off: bool = False) -> Body:
        """The copy as it travels. Call after `end`. A body that was `broken_off` may end within a character and is text nonetheless."""
        if self.undecodable is not None and self._raw is not None:
            return Body(
                base64=_base64(self._raw.head),
                size=self.size,
                content_type=content_type,
                truncated=self._raw.truncated,
                omitted=omitted,
                undecodable=self.undecodable,
            )
        decoded = self._decoded
        truncated = decoded.truncated
        text, coded = _as_text(decoded.head, broken_off=broken_off or truncated)
        tail = _tail_text(decoded.tail) if truncated and text is not None else None
        return Body(
            text=text,
            base64=coded,
            tail=tail,
            size=self.size,
            content_type=content_type,
            truncated=truncated,
            omitted=omitted,
        )


def body_of(data: bytes, content_type: str | None, *, omitted: bool = False) -> Body:
    """A whole small body, not encoded: the way most of them come."""
    text, coded = _as_text(data)
    return Body(text=text, base64=coded, size=len(data), content_type=content_type, omitted=omitted)


def without(secret: str, body: Body) -> Body:
    """`body`, in which a provider may have repeated what it was sent. One that could not be decoded is not kept: nobody can look for it."""
    if body.undecodable is not None:
        return replace(body, base64=None)
    text, tail = (part.replace(secret, MASK) if part is not None else None for part in (body.text, body.tail))
    raw = None if body.base64 is None else base64.b64decode(body.base64)
    coded = body.base64 if raw is None or secret.encode() not in raw else _base64(raw.replace(secret.encode(), MASK.encode()))
    return replace(body, text=text, tail=tail, base64=coded)


def _through(chain: Sequence[Decoder], piece: bytes) -> Iterator[bytes]:
    if not chain:
        yield piece
        return
    for decoded in chain[0].feed(piece):
        yield from _through(chain[1:], decoded)


def _ends(chain: Sequence[Decoder]) -> Iterator[bytes]:
    for number, decoder in enumerate(chain):
        for decoded in decoder.end():
            yield from _through(chain[number + 1 :], decoded)


def _as_text(data: bytes | bytearray, *, broken_off: bool = False) -> tuple[str | None, str | None]:
    """As UTF-8 text, or in base64 where it is none. What is left of a character cut off at the end is left out."""
    if not data:
        return None, None
    try:
        return codecs.utf_8_decode(data, "strict", not broken_off)[0], None
    except UnicodeDecodeError:
        return None, _base64(data)


def _tail_text(data: bytes) -> str:
    """The tail begins anywhere: the rest of a character that was cut is left out."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode("utf-8", "replace")


def _base64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode()
