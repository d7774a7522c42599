"""`heliograph_client` around the real clients of OpenAI and Anthropic: each way of calling is a row, with its tokens and whose it was."""

import asyncio
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import anthropic
import openai
import pytest
from heliograph_client import AsyncLogger

from tests.fakes.stack import Stack

GPT, CLAUDE = "gpt-4o-mini", "claude-3-5-sonnet-20241022"
MESSAGES: Any = [{"role": "user", "content": "Hello!"}]
CHAT: Any = {"model": GPT, "messages": MESSAGES}
WITH_USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}
MESSAGE: Any = {"model": CLAUDE, "max_tokens": 100, "messages": MESSAGES}


@pytest.fixture(scope="module")
def logger(stack: Stack) -> Iterator[AsyncLogger]:
    with AsyncLogger("sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd", stack.proxy) as made:
        yield made


@dataclass(frozen=True)
class Clients:
    """Of both providers; `wrap` makes a function of theirs one that is told of."""

    chats: openai.OpenAI
    claude: anthropic.Anthropic
    provider: str
    wrap: Callable[..., Any] = lambda function: function


@pytest.fixture(scope="module")
def clients(stack: Stack) -> Iterator[Clients]:
    with (
        openai.OpenAI(api_key="sk-of-openai", base_url=f"{stack.provider}/v1", max_retries=0) as chats,
        anthropic.Anthropic(api_key="sk-of-anthropic", base_url=stack.provider, max_retries=0) as claude,
    ):
        yield Clients(chats, claude, stack.provider)


def chat(of: Clients) -> Any:
    return of.wrap(of.chats.chat.completions.create)(**CHAT).choices[0].message.content


def streamed_chat(of: Clients) -> Any:
    with of.wrap(of.chats.chat.completions.create)(**CHAT, **WITH_USAGE) as stream:
        assert isinstance(stream, openai.Stream)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def raw_chat(of: Clients) -> Any:
    return of.wrap(of.chats.chat.completions.with_raw_response.create)(**CHAT).parse().choices[0].message.content


def chat_with_events(of: Clients) -> Any:
    with of.wrap(of.chats.chat.completions.stream)(**CHAT, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion().choices[0].message.content


def response(of: Clients) -> Any:
    return of.wrap(of.chats.responses.create)(model=GPT, input="Hello!").output_text


def streamed_response(of: Clients) -> Any:
    return list(of.wrap(of.chats.responses.create)(model=GPT, input="Hello!", stream=True))[-1].response.output_text


def embeddings(of: Clients) -> Any:
    return of.wrap(of.chats.embeddings.create)(model="text-embedding-3-small", input="Hello!").data


def message(of: Clients) -> Any:
    return of.wrap(of.claude.messages.create)(**MESSAGE).content[0].text


def streamed_message(of: Clients) -> Any:
    return list(of.wrap(of.claude.messages.create)(**MESSAGE, stream=True))


def text_of_a_message(of: Clients) -> Any:
    with of.wrap(of.claude.messages.stream)(**MESSAGE) as stream:
        return "".join(stream.text_stream)


def async_chats(of: Clients) -> Any:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(api_key="sk-of-openai", base_url=f"{of.provider}/v1") as client:
            stream = await of.wrap(client.chat.completions.create)(**CHAT, **WITH_USAGE)
            return [chunk async for chunk in stream]

    return asyncio.run(ask())


def async_message(of: Clients) -> Any:
    async def ask() -> Any:
        client = anthropic.AsyncAnthropic(api_key="sk-of-anthropic", base_url=of.provider)
        async with client, of.wrap(client.messages.stream)(**MESSAGE) as stream:
            return await stream.get_final_text()

    return asyncio.run(ask())


CHATS, MESSAGES_ = ("openai", "openai.chat", "/v1/chat/completions"), ("anthropic", "anthropic.messages", "/v1/messages")
RESPONSES = ("openai", "openai.responses", "/v1/responses")
WAYS: dict[str, tuple[Callable[[Clients], Any], tuple[str, str, str | None], bool]] = {
    "a chat": (chat, CHATS, False),
    "a streamed chat": (streamed_chat, CHATS, True),
    "a raw answer": (raw_chat, ("openai", "openai.chat", None), False),
    "a chat with events": (chat_with_events, CHATS, False),
    "a response": (response, RESPONSES, False),
    "a streamed response": (streamed_response, RESPONSES, True),
    "embeddings": (embeddings, ("openai", "openai.embeddings", "/v1/embeddings"), False),
    "a message": (message, MESSAGES_, False),
    "a streamed message": (streamed_message, MESSAGES_, True),
    "the text of a message": (text_of_a_message, MESSAGES_, False),
    "an async streamed chat": (async_chats, CHATS, True),
    "an async message": (async_message, MESSAGES_, False),
}


@pytest.fixture(scope="module")
def rows(stack: Stack, clients: Clients, logger: AsyncLogger) -> dict[str, dict[str, Any]]:
    """Of a call made in each way, by the way."""
    session = uuid4().hex
    for way, (ask, (provider, _, _), _) in WAYS.items():
        about: Any = {"user_id": "user-7", "properties": {"Plan": "pro"}, "session_id": session, "session_path": f"/{way}"}
        wrap = functools.partial(logger.wrap, provider=provider, **about)
        assert ask(replace(clients, wrap=wrap)), way
    assert logger.flush(30)
    return {row["session_path"][1:]: row for row in stack.rows(f"session_id = '{session}'", count=len(WAYS))}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_calling_is_a_row(way: str, rows: dict[str, dict[str, Any]], stack: Stack) -> None:
    row, (ask, (provider, dialect, path), stream) = rows[way], WAYS[way]
    assert (row["provider"], row["dialect"], row["stream"], row["source"]) == (provider, dialect, stream, "async_log")
    assert (row["user_id"], row["properties"], row["outcome"], row["status"]) == ("user-7", {"plan": "pro"}, "completed", 200)
    assert path in {row["path"], None}
    assert row["prompt_tokens"] > 0
    assert Decimal(str(row["cost_usd"])) > 0
    assert row["latency_ms"] > 0
    assert (row["ttft_ms"] is not None) == (stream or ask is chat_with_events)
    assert "sk-of" not in str(stack.call(row["call_id"]))


def test_an_answer_that_is_logged_and_judged(stack: Stack, clients: Clients, logger: AsyncLogger) -> None:
    answered = clients.chats.chat.completions.create(**CHAT)
    request_id = logger.log(answered, request=CHAT, user_id="user-8", properties={"feature": "chat"})
    logger.feedback(request_id, True)
    logger.score(request_id, {"accuracy": 0.5, "safe": True})
    assert logger.flush(30)
    row = stack.row(f"request_id = '{request_id}' AND rating AND cardinality(scores) = 2")
    assert (row["user_id"], row["properties"], row["scores"]) == ("user-8", {"feature": "chat"}, {"accuracy": 0.5, "safe": 1.0})
    assert (row["provider"], row["model"], row["request_model"]) == ("openai", answered.model, GPT)
    assert answered.usage is not None
    assert (row["prompt_tokens"], row["completion_tokens"]) == (answered.usage.prompt_tokens, answered.usage.completion_tokens)


def test_what_the_provider_refuses_and_what_its_caller_leaves(stack: Stack, clients: Clients, logger: AsyncLogger) -> None:
    session = uuid4().hex
    create = logger.wrap(clients.chats.chat.completions.create, provider="openai", session_id=session)
    with pytest.raises(openai.RateLimitError):
        create(**CHAT, extra_headers={"x-demo-fault": "status=429"})
    with create(**CHAT, **WITH_USAGE) as stream:
        next(stream)
    with pytest.raises(openai.APIConnectionError):
        create(**CHAT, extra_headers={"x-demo-fault": "reset-before"})
    assert logger.flush(30)
    refused, left, gone = stack.rows(f"session_id = '{session}'", count=3)
    assert (refused["outcome"], refused["status"]) == ("provider_error", 429)
    assert (left["outcome"], left["status"]) == ("interrupted_by_client", None)
    assert (gone["outcome"], gone["status"]) == ("provider_error", None)


ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "clients" / "python" / "README.md", ROOT / "docs" / "clients.md")
EXAMPLES = [found for page in PAGES for found in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)]


def test_the_examples_of_its_pages(stack: Stack) -> None:
    """Each in a process of its own, which ends without a word of closing."""
    env = os.environ | {
        "PYTHONPATH": str(ROOT / "clients" / "python"),
        "HELIOGRAPH_URL": stack.proxy,
        "OPENAI_API_KEY": "sk-x",
        "OPENAI_BASE_URL": f"{stack.provider}/v1",
        "ANTHROPIC_API_KEY": "sk-x",
        "ANTHROPIC_BASE_URL": stack.provider,
    }
    for example in EXAMPLES:
        done = subprocess.run([sys.executable, "-c", example], env=env, check=False, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
    logged, whole, streamed, tool = stack.rows("session_id = 'trip-7'", count=4)
    assert (logged["user_id"], logged["properties"], logged["latency_ms"]) == ("user-123", {"feature": "chat"}, 0)
    assert [(row["session_path"], row["stream"]) for row in (whole, streamed)] == [("/plan", False), ("/plan", True)]
    assert (tool["model"], tool["user_id"]) == ("tool:search", None)
    stack.row(f"request_id = '{logged['request_id']}' AND rating AND scores['accuracy'] = 0.9")
    stack.row("user_id = 'user-123' AND dialect = 'anthropic.messages' AND session_id IS NULL")
    stack.row("user_id = 'user-123' AND properties['feature'] = 'chat' AND session_id IS NULL")
