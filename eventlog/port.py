"""What any log must do. `EmbeddedLog` does it with SQLite on one machine; Kafka does it on many.

A log keeps messages in order within each (topic, partition) and numbers them by offset. Whoever reads keeps its own position;
a group's committed position is kept by the log for those who have nowhere better. The same contract
suite (`tests/eventlog/contract.py`) runs over every log.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from msgspec import Struct

from eventlog.codec import Message, Positions, Record

Place = tuple[str, int]
"""A partition of a topic."""


class Lying(Struct, frozen=True):
    """What a partition holds from some offset on."""

    first: int
    """The first offset that it retains."""
    at: int | None
    """The offset of the first message that lies there or after it; None when none does."""
    end: int
    """The offset behind its last one."""


class Span(NamedTuple):
    """The retained offsets of a partition: from `first` up to, not including, `next`."""

    first: int
    next: int


class Lag(Struct, frozen=True, kw_only=True):
    """How far a group is behind on one partition."""

    topic: str
    partition: int
    messages: int
    seconds: float
    """Age of the oldest message not yet committed; 0 when there is none."""


class LogUnavailable(Exception):
    """The log cannot take or give messages now; trying again later may work.

    Of a refused append the embedded log kept nothing. On Kafka, where partitions answer one by one, some of it may have been kept: whoever
    offers the same messages again gives them the same batch ids, by which readers tell a repeat.
    """

    retryable = True


class NotAcknowledged(LogUnavailable):
    """The cluster did not take all of an append in time. `left` did not surely arrive, in their order; the others did.

    `refused` are those of `left` that it will not take however often they are offered: they are too large for it.
    """

    def __init__(self, text: str, left: Sequence[Message], refused: Sequence[Message] = ()) -> None:
        super().__init__(text)
        self.left = tuple(left)
        self.refused = tuple(refused)


class MessageTooLarge(ValueError):
    """A message that the topics do not take. It was not sent, and nothing else of its append."""

    retryable = False

    def __init__(self, text: str, message: Message) -> None:
        super().__init__(text)
        self.message = message


class NotAssigned(ValueError):
    """A partition that this reader does not hold; on Kafka it may have held it a moment ago."""

    retryable = False


class OffsetOutOfRange(Exception):
    """The position asked for has expired or was never reached. The message names topic, partition, both offsets and the remedy."""

    retryable = False


class UnknownTopic(ValueError):
    """A topic that `eventlog.topics` does not declare, or a partition that it does not have: a fault of the caller."""

    retryable = False


class LogCorrupt(Exception):
    """The log is damaged, of another make, or of a version that this program does not read. The message names the file and the remedy."""

    retryable = False


class LogWriter(Protocol):
    """Appends messages. One writer may be used by one process; several processes may each have one."""

    async def append(self, messages: Sequence[Message]) -> None:
        """All or none of `messages`, in their order, durable on return. Raises LogUnavailable, UnknownTopic, MessageTooLarge."""
        ...

    async def close(self) -> None: ...


class Holder(Protocol):
    """Is told which partitions its reader holds, by a log that hands them around in a group.

    While either method runs, the reader gives no records of the partitions in question.
    """

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        """These partitions are the reader's now, and this is what the log retains of them.

        Answers where to begin; those left out begin where the group stands.
        """
        ...

    async def taken(self, places: frozenset[Place]) -> None:
        """These partitions go to another reader: what was read of them is to be finished or forgotten before this returns."""
        ...


class LogReader(Protocol):
    """Reads the partitions it was given, from the positions it was given, in order within each."""

    @property
    def assigned(self) -> frozenset[Place]:
        """The (topic, partition)s this reader holds now. On Kafka it changes with the group; embedded it never does."""
        ...

    async def poll(self, *, max_bytes: int, timeout: timedelta) -> list[Record]:
        """The next records, at most about `max_bytes` of them (at least one), waiting at most `timeout` for the first.

        Partitions take turns, so that a busy one never starves another. Raises LogUnavailable, OffsetOutOfRange.
        """
        ...

    def seek(self, positions: Positions) -> None:
        """The next poll continues from these offsets; partitions not named go on where they were. Raises NotAssigned."""
        ...

    async def commit(self, positions: Positions) -> None:
        """Remember for the group how far it has come: each offset is the next to be read. Durable on return.

        Raises LogUnavailable, and NotAssigned.
        """
        ...

    async def close(self) -> None: ...


class Log(Protocol):
    """A log as a whole."""

    def identity(self, topic: str) -> str:
        """Names this log and topic among all that ever were: a lake position is only good for the log it was made on."""
        ...

    def partitions(self, topic: str) -> int:
        """How many there are, numbered from 0. Raises UnknownTopic."""
        ...

    async def writer(self) -> LogWriter: ...

    async def reader(self, topics: Sequence[str], *, group: str, holder: Holder | None = None) -> LogReader:
        """A reader that starts at the group's committed positions, at the first message where it has none, or where its holder says.

        The holder was told of the first partitions when this returns. Raises UnknownTopic, LogUnavailable.
        """
        ...

    async def ends(self, topic: str) -> Mapping[int, int]:
        """For each partition the offset that the next message will get."""
        ...

    async def positions(self, group: str) -> Mapping[Place, int]:
        """Where the group stands, on the partitions that it has committed on. Raises LogUnavailable."""
        ...

    async def lag(self, group: str, topics: Sequence[str] = ()) -> list[Lag]:
        """For each partition that the group has committed on, and each of `topics`: how far it is behind."""
        ...

    async def close(self) -> None: ...
