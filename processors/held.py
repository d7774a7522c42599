"""The batches that the feedback join holds: packed, in the order they came, and found by the requests that they are about. Pure."""

from array import array
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import msgspec
import zstandard
from msgspec import Struct

from eventlog.codec import encode_event
from eventlog.events import CallPriced, FeedbackGiven, Instant


class Version(Struct, frozen=True, order=True, array_like=True):
    """Which of the calls of one request: the newest is the greatest."""

    created_at: Instant
    call_id: str


class Head(Struct, frozen=True, omit_defaults=True):
    """The first line of a packed batch; its events follow, a line each."""

    at: Instant
    met: dict[int, Version] = {}
    """Of a batch of judgements: by line, the call that each has met."""


class HeldBatch(Struct, eq=False):
    """A batch that is held."""

    key: str
    at: datetime
    packed: bytes
    names: "array[int]"
    """By line: the hash of organization and request id."""
    born: "array[float]"
    """By line, of calls alone: when it began, in seconds since 1970. The newest is found without unpacking any."""
    met: dict[int, Version]
    size: int
    """Bytes that its events take, packed: as it came, so that what is pushed out does not depend on what was met until then."""
    number: int = 0
    """In the order they came."""


class Side:
    """One of the two things that meet: its batches in the order they came, and where to find those of each request."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self.batches: dict[str, HeldBatch] = {}
        self.events = 0
        self.bytes = 0
        self._most_events, self._most_bytes = most_events, most_bytes
        self._index: dict[int, dict[str, HeldBatch]] = {}
        """Those of one batch only share a dict, which is never changed: most requests are one call."""
        self._came = 0

    def add(self, held: HeldBatch) -> None:
        self.drop(held.key)
        self.batches[held.key] = held
        self.events += len(held.names)
        self.bytes += held.size
        self._came += 1
        held.number = self._came
        alone = {held.key: held}
        for name in set(held.names):
            others = self._index.get(name)
            if others is None:
                self._index[name] = alone
            elif len(others) == 1:
                self._index[name] = others | alone
            else:
                others[held.key] = held

    def drop(self, key: str) -> None:
        held = self.batches.pop(key, None)
        if held is None:
            return
        self.events -= len(held.names)
        self.bytes -= held.size
        for name in set(held.names):
            batches = self._index[name]
            if len(batches) == 1:
                del self._index[name]
            else:
                del batches[key]

    def places(self, names: Collection[int]) -> list[tuple[HeldBatch, list[int]]]:
        """Each batch with events of these names, and their lines, in the order they came: one pass over it, however many names."""
        found: dict[str, HeldBatch] = {}
        for name in names:
            found |= self._index.get(name, {})
        batches = sorted(found.values(), key=lambda held: held.number)
        return [(held, [line for line, name in enumerate(held.names) if name in names]) for held in batches]

    def before(self, until: datetime) -> list[HeldBatch]:
        return [held for held in self.batches.values() if held.at <= until]

    def surplus(self) -> list[HeldBatch]:
        """The oldest batches, as far as there is more than may be held."""
        found, events, size = [], self.events - self._most_events, self.bytes - self._most_bytes
        for held in self.batches.values():
            if events <= 0 and size <= 0:
                break
            found.append(held)
            events -= len(held.names)
            size -= held.size
        return found

    def sort(self) -> None:
        self.batches = dict(sorted(self.batches.items(), key=lambda item: item[1].at))
        for number, held in enumerate(self.batches.values(), 1):
            held.number = number


def gathered(places: Iterator[tuple[HeldBatch, int]]) -> list[tuple[HeldBatch, list[int]]]:
    """Places batch by batch, so that each is unpacked once, and one at a time."""
    found: dict[str, tuple[HeldBatch, list[int]]] = {}
    for held, line in places:
        found.setdefault(held.key, (held, []))[1].append(line)
    return list(found.values())


def name_of(organization: str, request_id: str) -> int:
    return hash((organization, request_id))


# Packed batches

_compressor = zstandard.ZstdCompressor(level=3)
_decompressor = zstandard.ZstdDecompressor()
_encode = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(Head)


def packed(head: Head, events: Sequence[CallPriced] | Sequence[FeedbackGiven]) -> bytes:
    return packed_lines(head, [encode_event(event) for event in events])


def packed_lines(head: Head, lines: Sequence[bytes]) -> bytes:
    """A copy, of its own size: what the compressor answers keeps the room that it had asked for, ten times as much."""
    return bytes(memoryview(_compressor.compress(b"\n".join([_encode(head), *lines]))))


def unpacked(batch: bytes) -> tuple[Head, list[bytes]]:
    """Raises ValueError for what is no packed batch."""
    try:
        head, *lines = _decompressor.decompress(batch).split(b"\n")
        return _head.decode(head), lines
    except (msgspec.MsgspecError, zstandard.ZstdError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
