"""What a webhook is sent: bodies, signatures and headers. Pure.

Names of fields and the signature are Helicone's (its webhook documentation and sender, read 2026-11): its receivers read them unchanged.
"""

import hmac
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.alerts import Alert, AlertMetric, AlertState
from eventlog.events import CallId, CallPriced, Instant, Organization, RequestId
from eventlog.webhooks import Webhook

BODY_LIMIT = 10 << 10
"""Characters of a body that is told; a longer one stands behind its link."""
SIGNATURE, DELIVERY, EVENT = "Helicone-Signature", "Heliograph-Delivery", "Heliograph-Event"


class Told(StrEnum):
    """What a message tells, as its header says."""

    CALL = "call"
    ALERT = "alert"
    TEST = "test"


TOO_LONG = {"helicone_message": "The body is longer than 10 KiB; request_response_url has it, where it is told."}
NOT_AT_REST = {"helicone_message": "The body is not at rest yet; request_response_url has it later, where it is told."}


class CallTold(Struct, frozen=True, kw_only=True):
    """Of a call, all that a message needs beside its bodies: thousands of them may wait."""

    call_id: CallId
    request_id: RequestId
    organization: Organization
    user_id: str | None
    created_at: Instant
    model: str | None
    provider: str
    cost_usd: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float

    @classmethod
    def of(cls, event: CallPriced) -> "CallTold":
        call, usage = event.call, event.usage
        return cls(
            call_id=call.call_id,
            request_id=call.request_id,
            organization=call.organization,
            user_id=call.user_id,
            created_at=call.created_at,
            model=event.model,
            provider=call.provider,
            cost_usd=event.cost_usd,
            prompt_tokens=None if usage is None else usage.prompt,
            completion_tokens=None if usage is None else usage.completion,
            latency_ms=event.latency_ms,
        )


class Sides(Struct, frozen=True):
    """A call's bodies as they are told: JSON, text, or a note. None: not at rest yet."""

    request: Any = None
    response: Any = None

    @property
    def whole(self) -> bool:
        return self.request is not None and self.response is not None


NOTHING = Sides()

_encoder = msgspec.json.Encoder(decimal_format="number")


def call_message(call: CallTold, sides: Sides, link: str | None) -> bytes:
    """`link`: where the bodies are; None where the webhook is told no data."""
    told: dict[str, Any] = {
        "request_id": call.request_id,
        "request_body": NOT_AT_REST if sides.request is None else sides.request,
        "response_body": NOT_AT_REST if sides.response is None else sides.response,
    }
    if call.user_id is not None:
        told["user_id"] = call.user_id
    if link is not None:
        told |= {"request_response_url": link, "model": call.model, "provider": call.provider.upper(), "metadata": _metadata(call)}
    return _encoder.encode(told)


def _metadata(call: CallTold) -> dict[str, Any]:
    counts = [each for each in (call.prompt_tokens, call.completion_tokens) if each is not None]
    return {
        "cost": None if call.cost_usd is None else Decimal(call.cost_usd),
        "promptTokens": call.prompt_tokens,
        "completionTokens": call.completion_tokens,
        "totalTokens": sum(counts) if counts else None,
        "latencyMs": round(call.latency_ms),
    }


def alert_message(alert: Alert, state: AlertState) -> bytes:
    """That an alert began, or that it is over."""
    return _encoder.encode(
        {
            "type": "alert.started" if state.on else "alert.ended",
            "alert_id": alert.id,
            "name": alert.name,
            "organization": alert.organization,
            "metric": alert.metric,
            "aggregation": alert.aggregation if alert.metric is AlertMetric.LATENCY else None,
            "threshold": alert.threshold,
            "value": state.value,
            "calls": state.calls,
            "window_s": alert.window_s,
            "user_id": alert.user_id,
            "property": alert.property,
            "at": state.since,
        }
    )


def trial_message(webhook: Webhook, now: Instant) -> bytes:
    """Of a call that never was."""
    call = CallTold(
        call_id=CallId("test"),
        request_id=RequestId("00000000-0000-0000-0000-000000000000"),
        organization=webhook.organization,
        user_id="test-user",
        created_at=now,
        model="gpt-4o-mini",
        provider="openai",
        cost_usd="0.00000525",
        prompt_tokens=3,
        completion_tokens=8,
        latency_ms=250.0,
    )
    said = {"role": "assistant", "content": "This is a test message."}
    request = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say that this is a test."}]}
    sides = Sides(request, {"model": "gpt-4o-mini", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
    return call_message(call, sides, "https://heliograph.invalid/test" if webhook.include_data else None)


def headers_of(webhook: Webhook, body: bytes, *, key: str, told: Told) -> Sequence[tuple[bytes, bytes]]:
    """`key` is the same however often the message is sent."""
    signature = hmac.digest(webhook.hmac_key.encode(), body, "sha256").hex()
    sent = {"content-type": "application/json", "user-agent": "heliograph-webhooks", SIGNATURE: signature, DELIVERY: key, EVENT: told.value}
    return [(name.encode(), value.encode()) for name, value in sent.items()]
