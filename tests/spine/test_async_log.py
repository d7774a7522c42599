"""What Helicone's own logger and LiteLLM's post is a row that SQL answers about, on both ports."""

import json
import time
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from helicone_helpers import HeliconeManualLogger  # type: ignore[import-untyped]

from tests.fakes.stack import Stack

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a secret recipe"}]}
ANSWER = {
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Salt"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}
COST = Decimal("0.00021")


@pytest.mark.parametrize("door", ["proxy", "api"])
def test_helicones_logger(stack: Stack, door: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = uuid4().hex
    headers = {
        "Helicone-User-Id": "user-7",
        "Helicone-Session-Id": session,
        "Helicone-Session-Path": "/cook",
        "Helicone-Property-Plan": "pro",
    }
    logger = HeliconeManualLogger(api_key=KEY, headers=headers, logging_endpoint=getattr(stack, door))

    def operation(recorder: Any) -> str:
        recorder.append_results(ANSWER)
        return "Salt"

    assert logger.log_request(request=ASKED, operation=operation, provider="openai") == "Salt"
    assert capsys.readouterr().out == ""  # it prints what is not answered with 200
    row = stack.row(f"session_id = '{session}'")
    assert (row["user_id"], row["session_path"], row["properties"]) == ("user-7", "/cook", {"plan": "pro"})
    assert (row["source"], row["provider"], row["dialect"], row["outcome"]) == ("async_log", "openai", "openai.chat", "completed")
    assert (row["prompt_tokens"], row["completion_tokens"], Decimal(str(row["cost_usd"]))) == (1000, 100, COST)
    assert (row["model"], row["request_model"], row["path"]) == ("gpt-4o-mini-2024-07-18", "gpt-4o-mini", "custom-model-nopath")
    kept = json.dumps(stack.call(row["call_id"]))
    assert "a secret recipe" in kept
    assert "Salt" in kept
    assert KEY not in kept


def test_a_stream_and_a_tool_of_the_same_session(stack: Stack) -> None:
    session = uuid4().hex
    logger = HeliconeManualLogger(api_key=KEY, headers={"Helicone-Session-Id": session}, logging_endpoint=stack.proxy)
    chunks = [{"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {"content": "Salt"}}]}, ANSWER | {"choices": []}]
    options = {"start_time": time.time() - 2, "end_time": time.time(), "time_to_first_token_ms": 150}
    logger.send_log("openai", ASKED | {"stream": True}, "\n".join(map(json.dumps, chunks)), options)
    logger.send_log(None, {"_type": "tool", "toolName": "scales", "input": {}}, {"grams": 5}, options | {"start_time": time.time() - 1})
    call, tool = stack.rows(f"session_id = '{session}'", count=2)
    assert (call["stream"], call["prompt_tokens"], call["ttft_ms"], Decimal(str(call["cost_usd"]))) == (True, 1000, 150, COST)
    assert 1900 <= call["latency_ms"] <= 2100
    assert (tool["model"], tool["dialect"], tool["cost_usd"], tool["prompt_tokens"]) == ("tool:scales", None, None, None)
    assert "no model was asked" in tool["price_source"]


def test_litellms_logger(stack: Stack) -> None:
    """Its body, by its source (`litellm/integrations/helicone.py`, 1.109.1): whatever it knows stands in `meta`."""
    request_id = str(uuid4())
    meta = {"Helicone-Auth": f"Bearer {KEY}", "Helicone-Request-Id": request_id, "Helicone-User-Id": "user-8", "model_group": {"a": [1]}}
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude-3-5-sonnet-20241022",
        "content": [{"type": "text", "text": "Hi"}],
    }
    usage = {"input_tokens": 1000, "output_tokens": 100}
    body = {
        "providerRequest": {"url": "https://api.anthropic.com/v1/messages", "json": ASKED | {"model": message["model"]}, "meta": meta},
        "providerResponse": {"json": message | {"usage": usage}, "headers": {"openai-version": "2020-10-01"}, "status": 200},
        "timing": {
            "startTime": {"seconds": int(time.time()) - 3, "milliseconds": 120},
            "endTime": {"seconds": int(time.time()) - 1, "milliseconds": 20},
        },
    }
    answer = httpx.post(f"{stack.proxy}/anthropic/v1/log", json=body, headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.text, answer.headers["helicone-id"]) == (200, "ok", request_id)
    row = stack.row(f"request_id = '{request_id}'")
    assert (row["user_id"], row["dialect"], row["prompt_tokens"], row["latency_ms"]) == ("user-8", "anthropic.messages", 1000, 1900)
    assert (row["path"], row["target_url"]) == ("/v1/messages", "https://api.anthropic.com/v1/messages")
    assert Decimal(str(row["cost_usd"])) == Decimal("0.0045")


def test_a_stated_cost_is_the_price(stack: Stack) -> None:
    request_id = str(uuid4())
    body = {
        "providerRequest": {"json": {"model": "house-1"}, "meta": {"Helicone-Request-Id": request_id}},
        "providerResponse": {"status": 200, "json": {"text": "hi"}, "cost": 0.0042},
    }
    answer = httpx.post(f"{stack.api}/v1/trace/custom/v1/log", json=body)
    assert (answer.status_code, answer.text) == (200, "")
    row = stack.row(f"request_id = '{request_id}'")
    assert (Decimal(str(row["cost_usd"])), row["price_source"], row["price_basis"]) == (Decimal("0.0042"), "stated by the logger", "stated")
