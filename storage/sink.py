"""Events come to rest: batches off the log, rows into the lake, each exactly once.

A commit is made on the snapshot that positions and marks were read from: Delta then refuses it when another sink was there in between. What
was waiting is judged again on the newest snapshot, never written blindly a second time. So a sink that lost its partitions without
noticing, because it stood still for a while, cannot write a row that another one wrote meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ParamSpec

import pyarrow as pa
import structlog
from deltalake import CommitProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from msgspec import Struct

from eventlog import codec
from eventlog.codec import BatchId, Message, Positions, Record
from eventlog.events import CallPriced, DeadLetter, Event, FeedbackGiven, RequestReceived, ResponseCompleted
from eventlog.port import Log, LogReader, LogUnavailable, LogWriter, NotAssigned, Place, Span
from eventlog.replay import brings_bodies, revision_of
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from storage import telemetry
from storage.amendments import Amended, Amendments
from storage.beginnings import Beginning, begin, trace_of
from storage.config import StorageConfig
from storage.lake import Lake
from storage.letters import letter_of_unsound, letters_of
from storage.marks import Mark, Seen, Verdict
from storage.rows import Assemble, BodyRow, bodies_table, calls_table, dead_letters_table, feedback_table
from storage.writing import HOOKS, WRITING

log = structlog.get_logger()

P = ParamSpec("P")

GROUP = "sink"
POLL_BYTES = 4 << 20
IDLE_COMMIT_SECONDS = 30.0
"""Messages without rows move the position at the latest after this long."""
RETRY_SECONDS = 0.5
LAKE_RETRY_SECONDS = 2.0


class OffsetsMissing(Exception):
    """A message came that does not follow on the last one. Begun anew from the lake's position, the reader finds what was left out."""

    retryable = True


class Kind(Struct, frozen=True, kw_only=True):
    """What a table is made of: its topics, the event of each, and how its rows become Arrow."""

    table: str
    events: Mapping[str, type[Event]]
    rows: Callable[[Sequence[Any]], pa.Table]
    wrap: Callable[[Any], Any] | None = None
    dense: bool = True
    """Its producers number every batch on these topics: a missing number is a loss."""
    takes: Callable[[Message], bool] = lambda _: True
    """Whether a message makes rows of this table."""
    amends: bool = False
    """A replayed message replaces rows instead of adding some."""


def kinds(assemble: Assemble) -> list[Kind]:
    """The tables that a sink fills."""
    return [
        Kind(table="calls", events={CALLS.name: CallPriced}, rows=calls_table, amends=True),
        Kind(
            table="bodies",
            events={REQUESTS.name: RequestReceived, RESPONSES.name: ResponseCompleted},
            rows=bodies_table,
            wrap=lambda event: BodyRow(event, assemble),
            takes=brings_bodies,
        ),
        Kind(table="feedback", events={FEEDBACK.name: FeedbackGiven}, rows=feedback_table),
        Kind(table="dead_letters", events={DEAD_LETTERS.name: DeadLetter}, rows=dead_letters_table, dense=False),
    ]


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


class TableSink:
    """One table: what waits for its next commit, and that commit. All methods block."""

    def __init__(self, lake: Lake, kind: Kind, identities: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.kind = kind
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
        self._spans: dict[Place, Span] = {}
        self._expected: dict[Place, int] = {}
        """The trace of the batch that comes first."""
        self._anew: dict[Place, int] = {}
        """Where reading began again, until a commit says so too."""
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

    def _begin(self, place: Place, beginning: Beginning) -> None:
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
        self._begin(record.place, Beginning(offset=first, anew=True))
        return first

    def _leave(self, places: Iterable[Place]) -> None:
        for place in places:
            for known in (self._spans, self._expected, self._anew):
                known.pop(place, None)

    def drop(self, places: frozenset[Place]) -> None:
        """Forgets what waits of these places: another sink reads it again."""
        self._leave(places)
        self._waiting = [waiting for waiting in self._waiting if waiting.place not in places]
        self._reload()

    @property
    def pending_rows(self) -> int:
        return self._rows

    def accept(self, record: Record) -> None:
        """Takes a message in, unless the lake has it. Its bytes are let go: what waits is rows."""
        self._check_follows(record)
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

    def _check_follows(self, record: Record) -> None:
        reached = self.position(record.place)
        if reached is not None and record.offset > reached and record.place not in self._placed:
            topic, partition = record.place
            raise OffsetsMissing(f"{topic} partition {partition}: offset {record.offset} came, and {reached} is to be read next")
        self._placed.discard(record.place)

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

    def commit(self) -> None:
        """Writes what waits, with positions and marks, in one commit. After a conflict it is judged again on the newest snapshot."""
        while self._waiting:
            began = time.monotonic()
            try:
                self._write()
            except CommitFailedError:
                telemetry.CONFLICTS.labels(self.kind.table).inc()
                log.warning("sink_conflict", table=self.kind.table, waiting=len(self._waiting))
                self._reload()
                continue
            telemetry.committed(self.kind.table, sum(len(waiting.rows) for waiting in self._waiting), time.monotonic() - began)
            self._waiting, self.pending_bytes, self.pending_since = [], 0, None
            self._anew = {place: offset for place, offset in self._anew.items() if place not in self._places}
            self._rows, self._places, self._marks = 0, set(), set()

    def _reload(self) -> None:
        """On a newer snapshot a message can become a repeat, and a repeat stays one."""
        self._load()
        if not self._waiting:
            self.pending_bytes, self.pending_since = 0, None
        for waiting in self._waiting:
            if not self._is_new(waiting):
                waiting.rows, waiting.amended = [], None
            self._rows += waiting.size

    def _write(self) -> None:
        self._amendments.write([waiting.amended for waiting in self._waiting if waiting.amended is not None])
        rows = [row for waiting in self._waiting for row in waiting.rows]
        properties = CommitProperties(
            app_transactions=self._seen.transactions(self._places, self._marks, now=self._clock()),
            max_commit_retries=5,
        )
        if rows:
            write_deltalake(
                self._snapshot,
                self.kind.rows(rows),
                mode="append",
                commit_properties=properties,
                post_commithook_properties=HOOKS,
                writer_properties=WRITING,
            )
        else:
            self._snapshot.create_write_transaction(
                [], "append", self._snapshot.schema(), ["day"], commit_properties=properties, post_commithook_properties=HOOKS
            )
            self._snapshot.update_incremental()  # unlike a write, this leaves the snapshot where it was


class Sink:
    """All tables of a lake, fed from one reader."""

    def __init__(self, events: Log, lake: Lake, config: StorageConfig, *, assemble: Assemble, clock: Callable[[], float]) -> None:
        self._log = events
        self._config = config
        self._clock = clock
        made = kinds(assemble)
        identities = {topic: events.identity(topic) for kind in made for topic in kind.events}
        self.tables = [TableSink(lake, kind, identities, clock) for kind in made]
        self._again: dict[Place, int] = {}
        self._by_topic = {topic: table for table in self.tables for topic in table.kind.events}

    @property
    def topics(self) -> list[str]:
        return list(self._by_topic)

    def positions(self, places: Iterable[Place]) -> dict[Place, int]:
        """Where the lake says reading goes on; places it never read are left out."""
        found = {place: self._by_topic[place[0]].position(place) for place in places}
        return {place: offset for place, offset in found.items() if offset is not None}

    def hold(self, spans: Mapping[Place, Span]) -> dict[Place, int]:
        """These places are ours to read from now on. Answers where to begin: where the lake is, or at the first message.

        Raises OffsetOutOfRange when the log no longer has what the lake needs next.
        """
        begins: dict[Place, int] = {}
        for table in self.tables:
            own = {place: span for place, span in spans.items() if place[0] in table.kind.events}
            if own:
                begins |= table.hold(own, skip_expired=self._config.skip_expired)
        return begins

    def let_go(self, places: frozenset[Place]) -> None:
        """These places go to another sink: what waits is committed, or forgotten where that fails. The other begins where the lake is."""
        try:
            self.commit_due(everything=True)
        except (DeltaError, OSError) as error:
            log.warning("waiting_rows_left_to_another_sink", error=str(error))
        for table in self.tables:
            table.drop(places)

    def accept(self, records: Sequence[Record]) -> dict[Place, int]:
        """Takes messages in. Answers the places where the reader has to begin again; what it read there is left aside.

        Raises OSError, DeltaError when the lake cannot be read: the same records may then be offered again.
        """
        for record in records:
            table = self._by_topic[record.message.topic]
            if record.place in self._again:
                continue
            if not table.expects(record.place):
                table.accept(record)
            elif (first := table.recognise(record)) is not None:
                self._again[record.place] = first
        again, self._again = self._again, {}
        return again

    def letters(self) -> list[Message]:
        """Dead letters not handed out yet."""
        found = [letter for table in self.tables for letter in table.letters]
        for table in self.tables:
            table.letters = []
        return found

    def commit_due(self, *, everything: bool = False) -> dict[Place, int]:
        """Commits the tables that are due, or all that have something waiting. Answers the positions that were reached.

        When too much is in memory, the table that holds most of it is due as well.
        """
        now = self._clock()
        full = sum(table.pending_bytes for table in self.tables) >= self._config.flush_bytes
        largest = max(self.tables, key=lambda table: table.pending_bytes) if full else None
        reached: dict[Place, int] = {}
        for table in self.tables:
            if table.pending_since is not None and (everything or table is largest or table.due(self._config, now)):
                places = set(table._places)
                table.commit()
                reached |= {place: offset for place in places if (offset := table.position(place)) is not None}
        return reached

    def wait(self) -> timedelta:
        """How long a poll may wait before something is due."""
        oldest = min((table.pending_since for table in self.tables if table.pending_since is not None and table.pending_rows), default=None)
        left = self._config.flush_seconds if oldest is None else oldest + self._config.flush_seconds - self._clock()
        return timedelta(seconds=max(0.0, min(left, 0.5)))


class Holding:
    """What the log's group tells a sink. One thing at a time: a commit and a change of hands never mix."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.turn = asyncio.Lock()

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        async with self.turn:
            return await asyncio.to_thread(self._sink.hold, spans)

    async def taken(self, places: frozenset[Place]) -> None:
        async with self.turn:
            await asyncio.to_thread(self._sink.let_go, places)


async def run_sink(
    events: Log,
    lake: Lake,
    config: StorageConfig,
    *,
    assemble: Assemble,
    stop: asyncio.Event,
    clock: Callable[[], float] = time.time,
    drains: bool = True,
    on_change: Callable[[frozenset[Place]], None] = lambda _: None,
) -> None:
    """Feeds the lake until `stop` is set, and then, if it `drains`, until all that is on the log has come to rest.

    Reading goes on where the lake stands, not where the log remembers us. `on_change` hears which partitions are ours after each poll.
    Raises OffsetOutOfRange when the log has forgotten what the lake still needs, and OffsetsMissing.
    """
    sink = await asyncio.to_thread(lambda: Sink(events, lake, config, assemble=assemble, clock=clock))
    holding = Holding(sink)
    reader, writer = await events.reader(sink.topics, group=GROUP, holder=holding), await events.writer()
    try:
        while True:
            try:
                records = await reader.poll(max_bytes=POLL_BYTES, timeout=timedelta(0) if stop.is_set() else sink.wait())
            except LogUnavailable as error:
                log.warning("log_unavailable", reader=GROUP, error=str(error))
                if stop.is_set() and not drains:
                    return
                await asyncio.sleep(RETRY_SECONDS)
                continue
            on_change(reader.assigned)
            last = stop.is_set() and (not records or not drains)
            if records:
                _begin_again(reader, await _persist(holding, lambda: drains or not stop.is_set(), sink.accept, records) or {})
                await _publish(writer, sink.letters())
            reached = await _persist(holding, lambda: drains or not stop.is_set(), sink.commit_due, everything=last)
            if reached:
                await _remember(reader.commit, reached)
            if last:
                return
    finally:
        await reader.close()
        await writer.close()


async def _persist(
    holding: Holding, patient: Callable[[], bool], work: Callable[P, dict[Place, int]], *args: P.args, **kwargs: P.kwargs
) -> dict[Place, int] | None:
    """Does what needs the lake. One that is away is tried again, and meanwhile nothing more is read: memory is bounded by that.

    None when it is away and there is no patience: what it did not take is left to the log.
    """
    while True:
        try:
            async with holding.turn:
                return await asyncio.to_thread(work, *args, **kwargs)
        except (DeltaError, OSError) as error:
            telemetry.FAILURES.inc()
            log.warning("lake_unavailable", error=str(error), again_in_s=LAKE_RETRY_SECONDS)
        if not patient():
            return None
        await asyncio.sleep(LAKE_RETRY_SECONDS)


def _begin_again(reader: LogReader, places: Mapping[Place, int]) -> None:
    for place, offset in places.items():
        with suppress(NotAssigned):  # whoever has it now finds out for itself
            reader.seek({place: offset})


async def _publish(writer: LogWriter, letters: Sequence[Message]) -> None:
    """Waits until they are on the log: they may not be forgotten once the position has passed them."""
    while letters:
        try:
            await writer.append(letters)
            return
        except LogUnavailable as error:
            log.warning("log_unavailable", writer=GROUP, error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _remember(commit: Callable[[dict[Place, int]], Any], reached: dict[Place, int]) -> None:
    """Tells the log how far the lake is, for its retention and for whoever asks about lag. The lake itself does not depend on it."""
    try:
        await commit(reached)
    except (LogUnavailable, NotAssigned) as error:
        log.warning("positions_not_remembered", error=str(error))
