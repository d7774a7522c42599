"""What a webhook is sent, byte for byte, and how a receiver knows it."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from eventlog.alerts import Aggregation, AlertMetric, AlertState
from eventlog.events import TokenUsage
from eventlog.webhooks import PropertyIs
from processors.webhooks.messages import CallTold, Sides, Told, alert_message, call_message, headers_of, trial_message
from tests.fakes.facts import priced
from tests.fakes.hooks import alert, webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALL = CallTold.of(priced(7, user_id="ann"))
SIDES = Sides(msgspec.Raw(b'{"model":"gpt-4o-mini"}'), "plain text")


def test_a_call_with_its_data() -> None:
    assert json.loads(call_message(CALL, SIDES, "https://here/link")) == {
        "request_id": "call-000007",
        "request_body": {"model": "gpt-4o-mini"},
        "response_body": "plain text",
        "user_id": "ann",
        "request_response_url": "https://here/link",
        "model": "gpt-4o-mini",
        "provider": "OPENAI",
        "metadata": {"cost": 0.000027, "promptTokens": 100, "completionTokens": 20, "totalTokens": 120, "latencyMs": 1000},
    }


def test_a_call_without() -> None:
    told = json.loads(call_message(replace(CALL, user_id=None), SIDES, None))
    assert told == {"request_id": "call-000007", "request_body": {"model": "gpt-4o-mini"}, "response_body": "plain text"}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        pytest.param(None, (None, None, None), id="not known"),
        pytest.param(TokenUsage(prompt=0), (0, None, 0), id="of one side"),
        pytest.param(TokenUsage(prompt=3, completion=4), (3, 4, 7), id="of both"),
    ],
)
def test_what_is_not_known_is_null(usage: TokenUsage | None, tokens: tuple[int | None, ...]) -> None:
    event = replace(priced(1), usage=usage, cost_usd=None, model=None)
    told = json.loads(call_message(CallTold.of(event), SIDES, ""))
    metadata = told["metadata"]
    assert (told["model"], metadata["cost"]) == (None, None)
    assert (metadata["promptTokens"], metadata["completionTokens"], metadata["totalTokens"]) == tokens


def test_bodies_that_are_not_at_rest_are_said_to_be() -> None:
    told = json.loads(call_message(CALL, Sides(request="here"), None))
    assert told["request_body"] == "here"
    assert "not at rest" in told["response_body"]["helicone_message"]


def test_the_signature_is_over_the_exact_body() -> None:
    body = call_message(CALL, SIDES, None)
    headers = dict(headers_of(webhook(hmac_key="ab" * 32), body, key="call-000007.w1", told=Told.CALL))
    assert headers[b"Helicone-Signature"].decode() == hmac.new(("ab" * 32).encode(), body, hashlib.sha256).hexdigest()
    assert headers[b"Heliograph-Delivery"] == b"call-000007.w1"
    assert (headers[b"content-type"], headers[b"Heliograph-Event"]) == (b"application/json", b"call")


@pytest.mark.parametrize("on", [True, False])
def test_an_alert(on: bool) -> None:
    of = alert(metric=AlertMetric.LATENCY, aggregation=Aggregation.MEAN, user_id="ann", property=PropertyIs(key="plan", value="pro"))
    told: dict[str, Any] = json.loads(alert_message(of, AlertState(id="a1", on=on, since=NOW, value=12.5, calls=3)))
    assert told == {
        "type": "alert.started" if on else "alert.ended",
        "alert_id": "a1",
        "name": "too dear",
        "organization": "default",
        "metric": "latency",
        "aggregation": "mean",
        "threshold": 10.0,
        "value": 12.5,
        "calls": 3,
        "window_s": 3600,
        "user_id": "ann",
        "property": {"key": "plan", "value": "pro"},
        "at": "2026-03-01T12:00:00Z",
    }


def test_a_test_has_the_fields_of_a_call() -> None:
    told, call = json.loads(trial_message(webhook(), NOW)), json.loads(call_message(CALL, SIDES, "https://here/link"))
    assert told.keys() == call.keys()
    assert told["metadata"].keys() == call["metadata"].keys()
    assert "metadata" not in json.loads(trial_message(webhook(include_data=False), NOW))
