"""One call as every topic tells it: what the published schemas and the documentation show."""

from datetime import UTC, datetime, timedelta

from eventlog.events import (
    Body,
    CallFacts,
    CallId,
    CallPriced,
    CallScored,
    DeadLetter,
    Event,
    FeedbackGiven,
    Organization,
    Outcome,
    PriceBasis,
    RequestId,
    RequestReceived,
    ResponseCompleted,
    TokenUsage,
)
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES, SCORED_CALLS

_BEGAN = datetime(2026, 11, 24, 3, 30, 0, 123456, tzinfo=UTC)
_ENDED = _BEGAN + timedelta(milliseconds=812)

_CALL = CallFacts(
    call_id=CallId("019ab3f4-7c11-7cc3-98c4-dc0c0c07398f"),
    request_id=RequestId("order-17"),
    organization=Organization("acme"),
    created_at=_BEGAN,
    provider="openai",
    method="POST",
    path="/v1/chat/completions",
    target_url="https://api.openai.com/v1/chat/completions",
    model="gpt-4o-mini",
    user_id="user-123",
    properties={"feature": "support-chat"},
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
_ASKED = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello!"}]}'
_ANSWERED = (
    '{"id":"chatcmpl-1","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"finish_reason":"stop",'
    '"message":{"role":"assistant","content":"Hello. How can I help?"}}],"usage":{"prompt_tokens":9,"completion_tokens":8}}'
)

_PRICED = CallPriced(
    call=_CALL,
    completed_at=_ENDED,
    outcome=Outcome.COMPLETED,
    status=200,
    latency_ms=812.0,
    ttft_ms=804.5,
    dialect="openai.chat",
    model="gpt-4o-mini",
    response_model="gpt-4o-mini-2024-07-18",
    usage=TokenUsage(prompt=9, completion=8),
    cost_usd="0.00000615",
    price_source="genai-prices 0.2.3: openai/gpt-4o-mini",
    price_basis=PriceBasis.LIST,
    rates={"cache_read_mtok": "0.075", "input_mtok": "0.15", "output_mtok": "0.6"},
    finish_reason="stop",
    request_bytes=len(_ASKED),
    response_bytes=len(_ANSWERED),
)
_JUDGED = FeedbackGiven(
    feedback_id="019ab3f9-0c5e-7d02-8a61-5f4b1f1f7a10",
    request_id=RequestId("order-17"),
    organization=Organization("acme"),
    given_at=_ENDED + timedelta(minutes=5),
    rating=True,
    scores={"helpfulness": 0.9},
)

EXAMPLES: dict[str, Event] = {
    REQUESTS.name: RequestReceived(call=_CALL, request=Body(text=_ASKED, size=len(_ASKED), content_type="application/json")),
    RESPONSES.name: ResponseCompleted(
        call=_CALL,
        completed_at=_ENDED,
        outcome=Outcome.COMPLETED,
        status=200,
        latency_ms=812.0,
        ttft_ms=804.5,
        request_bytes=len(_ASKED),
        response=Body(text=_ANSWERED, size=len(_ANSWERED), content_type="application/json"),
    ),
    FEEDBACK.name: _JUDGED,
    CALLS.name: _PRICED,
    SCORED_CALLS.name: CallScored(feedback=_JUDGED, call=_PRICED),
    DEAD_LETTERS.name: DeadLetter(
        topic=RESPONSES.name,
        partition=3,
        offset=41,
        index=7,
        reason="undecodable",
        error="JSON is malformed: expected ':' (byte 7)",
        at=_ENDED,
        payload='{"half":',
    ),
}
"""By the name of the topic."""
