"""Lines struck out of an embedded log. The message stays, with its batch id and its place, so nobody who reads it misses anything.

What was there is overwritten with zeros, in the file and in its write-ahead log.
"""

from collections.abc import Mapping, Sequence

from eventlog.codec import lines_of
from eventlog.embedded_file import LogFile
from eventlog.embedded_store import slot_of
from eventlog.port import Place

STEP_MESSAGES = 50
"""Written anew in one transaction: other writers wait that long."""

Struck = tuple[int, int, tuple[int, ...]]
"""An offset, how many lines its message had when they were looked at, and which of them go."""


def strike(file: LogFile, place: Place, messages: Sequence[Struck]) -> int:
    """Lines of messages of a place, but for messages that were forgotten, or struck, meanwhile. Blocks. Answers how many messages."""
    partition_id = file.partition_ids[place]
    struck = 0
    with file.writing() as db:
        db.execute("PRAGMA secure_delete = ON")
        for offset, whole, gone in messages:
            slot = slot_of(partition_id, offset)
            found = db.execute("SELECT value FROM messages WHERE slot = ?", (slot,)).fetchone()
            if found is None or len(lines := lines_of(found[0])) != whole:
                continue
            left = b"".join(line + b"\n" for index, line in enumerate(lines) if index not in gone)
            db.execute("UPDATE messages SET value = ?, count = ? WHERE slot = ?", (left, whole - len(gone), slot))
            db.execute("UPDATE partitions SET bytes = bytes - ? WHERE id = ?", (len(found[0]) - len(left), partition_id))
            struck += 1
    return struck


def steps(found: Mapping[Place, Sequence[Struck]]) -> list[tuple[Place, Sequence[Struck]]]:
    """What is struck at a time."""
    return [(place, struck[at : at + STEP_MESSAGES]) for place, struck in found.items() for at in range(0, len(struck), STEP_MESSAGES)]
