"""One table of the lake, as a sink holds it: what waits for its next commit, and that commit.

A commit is made on the snapshot that positions and marks were read from: Delta then refuses it when another sink was there in between. What
was waiting is judged again on the newest snapshot, never written blindly a second time. So a sink that lost its partitions without
noticing, because it stood still for a while, cannot write a row that another one wrote meanwhile.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError
from msgspec import Struct
from msgspec.structs import replace

from eventlog import codec
from eventlog.codec import BatchId, Message, Record
from eventlog.port import Place, Span
from eventlog.replay import revision_of
from storage import telemetry
from storage.amendments import Amended, Amendments
from storage.beginnings import Start, begin, trace_of
from storage.config import StorageConfig
from storage.holes import Holes
from storage.kinds import Kind
from storage.lake import Lake
from storage.letters import letter_of_unsound, letters_of
from storage.marks import Mark, Seen, Verdict
from storage.writing import HOOKS, append

log = structlog.get_logger()

IDLE_COMMIT_SECONDS = 30.0
"""Messages without rows move the position at the latest after this long."""


class Waiting(Struct):
    """A message that was accepted and is not committed yet."""

    place: Place
    offset: int
    batch_id: BatchId
    rows: list[Any] = []
    """None when the lake has them."""
    amended: Amended | None = None

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.rows) + (0 if self.amended is None else len(self.amended.calls))


def _nothing(_: Any) -> bool:
    return False


class TableSink:
    """One table: what waits for its next commit, and that commit. All methods block."""

    def __init__(
        self, lake: Lake, kind: Kind, identities: Mapping[str, str], clock: Callable[[], float], erased: Callable[[Any], bool] = _nothing
    ) -> None:
        self.kind = kind
        self._erased = erased
        self._lake = lake
        self._identities = identities
        self._clock = clock
        self._amendments = Amendments(lake, identities, clock)
        self._waiting: list[Waiting] = []
        self.letters: list[Message] = []
        """Dead letters that are to be on the log before what waits is committed."""
        self.pending_bytes = 0
        self.pending_since: float | None = None
        self._placed: set[Place] = set()
        """Where a reader was put since its last record: what comes first there may lie further on, if the log forgot what was between."""
        self._holes = Holes()
        self._told: set[Place] = set()
        """Of whose holes there was a warning: one of a transactional producer has thousands."""
        self._spans: dict[Place, Span] = {}
        self._expected: dict[Place, int] = {}
        """The trace of the batch that comes first."""
        self._anew: dict[Place, int] = {}
        """Where reading began again, until a commit says so too."""
        self._stale = False
        """What waits has still to be judged on the newest snapshot."""
        telemetry.expect(kind.table)
        self._load()

    def _load(self) -> None:
        """Begins at the newest snapshot.

        Until the next one, what is known of positions and marks stays true: whoever else moved those of our places had our commit refused.
        """
        self._snapshot = self._lake.table(self.kind.table)
        dense = frozenset(self.kind.events) if self.kind.dense else frozenset()
        self._seen = Seen(self._snapshot, self._identities, dense)
        self._rows = 0
        self._places: set[Place] = set()
        self._marks: set[Mark] = set()
        for place, offset in self._anew.items():
            self._seen.begin_at(place, offset)

    def position(self, place: Place) -> int | None:
        return self._seen.position(place)

    def hold(self, spans: Mapping[Place, Span], *, skip_expired: bool) -> dict[Place, int]:
        """A reader has these places: whatever other sinks wrote meanwhile is known from now on. Answers where it begins.

        Raises OffsetOutOfRange when the log no longer has what the lake needs next.
        """
        self._leave(spans)
        self._reload()
        found = {
            place: begin(place, self._seen.position(place), self._seen.trace(place), span, skip_expired=skip_expired)
            for place, span in spans.items()
        }
        self._spans.update(spans)
        for place, beginning in found.items():
            self._begin(place, beginning)
        return {place: beginning.offset for place, beginning in found.items()}

    def _begin(self, place: Place, beginning: Start) -> None:
        self._placed.add(place)
        topic, partition = place
        if beginning.expects is not None:
            self._expected[place] = beginning.expects
        if beginning.anew:
            self._anew[place] = beginning.offset
            self._seen.begin_at(place, beginning.offset)
        if beginning.lost:
            telemetry.EXPIRED.labels(self.kind.table).inc(beginning.lost)
            log.error("messages_expired_unread", table=self.kind.table, topic=topic, partition=partition, messages=beginning.lost)
        elif beginning.anew:
            log.warning("log_put_back", table=self.kind.table, topic=topic, partition=partition, begins_at=beginning.offset)

    def expects(self, place: Place) -> bool:
        """Whether what comes next there is the batch that the lake read last."""
        return place in self._expected

    def recognise(self, record: Record) -> int | None:
        """None when it is that batch. Else where reading has to begin again."""
        if self._expected.pop(record.place) == trace_of(self._batch_id(record)):
            self._placed.discard(record.place)
            return None
        first = self._spans[record.place].first
        self._waiting = [waiting for waiting in self._waiting if waiting.place != record.place]
        self._begin(record.place, Start(offset=first, anew=True))
        return first

    def _leave(self, places: Iterable[Place]) -> None:
        for place in places:
            for known in (self._spans, self._expected, self._anew):
                known.pop(place, None)
            self._holes.forget(place)

    def drop(self, places: frozenset[Place]) -> None:
        """Forgets what waits of these places: another sink reads it again. The lake is not needed for it."""
        self._leave(places)
        self._waiting = [waiting for waiting in self._waiting if waiting.place not in places]
        self._stale = True
        if not self._waiting:
            self.pending_bytes, self.pending_since = 0, None

    @property
    def pending_rows(self) -> int:
        return self._rows

    def accept(self, record: Record) -> int | None:
        """Takes a message in, unless the lake has it. Its bytes are let go: what waits is rows.

        Answers None, or where reading has to go on instead: this message does not follow on the last one, and others may be missing.
        """
        if self._stale:
            self._reload()
        if (missing := self._missing(record)) is not None:
            return missing
        message = record.message
        if self.pending_since is None:
            self.pending_since = self._clock()
        waiting = Waiting(record.place, record.offset, self._batch_id(record))
        is_new = self._is_new(waiting)
        self._waiting.append(waiting)
        if is_new:
            self._fill(waiting, record)
            self._rows += waiting.size
            self.pending_bytes += len(message.value)
        return None

    def pass_over(self, record: Record) -> None:
        """A message that comes again, because reading goes back."""
        self._holes.pass_over(record.place, record.offset)

    def _missing(self, record: Record) -> int | None:
        place, reached = record.place, self.position(record.place)
        if reached is not None and record.offset > reached and place not in self._placed:
            if not self._holes.known(place, reached, record.offset):
                self._holes.find(place, reached, record.offset)
                return reached
            telemetry.HOLES.labels(self.kind.table).inc(record.offset - reached)
            tell = log.debug if place in self._told else log.warning
            tell("offsets_without_message", topic=place[0], partition=place[1], first=reached, next=record.offset)
            self._told.add(place)
        self._placed.discard(place)
        return None

    def _batch_id(self, record: Record) -> BatchId:
        """A message that does not tell its batch is known by its place."""
        message = record.message
        if message.batch_id.sound:
            return message.batch_id
        return BatchId.of_place(self._identities[message.topic], message.partition, record.offset)

    def _is_new(self, waiting: "Waiting") -> bool:
        table = self.kind.table
        verdict = self._seen.judge(waiting.place, waiting.offset, waiting.batch_id)
        self._places.add(waiting.place)
        if verdict is Verdict.REPEAT:
            telemetry.REPEATS.labels(table).inc()
            return False
        self._marks.add(Mark(waiting.batch_id.epoch, *waiting.place))
        if verdict is Verdict.AFTER_A_GAP:
            telemetry.GAPS.labels(table).inc()
            topic, partition = waiting.place
            log.error("batches_missing", table=table, topic=topic, partition=partition, before=str(waiting.batch_id))
        return True

    def _fill(self, waiting: Waiting, record: Record) -> None:
        if not self.kind.takes(record.message):
            return
        rows, revision = self._rows_of(record), revision_of(record.message)
        if self.kind.amends and revision is not None:
            waiting.amended = Amended(waiting.place, waiting.batch_id, revision, tuple(rows))
        else:
            waiting.rows = rows

    def _rows_of(self, record: Record) -> list[Any]:
        """Lines that are no events become dead letters: a lake holds rows, not riddles. So do messages that nobody could know again."""
        if not record.message.batch_id.sound:
            self.letters += letter_of_unsound(record, self._identities[record.message.topic])
            return []
        batch, bad = codec.decode(self.kind.events[record.message.topic], record.message)
        if bad:
            self.letters += letters_of(record, bad, self._identities[record.message.topic])
        wrap = self.kind.wrap
        return [wrap(event) for event in batch.events] if wrap else list(batch.events)

    def due(self, config: StorageConfig, now: float) -> bool:
        """Whether what waits should be committed now."""
        if self.pending_since is None:
            return False
        age = now - self.pending_since
        if not self._rows:
            return age >= IDLE_COMMIT_SECONDS
        return age >= config.flush_seconds or self._rows >= config.flush_rows

    def commit(self) -> dict[Place, int]:
        """Writes what waits, with positions and marks, in one commit. After a conflict it is judged again on the newest snapshot.

        Answers the positions that were reached.
        """
        reached: dict[Place, int] = {}
        while self._waiting:
            if self._stale:
                self._reload()
            began = time.monotonic()
            try:
                self._write()
            except CommitFailedError:
                telemetry.CONFLICTS.labels(self.kind.table).inc()
                log.warning("sink_conflict", table=self.kind.table, waiting=len(self._waiting))
                self._stale = True
                continue
            telemetry.committed(self.kind.table, sum(len(waiting.rows) for waiting in self._waiting), time.monotonic() - began)
            self._waiting, self.pending_bytes, self.pending_since = [], 0, None
            self._anew = {place: offset for place, offset in self._anew.items() if place not in self._places}
            reached = {place: offset for place in self._places if (offset := self.position(place)) is not None}
            self._rows, self._places, self._marks = 0, set(), set()
        return reached

    def _reload(self) -> None:
        """On a newer snapshot a message can become a repeat, and a repeat stays one. Where the lake fails halfway, all is judged again."""
        self._stale = True
        self._load()
        if not self._waiting:
            self.pending_bytes, self.pending_since = 0, None
        for waiting in self._waiting:
            if not self._is_new(waiting):
                waiting.rows, waiting.amended = [], None
            self._rows += waiting.size
        self._stale = False

    def _leave_out_erased(self) -> None:
        """As late as can be: what was erased since it was read is left out too."""
        for waiting in self._waiting:
            size = waiting.size
            waiting.rows = [row for row in waiting.rows if not self._erased(row)]
            if (amended := waiting.amended) is not None:
                waiting.amended = replace(amended, calls=tuple(call for call in amended.calls if not self._erased(call)))
            if size > waiting.size:
                telemetry.ERASED.labels(self.kind.table).inc(size - waiting.size)

    def _write(self) -> None:
        self._leave_out_erased()
        self._amendments.write([waiting.amended for waiting in self._waiting if waiting.amended is not None])
        rows = [row for waiting in self._waiting for row in waiting.rows]
        properties = CommitProperties(
            app_transactions=self._seen.transactions(self._places, self._marks, now=self._clock()),
            max_commit_retries=5,
        )
        if rows:
            append(self._snapshot, self.kind.rows(rows), properties)
        else:
            self._snapshot.create_write_transaction(
                [], "append", self._snapshot.schema(), ["day"], commit_properties=properties, post_commithook_properties=HOOKS
            )
            self._snapshot.update_incremental()  # unlike a write, this leaves the snapshot where it was
