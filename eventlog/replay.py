"""Events sent through once more, on purpose: what comes of them replaces what came of them before.

Such messages carry the header `replay`, the revision that their rows get, and come from a producer of their own. By their batch ids the
lake takes them for new, and by the header it knows that their rows replace others.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from msgspec.structs import replace

from eventlog.codec import BatchId, Message, header, message_of_lines
from eventlog.port import Place

HEADER = "replay"
BODIES = "bodies"
MISSING = "missing"
"""The value of the header `bodies` where the lake has none of these events' bodies."""
MESSAGE_BYTES = 900_000
MESSAGE_LINES = 500

LAST_REVISION = 2**31 - 1


def revision_of(message: Message) -> int | None:
    """Which revision the rows of a message get; None when it is no replay. A header that says nothing sensible counts as 1."""
    text = header(message.headers, HEADER)
    if text is None:
        return None
    revision = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 1
    return min(max(revision, 1), LAST_REVISION)


class Replays:
    """A producer of replays, one run of one process. `epoch` is 32 hex digits drawn for it."""

    def __init__(self, epoch: str, revision: int) -> None:
        self._epoch = epoch
        self._revision = revision
        self._sequences: dict[Place, Iterator[int]] = {}

    def messages(self, place: Place, lines: Iterable[bytes], *, without_bodies: bool = False) -> list[Message]:
        """Encoded events of one place as messages, none too large unless an event alone is. `without_bodies`: the lake has none of them."""
        headers = ((HEADER, str(self._revision)), *(((BODIES, MISSING),) if without_bodies else ()))
        return [self._message(place, part, headers) for part in _parts(lines)]

    def _message(self, place: Place, lines: Sequence[bytes], headers: tuple[tuple[str, str], ...]) -> Message:
        sequence = next(self._sequences.setdefault(place, count(1)))
        return replace(message_of_lines(*place, BatchId(self._epoch, sequence), lines), headers=headers)


def _parts(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and (size + len(line) > MESSAGE_BYTES or len(part) >= MESSAGE_LINES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line) + 1
    if part:
        yield part


def brings_bodies(message: Message) -> bool:
    """Whether the bodies of a message belong into the lake: of a replay, only those that it lacks."""
    return header(message.headers, HEADER) is None or header(message.headers, BODIES) == MISSING
