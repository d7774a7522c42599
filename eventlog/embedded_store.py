"""What an embedded log does to its file: append, read, remember, measure. Blocking functions of an open `LogFile`."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from eventlog.codec import BatchId, Message, Positions, Record
from eventlog.embedded_file import LogFile
from eventlog.port import Lag, OffsetOutOfRange, Place, Span, UnknownTopic
from eventlog.topics import TOPICS

OVERHEAD_BYTES = 128
"""What a message counts for beside its value, so that many empty ones have a size too."""

MESSAGE_LIMIT = 512 << 20
"""SQLite holds at most 1 GB in a row."""

_OFFSET_BITS = 40

_headers_encoder = msgspec.json.Encoder()
_headers_decoder = msgspec.json.Decoder(tuple[tuple[str, str], ...])


Columns = tuple[str, int, int, str | None, bytes | None, bytes]
"""Of a message: epoch, sequence, count, key, headers, value."""


class Row(NamedTuple):
    """A message, ready to be inserted: whatever could be wrong with it was found."""

    place: Place
    columns: Columns
    size: int


class Held(NamedTuple):
    """What a log retains, of all topics and partitions."""

    messages: int
    bytes: int


def slot_of(partition_id: int, offset: int) -> int:
    """Where a message lies. Each partition has 2^40 slots: 34 years of a thousand messages a second."""
    return partition_id << _OFFSET_BITS | offset


def offset_of(slot: int) -> int:
    return slot & ((1 << _OFFSET_BITS) - 1)


def row_of(message: Message, partitions: int) -> Row:
    """Raises UnknownTopic, and ValueError for a message that no log of this kind can hold."""
    check_place(message.topic, message.partition, partitions)
    if message.key is None and TOPICS[message.topic].compacted:
        raise ValueError(f"{message.topic} is compacted: a message needs a key")
    if len(message.value) > MESSAGE_LIMIT:
        raise ValueError(f"a message of {len(message.value)} bytes is above the limit of {MESSAGE_LIMIT}")
    if not 0 <= message.batch_id.sequence < 1 << 63:
        raise ValueError(f"a batch's sequence must fit 63 bits, got {message.batch_id.sequence}")
    headers = _headers_encoder.encode(message.headers) if message.headers else None
    batch = message.batch_id
    f"{batch.epoch}{message.key}".encode()  # text that is no Unicode fails here, not in a transaction shared with others
    columns = (batch.epoch, batch.sequence, message.count, message.key, headers, message.value)
    return Row((message.topic, message.partition), columns, len(message.value) + OVERHEAD_BYTES)


def check_place(topic: str, partition: int, partitions: int) -> None:
    if topic not in TOPICS:
        raise UnknownTopic(f"no topic is named {topic!r}; eventlog/topics.py declares them all")
    if not 0 <= partition < partitions:
        raise UnknownTopic(f"{topic} has no partition {partition}, only 0..{partitions - 1}")


def append(file: LogFile, rows: Sequence[Row], now: float) -> None:
    """All of `rows` or none, in their order. Raises LogUnavailable."""
    with file.writing() as db:
        nexts: dict[int, int] = dict(db.execute("SELECT id, next FROM partitions"))
        sizes: dict[int, int] = {}
        values = []
        for row in rows:
            partition_id = file.partition_ids[row.place]
            offset = nexts[partition_id]
            values.append((slot_of(partition_id, offset), now, *row.columns))
            nexts[partition_id] = offset + 1
            sizes[partition_id] = sizes.get(partition_id, 0) + row.size
        db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        grown = [(nexts[partition_id], size, partition_id) for partition_id, size in sizes.items()]
        db.executemany("UPDATE partitions SET next = ?, bytes = bytes + ? WHERE id = ?", grown)


def read(file: LogFile, wanted: Sequence[tuple[Place, int]], max_bytes: int) -> list[Record]:
    """Records from each wanted offset on, about `max_bytes` together, at least one if there is any.

    Whoever stands first in `wanted` is served first; each gets at most its share of what is left. Raises OffsetOutOfRange.
    """
    records: list[Record] = []
    with file.reading():
        spans = _spans(file)
        for waiting, (place, offset) in zip(range(len(wanted), 0, -1), wanted, strict=True):
            span = spans[file.partition_ids[place]]
            _check_offset(place, offset, span)
            if offset < span.next:
                got, size = _read_place(file, place, offset, span.next, max_bytes // waiting, at_least_one=not records)
                records += got
                max_bytes -= size
    return records


def _read_place(file: LogFile, place: Place, offset: int, end: int, budget: int, *, at_least_one: bool) -> tuple[list[Record], int]:
    partition_id = file.partition_ids[place]
    rows = file.db.execute(
        "SELECT slot, appended_at, epoch, sequence, count, key, headers, value FROM messages WHERE slot >= ? AND slot < ? ORDER BY slot",
        (slot_of(partition_id, offset), slot_of(partition_id, end)),
    )
    records: list[Record] = []
    used = 0
    for slot, appended_at, *columns in rows:
        size = len(columns[-1]) + OVERHEAD_BYTES
        if used + size > budget and (records or not at_least_one):
            break
        records.append(_record(place, slot, appended_at, columns))
        used += size
    rows.close()
    return records, used


def _record(place: Place, slot: int, appended_at: float, columns: Sequence[Any]) -> Record:
    epoch, sequence, count, key, headers, value = columns
    message = Message(
        topic=place[0],
        partition=place[1],
        batch_id=BatchId(epoch, sequence),
        count=count,
        value=value,
        headers=_headers_decoder.decode(headers) if headers else (),
        key=key,
    )
    return Record(message=message, offset=offset_of(slot), appended_at=appended_at)


def _check_offset(place: Place, offset: int, span: Span) -> None:
    if span.first <= offset <= span.next:
        return
    topic, partition = place
    fault = "has expired" if offset < span.first else "was never reached"
    raise OffsetOutOfRange(
        f"{topic} partition {partition}: offset {offset} {fault}, the log holds {span.first} up to {span.next};"
        f" seek to {span.first} to read what is left"
    )


def _spans(file: LogFile) -> dict[int, Span]:
    return {partition_id: Span(first, after) for partition_id, first, after in file.db.execute("SELECT id, first, next FROM partitions")}


def commit(file: LogFile, group: str, positions: Positions) -> None:
    rows = [(group, file.partition_ids[place], offset) for place, offset in positions.items()]
    with file.writing() as db:
        db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)


def starting_positions(file: LogFile, group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Where the group stands on each place; the first retained message where it never committed."""
    with file.reading():
        committed = _committed(file, group)
        spans = _spans(file)
    ids = {place: file.partition_ids[place] for place in places}
    return {place: committed.get(partition_id, spans[partition_id].first) for place, partition_id in ids.items()}


def positions(file: LogFile, group: str) -> dict[Place, int]:
    """Where the group stands on the places that it has committed on."""
    committed = _committed(file, group)
    return {place: committed[known] for place, known in file.partition_ids.items() if known in committed}


def spans(file: LogFile, places: Iterable[Place]) -> dict[Place, Span]:
    with file.reading():
        found = _spans(file)
    return {place: found[file.partition_ids[place]] for place in places}


def read_by(file: LogFile, groups: Sequence[str], topic: str) -> dict[int, int]:
    """For each partition the offset that all of `groups` have committed; the first one left where one of them never did."""
    with file.reading():
        spans = _spans(file)
        committed = [_committed(file, group) for group in groups]
    known = {partition: each for (name, partition), each in file.partition_ids.items() if name == topic}
    return {partition: min([each.get(known_id, spans[known_id].first) for each in committed]) for partition, known_id in known.items()}


def ends(file: LogFile, topic: str) -> dict[int, int]:
    with file.reading():
        spans = _spans(file)
    return {partition: spans[known].next for (name, partition), known in file.partition_ids.items() if name == topic}


def held(file: LogFile) -> Held:
    """Of topics that are not declared any more too."""
    messages, size = file.db.execute("SELECT COALESCE(sum(next - first), 0), COALESCE(sum(bytes), 0) FROM partitions").fetchone()
    return Held(messages, size)


def lag(file: LogFile, group: str, topics: Sequence[str], now: float) -> list[Lag]:
    """Of every partition the group has committed on, and all partitions of `topics`."""
    with file.reading():
        committed = _committed(file, group)
        spans = _spans(file)
        return [
            _lag(file, place, spans[known], committed.get(known, spans[known].first), now)
            for place, known in file.partition_ids.items()
            if known in committed or place[0] in topics
        ]


def _lag(file: LogFile, place: Place, span: Span, position: int, now: float) -> Lag:
    start = max(position, span.first)
    partition_id = file.partition_ids[place]
    oldest = file.db.execute(
        "SELECT appended_at FROM messages WHERE slot >= ? AND slot < ? ORDER BY slot LIMIT 1",
        (slot_of(partition_id, start), slot_of(partition_id, span.next)),
    ).fetchone()
    seconds = max(0.0, now - oldest[0]) if oldest else 0.0
    return Lag(topic=place[0], partition=place[1], messages=max(0, span.next - start), seconds=seconds)


def _committed(file: LogFile, group: str) -> dict[int, int]:
    return dict(file.db.execute("SELECT partition, next FROM positions WHERE reader = ?", (group,)).fetchall())
