"""What people decided, such as keys: records of the compacted control topic, and what they come to.

Each record replaces the one before of the same key; an empty one takes it away. Whoever needs to know follows the topic from its first
record, and has a copy on disk for the time when the log is away.
"""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import msgspec
import structlog

from eventlog.codec import BatchId, Message, Record
from eventlog.keys import ApiKey, Keys
from eventlog.port import Log
from eventlog.topics import CONTROL

Decision = ApiKey
"""Whatever may be decided. Unknown kinds, of a later version, are passed over."""

log = structlog.get_logger()

_decoder = msgspec.json.Decoder(Decision)


def key_of(decision: Decision) -> str:
    """What a later decision has to bear to take its place."""
    return f"api-key/{decision.id}"


class Decided:
    """All that counts now. `changes` counts how often that changed."""

    def __init__(self) -> None:
        self._decisions: dict[str, Decision] = {}
        self.keys: Keys = {}
        self.changes = 0

    @property
    def decisions(self) -> list[Decision]:
        return list(self._decisions.values())

    def take(self, records: Iterable[Record]) -> None:
        """What these records decide, in their order."""
        self._put(dict(self._decisions), records)

    def begin(self, records: Iterable[Record]) -> None:
        """The same, and what was known before counts no more: these are all there are."""
        self._put({}, records)

    def _put(self, known: dict[str, Decision], records: Iterable[Record]) -> None:
        for record in records:
            key, value = record.message.key or "", record.message.value
            if not value.strip():
                known.pop(key, None)
                continue
            try:
                known[key] = _decoder.decode(value)
            except msgspec.DecodeError as error:
                log.warning("decision_not_understood", key=key, offset=record.offset, error=str(error))
        self.replace(known)

    def replace(self, known: dict[str, Decision]) -> None:
        if known != self._decisions:
            self._decisions = known
            self.keys = {each.digest: each for each in known.values() if isinstance(each, ApiKey)}
            self.changes += 1


async def decide(log_: Log, decisions: Iterable[Decision]) -> None:
    """Writes them on the topic; they count when this returns. Raises LogUnavailable."""
    await _write(log_, {key_of(each): msgspec.json.encode(each) + b"\n" for each in decisions})


async def _write(log_: Log, values: dict[str, bytes]) -> None:
    partitions, epoch = log_.partitions(CONTROL.name), secrets.token_hex(16)
    numbers: dict[int, int] = {}
    messages = []
    for key, value in values.items():
        partition = crc32(key.encode()) % partitions
        numbers[partition] = numbers.get(partition, 0) + 1
        batch_id = BatchId(epoch, numbers[partition])
        messages.append(Message(topic=CONTROL.name, partition=partition, batch_id=batch_id, count=1, value=value, key=key))
    writer = await log_.writer()
    try:
        await writer.append(messages)
    finally:
        await writer.close()


def remember(file: Path, decided: Decided) -> None:
    """Keeps a copy that only its owner may read: digests are no keys, but nobody else needs them. A disk that is full keeps the old one."""
    fresh = file.with_suffix(f".{secrets.token_hex(4)}")
    with suppress(OSError):
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(decided.decisions))
        fresh.replace(file)
        return
    with suppress(OSError):
        fresh.unlink()


def recall(file: Path, decided: Decided) -> bool:
    """Whether there was a copy, of which `decided` knows now."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=list[Decision])
    except (OSError, msgspec.DecodeError):
        return False
    decided.replace({key_of(each): each for each in found})
    return True
