"""A batch of events as bytes, and back.

A message is NDJSON: one event per line, all of one topic and one partition. Its headers say who made it and how many events
it holds. Decoding is per line, so one bad event never takes its neighbours with it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from eventlog.events import CallPriced, CallScored, DeadLetter, Event, FeedbackGiven, RequestReceived, ResponseCompleted
from eventlog.topics import Topic

CONTENT_TYPE = "application/x-ndjson"

_OF_CLIENTS = "client-"

E = TypeVar("E", bound=Event)

Positions = Mapping[tuple[str, int], int]
"""For each (topic, partition) the offset that is to be read next."""

_encoder = msgspec.json.Encoder()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (RequestReceived, ResponseCompleted, FeedbackGiven, CallPriced, CallScored, DeadLetter)
}


class BatchId(Struct, frozen=True, order=True):
    """Who made a batch, and the how-many-eth it is on its topic and partition.

    `epoch` is 32 hex digits drawn by one run of one process; `sequence` counts from 1, densely, per topic and partition, unless the batch
    is `sparse`. A stage that maps batches gives each the id of the batch it came from.
    """

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}/{self.sequence}"

    @property
    def sound(self) -> bool:
        """Whether a batch can be known by it when it comes again."""
        return bool(self.epoch) and self.sequence >= 1

    @classmethod
    def parse(cls, text: str) -> "BatchId":
        """Raises ValueError when `text` is not `<epoch>/<sequence>`."""
        epoch, _, sequence = text.partition("/")
        if not epoch or not _is_count(sequence):
            raise ValueError(f"batch-id must be <epoch>/<sequence>, got {text[:80]!r}")
        return cls(epoch, int(sequence))

    @property
    def sparse(self) -> bool:
        """Whether numbers may be left out: a client counts all its batches, and not each has something for every partition."""
        return self.epoch.startswith(_OF_CLIENTS)

    @classmethod
    def of_client(cls, organization: str, epoch: str, sequence: int) -> "BatchId":
        """For a batch that a client numbers itself. No client can name an epoch of ours, or of another organization."""
        named = hashlib.blake2b(f"{organization}\0{epoch}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return cls(f"{_OF_CLIENTS}{named}", sequence)

    @classmethod
    def of_place(cls, identity: str, partition: int, offset: int) -> "BatchId":
        """For what is made from one message that has no sound id of its own: its place in the log, as an epoch of one batch.

        The same after every crash, and never part of a gap. `identity` is that of the log and topic (`Log.identity`).
        """
        return cls(hashlib.blake2b(f"{identity}\0{partition}\0{offset}".encode(), digest_size=16).hexdigest(), 1)


class Message(Struct, frozen=True, kw_only=True):
    """What a log carries: the bytes of one batch, for one partition of one topic."""

    topic: str
    partition: int
    batch_id: BatchId
    count: int
    value: bytes
    """NDJSON, `count` lines, each ended by a line feed; empty when the batch is empty."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers, such as `replay`."""
    key: str | None = None
    """Compacted topics only: which record this replaces."""

    def wire_headers(self) -> list[tuple[str, bytes]]:
        own = (("content-type", CONTENT_TYPE), ("batch-id", str(self.batch_id)), ("count", str(self.count)))
        return [(name, text.encode()) for name, text in (*own, *self.headers)]


class Record(Struct, frozen=True, kw_only=True):
    """A message at rest in a log: where it stands and when it was appended."""

    message: Message
    offset: int
    appended_at: float
    """Seconds since 1970."""

    @property
    def place(self) -> tuple[str, int]:
        return self.message.topic, self.message.partition


NO_BATCH = BatchId("", 0)
"""The id of a message whose headers do not tell: whoever reads it sees that it is not sound."""


class Batch(Struct, Generic[E], frozen=True, kw_only=True):
    """Events of one message, decoded."""

    id: BatchId
    partition: int
    events: tuple[E, ...]


class BadLine(Struct, frozen=True, kw_only=True):
    """A line of a message that is no event of its topic."""

    index: int
    error: str
    line: bytes


def encode_event(event: Event) -> bytes:
    """One line, without its line feed. Halves of surrogate pairs, which UTF-8 does not know, become question marks."""
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError:
        return _encoder.encode(_mended(msgspec.to_builtins(event)))


def _mended(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_mended(key): _mended(inner) for key, inner in value.items()}
        case _:
            return value


def message_of(topic: Topic, partition: int, batch_id: BatchId, events: Sequence[Event]) -> Message:
    """Raises nothing: an event is always encodable."""
    return message_of_lines(topic.name, partition, batch_id, [encode_event(event) for event in events])


def message_of_lines(topic: str, partition: int, batch_id: BatchId, lines: Sequence[bytes]) -> Message:
    """As `message_of`, for events that were encoded one by one."""
    value = b"\n".join([*lines, b""]) if lines else b""
    return Message(topic=topic, partition=partition, batch_id=batch_id, count=len(lines), value=value)


def headers_of(wire: Iterable[tuple[str, bytes | None]]) -> tuple[BatchId, int, tuple[tuple[str, str], ...]]:
    """Batch id, count and further headers of a message read from a log. Raises ValueError naming the header that is missing or wrong."""
    known: dict[str, str] = {}
    further: list[tuple[str, str]] = []
    for name, raw in wire:
        text = (raw or b"").decode("utf-8", "replace")  # a header may have no value (KIP-82)
        if name in {"content-type", "batch-id", "count"}:
            known[name] = text
        else:
            further.append((name, text))
    missing = {"batch-id", "count"} - known.keys()
    if missing:
        raise ValueError(f"message has no header {', '.join(sorted(missing))}")
    if not _is_count(known["count"]):
        raise ValueError(f"header count must be a number, got {known['count'][:40]!r}")
    return BatchId.parse(known["batch-id"]), int(known["count"]), tuple(further)


def record_of(
    topic: str,
    partition: int,
    offset: int,
    appended_at: float,
    headers: Iterable[tuple[str, bytes]],
    value: bytes | None,
    key: bytes | None = None,
) -> Record:
    """A message as it lay on a Kafka topic. One whose headers do not tell its batch keeps none of them, and `NO_BATCH`."""
    value = value or b""
    try:
        batch_id, count, further = headers_of(headers)
    except ValueError:
        batch_id, count, further = NO_BATCH, value.count(b"\n"), ()
    message = Message(
        topic=topic,
        partition=partition,
        batch_id=batch_id,
        count=count,
        value=value,
        headers=further,
        key=None if key is None else key.decode("utf-8", "replace"),
    )
    return Record(message=message, offset=offset, appended_at=appended_at)


def _is_count(text: str) -> bool:
    """Digits, of a number that any store can hold."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def decode(kind: type[E], message: Message) -> tuple[Batch[E], tuple[BadLine, ...]]:
    """The events of a message, and the lines that are none. Never raises for what the bytes hold."""
    decoder = _decoders[kind]
    events: list[E] = []
    bad: list[BadLine] = []
    for index, line in enumerate(lines_of(message.value)):
        try:
            events.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            bad.append(BadLine(index=index, error=str(error), line=line))
    return Batch(id=message.batch_id, partition=message.partition, events=tuple(events)), tuple(bad)


def lines_of(value: bytes) -> list[bytes]:
    return [line for line in value.split(b"\n") if line]


def header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a further header."""
    return next((text for key, text in headers if key == name), None)
