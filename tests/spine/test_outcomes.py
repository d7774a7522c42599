"""Whatever goes wrong between a client and a provider, the client gets a clear answer and the call is one row that says what happened."""

import contextlib
import json
import socket
from uuid import uuid4

import httpx
import pytest

from tests.fakes.stack import Stack

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
OPENAI = {"authorization": "Bearer sk-test"}


def call(stack: Stack, fault: str = "", *, body: dict[str, object] = BODY, path: str = "/v1/chat/completions", **headers: str) -> str:
    """Makes a call that may break; answers its request id."""
    request_id = str(uuid4())
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = OPENAI | {"helicone-request-id": request_id, "x-demo-fault": fault} | own
    with contextlib.suppress(httpx.RemoteProtocolError):
        httpx.post(f"{stack.proxy}{path}", json=body, headers=sent, timeout=20)
    return request_id


OUTCOMES = {
    "an answer in full": ("", "completed", 200),
    "an error of the provider": ("status=500", "provider_error", 500),
    "a rate limit of the provider": ("status=429, retry-after=3", "provider_error", 429),
    "an answer that is no JSON": ("malformed-json", "completed", 200),
    "a connection reset before the answer": ("reset-before", "interrupted_by_provider", 502),
    "half an answer": ("half", "interrupted_by_provider", 200),
    "a provider that never answers": ("stall-before=60", "timed_out", 504),
}


@pytest.mark.parametrize(("fault", "outcome", "status"), OUTCOMES.values(), ids=OUTCOMES)
def test_each_end_is_a_row(stack: Stack, fault: str, outcome: str, status: int) -> None:
    row = stack.row(f"request_id = '{call(stack, fault)}'")
    assert (row["outcome"], row["status"]) == (outcome, status)


def test_a_stream_that_breaks_off_keeps_what_was_seen(stack: Stack) -> None:
    row = stack.row(f"request_id = '{call(stack, 'half', body=BODY | {'stream': True})}'")
    assert row["outcome"] == "interrupted_by_provider"
    assert row["response_bytes"] > 0
    assert row["response_model"]


def test_the_client_notices_that_the_provider_broke_off(stack: Stack) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{stack.proxy}/v1/chat/completions", json=BODY, headers=OPENAI | {"x-demo-fault": "half"})


def leave_after(stack: Stack, request_id: str, fault: str, received: int) -> None:
    """A client that hangs up once it has `received` bytes of the answer."""
    body = json.dumps(BODY | {"stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: Bearer sk-test\r\n"
        f"helicone-request-id: {request_id}\r\nx-demo-fault: {fault}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stack.port), 5) as client:
        client.sendall(head.encode() + body)
        client.settimeout(5)
        seen = 0
        while seen < received:
            seen += len(client.recv(received))
        if not received:
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)


LEAVING = {"before the first byte": ("stall-before=1.5", 0), "in the middle of a stream": ("chunks=200, delay-ms=20", 1200)}


@pytest.mark.parametrize(("fault", "received"), LEAVING.values(), ids=LEAVING)
def test_a_client_that_leaves(stack: Stack, fault: str, received: int) -> None:
    request_id = str(uuid4())
    leave_after(stack, request_id, fault, received)
    row = stack.row(f"request_id = '{request_id}'")
    assert row["outcome"] == "interrupted_by_client"
    assert row["latency_ms"] < 3000


REFUSED = {
    "an unknown provider": ("/nobody/v1/chat/completions", {}, 404, "unknown_route"),
    "a target that is no URL": ("/v1/chat/completions", {"helicone-target-url": "not a url"}, 400, "bad_target"),
    "a target of another scheme": ("/v1/chat/completions", {"helicone-target-url": "ftp://example.com"}, 400, "bad_target"),
    "a target that nobody serves": ("/v1/x", {"helicone-target-url": "http://127.0.0.1:1"}, 502, "upstream_refused"),
    "a target that has no address": ("/v1/x", {"helicone-target-url": "http://nowhere.invalid"}, 502, "upstream_unresolved"),
    "TLS that fails": ("/v1/x", {"helicone-target-url": "https://127.0.0.1:{provider_port}"}, 502, "upstream_tls"),
    "an upgrade": ("/v1/realtime", {"connection": "upgrade", "upgrade": "websocket"}, 501, "upgrade_unsupported"),
}


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
@pytest.mark.parametrize(("path", "headers", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_refusals_speak_the_clients_dialect(
    stack: Stack, path: str, headers: dict[str, str], status: int, code: str, anthropic: bool
) -> None:
    headers = {name: value.format(provider_port=stack.provider_port) for name, value in headers.items()}
    dialect = {"anthropic-version": "2023-06-01", "x-api-key": "sk-ant"} if anthropic else OPENAI
    answer = httpx.post(f"{stack.proxy}{path}", json=BODY, headers=headers | dialect, timeout=20)
    assert answer.status_code == status, answer.text
    error = answer.json()
    assert code in answer.text
    assert error["error"]["message"]
    assert error.get("type") == ("error" if anthropic else None)
    assert "Traceback" not in answer.text


def test_a_refused_call_is_a_row_too(stack: Stack) -> None:
    request_id = call(stack, path="/v1/x", helicone_target_url="http://127.0.0.1:1")
    row = stack.row(f"request_id = '{request_id}'")
    assert (row["outcome"], row["status"]) == ("unreachable", 502)
    assert row["error"]


def test_a_call_that_is_no_model_call_is_a_row_without_usage(stack: Stack) -> None:
    request_id = call(stack, path="/v1/echo")
    row = stack.row(f"request_id = '{request_id}'")
    assert (row["outcome"], row["dialect"], row["prompt_tokens"], row["cost_usd"]) == ("completed", None, None, None)
