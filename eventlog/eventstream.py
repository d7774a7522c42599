"""AWS event streams (`application/vnd.amazon.eventstream`): binary frames out of any slicing of the bytes.

A frame is its length, its headers' length and a CRC32 of both; headers; a payload; a CRC32 of it all. Integers are big-endian.
Source: AWS documentation, "Event stream encoding" of Amazon Transcribe streaming, and the Smithy specification
"application/vnd.amazon.eventstream" (read 2026-11-24); lengths of at most 24 MiB and 128 KiB are theirs.

The law: one byte at a time equals all at once. Where a frame is broken the next whole one is looked for, as long as that costs little.
"""

import re
import struct
import zlib
from functools import lru_cache

from msgspec import Struct

CONTENT_TYPE = "application/vnd.amazon.eventstream"

PRELUDE, LEAST = 12, 16
LONGEST, LONGEST_HEADERS = 24 << 20, 128 << 10
MAY_BEGIN = re.compile(rb"[\x00\x01](?!\x00\x00[\x00-\x0f])...\x00[\x00-\x02].{6}", re.DOTALL)
"""Twelve bytes that may begin a frame, by its two lengths; searched for among what is broken."""

PATIENCE = 16 << 20
"""Bytes that may be checked in vain: a hostile stream would have us search for ever."""
LOOK = 256
"""What it costs, in such bytes, to look at one place in vain."""

FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID."""
STRING = 7
SIZED = {6: "bytes", STRING: "text"}
"""Types whose length stands before the value, in two bytes."""

MEMO_LIMIT = 512
"""Bytes of headers that are remembered: nearly all frames of a stream have the same."""


class Frame(Struct, frozen=True):
    """`kind` is `event`, `exception` (one that the API declares) or `error` (any other); `name` tells which."""

    kind: str
    name: str
    payload: bytes
    message: str = ""
    """An `error` has no payload, but words."""
    headers: bytes = b""
    """As they came."""


class EventStreamDecoder:
    """Feed it the stream in any slices; `feed(b"")` is the end of it."""

    __slots__ = ("_held", "_patience", "cut", "skipped")

    def __init__(self) -> None:
        self._held = bytearray()
        self._patience = PATIENCE
        self.skipped = False
        """Bytes were passed over between frames, or frames that contradict their checksum."""
        self.cut = False
        """The stream ended within a frame."""

    def feed(self, chunk: bytes) -> list[Frame]:
        held, ended, at = self._held, not chunk, 0
        frames: list[Frame] = []
        held += chunk
        while (start := self._start(at)) is not None:
            end = start + int.from_bytes(held[start : start + 4], "big")
            self.skipped |= start > at
            at = start
            if end > len(held) and not ended:
                break
            frame = _frame_of(bytes(held[start:end])) if end <= len(held) else None
            self._count(start, end, frame)
            if frame is not None:
                frames.append(frame)
            at = start + 1 if frame is None else end
        else:
            at = self._rest(at, ended)
        del held[:at]
        return frames

    def _start(self, at: int) -> int | None:
        """Where the next frame begins whose first twelve bytes are sound: nearly always right here."""
        held = self._held
        if _is_prelude(held[at : at + PRELUDE]):
            return at
        while self._patience > 0 and (found := MAY_BEGIN.search(held, at)) is not None:
            if _is_prelude(found[0]):
                return found.start()
            self._patience -= LOOK
            at = found.start() + 1
        return None

    def _count(self, start: int, end: int, frame: Frame | None) -> None:
        if end > len(self._held):
            self.cut = True
        elif frame is None:
            self.skipped = True
            self._patience -= end - start + LOOK

    def _rest(self, at: int, ended: bool) -> int:
        """No frame begins in what is held, but one may in its last bytes."""
        if ended:
            self.cut |= at < len(self._held)
            return len(self._held)
        rest = len(self._held) if self._patience <= 0 else max(at, len(self._held) - PRELUDE + 1)
        self.skipped |= rest > at
        return rest


def _is_prelude(data: bytes | bytearray) -> bool:
    if len(data) < PRELUDE:
        return False
    length, headers, checksum = _prelude(data)
    if not LEAST <= length <= LONGEST or headers > min(length - LEAST, LONGEST_HEADERS):
        return False
    return bool(zlib.crc32(data[:8]) == checksum)


_prelude = struct.Struct(">III").unpack


def _frame_of(data: bytes) -> Frame | None:
    """None when the bytes contradict their checksum."""
    if zlib.crc32(memoryview(data)[:-4]) != int.from_bytes(data[-4:], "big"):
        return None
    begin = PRELUDE + _prelude(data[:PRELUDE])[1]
    headers = data[PRELUDE:begin]
    kind, name, message = _remembered(headers) if len(headers) <= MEMO_LIMIT else _meaning(headers)
    return Frame(kind, name, data[begin:-4], message, headers)


def _meaning(headers: bytes) -> tuple[str, str, str]:
    said = _strings_in(headers)
    kind = said.get(":message-type", "")
    name = said.get({"exception": ":exception-type", "error": ":error-code"}.get(kind, ":event-type"), "")
    return kind, name, said.get(":error-message", "")


_remembered = lru_cache(maxsize=64)(_meaning)


def _strings_in(headers: bytes) -> dict[str, str]:
    """Headers whose value is text, as far as they can be read."""
    found: dict[str, str] = {}
    at = 0
    while at < len(headers):
        named = at + 1 + headers[at]
        kind, value = headers[named : named + 1], named + 1
        if not kind or not (kind[0] in FIXED or kind[0] in SIZED):
            break
        begin = value + (2 if kind[0] in SIZED else 0)
        end = begin + (int.from_bytes(headers[value:begin], "big") if kind[0] in SIZED else FIXED[kind[0]])
        if kind[0] == STRING:
            found[headers[at + 1 : named].decode("utf-8", "replace")] = headers[begin:end].decode("utf-8", "replace")
        at = end
    return found


def begins_framed(data: bytes) -> bool:
    """Whether a body begins with a frame, whatever its content type says."""
    return _is_prelude(data[:PRELUDE])


def written(headers: bytes, payload: bytes) -> bytes:
    """A frame as it travels: its lengths and both checksums are made anew."""
    lengths = struct.pack(">II", LEAST + len(headers) + len(payload), len(headers))
    whole = b"".join((lengths, zlib.crc32(lengths).to_bytes(4, "big"), headers, payload))
    return whole + zlib.crc32(whole).to_bytes(4, "big")
