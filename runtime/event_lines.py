"""An event as a line for people, or as JSON for programs: short, and harmless to a terminal whatever somebody wrote into a prompt."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from rich.text import Text

from eventlog.codec import BadLine, Record, decode, encode_event, lines_of
from eventlog.events import (
    Body,
    CallFacts,
    CallPriced,
    CallScored,
    DeadLetter,
    Event,
    FeedbackGiven,
    Outcome,
    RequestReceived,
    ResponseCompleted,
)
from eventlog.topics import TOPICS

SHOWN = 60
"""Characters of a body that a line shows."""
KEPT = 200
"""Characters of each part of a body that JSON shows."""
LONG = frozenset({"text", "base64", "tail", "payload", "error"})


class Seen(Struct, frozen=True):
    """One event of a record, or what stands in its place."""

    record: Record
    index: int
    event: Event | None = None
    bad: BadLine | None = None
    raw: bytes = b""
    """Of a topic without events of calls: the value as it lies there."""


def seen_in(record: Record) -> Iterator[Seen]:
    """The events of a message in their order, lines that are none among them."""
    kind = TOPICS[record.message.topic].event
    if kind is None:
        yield Seen(record, 0, raw=record.message.value)
        return
    batch, bad = decode(kind, record.message)
    told, wrong = iter(batch.events), {each.index: each for each in bad}
    for index in range(len(lines_of(record.message.value))):
        yield Seen(record, index, bad=wrong[index]) if index in wrong else Seen(record, index, event=next(told))


def json_line(seen: Seen) -> str:
    """One JSON object, on one line, in ASCII."""
    record = seen.record
    found: dict[str, Any] = {
        "topic": record.message.topic,
        "partition": record.message.partition,
        "offset": record.offset,
        "index": seen.index,
        "batch_id": str(record.message.batch_id),
    }
    if record.message.key is not None:
        found["key"] = record.message.key
    if seen.event is not None:
        found["event"] = _short(json.loads(encode_event(seen.event)))
    elif seen.bad is not None:
        found |= {"undecodable": seen.bad.error, "line": _cut(_text(seen.bad.line), KEPT)}
    else:
        found["value"] = _cut(_text(seen.raw), KEPT)
    return json.dumps(found)


def text_line(seen: Seen) -> Text:
    """When, which topic and partition, then what is worth knowing of it."""
    topic = seen.record.message.topic
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(_clock(seen), "dim")
    line.append(f"  {short_name(topic):<12} {seen.record.message.partition:>3}  ", "cyan")
    if seen.event is not None:
        for words, style in _told(seen.event):
            line.append(printable(words), style)
            line.append("  ")
    elif seen.bad is not None:
        line.append(f"undecodable  {printable(_cut(seen.bad.error, SHOWN))}  {printable(_cut(_text(seen.bad.line), SHOWN))}", "red")
    else:
        line.append(printable(f"{seen.record.message.key}  {_cut(_text(seen.raw), SHOWN)}"))
    line.rstrip()
    return line


def short_name(topic: str) -> str:
    """`calls` of `llm.calls.v1`."""
    return topic.split(".")[1]


def printable(text: str) -> str:
    """With whatever could steer a terminal written out: escapes, line ends, marks that turn the direction of writing."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _clock(seen: Seen) -> str:
    match seen.event:
        case None:
            moment = datetime.fromtimestamp(seen.record.appended_at, UTC)
        case RequestReceived():
            moment = seen.event.call.created_at
        case ResponseCompleted() | CallPriced():
            moment = seen.event.completed_at
        case FeedbackGiven():
            moment = seen.event.given_at
        case CallScored():
            moment = seen.event.feedback.given_at
        case DeadLetter():
            moment = seen.event.at
    return moment.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def _told(event: Event) -> Iterator[tuple[str, str]]:
    match event:
        case RequestReceived():
            yield from _call(event.call)
            yield f"{event.call.method} {event.call.path}", ""
            yield _body(event.request), "dim"
        case ResponseCompleted():
            yield from _call(event.call)
            yield from _end(event)
            yield _body(event.response), "dim"
        case CallPriced():
            yield from _call(event.call, event.model)
            yield from _end(event)
            yield _tokens(event), ""
            yield f"{event.cost_usd} USD" if event.cost_usd is not None else "no price", "green" if event.cost_usd is not None else "yellow"
        case FeedbackGiven():
            yield event.key, "bold"
            yield from _judged(event)
        case CallScored():
            yield event.feedback.request_id, "bold"
            yield from _judged(event.feedback)
            yield from _call(event.call.call, event.call.model) if event.call else [("no call", "yellow")]
        case DeadLetter():
            yield f"{event.topic} {event.partition} {event.offset}/{event.index}", ""
            yield event.reason, "red"
            yield _cut(event.error, SHOWN), ""


def _call(call: CallFacts, model: str | None = None) -> Iterator[tuple[str, str]]:
    yield call.request_id, "bold"
    yield f"{call.provider} {model or call.model or ''}".rstrip(), ""
    if call.user_id is not None:
        yield call.user_id, "magenta"


def _end(event: ResponseCompleted | CallPriced) -> Iterator[tuple[str, str]]:
    style = "green" if event.outcome is Outcome.COMPLETED else "red"
    yield f"{event.outcome.value} {event.status or ''}".rstrip(), style
    yield f"{event.latency_ms:.0f} ms", ""


def _tokens(event: CallPriced) -> str:
    usage = event.usage
    if usage is None or usage.prompt is None or usage.completion is None:
        return "tokens not known"
    return f"{usage.prompt}+{usage.completion} tokens"


def _judged(feedback: FeedbackGiven) -> Iterator[tuple[str, str]]:
    if feedback.rating is not None:
        yield ("good", "green") if feedback.rating else ("bad", "red")
    if feedback.rating_retracted:
        yield "rating taken back", "yellow"
    for name, value in (feedback.scores | feedback.properties).items():
        yield f"{name}={value}", ""
    for name in feedback.scores_retracted:
        yield f"{name} taken back", "yellow"
    if feedback.tag is not None:
        yield f"tag {feedback.tag}".rstrip(), ""
    if feedback.comment is not None:
        yield _cut(feedback.comment, SHOWN), "dim"


def _body(body: Body) -> str:
    if body.omitted:
        return f"{body.size} B, not kept"
    return f"{body.size} B {_cut(body.text or body.base64 or '', SHOWN)}".rstrip()


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cut(inner, KEPT) if name in LONG and isinstance(inner, str) else _short(inner) for name, inner in value.items()}
    return value


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _text(raw: bytes) -> str:
    return raw[: 4 * KEPT].decode("utf-8", "replace")
