"""What an embedded log forgets, and how it gives the space back. Blocking functions of an open `LogFile`.

Everything goes in small steps, each its own transaction, so that no writer waits long. A step returns how much it did; 0 means done.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import NamedTuple

from eventlog.embedded_file import LogFile
from eventlog.embedded_store import OVERHEAD_BYTES, offset_of, slot_of

STEP_MESSAGES = 200
STEP_BYTES = 2 << 20
STEP_PAGES = 64
SLACK_PAGES = 256
"""Free pages that are kept for the next messages (4 MiB): giving back and growing again would cost more."""

Limits = Mapping[int, int]
"""For each partition the offset at and above which everything stays."""


class Head(NamedTuple):
    """One of the oldest messages of a partition."""

    slot: int
    appended_at: float
    size: int


class Kept(NamedTuple):
    """What a partition of a topic retains, and the first row that must stay whatever its age."""

    partition_id: int
    first: int
    bytes: int
    limit: int


def too_old(heads: Sequence[Head], horizon: float) -> int:
    """How many of `heads`, from the oldest on, were appended before `horizon`."""
    return next((index for index, head in enumerate(heads) if head.appended_at >= horizon), len(heads))


def too_much(heads: Sequence[Head], excess: int) -> int:
    """How many of `heads`, from the oldest on, must go so that `excess` bytes are gone."""
    for index, head in enumerate(heads):
        if excess <= 0:
            return index
        excess -= head.size
    return len(heads)


def drop_old(file: LogFile, topic: str, through: Limits, horizon: float) -> int:
    """One step of forgetting what was appended before `horizon` (seconds since 1970). Returns how many messages went."""
    with file.writing():
        for kept in _kept(file, topic, through):
            heads = _heads(file, kept)
            if dropped := _drop(file, kept, heads[: too_old(heads, horizon)]):
                return dropped
    return 0


def drop_excess(file: LogFile, topic: str, through: Limits, max_bytes: int) -> int:
    """One step of forgetting the oldest messages of a topic that holds more than `max_bytes`. Returns how many messages went."""
    with file.writing():
        places = _kept(file, topic, through)
        excess = sum(kept.bytes for kept in places) - max_bytes
        if excess <= 0:
            return 0
        heads = {kept: _heads(file, kept) for kept in places}
        oldest = _one_step(merge(*heads.values(), key=lambda head: head.appended_at))
        doomed = set(oldest[: too_much(oldest, excess)])
        return sum(_drop(file, kept, [head for head in own if head in doomed]) for kept, own in heads.items())


def drop_replaced(file: LogFile, topic: str, through: Limits) -> int:
    """One step of forgetting messages of a compacted topic whose key has a newer message. Returns how many went."""
    # What was replaced stays replaced, so the search need not hold up the writers; only its outcome does.
    with file.reading():
        found = next(((kept, slots) for kept in _kept(file, topic, through) if (slots := _replaced(file, kept))), None)
    if found is None:
        return 0
    kept, replaced = found
    with file.writing() as db:
        gone = [row for slot in replaced for row in db.execute("DELETE FROM messages WHERE slot = ? RETURNING length(value)", slot)]
        size = sum(length + OVERHEAD_BYTES for (length,) in gone)
        db.execute("UPDATE partitions SET bytes = bytes - ? WHERE id = ?", (size, kept.partition_id))
    return len(replaced)


def _replaced(file: LogFile, kept: Kept) -> list[tuple[int]]:
    """Slots of some messages that have a newer one of the same key."""
    return file.db.execute(
        "SELECT slot FROM messages m WHERE slot >= ? AND slot < ? AND EXISTS"
        " (SELECT 1 FROM messages n WHERE n.key = m.key AND n.slot > m.slot AND n.slot < ?) ORDER BY slot LIMIT ?",
        (slot_of(kept.partition_id, 0), kept.limit, slot_of(kept.partition_id + 1, 0), STEP_MESSAGES),
    ).fetchall()


def give_back(file: LogFile) -> int:
    """One step of returning free pages to the file system. Returns how many pages went."""
    pages = min(STEP_PAGES, file.free_pages() - SLACK_PAGES)
    if pages <= 0:
        return 0
    file.vacuum(pages)
    return pages


def _kept(file: LogFile, topic: str, through: Limits) -> list[Kept]:
    rows = file.db.execute("SELECT id, partition, first, next, bytes FROM partitions WHERE topic = ? ORDER BY id", (topic,))
    return [
        Kept(partition_id, first, size, slot_of(partition_id, min(max(0, through.get(partition, 0)), after)))
        for partition_id, partition, first, after, size in rows
    ]


def _heads(file: LogFile, kept: Kept) -> list[Head]:
    """The oldest messages that may go, as many as one step may drop."""
    rows = file.db.execute(
        "SELECT slot, appended_at, length(value) FROM messages WHERE slot >= ? AND slot < ? ORDER BY slot LIMIT ?",
        (slot_of(kept.partition_id, kept.first), kept.limit, STEP_MESSAGES),
    )
    heads = _one_step(Head(slot, appended_at, length + OVERHEAD_BYTES) for slot, appended_at, length in rows)
    rows.close()
    return heads


def _one_step(heads: Iterable[Head]) -> list[Head]:
    """As many as one step may drop, at least one."""
    some: list[Head] = []
    room = STEP_BYTES
    for head in islice(heads, STEP_MESSAGES):
        some.append(head)
        room -= head.size
        if room <= 0:
            break
    return some


def _drop(file: LogFile, kept: Kept, doomed: Sequence[Head]) -> int:
    if not doomed:
        return 0
    file.db.execute("DELETE FROM messages WHERE slot >= ? AND slot <= ?", (doomed[0].slot, doomed[-1].slot))
    file.db.execute(
        "UPDATE partitions SET first = ?, bytes = bytes - ? WHERE id = ?",
        (offset_of(doomed[-1].slot) + 1, sum(head.size for head in doomed), kept.partition_id),
    )
    return len(doomed)
