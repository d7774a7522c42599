"""The right to be forgotten, on a log: which lines are about a subject, and what a message is without them."""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from secrets import token_hex

from msgspec import Struct, field

from eventlog.codec import lines_of
from eventlog.embedded_erasure import Struck
from eventlog.erasure import About, Called, read_as
from eventlog.events import CallScored, DeadLetter, FeedbackGiven
from eventlog.port import Log, Place
from eventlog.retained import retained
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES, SCORED_CALLS
from storage.erasing import Found, Subject

OF_CALLS = (REQUESTS.name, RESPONSES.name, CALLS.name)
"""By these it is known which requests are meant: they are read first, and struck last."""
ABOUT_CALLS = (FEEDBACK.name, SCORED_CALLS.name, DEAD_LETTERS.name)


class OnLog(Struct):
    """What a log has of a subject."""

    lines: dict[str, int] = field(default_factory=dict)
    """How many, by topic."""
    struck: dict[Place, list[Struck]] = field(default_factory=dict)
    """Where they stand."""
    feedback: set[str] = field(default_factory=set)
    """The ids of judgements of calls that are meant."""

    @property
    def whole(self) -> int:
        return sum(self.lines.values())


async def scan(log: Log, topics: Iterable[str], subject: Subject, found: Found, progress: Callable[[str, int, int], None]) -> OnLog:
    """Reads all that a log retains of these topics. What it tells of calls that are meant goes into `found`. Raises LogUnavailable."""
    on_log = OnLog()
    for topic in topics:
        on_log.lines[topic] = 0
        async with aclosing(retained(log, topic, group=f"erase.{token_hex(8)}")) as parts:
            async for part in parts:
                for record in part.records:
                    lines = lines_of(record.message.value)
                    meant = tuple(index for index, line in enumerate(lines) if _is_meant(topic, line, subject, found, on_log))
                    if meant:
                        on_log.lines[topic] += len(meant)
                        on_log.struck.setdefault(record.place, []).append((record.offset, len(lines), meant))
                progress(topic, part.done, part.whole)
    return on_log


def struck(topic: str, value: bytes, subject: Subject, found: Found) -> tuple[list[bytes], int]:
    """The lines of a message that stay, and how many do not."""
    lines = lines_of(value)
    kept = [line for line in lines if not _is_meant(topic, line, subject, found, OnLog())]
    return kept, len(lines) - len(kept)


def _is_meant(topic: str, line: bytes, subject: Subject, found: Found, on_log: OnLog) -> bool:
    erasure = subject.erasure
    if topic in OF_CALLS:
        called = read_as(line, Called)
        if called is None:
            return erasure.covers_line(line)
        if erasure.covers_call(called.call):
            found.also(called.call, subject)
            return True
        return False
    if topic == FEEDBACK.name:
        given = read_as(line, FeedbackGiven)
        if given is None:
            return erasure.covers_line(line)
        if _judges(given, subject, found):
            on_log.feedback.add(given.feedback_id)
            return True
        return False
    if topic == SCORED_CALLS.name and (scored := read_as(line, CallScored)) is not None:
        return _judges(scored.feedback, subject, found) or (scored.call is not None and erasure.covers_call(scored.call.call))
    if topic == DEAD_LETTERS.name and (letter := read_as(line, DeadLetter)) is not None:
        return erasure.covers_letter(letter) or (letter.call_id is not None and letter.call_id in found.days)
    return erasure.covers_line(line)


def _judges(given: FeedbackGiven, subject: Subject, found: Found) -> bool:
    erasure = subject.erasure
    if erasure.covers_feedback(given):
        return True
    if given.organization != erasure.organization or given.given_at > erasure.before:
        return False
    return given.request_id in found.requests or (erasure.about == About.USER and given.session_id in found.sessions)
