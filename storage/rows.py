"""Events as rows: one Arrow column after the other, in the declared types."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from msgspec import to_builtins

from eventlog.events import (
    Body,
    CallPriced,
    DeadLetter,
    FeedbackGiven,
    Job,
    Outcome,
    RequestReceived,
    ResponseCompleted,
    TokenUsage,
    UsageSource,
)
from storage import schema

E = TypeVar("E")
Getters = dict[str, Callable[[Any], Any]]

_facts_encoder = msgspec.json.Encoder()

PICO = Decimal("1e-12")
MONEY_LIMIT = Decimal(10) ** 6
"""A million dollars for one call is a fault, not a price: such a figure is not known."""

NANO = Decimal("1e-9")
SECONDS_LIMIT = Decimal(10) ** 9

Assemble = Callable[[ResponseCompleted], str | None]


class BodyRow:
    """One side of a call, whichever event it came in."""

    __slots__ = ("assembled", "body", "call", "facts", "side")

    def __init__(self, event: RequestReceived | ResponseCompleted, assemble: Assemble) -> None:
        self.call = event.call
        if isinstance(event, RequestReceived):
            self.side, self.body, self.assembled = "request", event.request, None
            self.facts: str | None = _facts_encoder.encode(event.call).decode()
        else:
            self.side, self.body, self.facts = "response", event.response, None
            self.assembled = None if self.body.omitted else assemble(event)


def calls_table(
    events: Sequence[CallPriced], revision: int = 0, unknown: Iterable[str] = (), amended_at: datetime | None = None
) -> pa.Table:
    """Rows of `calls`, or of `amendments` with another revision and the time. The columns `unknown` are NULL, whatever the events say."""
    ordered = sorted(events, key=lambda event: (event.call.organization, event.call.created_at))
    calls, usages = [event.call for event in ordered], [event.usage or NOT_COUNTED for event in ordered]
    own = CALL_GETTERS | {"revision": lambda _: revision, "amended_at": lambda _: amended_at} | dict.fromkeys(unknown, _nothing)
    return _table(schema.CALLS, (FACTS_GETTERS, calls), (USAGE_GETTERS, usages), (own, ordered))


def _nothing(_: object) -> None:
    return None


def bodies_table(rows: Sequence[BodyRow]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (row.call.organization, row.call.created_at))
    return _table(schema.BODIES, (BODY_GETTERS, ordered))


def feedback_table(events: Sequence[FeedbackGiven]) -> pa.Table:
    ordered = sorted(events, key=lambda event: (event.organization, event.given_at))
    return _table(schema.FEEDBACK, (FEEDBACK_GETTERS, ordered))


def dead_letters_table(events: Sequence[DeadLetter]) -> pa.Table:
    return _table(schema.DEAD_LETTERS, (DEAD_LETTER_GETTERS, sorted(events, key=lambda event: event.at)))


def _table(declared: pa.Schema, *parts: tuple[Getters, Sequence[Any]]) -> pa.Table:
    """Each part gives the columns that its getters name, from a row of it for every row of the table. The last to name one gives it."""
    columns = {name: (get, rows) for getters, rows in parts for name, get in getters.items()}
    arrays = [pa.array(list(map(*columns[field.name])), field.type) for field in declared]
    return pa.Table.from_arrays(arrays, schema=declared)


def _fields(*names: str) -> Getters:
    """Columns that are called as what they hold."""
    return {name: attrgetter(name) for name in names}


def _day(at: datetime) -> date:
    return at.date() if at.tzinfo is UTC else at.astimezone(UTC).date()


def money(text: str | None) -> Decimal | None:
    """To the last digit that the column holds; None when not known, or absurd."""
    if text is None:
        return None
    value = Decimal(text)
    kept = value.quantize(PICO, ROUND_HALF_EVEN) if abs(value) < MONEY_LIMIT else MONEY_LIMIT
    return kept if abs(kept) < MONEY_LIMIT else None


def seconds(text: str | None) -> Decimal | None:
    """To the billionth; None when not known, or longer than any sound."""
    if text is None:
        return None
    length = Decimal(text)
    kept = length.quantize(NANO, ROUND_HALF_EVEN) if abs(length) < SECONDS_LIMIT else SECONDS_LIMIT
    return kept if abs(kept) < SECONDS_LIMIT else None


NOT_COUNTED = TokenUsage()
"""In the place of a call's usage, where that is not known. Nobody counted: its source means nothing."""


def total_of(usage: TokenUsage) -> int | None:
    if usage.prompt is None:
        return usage.completion
    return usage.prompt + (usage.completion or 0)


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "cost_usd": money(job.cost_usd),
        "price_source": job.price_source,
        "price_basis": job.price_basis._value_,
        "rates": _pairs(job.rates),
    }


def _pairs(mapping: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(mapping.items())


def _body(get: Callable[[Body], Any]) -> Callable[[BodyRow], Any]:
    return lambda row: get(row.body)


def _content(get: Callable[[Body], Any]) -> Callable[[BodyRow], Any]:
    """What was said. A response that its caller wants omitted travels as far as here, because its usage is read on the way."""
    return lambda row: None if row.body.omitted else get(row.body)


CALL_GETTERS: Getters = {
    **_fields(
        "completed_at", "dialect", "model", "response_model", "status", "latency_ms", "ttft_ms", "price_source", "price_note", "cache_hit"
    ),
    **_fields("cache_reference_id", "attempts", "fallback_index", "request_bytes", "response_bytes", "truncated", "finish_reason", "error"),
    "outcome": attrgetter("outcome._value_"),
    "usage_source": lambda event: None if event.usage is None else event.usage.source._value_,
    "rate_limited": lambda event: event.outcome is Outcome.RATE_LIMITED,
    "tries": lambda event: [to_builtins(each) for each in event.tries] if event.tries else None,
    "redactions": lambda event: _pairs(event.redactions),
    "cost_usd": lambda event: money(event.cost_usd),
    "cost_saved_usd": lambda event: money(event.cost_saved_usd),
    "stated_cost_usd": lambda event: money(event.stated_cost_usd),
    "price_basis": lambda event: None if event.price_basis is None else event.price_basis._value_,
    "job": lambda event: None if event.job is None else _job(event.job),
    "price_context": lambda event: _pairs(event.price_context),
    "rates": lambda event: _pairs(event.rates),
}

FACTS_GETTERS: Getters = {
    **_fields(
        "call_id", "request_id", "organization", "created_at", "provider", "method", "path", "target_url", "model_override", "stream"
    ),
    **_fields("user_id", "session_id", "session_name", "session_path", "prompt_id", "prompt_version", "traceparent"),
    "request_model": attrgetter("model"),
    "properties": lambda call: _pairs(call.properties),
    "prompt_inputs": lambda call: _pairs(call.prompt_inputs),
    "source": attrgetter("source._value_"),
    "day": lambda call: _day(call.created_at),
}

COUNT_COLUMNS = {
    "prompt_tokens": "prompt",
    "completion_tokens": "completion",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "reasoning_tokens": "reasoning",
    "audio_input_tokens": "audio_input",
    "audio_output_tokens": "audio_output",
    "audio_cache_read_tokens": "audio_cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "image_input_tokens": "image_input",
    "image_output_tokens": "image_output",
    "video_input_tokens": "video_input",
    "video_output_tokens": "video_output",
    "citation_tokens": "citations",
    "web_searches": "web_searches",
    "file_searches": "file_searches",
}
"""What was counted, by the column that has it."""

USAGE_GETTERS: Getters = {
    **{column: attrgetter(field) for column, field in COUNT_COLUMNS.items()},
    "audio_seconds": lambda usage: seconds(usage.audio_seconds),
    "usage_method": attrgetter("method"),
    "total_tokens": total_of,
}


def usage_in(row: Mapping[str, Any]) -> TokenUsage | None:
    """The other way: what was counted, of a row of the lake, or of a view. None where nobody counted."""
    if row["usage_source"] is None:
        return None
    length = row["audio_seconds"]
    counts = {field: row[column] for column, field in COUNT_COLUMNS.items()}
    return TokenUsage(
        **counts,
        audio_seconds=None if length is None else str(length),
        source=UsageSource(row["usage_source"]),
        method=row["usage_method"],
    )


BODY_GETTERS: Getters = {
    "call_id": lambda row: row.call.call_id,
    "request_id": lambda row: row.call.request_id,
    "organization": lambda row: row.call.organization,
    "created_at": lambda row: row.call.created_at,
    "side": lambda row: row.side,
    "text": _content(lambda body: body.text),
    "base64": _content(lambda body: body.base64),
    "tail": _content(lambda body: body.tail),
    "assembled": lambda row: row.assembled,
    "size": _body(lambda body: body.size),
    "content_type": _body(lambda body: body.content_type),
    "truncated": _body(lambda body: body.truncated),
    "omitted": _body(lambda body: body.omitted),
    "undecodable": _body(lambda body: body.undecodable),
    "facts": lambda row: row.facts,
    "day": lambda row: _day(row.call.created_at),
}

FEEDBACK_GETTERS: Getters = {
    "feedback_id": lambda event: event.feedback_id,
    "request_id": lambda event: event.request_id or None,
    "organization": lambda event: event.organization,
    "given_at": lambda event: event.given_at,
    "rating": lambda event: event.rating,
    "scores": lambda event: _pairs(event.scores | dict.fromkeys(event.scores_retracted)),
    "properties": lambda event: _pairs(event.properties),
    **_fields("session_id", "rating_retracted", "comment", "tag"),
    "property_count": lambda event: len(event.properties),
    "day": lambda event: _day(event.given_at),
}

DEAD_LETTER_GETTERS: Getters = {
    "topic": lambda event: event.topic,
    "partition": lambda event: event.partition,
    "offset": lambda event: event.offset,
    "index": lambda event: event.index,
    "reason": lambda event: event.reason,
    "error": lambda event: event.error,
    "at": lambda event: event.at,
    "payload": lambda event: event.payload,
    "organization": lambda event: event.organization,
    "call_id": lambda event: event.call_id,
    "day": lambda event: _day(event.at),
}
