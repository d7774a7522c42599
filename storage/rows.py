"""Events as rows: one Arrow column after the other, in the declared types."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from eventlog.events import Body, CallPriced, DeadLetter, FeedbackGiven, Outcome, RequestReceived, ResponseCompleted, TokenUsage
from storage import schema

E = TypeVar("E")
Getters = dict[str, Callable[[Any], Any]]

_facts_encoder = msgspec.json.Encoder()

PICO = Decimal("1e-12")
MONEY_LIMIT = Decimal(10) ** 6
"""A million dollars for one call is a fault, not a price: such a figure is not known."""

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


def calls_table(events: Sequence[CallPriced], revision: int = 0, unknown: Iterable[str] = ()) -> pa.Table:
    """Rows of `calls`, or of `amendments` with another revision. The columns `unknown` are NULL, whatever the events say."""
    ordered = sorted(events, key=lambda event: (event.call.organization, event.call.created_at))
    getters = CALL_GETTERS | {"revision": lambda _: revision} | dict.fromkeys(unknown, _nothing)
    return _table(schema.CALLS, getters, ordered)


def _nothing(_: object) -> None:
    return None


def bodies_table(rows: Sequence[BodyRow]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (row.call.organization, row.call.created_at))
    return _table(schema.BODIES, BODY_GETTERS, ordered)


def feedback_table(events: Sequence[FeedbackGiven]) -> pa.Table:
    ordered = sorted(events, key=lambda event: (event.organization, event.given_at))
    return _table(schema.FEEDBACK, FEEDBACK_GETTERS, ordered)


def dead_letters_table(events: Sequence[DeadLetter]) -> pa.Table:
    return _table(schema.DEAD_LETTERS, DEAD_LETTER_GETTERS, sorted(events, key=lambda event: event.at))


def _table(declared: pa.Schema, getters: Getters, rows: Sequence[Any]) -> pa.Table:
    arrays = [pa.array([getters[field.name](row) for row in rows], field.type) for field in declared]
    return pa.Table.from_arrays(arrays, schema=declared)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def money(text: str | None) -> Decimal | None:
    """To the last digit that the column holds; None when not known, or absurd."""
    if text is None:
        return None
    value = Decimal(text)
    return value.quantize(PICO, ROUND_HALF_EVEN) if abs(value) < MONEY_LIMIT else None


def _usage(count: Callable[[TokenUsage], Any]) -> Callable[[CallPriced], Any]:
    return lambda event: None if event.usage is None else count(event.usage)


def total_of(usage: TokenUsage) -> int | None:
    if usage.prompt is None:
        return usage.completion
    return usage.prompt + (usage.completion or 0)


def _pairs(mapping: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(mapping.items())


def _body(get: Callable[[Body], Any]) -> Callable[[BodyRow], Any]:
    return lambda row: get(row.body)


def _content(get: Callable[[Body], Any]) -> Callable[[BodyRow], Any]:
    """What was said. A response that its caller wants omitted travels as far as here, because its usage is read on the way."""
    return lambda row: None if row.body.omitted else get(row.body)


CALL_GETTERS: Getters = {
    "call_id": lambda event: event.call.call_id,
    "request_id": lambda event: event.call.request_id,
    "organization": lambda event: event.call.organization,
    "created_at": lambda event: event.call.created_at,
    "completed_at": lambda event: event.completed_at,
    "provider": lambda event: event.call.provider,
    "dialect": lambda event: event.dialect,
    "method": lambda event: event.call.method,
    "path": lambda event: event.call.path,
    "target_url": lambda event: event.call.target_url,
    "model": lambda event: event.model,
    "request_model": lambda event: event.call.model,
    "response_model": lambda event: event.response_model,
    "model_override": lambda event: event.call.model_override,
    "status": lambda event: event.status,
    "outcome": lambda event: event.outcome.value,
    "stream": lambda event: event.call.stream,
    "user_id": lambda event: event.call.user_id,
    "session_id": lambda event: event.call.session_id,
    "session_name": lambda event: event.call.session_name,
    "session_path": lambda event: event.call.session_path,
    "properties": lambda event: _pairs(event.call.properties),
    "prompt_id": lambda event: event.call.prompt_id,
    "traceparent": lambda event: event.call.traceparent,
    "latency_ms": lambda event: event.latency_ms,
    "ttft_ms": lambda event: event.ttft_ms,
    "prompt_tokens": _usage(lambda usage: usage.prompt),
    "completion_tokens": _usage(lambda usage: usage.completion),
    "cache_read_tokens": _usage(lambda usage: usage.cache_read),
    "cache_write_tokens": _usage(lambda usage: usage.cache_write),
    "reasoning_tokens": _usage(lambda usage: usage.reasoning),
    "audio_input_tokens": _usage(lambda usage: usage.audio_input),
    "audio_output_tokens": _usage(lambda usage: usage.audio_output),
    "total_tokens": _usage(total_of),
    "usage_source": _usage(lambda usage: usage.source.value),
    "cost_usd": lambda event: money(event.cost_usd),
    "price_source": lambda event: event.price_source,
    "cache_hit": lambda event: event.cache_hit,
    "cache_reference_id": lambda event: event.cache_reference_id,
    "cost_saved_usd": lambda event: money(event.cost_saved_usd),
    "attempts": lambda event: event.attempts,
    "fallback_index": lambda event: event.fallback_index,
    "rate_limited": lambda event: event.outcome is Outcome.RATE_LIMITED,
    "request_bytes": lambda event: event.request_bytes,
    "response_bytes": lambda event: event.response_bytes,
    "truncated": lambda event: event.truncated,
    "finish_reason": lambda event: event.finish_reason,
    "error": lambda event: event.error,
    "source": lambda event: event.call.source.value,
    "day": lambda event: _day(event.call.created_at),
}

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
    "request_id": lambda event: event.request_id,
    "organization": lambda event: event.organization,
    "given_at": lambda event: event.given_at,
    "rating": lambda event: event.rating,
    "scores": lambda event: _pairs(event.scores),
    "properties": lambda event: _pairs(event.properties),
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
