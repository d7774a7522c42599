"""Events come to rest: batches off the log, rows into the lake, each exactly once.

What makes it so is told in `table_sink.py`, a table at a time. Here all tables are fed from one reader, whose partitions come and go with
its group; log and lake may be away for a while.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ParamSpec

import structlog
from deltalake.exceptions import DeltaError

from eventlog.codec import Message, Positions, Record
from eventlog.erasure import Erasure
from eventlog.letters import lightened
from eventlog.outages import Outage
from eventlog.port import Log, LogReader, LogUnavailable, LogWriter, MessageTooLarge, NotAcknowledged, NotAssigned, Place, Span
from storage import telemetry
from storage.config import StorageConfig
from storage.erased import Erased
from storage.kinds import kinds
from storage.lake import Lake
from storage.rows import Assemble
from storage.table_sink import TableSink

log = structlog.get_logger()

P = ParamSpec("P")

GROUP = "sink"
POLL_BYTES = 4 << 20
RETRY_SECONDS = 0.5
LAKE_RETRY_SECONDS = 2.0


class Sink:
    """All tables of a lake, fed from one reader."""

    def __init__(
        self,
        events: Log,
        lake: Lake,
        config: StorageConfig,
        *,
        assemble: Assemble,
        clock: Callable[[], float],
        erasures: Callable[[], Sequence[Erasure]] = tuple,
    ) -> None:
        self._log = events
        self._config = config
        self._clock = clock
        made = kinds(assemble)
        identities = {topic: events.identity(topic) for kind in made for topic in kind.events}
        self.tables = [TableSink(lake, kind, identities, clock, Erased(erasures)) for kind in made]
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
                table.pass_over(record)
                continue
            begin = table.recognise(record) if table.expects(record.place) else table.accept(record)
            if begin is not None:
                self._again[record.place] = begin
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
                reached |= table.commit()
        return reached

    def wait(self) -> timedelta:
        """How long a poll may wait before something is due."""
        oldest = min((table.pending_since for table in self.tables if table.pending_since is not None and table.pending_rows), default=None)
        left = self._config.flush_seconds if oldest is None else oldest + self._config.flush_seconds - self._clock()
        return timedelta(seconds=max(0.0, min(left, 0.5)))


class Holding:
    """What the log's group tells a sink. One thing at a time: a commit and a change of hands never mix."""

    def __init__(self, sink: Sink, patient: Callable[[], bool] = lambda: True) -> None:
        self._sink = sink
        self._patient = patient
        self.turn = asyncio.Lock()

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        """Waits for a lake that is away, and with it waits whoever would commit. Raises DeltaError, OSError when patience ends."""
        async with self.turn:
            while True:
                try:
                    return await asyncio.to_thread(self._sink.hold, spans)
                except (DeltaError, OSError) as error:
                    _lake_is_away(error)
                    if not self._patient():
                        raise
                await asyncio.sleep(LAKE_RETRY_SECONDS)

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
    erasures: Callable[[], Sequence[Erasure]] = tuple,
) -> None:
    """Feeds the lake until `stop` is set, and then, if it `drains`, until all that is on the log has come to rest.

    Reading goes on where the lake stands, not where the log remembers us. `on_change` hears which partitions are ours after each poll.
    What `erasures` cover is left out.
    Raises OffsetOutOfRange when the log has forgotten what the lake still needs.
    """
    sink = await asyncio.to_thread(lambda: Sink(events, lake, config, assemble=assemble, clock=clock, erasures=erasures))
    holding = Holding(sink, patient=lambda: not stop.is_set())
    outage = Outage(reader=GROUP)
    reader, writer = await events.reader(sink.topics, group=GROUP, holder=holding), await events.writer()
    try:
        while True:
            try:
                records = await reader.poll(max_bytes=POLL_BYTES, timeout=timedelta(0) if stop.is_set() else sink.wait())
            except LogUnavailable as error:
                outage.goes_on(error)
                if stop.is_set() and not drains:
                    return
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except (DeltaError, OSError) as error:  # of partitions that were handed over while the lake was away
                if not stop.is_set() or drains:
                    raise
                log.warning("left_where_the_lake_is", error=str(error))
                return
            outage.over()
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
            _lake_is_away(error)
        if not patient():
            return None
        await asyncio.sleep(LAKE_RETRY_SECONDS)


def _lake_is_away(error: Exception) -> None:
    telemetry.FAILURES.inc()
    log.warning("lake_unavailable", error=str(error), again_in_s=LAKE_RETRY_SECONDS)


def _begin_again(reader: LogReader, places: Mapping[Place, int]) -> None:
    for place, offset in places.items():
        with suppress(NotAssigned):  # whoever has it now finds out for itself
            reader.seek({place: offset})


async def _publish(writer: LogWriter, letters: Sequence[Message]) -> None:
    """Waits until they are on the log: they may not be forgotten once the position has passed them.

    One that is too large for it is made smaller.
    """
    left = list(letters)
    while left:
        try:
            await writer.append(left)
            return
        except MessageTooLarge as error:
            left = _fitted(left, [error.message])
        except NotAcknowledged as error:
            left = _fitted(error.left, error.refused)
            if not error.refused:
                await _log_is_away(error)
        except LogUnavailable as error:
            await _log_is_away(error)


async def _log_is_away(error: LogUnavailable) -> None:
    log.warning("log_unavailable", writer=GROUP, error=str(error))
    await asyncio.sleep(RETRY_SECONDS)


def _fitted(letters: Sequence[Message], refused: Sequence[Message]) -> list[Message]:
    """Each that was refused made lighter, or left out where that cannot be: else it would be offered for ever, and nothing else be read."""
    found: list[Message] = []
    for message in letters:
        if message not in refused:
            found.append(message)
        elif (lighter := lightened(message)) is not None:
            found.append(lighter)
        else:
            log.error("dead_letter_given_up", partition=message.partition, bytes=len(message.value))
    return found


async def _remember(commit: Callable[[dict[Place, int]], Any], reached: dict[Place, int]) -> None:
    """Tells the log how far the lake is, for its retention and for whoever asks about lag. The lake itself does not depend on it."""
    try:
        await commit(reached)
    except (LogUnavailable, NotAssigned) as error:
        log.warning("positions_not_remembered", error=str(error))
