"""Lines struck out of an embedded log. The message stays, with its batch id and its place, so nobody who reads it misses anything.

What was there is overwritten with zeros, in the file and in its write-ahead log.
"""

from collections.abc import Mapping, Sequence

from eventlog.embedded_file import LogFile
from eventlog.embedded_store import slot_of
from eventlog.port import Place

STEP_MESSAGES = 50
"""Written anew in one transaction: other writers wait that long."""

Kept = tuple[int, int, bytes]
"""An offset, how many lines its message keeps, and those lines."""


def strike(file: LogFile, place: Place, messages: Sequence[Kept]) -> int:
    """Messages of a place with fewer lines, but those that the log has forgotten meanwhile. Blocks. Answers how many there were."""
    partition_id = file.partition_ids[place]
    struck = 0
    with file.writing() as db:
        db.execute("PRAGMA secure_delete = ON")
        for offset, count, value in messages:
            slot = slot_of(partition_id, offset)
            before = db.execute("SELECT length(value) FROM messages WHERE slot = ?", (slot,)).fetchone()
            if before is None:
                continue
            db.execute("UPDATE messages SET value = ?, count = ? WHERE slot = ?", (value, count, slot))
            db.execute("UPDATE partitions SET bytes = bytes - ? WHERE id = ?", (before[0] - len(value), partition_id))
            struck += 1
    return struck


def steps(found: Mapping[Place, Sequence[Kept]]) -> list[tuple[Place, Sequence[Kept]]]:
    """What is struck at a time."""
    return [(place, kept[at : at + STEP_MESSAGES]) for place, kept in found.items() for at in range(0, len(kept), STEP_MESSAGES)]
