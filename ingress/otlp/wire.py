"""Protobuf's wire format, as far as it takes to find each span's bytes in an export.

So a span that cannot be read does not take the rest with it, and one is in memory at a time: read whole, an export of empty messages takes
two hundred times its length. Source: "Encoding" in Protobuf's documentation; field numbers of `trace.proto` (read 2026-11-27).
"""

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT = 10


class Malformed(ValueError):
    """It is no Protobuf."""


class Patience:
    """How many fields may be passed over, of one export in all: no sender writes many, and each takes as long as one that matters."""

    def __init__(self, left: int = 100_000) -> None:
        self._left = left

    def passes_over(self) -> None:
        """Raises Malformed when it is over."""
        self._left -= 1
        if self._left < 0:
            raise Malformed


def fields_of(data: memoryview, patience: Patience) -> Iterator[tuple[int, memoryview]]:
    """The number and the content of each field that has a length; the rest is passed over. Raises Malformed."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == LENGTH:
            length, at = _varint(data, at)
            if at + length > end:
                raise Malformed
            yield tag >> 3, data[at : at + length]
            at += length
            continue
        patience.passes_over()
        if wire == VARINT:
            _, at = _varint(data, at)
        elif wire in _FIXED:
            at += _FIXED[wire]
            if at > end:
                raise Malformed
        else:
            raise Malformed


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number, and where it ends."""
    number = 0
    for place, byte in enumerate(data[at : at + LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise Malformed
