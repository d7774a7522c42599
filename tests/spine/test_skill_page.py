"""What people paste from a page about Helicone, with nothing changed but host and key: each piece, and what came of it."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests

from tests.fakes.flaky import Flaky, flaky
from tests.fakes.stack import COMMAND, Stack, free_port

ANALYSIS = "Analyze this data"
PATIENT = 60


@pytest.fixture(scope="module")
def unsteady() -> Iterator[Flaky]:
    """OpenAI, as far as this Heliograph knows."""
    with flaky(Flaky(provider_port=free_port(), mark=ANALYSIS.encode(), failures=2)) as made:
        yield made


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, unsteady: Flaky) -> Iterator[Stack]:
    """Keys are required, and there is one, of the organization `acme`."""
    env = {"HELIOGRAPH_AUTH": "required", "HELIOGRAPH_UPSTREAMS__OPENAI": unsteady.url}
    made = Stack(folder=tmp_path_factory.mktemp("page"), env=env, provider_port=unsteady.provider_port)
    create = [*COMMAND, "keys", "create", "support", "--organization", "acme", "--data-dir", str(made.data_dir)]
    made.key = subprocess.run(create, env=made.environment(), capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    try:
        made.start_provider()
        made.start()
        yield made
    finally:
        for name in list(made.processes):
            made.stop(name)


@pytest.fixture(autouse=True)
def provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the page's clients take it from here."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-your-openai-key")


def client_of(stack: Stack, **headers: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack.proxy}/v1", default_headers={"Helicone-Auth": f"Bearer {stack.key}"} | headers)


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def rows(stack: Stack, text: str, count: int = 1) -> list[dict[str, Any]]:
    """Of the calls whose question was just this text, in their order."""
    asked = f"""call_id IN (SELECT call_id FROM bodies WHERE side = 'request' AND contains(text, '"{text}"'))"""
    found = stack.rows(asked, count=count)
    assert len(found) == count
    assert {row["organization"] for row in found} == {"acme"}
    return found


def test_openai(stack: Stack) -> None:
    client = openai.OpenAI(
        api_key="sk-your-openai-key", base_url=f"{stack.proxy}/v1", default_headers={"Helicone-Auth": f"Bearer {stack.key}"}
    )
    response = client.chat.completions.create(model="gpt-4", messages=said("Hello!"))
    assert response.choices[0].message.content
    assert response.usage
    (row,) = rows(stack, "Hello!")
    assert (row["provider"], row["request_model"], row["outcome"]) == ("openai", "gpt-4", "completed")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (response.usage.prompt_tokens, response.usage.completion_tokens)
    assert row["cost_usd"] > 0


def test_anthropic(stack: Stack) -> None:
    client = anthropic.Anthropic(api_key="sk-ant-xxxx", base_url=stack.proxy, default_headers={"Helicone-Auth": f"Bearer {stack.key}"})
    with client:
        message = client.messages.create(model="claude-3-5-sonnet-20241022", max_tokens=1024, messages=said("Explain caching."))
    (row,) = rows(stack, "Explain caching.")
    assert (row["provider"], row["request_model"], row["outcome"]) == ("anthropic", "claude-3-5-sonnet-20241022", "completed")
    usage = message.usage
    prompt = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (prompt, usage.output_tokens)
    assert row["cost_usd"] > 0


def test_properties_and_user(stack: Stack) -> None:
    client_of(stack).chat.completions.create(
        model="gpt-4",
        messages=said("Help me with billing"),
        extra_headers={
            "Helicone-User-Id": "user-123",
            "Helicone-Session-Id": "session-abc",
            "Helicone-Property-Feature": "support-chat",
            "Helicone-Property-Environment": "production",
            "Helicone-Property-Ticket-Id": "T-5678",
        },
    )
    (row,) = rows(stack, "Help me with billing")
    assert (row["user_id"], row["session_id"]) == ("user-123", "session-abc")
    assert row["properties"] == {"feature": "support-chat", "environment": "production", "ticket-id": "T-5678"}


def test_cache(stack: Stack) -> None:
    client = client_of(stack, **{"Helicone-Cache-Enabled": "true"})
    first, second = (client.chat.completions.create(model="gpt-3.5-turbo", messages=said("What is 2+2?")) for _ in range(2))
    assert first == second
    miss, hit = rows(stack, "What is 2+2?", 2)
    assert (miss["cache_hit"], hit["cache_hit"], hit["cache_reference_id"]) == (False, True, miss["call_id"])
    assert miss["cost_usd"] > 0
    assert (hit["cost_usd"], hit["cost_saved_usd"]) == (0, miss["cost_usd"])


def test_cache_bucket(stack: Stack) -> None:
    client = client_of(stack, **{"Helicone-Cache-Enabled": "true"})
    for _ in range(4):
        client.chat.completions.create(
            model="gpt-3.5-turbo", messages=said("Summarize our FAQ"), extra_headers={"Helicone-Cache-Bucket-Max-Size": "3"}
        )
    assert [row["cache_hit"] for row in rows(stack, "Summarize our FAQ", 4)] == [False, False, False, True]


def test_rate_limit(stack: Stack) -> None:
    client = client_of(stack, **{"Helicone-RateLimit-Policy": "10;w=60;s=user"})

    def ask(of: openai.OpenAI, user: str) -> None:
        of.chat.completions.create(model="gpt-4", messages=said("Hello"), extra_headers={"Helicone-User-Id": user})

    for _ in range(10):
        ask(client, "user-123")
    at_once = client.with_options(max_retries=0)
    with pytest.raises(openai.RateLimitError) as refused:
        ask(at_once, "user-123")
    assert 0 < int(refused.value.response.headers["retry-after"]) <= PATIENT
    ask(at_once, "user-456")
    found = stack.rows("user_id IN ('user-123', 'user-456') AND session_id IS NULL", count=12)
    assert [(row["user_id"], row["rate_limited"], row["outcome"]) for row in found] == [
        *[("user-123", False, "completed")] * 10,
        ("user-123", True, "rate_limited"),
        ("user-456", False, "completed"),
    ]


def test_retries(stack: Stack, unsteady: Flaky) -> None:
    """The SDK, which would try twice more by itself, has nothing to try again."""
    client = client_of(stack, **{"Helicone-Retry-Enabled": "true", "Helicone-Retry-Num": "3", "Helicone-Retry-Factor": "2"})
    assert client.max_retries == openai.DEFAULT_MAX_RETRIES > 0
    response = client.chat.completions.create(model="gpt-4", messages=said(ANALYSIS))
    assert response.choices[0].message.content
    assert unsteady.marked == [503, 503, 200]
    (row,) = rows(stack, ANALYSIS)
    assert (row["attempts"], row["status"], row["outcome"]) == (3, 200, "completed")
    assert row["cost_usd"] > 0


def feedback_by_curl(stack: Stack, request_id: str, rating: str) -> None:
    subprocess.run(
        [
            *("curl", "-fsS", "-m", "10", "-X", "POST", f"{stack.api}/v1/request/{request_id}/feedback"),
            *("-H", f"Authorization: Bearer {stack.key}", "-H", "Content-Type: application/json", "-d", f'{{"rating": {rating}}}'),
        ],
        check=True,
        capture_output=True,
        timeout=20,
    )


def feedback_by_requests(stack: Stack, request_id: str, rating: str) -> None:
    requests.post(
        f"{stack.api}/v1/request/{request_id}/feedback",
        headers={"Authorization": f"Bearer {stack.key}"},
        json={"rating": rating == "true"},
        timeout=10,
    ).raise_for_status()


@pytest.mark.parametrize("rating", ["true", "false"])
@pytest.mark.parametrize(
    "give", [pytest.param(feedback_by_curl, marks=pytest.mark.needs("curl")), feedback_by_requests], ids=["curl", "requests"]
)
def test_feedback(stack: Stack, give: Any, rating: str) -> None:
    answer = client_of(stack).chat.completions.with_raw_response.create(model="gpt-4", messages=said(f"Judge me, {os.urandom(4).hex()}"))
    request_id = answer.headers["helicone-id"]
    give(stack, request_id, rating)
    (row,) = stack.rows(f"request_id = '{request_id}' AND rating IS NOT NULL")
    assert row["rating"] is (rating == "true")


def test_nobody_without_the_key(stack: Stack) -> None:
    client = openai.OpenAI(base_url=f"{stack.proxy}/v1", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        client.chat.completions.create(model="gpt-4", messages=said("Let me in"))
    assert refused.value.code == "key_missing"
