"""The clients people really use, with nothing changed but their base URL."""

import json
import subprocess
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import aiohttp
import anthropic
import httpx
import openai
import pytest
import requests
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.fakes.stack import Stack

MESSAGES: Any = [{"role": "user", "content": "Hello!"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}
ANTHROPIC_TOOL: Any = {"name": "weather", "input_schema": TOOL["function"]["parameters"]}


class Capital(BaseModel):
    country: str
    city: str


@pytest.fixture
def tag() -> str:
    return uuid4().hex


def openai_at(stack: Stack, tag: str, base: str = "/v1") -> openai.OpenAI:
    return openai.OpenAI(
        api_key="sk-test-openai", base_url=stack.proxy + base, max_retries=0, default_headers={"Helicone-Property-Test": tag}
    )


def anthropic_at(stack: Stack, tag: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="sk-ant-test", base_url=stack.proxy, max_retries=0, default_headers={"Helicone-Property-Test": tag})


def the_row(stack: Stack, tag: str) -> dict[str, Any]:
    return stack.row(f"properties['test'] = '{tag}'")


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
def test_a_chat_completion_is_a_priced_row(stack: Stack, tag: str, base: str) -> None:
    client = openai_at(stack, tag, base)
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert answer.choices[0].message.content
    assert answer.usage
    row = the_row(stack, tag)
    assert (row["provider"], row["dialect"], row["outcome"], row["status"]) == ("openai", "openai.chat", "completed", 200)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert row["cost_usd"] > 0
    assert row["response_model"] == answer.model


def test_a_streamed_chat_completion_keeps_its_usage_and_message(stack: Stack, tag: str) -> None:
    client = openai_at(stack, tag)
    text, usage = "", None
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            usage = chunk.usage or usage
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    row = the_row(stack, tag)
    assert row["stream"] is True
    assert usage
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert row["ttft_ms"] is not None
    assert row["ttft_ms"] <= row["latency_ms"]
    assert text in json.dumps(stack.call(row["call_id"]), ensure_ascii=False)


def test_a_stream_that_tells_no_usage_is_counted(stack: Stack, tag: str) -> None:
    client = openai_at(stack, tag)
    with client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    row = the_row(stack, tag)
    assert (row["usage_source"], row["outcome"]) == ("estimated", "completed")
    assert row["usage_method"].startswith("counted by o200k_base")
    assert row["prompt_tokens"] > 7
    assert row["completion_tokens"] > 0
    assert row["cost_usd"] > 0


def test_tools_and_structured_output(stack: Stack, tag: str) -> None:
    client = openai_at(stack, tag)
    called = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, tools=[TOOL], tool_choice="required")
    assert called.choices[0].message.tool_calls
    parsed = client.chat.completions.parse(model="gpt-4o-mini", messages=MESSAGES, response_format=Capital)
    assert isinstance(parsed.choices[0].message.parsed, Capital)
    finish = [row["finish_reason"] for row in stack.rows(f"properties['test'] = '{tag}'", count=2)]
    assert finish == ["tool_calls", "stop"]


def test_the_raw_answer_carries_our_id(stack: Stack, tag: str) -> None:
    raw = openai_at(stack, tag).chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
    assert raw.headers["helicone-status"] == "success"
    assert the_row(stack, tag)["request_id"] == raw.headers["helicone-id"]
    assert raw.parse().choices


def test_responses_completions_and_embeddings(stack: Stack, tag: str) -> None:
    client = openai_at(stack, tag)
    assert client.responses.create(model="gpt-4o-mini", input="Hello").output_text
    with client.responses.create(model="gpt-4o-mini", input="Hello", stream=True) as stream:
        assert [event for event in stream if event.type == "response.completed"]
    assert client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello").choices
    assert client.embeddings.create(model="text-embedding-3-small", input="Hello").data
    rows = stack.rows(f"properties['test'] = '{tag}'", count=4)
    assert [row["dialect"] for row in rows] == ["openai.responses", "openai.responses", "openai.completions", "openai.embeddings"]
    assert all(row["prompt_tokens"] for row in rows)
    assert all(row["cost_usd"] is not None for row in rows)


async def test_the_async_openai_client(stack: Stack, tag: str) -> None:
    async with openai.AsyncOpenAI(
        api_key="sk-test", base_url=stack.proxy + "/v1", max_retries=0, default_headers={"Helicone-Property-Test": tag}
    ) as client:
        assert (await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)).choices
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
        assert [chunk async for chunk in stream]
    assert [row["stream"] for row in stack.rows(f"properties['test'] = '{tag}'", count=2)] == [False, True]


def test_an_anthropic_message_is_a_priced_row(stack: Stack, tag: str) -> None:
    with anthropic_at(stack, tag) as client:
        answer = client.messages.create(model="claude-3-5-sonnet-20241022", max_tokens=1024, messages=MESSAGES)
    row = the_row(stack, tag)
    assert (row["provider"], row["dialect"], row["model"]) == ("anthropic", "anthropic.messages", answer.model)
    assert row["completion_tokens"] == answer.usage.output_tokens
    assert row["cost_usd"] > 0


def test_a_streamed_anthropic_message_with_a_tool(stack: Stack, tag: str) -> None:
    with (
        anthropic_at(stack, tag) as client,
        client.messages.stream(
            model="claude-3-5-sonnet-20241022",
            max_tokens=1024,
            messages=MESSAGES,
            tools=[ANTHROPIC_TOOL],
            tool_choice={"type": "any"},
        ) as stream,
    ):
        final = stream.get_final_message()
    assert [block for block in final.content if block.type == "tool_use"]
    row = the_row(stack, tag)
    assert (row["finish_reason"], row["completion_tokens"]) == ("tool_use", final.usage.output_tokens)


async def test_the_async_anthropic_client(stack: Stack, tag: str) -> None:
    async with anthropic.AsyncAnthropic(
        api_key="sk-ant", base_url=stack.proxy + "/anthropic", max_retries=0, default_headers={"Helicone-Property-Test": tag}
    ) as client:
        assert (await client.messages.create(model="claude-3-5-sonnet-20241022", max_tokens=64, messages=MESSAGES)).content
    assert the_row(stack, tag)["provider"] == "anthropic"


def test_errors_reach_the_client_as_its_own_exceptions(stack: Stack, tag: str) -> None:
    client = openai_at(stack, tag)
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers={"x-demo-fault": "status=429, retry-after=7"})
    assert limited.value.response.headers["retry-after"] == "7"
    row = the_row(stack, tag)
    assert (row["outcome"], row["status"], row["cost_usd"]) == ("provider_error", 429, None)


def post_with_httpx(url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    answer = httpx.post(url, headers=headers, content=body)
    return answer.status_code, answer.content


def post_with_requests(url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    answer = requests.post(url, headers=headers, data=body, timeout=10)
    return answer.status_code, answer.content


def post_with_curl(url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    command = ["curl", "-sS", "-m", "10", "-w", "%{http_code}", "--data-binary", "@-", url]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(command, input=body, capture_output=True, check=True, timeout=20)
    return int(done.stdout[-3:]), done.stdout[:-3]


@pytest.mark.parametrize("post", [post_with_httpx, post_with_requests, pytest.param(post_with_curl, marks=pytest.mark.needs("curl"))])
def test_plain_http_clients(stack: Stack, tag: str, post: Callable[[str, dict[str, str], bytes], tuple[int, bytes]]) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer sk-test", "helicone-property-test": tag}
    status, answer = post(f"{stack.proxy}/v1/chat/completions", headers, body)
    assert status == 200
    assert json.loads(answer)["choices"]
    assert the_row(stack, tag)["outcome"] == "completed"


async def test_aiohttp(stack: Stack, tag: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{stack.proxy}/v1/chat/completions",
            json={"model": "gpt-4o-mini", "messages": MESSAGES},
            headers={"authorization": "Bearer sk-test", "helicone-property-test": tag},
        ) as answer,
    ):
        assert answer.status == 200
        assert (await answer.json())["choices"]
    assert the_row(stack, tag)["outcome"] == "completed"


def test_our_retries_are_not_doubled_by_the_sdk(stack: Stack, tag: str) -> None:
    """The SDK would try twice more by itself, each with three more of ours."""
    client = openai.OpenAI(
        api_key="sk-test-openai",
        base_url=f"{stack.proxy}/v1",
        max_retries=2,
        default_headers={
            "Helicone-Property-Test": tag,
            "Helicone-Retry-Enabled": "true",
            "Helicone-Retry-Num": "3",
            "Helicone-Retry-Factor": "2",
            "Helicone-Retry-Min-Timeout": "10",
            "x-demo-fault": "status=503",
        },
    )
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    row = the_row(stack, tag)
    assert (row["attempts"], row["status"], row["outcome"]) == (4, 503, "provider_error")
    assert [(each["origin"], each["status"], each["failure"]) for each in row["tries"]] == [(stack.provider, 503, None)] * 4


def test_a_fallback_answers_the_sdk(stack: Stack, tag: str) -> None:
    targets = [
        {"target-url": stack.provider, "headers": {"Authorization": "Bearer a", "x-demo-fault": "status=500"}, "onCodes": [500]},
        {"target-url": stack.provider, "headers": {"Authorization": "Bearer b"}, "onCodes": [], "bodyKeyOverride": {"model": "gpt-4o"}},
    ]
    client = openai.OpenAI(
        api_key="sk-test-openai",
        base_url=f"{stack.proxy}/v1",
        default_headers={"Helicone-Property-Test": tag, "Helicone-Fallbacks": json.dumps(targets)},
    )
    answer = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
    assert answer.headers["helicone-fallback-index"] == "1"
    row = the_row(stack, tag)
    assert (row["fallback_index"], row["attempts"], row["request_model"], row["status"]) == (1, 2, "gpt-4o", 200)


@pytest.mark.parametrize("streamed", [False, True])
def test_langchains_chat_model(stack: Stack, tag: str, streamed: bool) -> None:
    headers = {"Helicone-Property-Test": tag, "Helicone-User-Id": "user-123", "Helicone-Session-Id": f"trip-{tag}"}
    key = SecretStr("sk-test-openai")
    model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{stack.proxy}/v1", api_key=key, default_headers=headers, stream_usage=True)
    said = "".join(str(piece.content) for piece in model.stream("Hello!")) if streamed else str(model.invoke("Hello!").content)
    assert said
    row = the_row(stack, tag)
    assert (row["dialect"], row["outcome"], row["stream"]) == ("openai.chat", "completed", streamed)
    assert (row["user_id"], row["session_id"], row["usage_source"]) == ("user-123", f"trip-{tag}", "provider")
    assert min(row["prompt_tokens"], row["completion_tokens"], row["cost_usd"]) > 0
