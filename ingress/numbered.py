"""Batches that a client numbers itself, which are in the lake once however often they are sent.

`Heliograph-Batch: <epoch>/<n>`. A client has one batch on its way; it sends it again, unchanged, until it has an answer. Its events go to
the log under the client's number, straight: only what the log itself has is acknowledged. Were one batch on the disk of this ingress and
the next on the log by way of another, the marks of the lake would take the first for a repeat.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from msgspec import Struct

from eventlog.bodies import without_body
from eventlog.codec import BatchId, Message, encode_event, message_of_lines
from eventlog.events import RequestReceived, ResponseCompleted
from eventlog.port import LogUnavailable, MessageTooLarge
from eventlog.topics import REQUESTS, RESPONSES, partition_of

log = structlog.get_logger()

HEADER = b"heliograph-batch"
_NUMBERED = re.compile(rb"([0-9a-f]{32})/([1-9][0-9]{0,14})")

Append = Callable[[Sequence[Message]], Awaitable[None]]
Event = RequestReceived | ResponseCompleted


class Numbered(Struct, frozen=True):
    """What a client calls a batch."""

    epoch: str
    """32 hex digits: one run of one logger."""
    number: int
    """From 1 on."""

    @classmethod
    def parse(cls, text: bytes) -> "Numbered":
        """Raises ValueError."""
        found = _NUMBERED.fullmatch(text.strip().lower())
        if found is None:
            raise ValueError("must be 32 hex digits, a slash and a number from 1 on, such as 0af7651916cd43dd8448eb211c80319c/7")
        return cls(found[1].decode(), int(found[2]))

    def chance(self, organization: str, line: int) -> str:
        """19 hex digits in the place of chance: the call of a line has the same id however often it is sent, and nobody else's has it."""
        drawn = f"{self.epoch}/{self.number}/{line}\0{organization}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(drawn, digest_size=10).hexdigest()[:19]


class TooMuch(Exception):
    """The batch is too large for the log: fewer lines would fit."""

    retryable = False


async def append_numbered(
    append: Append, batch: BatchId, events: Sequence[Event], partitions: int | Mapping[str, int], event_bytes: int
) -> bool:
    """Whether the log has it. An event of more than `event_bytes` goes without its body. Raises TooMuch."""
    lines: dict[tuple[str, int], list[bytes]] = {}
    for event in events:
        topic = (REQUESTS if isinstance(event, RequestReceived) else RESPONSES).name
        count = partitions if isinstance(partitions, int) else partitions[topic]
        line = encode_event(event)
        place = topic, partition_of(event.call.organization, event.call.request_id, count)
        lines.setdefault(place, []).append(line if len(line) <= event_bytes else without_body(topic, line))
    try:
        await append([message_of_lines(topic, partition, batch, own) for (topic, partition), own in lines.items()])
    except MessageTooLarge as error:
        raise TooMuch(str(error)) from error
    except LogUnavailable as error:
        log.warning("numbered_batch_not_taken", error=str(error))
        return False
    return True
