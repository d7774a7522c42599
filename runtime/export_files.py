"""The elements of an export, out of a stream of bytes: lines of JSON, one JSON array, or what the API answers, `{"data": […]}`.

Nothing is read that is not needed yet: an export may be larger than memory. Compression is known by its first bytes.
"""

import gzip
import io
import json
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec
import zstandard
from msgspec import Raw, Struct

MOST_BYTES = 64 << 20
"""Of an element. What is longer, no log takes."""
STEP = 1 << 20
"""Characters that are read at once of an array."""
ZSTD_SLICE = 1024
"""Bytes that are unpacked at once: no more than 45 MiB come of them, whoever packed them."""
STDIN = "-"

_ANSWER = re.compile(rb'\s*\{\s*"data"\s*:\s*\[')
_BLANK = re.compile(r"[ \t\r\n]*")
_PLAIN_BLANK = b" \t\r\n\xef\xbb\xbf"
_ends_at = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode


class Unreadable(Exception):
    """Nothing more of this file can be read. The message says why, and from where on."""

    retryable = False


class Element(NamedTuple):
    """One of an export. `number` is its line; of an array, the how-many-eth it is."""

    number: int
    raw: bytes
    wrong: str | None = None
    """Why it cannot be a call, whatever it says."""


class _Answer(Struct):
    data: list[Raw]


class ExportFile:
    """An open export. `read` is how far it was read, in bytes as they lie on disk."""

    def __init__(self, name: str) -> None:
        """Raises OSError."""
        self._file = sys.stdin.buffer if name == STDIN else open(name, "rb")  # noqa: SIM115 closed by `close`
        self.read = 0
        self._bytes = decompressed(io.BufferedReader(_Counted(self, self._file), STEP))

    def close(self) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def elements(self) -> Iterator[Element]:
        """Raises Unreadable, and OSError where the disk fails."""
        try:
            yield from elements_of(self._bytes)
        except (EOFError, zstandard.ZstdError, gzip.BadGzipFile) as error:
            raise Unreadable(f"the compressed file is damaged, or ends in its middle: {error}") from None


class _Counted(io.RawIOBase):
    def __init__(self, export: ExportFile, file: BinaryIO) -> None:
        self._export, self._file = export, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._export.read += len(data)
        return len(data)


def decompressed(file: io.BufferedReader) -> io.BufferedIOBase:
    start = file.peek(4)[:4]
    if start[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if start == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(_Zstd(file), STEP)
    return file


class _Zstd(io.RawIOBase):
    """Frame after frame. The library's own reader takes a file that was cut off for a whole one."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed, self._plain = b"", memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            packed = self._packed or self._file.read(ZSTD_SLICE)
            if not packed and self._frame is None:
                return 0
            if not packed:
                raise EOFError("its last frame has no end")
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._plain = memoryview(frame.decompress(packed))
            self._packed, self._frame = (frame.unused_data, None) if frame.eof else (b"", frame)
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count


def elements_of(stream: io.BufferedIOBase) -> Iterator[Element]:
    """Raises Unreadable."""
    number, line = 1, stream.readline(MOST_BYTES + 1)
    while line and not line.strip(_PLAIN_BLANK):
        number, line = number + 1, stream.readline(MOST_BYTES + 1)
    start = line.lstrip(_PLAIN_BLANK)
    if start[:1] == b"[":
        joined = io.BufferedReader(_Joined(start[1:], stream))
        yield from _of_array(io.TextIOWrapper(joined, "utf-8", errors="surrogateescape", newline=""))
    elif start[:1] == b"{" and not start.rstrip().endswith(b"}") and len(line) <= MOST_BYTES:
        yield from _of_document(start + stream.read())
    else:
        yield from _of_lines(number, line.lstrip(b"\xef\xbb\xbf"), stream)


def _of_lines(number: int, line: bytes, stream: io.BufferedIOBase) -> Iterator[Element]:
    while line:
        if len(line) > MOST_BYTES:
            yield Element(number, line[:1000], f"it is longer than {MOST_BYTES >> 20} MiB")
            while line and not line.endswith(b"\n"):
                line = stream.readline(MOST_BYTES)
        elif _ANSWER.match(line):
            yield from _of_answer(number, line)
        elif line.strip():
            yield Element(number, line.strip())
        number, line = number + 1, stream.readline(MOST_BYTES + 1)


def _of_answer(number: int, line: bytes) -> Iterator[Element]:
    """A page as the API answered it, on one line."""
    try:
        found = msgspec.json.decode(line, type=_Answer).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield Element(number, line.strip(), "it is no JSON in UTF-8")
        return
    for raw in found:
        yield Element(number, bytes(raw))


def _of_document(text: bytes) -> Iterator[Element]:
    """An answer of the API, or one call, over several lines."""
    try:
        found = msgspec.json.decode(text, type=_Answer).data if _ANSWER.match(text) else [msgspec.json.decode(text, type=Raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it begins as a JSON document of several lines, and is none: {error}") from None
    for number, raw in enumerate(found, 1):
        yield Element(number, bytes(raw))


def _of_array(stream: io.TextIOWrapper) -> Iterator[Element]:
    text, at, number, whole = "", 0, 0, False
    while True:
        at = _past_blank(text, at)
        if at < len(text) and text[at] == "]":
            return
        if at < len(text) and number and text[at] != ",":
            raise Unreadable(f"behind element {number} of the array stands neither , nor ]")
        begin = _past_blank(text, at + (1 if number else 0))
        found = _one(text, begin)
        if found is not None and (found < len(text) or whole):
            number += 1
            yield Element(number, text[begin:found].encode("utf-8", "surrogateescape"))
            at = found
            continue
        if whole:
            raise Unreadable(f"the array is broken, or ends, at element {number + 1}; nothing behind it can be read")
        if len(text) - begin > MOST_BYTES:
            raise Unreadable(f"element {number + 1} of the array is broken, or longer than {MOST_BYTES >> 20} MiB")
        more = stream.read(max(STEP, len(text) - at))
        whole, text, at = not more, text[at:] + more, 0


def _past_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _one(text: str, begin: int) -> int | None:
    """Where the value ends that begins here; None where it does not, as far as was read."""
    try:
        return _ends_at(text, begin)[1]
    except (ValueError, RecursionError):
        return None


class _Joined(io.RawIOBase):
    """What was read of a stream already, and the rest."""

    def __init__(self, start: bytes, rest: io.BufferedIOBase) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
