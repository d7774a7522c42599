"""The right to be forgotten, in the lake: what is found of an erasure, and its rows removed, calls last.

Calls go last because all else is found by them: after a kill in between, whoever erases again finds what is left. Each commit keeps the
table's positions and marks, and makes a sink that writes at that moment look again, which leaves out what is erased.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import reduce
from typing import TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import TableNotFoundError
from msgspec import Struct, field

from eventlog.erasure import About, Erasure
from eventlog.events import DEFAULT_ORGANIZATION, CallFacts
from storage.lake import Lake
from storage.removing import Days, forget_scratches, remove

IDS_AT_ONCE = 50_000
"""Calls whose rows go in one commit."""
LETTERS_AT_ONCE = 200

FACTS = ("calls", "amendments", "superseded")
ORDER = ("dead_letters", "feedback", "bodies", "superseded", "amendments", "calls")
"""Calls, by which the rest is found, go last."""
TIME = {
    "calls": "created_at",
    "amendments": "created_at",
    "superseded": "created_at",
    "bodies": "created_at",
    "feedback": "given_at",
    "dead_letters": "at",
}

LETTER = ("topic", "partition", "offset", "index", "payload")
"""By these a dead letter is known. A place alone does not do: a log that was made anew counts from nought."""

Letter = tuple[str, int, int, int, str | None]

COLUMN: dict[str, str] = {About.USER: "user_id", About.REQUEST: "request_id", About.SESSION: "session_id"}
"""That holds what an erasure is about."""

T = TypeVar("T")

facts_of = msgspec.json.Decoder(CallFacts).decode


class Subject(Struct, frozen=True):
    """An erasure, and whom it is about in plain text; empty of an organization."""

    erasure: Erasure
    value: str = ""


class Found(Struct):
    """What the lake, or a log, has of a subject."""

    days: dict[str, date] = field(default_factory=dict)
    """The day of each call, by its id."""
    requests: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    """Sessions of which the subject has calls."""
    rows: dict[str, int] = field(default_factory=dict)
    """How many rows each table has."""
    letters: set[Letter] = field(default_factory=set)

    @property
    def any(self) -> bool:
        return any(self.rows.values())

    def also(self, call: CallFacts, subject: Subject) -> None:
        """A call that was found elsewhere. Of an organization none needs to be known: its rows, and what is said of them, bear its name."""
        if subject.erasure.about == About.ORGANIZATION:
            return
        self.days.setdefault(call.call_id, call.created_at.astimezone(UTC).date())
        self.requests.add(call.request_id)
        if call.session_id:
            self.sessions.add(call.session_id)


def find(lake: Lake, subject: Subject, known: Found | None = None) -> Found:
    """What the lake has of it. Blocks. `known` is what other places told of it: calls, requests, sessions."""
    found = Found() if known is None else known
    found.rows, found.letters = dict.fromkeys(ORDER, 0), set()
    if subject.erasure.about == About.REQUEST:
        found.requests.add(subject.value)  # it may have been judged, and have no call
    if subject.erasure.about != About.ORGANIZATION:
        for table in FACTS:
            _find_calls(lake, table, subject, found)
        _find_requests(lake, subject, found)
    if subject.erasure.about == About.USER:
        found.sessions = _only_his(lake, subject, found)
    for table in (*FACTS, "bodies"):
        found.rows[table] = _count_of_calls(lake, table, subject, found)
    found.rows["feedback"] = sum(batch.num_rows for batch in _batches(lake, "feedback", ["feedback_id"], _feedback(subject, found)))
    _find_letters(lake, subject, found)
    return found


def erase(lake: Lake, subject: Subject, found: Found, progress: Callable[[str, int], None]) -> None:
    """Removes the rows of what was found. Blocks. `progress` hears of a table how many rows of it went."""
    for table in ORDER:
        forget_scratches(lake, table)
        if found.rows[table]:
            for condition, days in _conditions(table, subject, found):
                progress(table, remove(lake, table, condition, days))


def mentions(lake: Lake, subject: Subject, found: Found) -> dict[str, int]:
    """Calls that stay, of which a property or an input of a prompt is the user's id: how many, by its name. Blocks."""
    counts: dict[str, int] = {}
    if subject.erasure.about != About.USER:
        return counts
    for table in FACTS:
        for batch in _batches(lake, table, ["call_id", "properties", "prompt_inputs"], within(table, subject)):
            for column in ("properties", "prompt_inputs"):
                entries = batch.column(column)
                if not pc.any(pc.equal(entries.items.cast(pa.string()), subject.value)).as_py():
                    continue
                for call, pairs in zip(batch.column("call_id").to_pylist(), entries.to_pylist(), strict=True):
                    for name, text in pairs or ():
                        if text == subject.value and call not in found.days:
                            counts[f"{column}.{name}"] = counts.get(f"{column}.{name}", 0) + 1
    return counts


def references(lake: Lake, subject: Subject, found: Found) -> int:
    """Calls of others that were answered with an answer kept from an erased call: they stay, and name its id. Blocks."""
    if not found.days:
        return 0
    condition = _of(subject) & pc.field("cache_reference_id").is_valid()
    count = 0
    for batch in _batches(lake, "calls", ["call_id", "cache_reference_id"], condition):
        pairs = zip(batch.column("call_id").to_pylist(), batch.column("cache_reference_id").to_pylist(), strict=True)
        count += sum(reference in found.days and call not in found.days for call, reference in pairs)
    return count


def _find_calls(lake: Lake, table: str, subject: Subject, found: Found) -> None:
    erasure = subject.erasure
    columns = ["call_id", "request_id", "session_id", "day", *(["properties"] if erasure.properties else [])]
    condition = within(table, subject)
    if erasure.properties:
        columns.append("user_id")
    elif (column := COLUMN.get(erasure.about)) is not None:
        condition &= pc.field(column) == subject.value
    for batch in _batches(lake, table, columns, condition):
        for row in batch.to_pylist():
            if erasure.properties and row["user_id"] != subject.value and not _by_property(row["properties"], subject):
                continue
            found.days[row["call_id"]] = row["day"]
            found.requests.add(row["request_id"])
            if row["session_id"]:
                found.sessions.add(row["session_id"])


def _by_property(properties: Sequence[tuple[str, str]] | None, subject: Subject) -> bool:
    return any(key in subject.erasure.properties and value == subject.value for key, value in properties or ())


def _find_requests(lake: Lake, subject: Subject, found: Found) -> None:
    """Requests whose calls never ended, or whose rows went before: a request keeps its facts."""
    said = pc.match_substring(pc.field("facts"), msgspec.json.encode(subject.value).decode()[1:-1])
    condition = within("bodies", subject) & (pc.field("side") == "request") & said
    for batch in _batches(lake, "bodies", ["facts"], condition):
        for text in batch.column("facts").to_pylist():
            if text is not None and subject.erasure.covers_call(call := facts_of(text)):
                found.also(call, subject)


def _only_his(lake: Lake, subject: Subject, found: Found) -> set[str]:
    """Sessions that nobody else has calls in: what was said of the others is not about him alone."""
    shared = set()
    for some in _parts(sorted(found.sessions), IDS_AT_ONCE):
        condition = _of(subject) & pc.field("session_id").isin(pa.array(some))
        for table in FACTS:
            for batch in _batches(lake, table, ["call_id", "session_id"], condition):
                pairs = zip(batch.column("call_id").to_pylist(), batch.column("session_id").to_pylist(), strict=True)
                shared |= {session for call, session in pairs if call not in found.days}
    return found.sessions - shared


def _count_of_calls(lake: Lake, table: str, subject: Subject, found: Found) -> int:
    if subject.erasure.about == About.ORGANIZATION:
        condition = within(table, subject)
    else:
        condition = _of(subject) & pc.field("call_id").isin(pa.array(list(found.days), pa.string()))
    return sum(batch.num_rows for batch in _batches(lake, table, ["call_id"], condition))


def _feedback(subject: Subject, found: Found) -> pc.Expression:
    condition = within("feedback", subject)
    if subject.erasure.about == About.ORGANIZATION:
        return condition
    of_requests = pc.field("request_id").isin(pa.array(sorted(found.requests), pa.string()))
    return condition & (of_requests | pc.field("session_id").isin(pa.array(_sessions(subject, found), pa.string())))


def _sessions(subject: Subject, found: Found) -> list[str]:
    """Sessions of which what was said goes too."""
    match subject.erasure.about:
        case About.SESSION:
            return [subject.value]
        case About.USER:
            return sorted(found.sessions)
    return []


def _find_letters(lake: Lake, subject: Subject, found: Found) -> None:
    erasure = subject.erasure
    condition = pc.field("at") <= _naive(erasure.before)
    organizations = [erasure.organization, *([None] if erasure.organization == DEFAULT_ORGANIZATION else [])]
    columns = [*LETTER, "organization", "call_id"]
    for batch in _batches(lake, "dead_letters", columns, condition):
        for row in batch.to_pylist():
            if row["organization"] is not None and row["organization"] not in organizations:
                continue
            own = erasure.about == About.ORGANIZATION and row["organization"] == erasure.organization
            if own or row["call_id"] in found.days or erasure.covers_line((row["payload"] or "").encode("utf-8", "replace")):
                found.letters.add(tuple(row[name] for name in LETTER))
                found.rows["dead_letters"] += 1


def _conditions(table: str, subject: Subject, found: Found) -> Iterator[tuple[pc.Expression, Days]]:
    """Which rows of a table go, and of which days."""
    if table == "dead_letters":
        for some in _parts(found.letters, LETTERS_AT_ONCE):
            yield reduce(operator.or_, map(_is_letter, some)) & (pc.field("at") <= _naive(subject.erasure.before)), ()
    elif table == "feedback":
        yield _feedback(subject, found), ()
    elif subject.erasure.about == About.ORGANIZATION:
        yield within(table, subject), ()
    else:
        for calls in _parts(sorted(found.days, key=found.days.__getitem__), IDS_AT_ONCE):
            first, last = (found.days[call].isoformat() for call in (calls[0], calls[-1]))
            yield _of(subject) & pc.field("call_id").isin(pa.array(calls, pa.string())), [("day", ">=", first), ("day", "<=", last)]


def _is_letter(letter: Letter) -> pc.Expression:
    pairs = zip(LETTER, letter, strict=True)
    return reduce(operator.and_, (pc.field(name).is_null() if value is None else pc.field(name) == value for name, value in pairs))


def _of(subject: Subject) -> pc.Expression:
    return pc.field("organization") == subject.erasure.organization


def within(table: str, subject: Subject) -> pc.Expression:
    """The rows of its organization that were made before it."""
    return _of(subject) & (pc.field(TIME[table]) <= _naive(subject.erasure.before))


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _batches(lake: Lake, table: str, columns: Sequence[str], condition: pc.Expression) -> Iterable[pa.RecordBatch]:
    try:
        dataset = lake.table(table).to_pyarrow_dataset()
    except TableNotFoundError:
        return iter(())
    batches: Iterable[pa.RecordBatch] = dataset.to_batches(columns=list(columns), filter=condition)
    return batches


def _parts(values: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    whole = list(values)
    return (whole[at : at + size] for at in range(0, len(whole), size))
