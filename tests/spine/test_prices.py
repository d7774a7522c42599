"""A price that is set over HTTP counts for the next call, and a call's invoice says so. Of a model that no other test calls."""

import time
from typing import Any
from uuid import uuid4

import httpx

from tests.fakes.stack import Stack

MODEL = "priced-over-http-1"
PATIENCE_S = 20
"""It counts within two seconds. A busy machine is given more."""
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What does this cost?"}]}


def call(stack: Stack) -> str:
    request_id = str(uuid4())
    headers = {"authorization": "Bearer sk-test", "helicone-request-id": request_id, "helicone-model-override": MODEL}
    assert httpx.post(f"{stack.proxy}/v1/chat/completions", json=BODY, headers=headers, timeout=20).status_code == 200
    return request_id


def soon(stack: Stack, cost: float | None) -> dict[str, Any]:
    """The first call that costs this."""
    deadline = time.monotonic() + PATIENCE_S
    while (row := stack.row(f"request_id = '{call(stack)}'"))["cost_usd"] != cost:
        assert time.monotonic() < deadline, row["price_source"]
    return row


def test_a_price_counts_for_the_next_call_and_no_longer_once_it_is_gone(stack: Stack) -> None:
    assert stack.row(f"request_id = '{call(stack)}'")["cost_usd"] is None
    said = {"model": MODEL, "provider": "openai", "rates": {"input": "0", "output": 0, "request": 0.25}}
    price = httpx.put(f"{stack.api}/v1/prices", json=said, timeout=20).raise_for_status().json()
    try:
        assert price in httpx.get(f"{stack.api}/v1/prices").json()["prices"]
        row = soon(stack, 0.25)
        assert row["price_basis"] == "own"
        invoice = httpx.get(f"{stack.api}/v1/calls/{row['request_id']}/price").raise_for_status().json()
        assert (invoice["call_id"], invoice["total_usd"], invoice["cost_usd"]) == (row["call_id"], "0.25", "0.25")
        assert [(line["for"], line["amount_usd"]) for line in invoice["lines"]][-1] == ("each call", "0.25")
    finally:
        gone = httpx.delete(f"{stack.api}/v1/prices/{price['id']}", timeout=20)
    assert gone.status_code == 200, gone.text
    assert price not in httpx.get(f"{stack.api}/v1/prices").json()["prices"]
    soon(stack, None)
