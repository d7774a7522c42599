"""Completed calls for the tests of this folder."""

from datetime import UTC, datetime

from eventlog.codec import Batch, BatchId
from eventlog.events import Body, CallFacts, CallId, Outcome, RequestId, ResponseCompleted

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
EPOCH = "0123456789abcdef" * 2

ANSWER = """{"id":"c","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},
"finish_reason":"stop"}],
"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"""


def call(provider: str = "openai", path: str = "/v1/chat/completions", **more: object) -> CallFacts:
    facts: dict[str, object] = {
        "call_id": CallId("call-1"),
        "request_id": RequestId("request-1"),
        "created_at": AT,
        "provider": provider,
        "method": "POST",
        "path": path,
        "target_url": f"https://{provider}{path}",
        "model": "gpt-4o",
    }
    return CallFacts(**(facts | more))  # type: ignore[arg-type]


def completed(text: str | None = ANSWER, *, facts: CallFacts | None = None, body: Body | None = None, **more: object) -> ResponseCompleted:
    response = body or Body(text=text, size=len(text or ""), content_type="application/json")
    fields: dict[str, object] = {"outcome": Outcome.COMPLETED, "status": 200, "latency_ms": 12.5}
    return ResponseCompleted(call=facts or call(), completed_at=AT, response=response, **(fields | more))  # type: ignore[arg-type]


def batch(*events: ResponseCompleted, sequence: int = 1) -> Batch[ResponseCompleted]:
    return Batch(id=BatchId(EPOCH, sequence), partition=0, events=events)
