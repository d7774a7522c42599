"""Events of the log, or dead letters of the lake, sent through the pipeline once more.

Only what an event of its topic can be read from is sent: a dead letter that would become a dead letter again stays where it is.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow.compute as pc
from msgspec import Struct

from eventlog.codec import BatchId, Record, lines_of, message_of_lines
from eventlog.erasure import Erasure
from eventlog.events import CallFacts, FeedbackGiven, RequestReceived, ResponseCompleted
from eventlog.letters import PAYLOAD_LIMIT, beginning_of
from eventlog.port import Log, LogReader, LogWriter, Place, Span
from eventlog.replay import Replays, revision_of
from eventlog.retained import PATIENCE, Beginning, retained
from eventlog.topics import FEEDBACK, REQUESTS, RESPONSES
from processors.pricing.rates import RateBook
from processors.steps import step_of
from storage.lake import Lake

TOGETHER = 200
"""Dead letters that are looked at in one go."""

Progress = Callable[[int, int], None]
"""Hears how much is done, of how much."""


class Selection(Struct, frozen=True, kw_only=True):
    """Which events are meant. Aware times."""

    since: datetime | None = None
    before: datetime | None = None
    organization: str | None = None
    reason: str | None = None
    """Dead letters only."""

    def takes(self, at: datetime, organization: str | None) -> bool:
        return (
            (self.since is None or at >= self.since)
            and (self.before is None or at < self.before)
            and (self.organization is None or organization == self.organization)
        )


class Outline(Struct, frozen=True):
    """What a line is chosen by."""

    call: CallFacts


class Letter(Struct, frozen=True, kw_only=True):
    """A row of `dead_letters`."""

    topic: str
    partition: int
    offset: int
    index: int
    reason: str
    at: datetime
    payload: str | None
    organization: str | None
    call_id: str | None

    @property
    def place(self) -> Place:
        return self.topic, self.partition


class Sent(Struct, kw_only=True):
    """What a replay did."""

    calls: int = 0
    """Completed calls whose rows will be replaced, or made."""
    others: int = 0
    """Requests and feedback that the lake lacked."""
    unreadable: int = 0
    """Events that would be dead letters again."""
    gone: int = 0
    """Dead letters whose event is nowhere any more: cut off in the lake, and expired on the log."""
    at_rest: int = 0
    """Dead letters whose event has come to rest since."""


Known = frozenset[tuple[str, str]]
"""What the lake has: a side and its call's id, or "feedback" and its id."""

_outlines = msgspec.json.Decoder(Outline)
_kinds: Mapping[str, type[Any]] = {REQUESTS.name: RequestReceived, RESPONSES.name: ResponseCompleted, FEEDBACK.name: FeedbackGiven}

_SIDES = {REQUESTS.name: "request", FEEDBACK.name: "feedback"}


async def replay_calls(
    events: Log, selection: Selection, replays: Replays, epoch: str, progress: Progress, erasures: Sequence[Erasure] = ()
) -> Sent:
    """Sends the completed calls that began in the span of `selection` through again, as far as the log still has them, and may.

    Raises LogUnavailable; what was sent until then is sent.
    """
    sent, rates, seen, writer = Sent(), RateBook.bundled(), Highest(), await events.writer()
    try:
        async with aclosing(retained(events, RESPONSES.name, group=f"replay.{epoch}")) as parts:
            async for part in parts:
                for record in part.records:
                    lines = list(_chosen(record, selection, erasures)) if seen.is_first(record) else []
                    good = understood(record.place, lines, rates, events.identity(RESPONSES.name))
                    await writer.append(replays.messages(record.place, good))
                    sent.calls += len(good)
                    sent.unreadable += len(lines) - len(good)
                progress(part.done, part.whole)
    finally:
        await writer.close()
    return sent


class Highest:
    """Tells the first coming of a batch from its repeats."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, Place], int] = {}

    def is_first(self, record: Record) -> bool:
        mark, sequence = (record.message.batch_id.epoch, record.place), record.message.batch_id.sequence
        if sequence <= self._marks.get(mark, 0):
            return False
        self._marks[mark] = sequence
        return True


def _chosen(record: Record, selection: Selection, erasures: Sequence[Erasure]) -> Iterator[bytes]:
    """The lines of a message that are meant. What was itself a replay is not: its first sending is on the log too, or was."""
    at = datetime.fromtimestamp(record.appended_at, UTC)
    if revision_of(record.message) is not None or (selection.since is not None and at < selection.since):
        return
    for line in lines_of(record.message.value):
        try:
            call = _outlines.decode(line).call
        except msgspec.DecodeError:
            continue
        if selection.takes(call.created_at, call.organization) and not any(each.covers_call(call) for each in erasures):
            yield line


async def replay_letters(events: Log, lake: Lake, selection: Selection, replays: Replays, epoch: str, progress: Progress) -> Sent:
    """Sends the events of dead letters through again that can be understood now. Raises LogUnavailable."""
    letters, sent = await asyncio.to_thread(letters_in, lake, selection), Sent()
    finder, writer, rates = Finder(events, epoch), await events.writer(), RateBook.bundled()
    try:
        for begin in range(0, len(letters), TOGETHER):
            found = []
            for letter in letters[begin : begin + TOGETHER]:
                line = whole_line(letter) or await finder.find(letter)
                if line is None:
                    sent.gone += 1
                elif not readable(letter, line, rates, events.identity(letter.topic)):
                    sent.unreadable += 1
                else:
                    found.append((letter, line))
            await _send(found, await asyncio.to_thread(known_of, lake, found), replays, writer, sent)
            progress(min(begin + TOGETHER, len(letters)), len(letters))
    finally:
        await finder.close()
        await writer.close()
    return sent


async def _send(found: Sequence[tuple[Letter, bytes]], known: Known, replays: Replays, writer: LogWriter, sent: Sent) -> None:
    for letter, line in found:
        identity = identity_of(letter.topic, line)
        if letter.topic == RESPONSES.name:
            await writer.append(replays.messages(letter.place, [line], without_bodies=("response", identity) not in known))
            sent.calls += 1
        elif (_SIDES[letter.topic], identity) in known:
            sent.at_rest += 1
        else:
            await writer.append(replays.messages(letter.place, [line], without_bodies=True))
            sent.others += 1


def letters_in(lake: Lake, selection: Selection) -> list[Letter]:
    """The dead letters that are meant, of topics that can be replayed, each once. Blocks."""
    dataset = lake.table("dead_letters").to_pyarrow_dataset()
    condition = pc.field("topic").isin(list(_kinds))
    if selection.reason is not None:
        condition &= pc.field("reason") == selection.reason
    rows = dataset.to_table(columns=list(Letter.__struct_fields__), filter=condition).to_pylist()
    letters = {(row["topic"], row["partition"], row["offset"], row["index"], row["payload"]): _letter(row) for row in rows}
    chosen = (letter for letter in letters.values() if selection.takes(letter.at, letter.organization))
    return sorted(chosen, key=lambda letter: (letter.topic, letter.partition, letter.offset, letter.index))


def _letter(row: Mapping[str, Any]) -> Letter:
    return Letter(**(dict(row) | {"at": row["at"].replace(tzinfo=UTC)}))


def whole_line(letter: Letter) -> bytes | None:
    """The event's line as the letter keeps it; None when it was cut off, or is not kept."""
    if letter.payload is None or len(letter.payload) >= PAYLOAD_LIMIT:
        return None
    return letter.payload.encode()


def readable(letter: Letter, line: bytes, rates: RateBook, identity: str) -> bool:
    """Whether it would not become a dead letter again."""
    try:
        msgspec.json.decode(line, type=_kinds[letter.topic])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if letter.topic != RESPONSES.name:
        return True
    return bool(understood(letter.place, [line], rates, identity))


def understood(place: Place, lines: Sequence[bytes], rates: RateBook, identity: str) -> list[bytes]:
    """Those completed calls of which no dead letter would come. There is one of the others already."""
    message = message_of_lines(*place, BatchId("f" * 32, 1), lines)
    poison = {letter.index for letter in step_of(Record(message=message, offset=0, appended_at=0.0), rates, identity).letters}
    return [line for index, line in enumerate(lines) if index not in poison]


class Finder:
    """Fetches the events of letters from the log, where it still has them."""

    def __init__(self, events: Log, epoch: str) -> None:
        self._events = events
        self._group = f"replay.{epoch}"
        self._holder = Beginning(first=False)
        self._reader: LogReader | None = None

    async def find(self, letter: Letter) -> bytes | None:
        """The line, if what stands at the letter's place begins as the letter's payload does."""
        if self._reader is None:
            self._reader = await self._events.reader(list(_kinds), group=self._group, holder=self._holder)
        span = self._holder.spans.get(letter.place)
        if span is None or not span.first <= letter.offset < span.next:
            return None
        record = await self._at(self._reader, letter.place, letter.offset, span)
        lines = [] if record is None else lines_of(record.message.value)
        if letter.index >= len(lines):
            return None
        line = lines[letter.index]
        return line if letter.payload in {None, beginning_of(line)} else None

    async def _at(self, reader: LogReader, place: Place, offset: int, span: Span) -> Record | None:
        """The message there. Others that came meanwhile, on whatever place, are passed over."""
        reader.seek({place: offset})
        deadline = time.monotonic() + PATIENCE.total_seconds()
        try:
            while time.monotonic() < deadline:
                for record in await reader.poll(max_bytes=1, timeout=PATIENCE):
                    if (record.place, record.offset) == (place, offset):
                        return record
            return None
        finally:
            reader.seek({place: span.next})

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()


def identity_of(topic: str, line: bytes) -> str:
    """The id of a readable event: of its call, or of the feedback."""
    return str(msgspec.json.decode(line, type=FeedbackGiven).feedback_id if topic == FEEDBACK.name else _outlines.decode(line).call.call_id)


def known_of(lake: Lake, found: Sequence[tuple[Letter, bytes]]) -> Known:
    """Which of these events have come to rest already. Blocks."""
    ids = [identity_of(letter.topic, line) for letter, line in found]
    sides = _rows(lake, "bodies", ["side", "call_id"], pc.field("call_id").isin(ids)) if ids else []
    given = _rows(lake, "feedback", ["feedback_id"], pc.field("feedback_id").isin(ids)) if ids else []
    return frozenset([*((row["side"], row["call_id"]) for row in sides), *(("feedback", row["feedback_id"]) for row in given)])


def _rows(lake: Lake, table: str, columns: list[str], condition: pc.Expression) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.table(table).to_pyarrow_dataset().to_table(columns=columns, filter=condition).to_pylist()
    return found


def at_rest(lake: Lake, revision: int) -> int:
    """How many rows of a revision the lake has. Blocks."""
    found = lake.table("amendments").to_pyarrow_dataset().count_rows(filter=pc.field("revision") == revision)
    return int(found)
