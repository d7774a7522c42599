"""How far the lake has come, and what it has seen: the rule that makes a row appear once.

A *position* is the offset to be read next, for each log, topic and partition. A *trace* is of the batch before it: by that the log is known
again. A *mark* is the highest batch number seen, for each producer's epoch, topic and partition: batches of one epoch first arrive in
order, so whatever is at or below the mark is a repeat. All three are Delta application transactions, in the same commit as the rows they
speak of. Positions and traces carry no time and never expire; marks carry one and expire by the table's
`delta.setTransactionRetentionDuration`.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from deltalake import DeltaTable, Transaction
from msgspec import Struct

from eventlog.codec import BatchId
from eventlog.port import Place
from storage.beginnings import trace_of


class Verdict(Enum):
    """What a message is to the lake."""

    NEW = "new"
    REPEAT = "repeat"
    AFTER_A_GAP = "after a gap"
    """New, but numbers before it never came."""


class Mark(Struct, frozen=True):
    """Whose batches, on which place."""

    epoch: str
    topic: str
    partition: int

    @property
    def app_id(self) -> str:
        return f"mark/{self.topic}/{self.partition}/{self.epoch}"


def position_id(identity: str, partition: int) -> str:
    return f"position/{identity}/{partition}"


def trace_id(identity: str, partition: int) -> str:
    return f"trace/{identity}/{partition}"


class Seen:
    """Positions and marks of one table, as of one snapshot and what was accepted since."""

    def __init__(self, snapshot: DeltaTable, identities: Mapping[str, str], dense: frozenset[str]) -> None:
        self._snapshot = snapshot
        self._identities = identities
        self._dense = dense
        self._marks: dict[Mark, int] = {}
        self._positions: dict[Place, int] = {}
        self._traces: dict[Place, int] = {}

    def position(self, place: Place) -> int | None:
        """The offset to be read next; None when this log's place was never read."""
        if place not in self._positions:
            found = self._snapshot.transaction_version(position_id(self._identities[place[0]], place[1]))
            if found is None:
                return None
            self._positions[place] = found
        return self._positions[place]

    def trace(self, place: Place) -> int | None:
        """Of the batch before the position; None when it is not known."""
        found = self._snapshot.transaction_version(trace_id(self._identities[place[0]], place[1]))
        return self._traces.get(place, found)

    def begin_at(self, place: Place, offset: int) -> None:
        """Reading begins there, whatever the snapshot says."""
        self._positions[place] = offset

    def judge(self, place: Place, offset: int, batch: BatchId) -> Verdict:
        """What the message at `offset` is, and remembers it. Raises OSError, DeltaError, and then remembers nothing."""
        reached = self.position(place)
        if reached is not None and offset < reached:
            return Verdict.REPEAT
        mark = Mark(batch.epoch, *place)
        highest = self._mark(mark)  # what reads the lake, and may fail, comes before what is remembered
        self._positions[place] = offset + 1
        self._traces[place] = trace_of(batch)
        if not self.is_first(mark, batch):
            return Verdict.REPEAT
        gap = highest is not None and batch.sequence > highest + 1 and place[0] in self._dense and not batch.sparse
        return Verdict.AFTER_A_GAP if gap else Verdict.NEW

    def is_first(self, mark: Mark, batch: BatchId) -> bool:
        """Whether it is above its mark, which it then moves."""
        highest = self._mark(mark)
        if highest is not None and batch.sequence <= highest:
            return False
        self._marks[mark] = batch.sequence
        return True

    def _mark(self, mark: Mark) -> int | None:
        known = self._marks.get(mark)
        return known if known is not None else self._snapshot.transaction_version(mark.app_id)

    def transactions(self, places: Iterable[Place], marks: Iterable[Mark], *, now: float) -> list[Transaction]:
        """What a commit that reaches this far says of itself. `now` is in seconds since 1970."""
        own = [(place, self._identities[place[0]]) for place in places]
        positions = [Transaction(position_id(identity, place[1]), self._positions[place]) for place, identity in own]
        traces = [Transaction(trace_id(identity, place[1]), self._traces[place]) for place, identity in own if place in self._traces]
        return positions + traces + [Transaction(mark.app_id, self._marks[mark], int(now * 1000)) for mark in marks]
