"""AWS event streams as lines of JSON, in which a text that is said in many frames is found; and as frames again.

Bedrock sends a frame for each event of Converse, and for each event of a model's own, which is base64 in the field `bytes` (API
reference, "ConverseStream", "PayloadPart", read 2026-11). A frame in which nothing changed is written as it was.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from msgspec import Struct

from eventlog.eventstream import CONTENT_TYPE, LEAST, EventStreamDecoder, Frame, begins_framed, written
from ingress.budget import Budget

SLICE = 64 << 10
FRAME = 500
"""Bytes that are remembered of a frame, beside its own."""
_BYTES = re.compile(rb'"bytes"[ \t\r\n]*:[ \t\r\n]*"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_BLANKS = bytes.maketrans(b"\r\n", b"  ")
"""In JSON, a line ends only where a blank may be as well."""
_base64 = msgspec.json.Decoder(bytes)


class BadFrames(ValueError):
    """Frames that cannot be searched, or not be written again."""


class Sheet(Struct, frozen=True):
    """A frame, and what is searched of it: its payload, with what was base64 there on a line of its own."""

    frame: Frame
    payload: bytes
    """Without that."""
    inner: bytes | None = None

    @property
    def lines(self) -> Iterator[bytes]:
        yield _line(self.payload)
        if self.inner is not None:
            yield _line(self.inner)
        if self.frame.message:
            yield msgspec.json.encode({"message": self.frame.message})

    def with_lines(self, lines: Iterator[bytes]) -> bytes:
        """The frame, with those in the place of its own. Raises BadFrames."""
        was = list(self.lines)
        now = list(islice(lines, len(was)))
        if len(now) < len(was):
            raise BadFrames("its lines are fewer than its frames")
        if was == now:
            return written(self.frame.headers, self.frame.payload)
        if self.frame.message and was[-1] != now[-1]:
            raise BadFrames("something was found in the headers of a frame")
        payload = _changed(self.payload, now[0])
        if self.inner is not None:
            payload = _with_inner(payload, _changed(self.inner, now[1]))
        return written(self.frame.headers, payload)


class Sheets(Struct, frozen=True):
    """All frames of a body."""

    all: list[Sheet]
    rest: bytes
    """Of a frame that was cut, the first byte of its length: what follows cannot be searched, but that it was cut is still told."""

    @property
    def lines(self) -> bytes:
        return b"".join(line + b"\n" for sheet in self.all for line in sheet.lines)

    def with_lines(self, lines: bytes) -> bytes:
        """The body, with those in the place of its own. Raises BadFrames."""
        left = iter(lines.split(b"\n")[:-1])
        frames = [sheet.with_lines(left) for sheet in self.all]
        if next(left, None) is not None:
            raise BadFrames("its lines are more than its frames")
        return b"".join(frames) + self.rest


def is_framed(body: bytes, content_type: str | None) -> bool:
    """By how it begins, or by what it is called; an error under that name may be JSON."""
    called = (content_type or "").lower().startswith(CONTENT_TYPE)
    return begins_framed(body) or (called and body[:1] not in {b"", b"{", b"["})


def sheets_of(body: bytes, budget: Budget) -> Sheets:
    """All whole frames, where only the last one is cut. Raises BadFrames, and GivenUp."""
    decoder = EventStreamDecoder()
    sheets: list[Sheet] = []
    size = 0
    for piece in _slices(body):
        for frame in decoder.feed(piece):
            budget.hold(FRAME)
            sheets.append(_sheet_of(frame))
            size += LEAST + len(frame.headers) + len(frame.payload)
        budget.tick()
        if decoder.skipped:
            raise BadFrames("frames of the event stream are broken")
    if not sheets:
        raise BadFrames("no frame of the event stream is whole")
    return Sheets(sheets, body[size : size + 1] if body[size : size + 1] in {b"\x00", b"\x01"} else b"")


def _slices(body: bytes) -> Iterable[bytes]:
    yield from (body[start : start + SLICE] for start in range(0, len(body), SLICE))
    yield b""


def _sheet_of(frame: Frame) -> Sheet:
    coded = list(islice(_BYTES.finditer(frame.payload), 2))
    inner = _undone(coded[0][1]) if len(coded) == 1 else None
    if inner is None:
        return Sheet(frame, frame.payload)
    start, end = coded[0].span(1)
    return Sheet(frame, frame.payload[:start] + frame.payload[end:], inner)


def _undone(coded: bytes) -> bytes | None:
    """None where it is no base64 of JSON: an image, say."""
    try:
        inner = _base64.decode(b'"%b"' % coded)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return inner if inner[:64].lstrip()[:1] in {b"{", b"[", b'"'} else None


def _with_inner(payload: bytes, inner: bytes) -> bytes:
    """Raises BadFrames where the field was redacted itself."""
    places = [match.start(1) for match in _BYTES.finditer(payload)]
    if len(places) != 1:
        raise BadFrames("a frame has no place for its bytes")
    return payload[: places[0]] + base64.b64encode(inner) + payload[places[0] :]


def _line(text: bytes) -> bytes:
    return text.translate(_BLANKS)


def _changed(text: bytes, line: bytes) -> bytes:
    return text if line == _line(text) else line
