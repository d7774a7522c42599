"""Events to test with: complete, and told apart by a number."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from eventlog.codec import BatchId, Message, message_of
from eventlog.events import (
    Body,
    CallFacts,
    CallId,
    CallPriced,
    Organization,
    Outcome,
    RequestId,
    RequestReceived,
    ResponseCompleted,
    TokenUsage,
)
from eventlog.topics import CALLS

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def facts(number: int, *, organization: str = "default", day: int = 0, **more: object) -> CallFacts:
    known: dict[str, object] = {
        "call_id": CallId(f"call-{number:06d}"),
        "request_id": RequestId(f"call-{number:06d}"),
        "organization": Organization(organization),
        "created_at": BEGAN + timedelta(days=day, milliseconds=number),
        "provider": "openai",
        "method": "POST",
        "path": "/v1/chat/completions",
        "target_url": "https://api.openai.com/v1/chat/completions",
        "model": "gpt-4o-mini",
        "properties": {"feature": "chat"},
    }
    return CallFacts(**(known | more))  # type: ignore[arg-type]


def priced(number: int, **more: object) -> CallPriced:
    call = facts(number, **more)
    return CallPriced(
        call=call,
        completed_at=call.created_at + timedelta(seconds=1),
        outcome=Outcome.COMPLETED,
        status=200,
        latency_ms=1000.5,
        ttft_ms=200.25,
        dialect="openai.chat",
        model="gpt-4o-mini",
        response_model="gpt-4o-mini-2024-07-18",
        usage=TokenUsage(prompt=100, completion=20, cache_read=10),
        cost_usd="0.000027",
        price_source="genai-prices",
        finish_reason="stop",
        request_bytes=900,
        response_bytes=700,
    )


def completed(number: int, text: str = '{"id": "x"}', **more: object) -> ResponseCompleted:
    call = facts(number)
    known: dict[str, object] = {
        "call": call,
        "completed_at": call.created_at + timedelta(seconds=1),
        "outcome": Outcome.COMPLETED,
        "status": 200,
        "latency_ms": 1000.0,
        "response": Body(text=text, size=len(text), content_type="application/json"),
    }
    return ResponseCompleted(**(known | more))  # type: ignore[arg-type]


def received(number: int, text: str = '{"model": "gpt-4o-mini"}') -> RequestReceived:
    return RequestReceived(call=facts(number), request=Body(text=text, size=len(text), content_type="application/json"))


def calls_message(epoch: str, sequence: int, numbers: Iterable[int], *, partition: int = 0) -> Message:
    return message_of(CALLS, partition, BatchId(epoch, sequence), [priced(number) for number in numbers])
