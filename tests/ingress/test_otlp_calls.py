"""What spans become: calls with their words and tokens, steps of a session, or nothing."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.events import DEFAULT_ORGANIZATION, CallPriced, Outcome, RequestReceived, ResponseCompleted, Source, Step, TokenUsage
from eventlog.keys import Caller
from ingress.async_log import URL_CHARACTERS
from ingress.otlp.answers import Encoding
from ingress.otlp.export import Kept, kept_of
from ingress.otlp.told import LONGEST
from ingress.otlp.tree import DEEPEST_PATH
from processors.calls import understand
from processors.pricing.rates import RateBook
from tests.fakes.keyring import KEYS
from tests.fakes.spans import BEGAN, CHAT, PARENT, SPAN, TRACE, as_json, event, export, pairs, span
from tests.processors.events import batch

ROOT = Path(__file__).parents[2]
NOW = BEGAN + 60.0
RATES = RateBook.bundled()
KEY = next(iter(KEYS.values()))
CALLER = Caller(KEY.organization, KEY)
ANYBODY = Caller(DEFAULT_ORGANIZATION)
ASSOCIATED = "traceloop.association.properties."


def kept(*spans: Any, headers: dict[str, str] | None = None, **more: Any) -> Kept:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return kept_of(as_json(export(*spans, **more)), Encoding.JSON, raw, CALLER, now=NOW, body_limit=8 << 20)


def events(attributes: dict[str, Any], **more: Any) -> tuple[RequestReceived, ResponseCompleted]:
    found = kept(span(attributes, **more))
    assert not found.refused, found.refused
    (call,) = found.calls
    return call.events


def priced(attributes: dict[str, Any], **more: Any) -> CallPriced:
    found = understand(batch(events(attributes, **more)[1]), RATES)
    assert not found.poison, found.poison
    return found.calls.events[0]


def bodies(attributes: dict[str, Any], **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    received, completed = events(attributes, **more)
    return json.loads(received.request.text or ""), json.loads(completed.response.text or "")


def test_a_call_is_understood_as_any_other() -> None:
    found = priced(CHAT | {"gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.cache_read.input_tokens": 40})
    assert (found.call.source, found.call.provider, found.call.path) == (Source.OTLP, "openai", "chat gpt-4o-mini")
    assert (found.model, found.dialect, found.finish_reason, found.outcome) == (
        *("gpt-4o-mini-2024-07-18", "openai.chat", "stop"),
        Outcome.COMPLETED,
    )
    assert found.usage == TokenUsage(prompt=100, completion=20, cache_read=40)
    assert found.cost_usd == "0.000024"  # 60 at 0.15, 40 at 0.075, 20 at 0.60 USD for a million
    assert (found.latency_ms, found.call.created_at.timestamp()) == (2500, BEGAN)
    assert found.call.traceparent == f"00-{TRACE}-{SPAN}-01"


def test_the_same_span_is_the_same_call() -> None:
    (one,), (again,), (other,) = (kept(span(CHAT, spanId=each)).calls for each in (SPAN, SPAN, PARENT))
    ids = [call.facts.call_id for call in (one, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert int(ids[0].replace("-", "")[:12], 16) == BEGAN * 1000
    assert (ids[0][14], one.facts.request_id) == ("7", ids[0])
    elsewhere = kept_of(as_json(export(span())), Encoding.JSON, [], ANYBODY, now=NOW, body_limit=99)
    assert elsewhere.calls[0].facts.call_id != ids[0]


# What a span is

KINDS: dict[str, tuple[dict[str, Any], str | None]] = {
    "a chat": ({"gen_ai.operation.name": "chat"}, "call"),
    "Gemini's": ({"gen_ai.operation.name": "generate_content"}, "call"),
    "a completion": ({"gen_ai.operation.name": "text_completion"}, "call"),
    "an embedding": ({"gen_ai.operation.name": "embeddings"}, "call"),
    "OpenLLMetry's chat": ({"llm.request.type": "chat"}, "call"),
    "OpenLLMetry's rerank": ({"llm.request.type": "rerank"}, "call"),
    "OpenInference's": ({"openinference.span.kind": "LLM"}, "call"),
    "a model alone": ({"gen_ai.request.model": "m"}, "call"),
    "a model and an operation of its own": ({"gen_ai.request.model": "m", "gen_ai.operation.name": "summarize"}, "call"),
    "an agent": ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 9}, "data"),
    "a tool": ({"gen_ai.operation.name": "execute_tool"}, "tool"),
    "OpenLLMetry's tool": ({"traceloop.span.kind": "tool"}, "tool"),
    "OpenLLMetry's workflow": ({"traceloop.span.kind": "workflow"}, "data"),
    "OpenLLMetry's task": ({"traceloop.span.kind": "task"}, "data"),
    "OpenInference's chain": ({"openinference.span.kind": "CHAIN"}, "data"),
    "OpenInference's retriever": ({"openinference.span.kind": "RETRIEVER"}, "vector_db"),
    "a retrieval": ({"gen_ai.operation.name": "retrieval"}, "vector_db"),
    "a vector database": ({"db.system": "chroma"}, "vector_db"),
    "an MCP tool": ({"mcp.method.name": "tools/call"}, "tool"),
    "an operation nobody knows": ({"gen_ai.operation.name": "dream"}, "data"),
    "HTTP": ({"http.request.method": "POST", "server.address": "api.openai.com"}, None),
    "a database": ({"db.system": "postgresql"}, None),
    "another MCP call": ({"mcp.method.name": "initialize"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("attributes", "expected"), KINDS.values(), ids=KINDS)
def test_what_a_span_is(attributes: dict[str, Any], expected: str | None) -> None:
    found = kept(span(attributes))
    kinds = [call.facts.step or "call" for call in found.calls]
    assert kinds == ([] if expected is None else [expected])
    assert found.left_out == (expected is None)


STEPS: dict[str, tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "a tool": (
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"}
        | {"gen_ai.tool.call.arguments": '{"city":"Paris"}', "gen_ai.tool.call.result": {"sky": "grey"}},
        "tool:weather",
        {"_type": "tool", "toolName": "weather", "input": {"city": "Paris"}},
        {"_type": "tool", "output": {"sky": "grey"}},
    ),
    "an agent": (
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"},
        "data:planner",
        {"_type": "data", "name": "planner"},
        {"_type": "data"},
    ),
    "a task": (
        {"traceloop.span.kind": "task", "traceloop.entity.name": "sum", "traceloop.entity.input": "[1]", "traceloop.entity.output": "1"},
        "data:sum",
        {"_type": "data", "name": "sum", "input": [1]},
        {"_type": "data", "output": "1"},
    ),
}


@pytest.mark.parametrize(("attributes", "model", "request_", "response"), STEPS.values(), ids=STEPS)
def test_a_step_has_what_went_in_and_came_out(
    attributes: dict[str, Any], model: str, request_: dict[str, Any], response: dict[str, Any]
) -> None:
    assert bodies(attributes) == (request_, response)
    found = priced(attributes)
    assert (found.model, found.usage, found.cost_usd, found.dialect) == (model, None, None, None)


# Tokens

IN, OUT, ALL = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
THOUGHT = "gen_ai.usage.reasoning.output_tokens"
USAGES: dict[str, tuple[dict[str, Any], TokenUsage | None]] = {
    "the conventions'": ({IN: 8, OUT: 9}, TokenUsage(prompt=8, completion=9)),
    "OpenLLMetry's": (
        {"gen_ai.usage.prompt_tokens": 8, "gen_ai.usage.completion_tokens": 9, "llm.usage.total_tokens": 17},
        TokenUsage(prompt=8, completion=9),
    ),
    "OpenInference's": ({"llm.token_count.prompt": 8, "llm.token_count.completion": 9}, TokenUsage(prompt=8, completion=9)),
    "as text": ({IN: "8", OUT: 9.0}, TokenUsage(prompt=8, completion=9)),
    "cached ones are in it": ({IN: 10, OUT: 9, READ: 4, WRITE: 3}, TokenUsage(prompt=10, completion=9, cache_read=4, cache_write=3)),
    "the newer name": (
        {IN: 10, OUT: 9, "gen_ai.usage.cache_write.input_tokens": 3},
        TokenUsage(prompt=10, completion=9, cache_write=3),
    ),
    "cached ones that cannot be in it": ({IN: 3, OUT: 9, READ: 4}, TokenUsage(prompt=7, completion=9, cache_read=4)),
    "cached ones that the total adds": ({IN: 10, OUT: 9, READ: 4, ALL: 23}, TokenUsage(prompt=14, completion=9, cache_read=4)),
    "reasoning is in the answer": ({IN: 8, OUT: 9, THOUGHT: 5}, TokenUsage(prompt=8, completion=9, reasoning=5)),
    "reasoning that the total adds": ({IN: 8, OUT: 9, THOUGHT: 5, ALL: 22}, TokenUsage(prompt=8, completion=14, reasoning=5)),
    "a total that is wrong": ({IN: 8, OUT: 9, ALL: 99}, TokenUsage(prompt=8, completion=9)),
    "one side and the total": ({IN: 8, ALL: 17}, TokenUsage(prompt=8, completion=9)),
    "one side alone": ({IN: 8}, None),
    "below none": ({IN: -8, OUT: 9}, None),
    "no numbers": ({IN: "many", OUT: True}, None),
    "an embedding's": (
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small", IN: 8},
        TokenUsage(prompt=8, completion=0),
    ),
}


@pytest.mark.parametrize(("counts", "expected"), USAGES.values(), ids=USAGES)
def test_tokens(counts: dict[str, Any], expected: TokenUsage | None) -> None:
    model = {"gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.provider.name": "anthropic"}
    assert priced(model | counts).usage == expected


def test_tokens_are_estimated_from_words_and_from_nothing_else() -> None:
    model = {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.system": "openai"}
    said = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hello", "gen_ai.completion.0.content": "Hi there"}
    assert (usage := priced(model | said).usage) is not None
    assert (usage.source, usage.completion) == ("estimated", 2)
    assert priced(model).usage is None
    assert events(model)[1].request.text is None


# Words

TEXT = [{"role": "user", "content": "Hello"}], [{"role": "assistant", "content": "Hi"}]
IN_PARTS = [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
OUT_PARTS = [{"role": "assistant", "parts": [{"type": "text", "content": "Hi"}], "finish_reason": "stop"}]
PLACES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "attributes": ({"gen_ai.input.messages": IN_PARTS, "gen_ai.output.messages": OUT_PARTS}, []),
    "attributes as JSON": ({"gen_ai.input.messages": json.dumps(IN_PARTS), "gen_ai.output.messages": json.dumps(OUT_PARTS)}, []),
    "an event of all": (
        {},
        [event("gen_ai.client.inference.operation.details", gen_ai__input__messages=IN_PARTS, gen_ai__output__messages=OUT_PARTS)],
    ),
    "an event each": ({}, [event("gen_ai.user.message", content="Hello"), event("gen_ai.choice", message="Hi", finish_reason="stop")]),
    "an event each, of JSON": (
        {},
        [
            event("gen_ai.user.message", gen_ai__event__content='{"content": "Hello"}'),
            event("gen_ai.choice", gen_ai__event__content='{"message": {"content": "Hi"}, "finish_reason": "stop"}'),
        ],
    ),
    "the oldest events": (
        {},
        [
            event("gen_ai.content.prompt", gen_ai__prompt=json.dumps(TEXT[0])),
            event("gen_ai.content.completion", gen_ai__completion='[{"role": "assistant", "content": "Hi", "finish_reason": "stop"}]'),
        ],
    ),
    "OpenLLMetry's": (
        {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hello", "gen_ai.completion.0.role": "assistant"}
        | {"gen_ai.completion.0.content": "Hi", "gen_ai.completion.0.finish_reason": "stop"},
        [],
    ),
    "OpenInference's": (
        {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Hello"}
        | {"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Hi"}
        | {"llm.output_messages.0.message.finish_reason": "stop"},
        [],
    ),
}


@pytest.mark.parametrize(("attributes", "told"), PLACES.values(), ids=PLACES)
def test_where_words_are(attributes: dict[str, Any], told: list[dict[str, Any]]) -> None:
    request, response = bodies(CHAT | attributes, events=told)
    assert request["messages"] == TEXT[0]
    assert response["choices"] == [{"index": 0, "message": TEXT[1][0], "finish_reason": "stop"}]
    assert priced(CHAT | attributes, events=told).finish_reason == "stop"


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
SPELLED_CALL = {"id": "c1", "name": "weather", "arguments": '{"city":"Paris"}'}
CALLS: dict[str, dict[str, Any]] = {
    "the conventions'": {
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}}]}
        ]
    },
    "OpenLLMetry's": {f"gen_ai.completion.0.tool_calls.0.{name}": said for name, said in SPELLED_CALL.items()}
    | {"gen_ai.completion.0.role": "assistant"},
    "OpenInference's": {
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city":"Paris"}',
    },
}


@pytest.mark.parametrize("attributes", CALLS.values(), ids=CALLS)
def test_calls_of_tools_are_kept(attributes: dict[str, Any]) -> None:
    _, response = bodies(CHAT | attributes | {"gen_ai.response.finish_reasons": ["tool_calls"]})
    assert response["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    ]


def test_parts_become_messages() -> None:
    said = [
        {"role": "user", "parts": [{"type": "text", "content": "What is it?"}, {"type": "uri", "modality": "image", "uri": "https://x/y"}]},
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Hm."}, {"type": "tool_call", "id": "c1", "name": "weather", "arguments": "{}"}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "rainy"}]},
        {"role": "user", "parts": [{"type": "blob", "mime_type": "image/png", "content": "AA=="}, {"type": "new", "x": 1}]},
    ]
    request, _ = bodies(
        CHAT | {"gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}], "gen_ai.input.messages": json.dumps(said)}
    )
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "https://x/y"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rainy"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, {"type": "new", "x": 1}],
        },
    ]


def test_what_was_asked_for_and_nothing_more() -> None:
    request, response = bodies(
        CHAT
        | {"gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": 100, "gen_ai.request.stop_sequences": ["a", "b"]}
        | {"gen_ai.request.seed": 7, "gen_ai.request.stream": True, "llm.user": "u", "gen_ai.request.choice.count": 2}
        | {"gen_ai.tool.definitions": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "gen_ai.response.id": "r"}
    )
    assert request == {
        "model": "gpt-4o-mini",
        "messages": [],
        "temperature": 0.5,
        "max_tokens": 100,
        "seed": 7,
        "n": 2,
        "stream": True,
        "stop": ["a", "b"],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "user": "u",
    }
    assert (response["id"], response["choices"], list(response)[-1]) == ("r", [], "usage")
    assert bodies({"gen_ai.request.model": "m"}) == (
        {"model": "m", "messages": []},
        {"model": "m", "object": "chat.completion", "choices": []},
    )


def test_other_calls_have_bodies_of_their_own() -> None:
    prompt = {"gen_ai.prompt.0.content": "Once", "gen_ai.completion.0.content": " upon"}
    request, response = bodies({"llm.request.type": "completion", "gen_ai.request.model": "m"} | prompt)
    assert (request["prompt"], response["choices"]) == ("Once", [{"index": 0, "text": " upon", "finish_reason": None}])
    request, _ = bodies({"llm.request.type": "completion", "gen_ai.request.model": "m", "gen_ai.prompt.1.content": "Then"} | prompt)
    assert [each["content"] for each in request["messages"]] == ["Once", "Then"]
    request, response = bodies({"llm.request.type": "embedding", "gen_ai.request.model": "m", "gen_ai.prompt.0.content": "Once"})
    assert (request["input"], response["object"]) == ("Once", "list")
    request, _ = bodies({"openinference.span.kind": "EMBEDDING", "embedding.embeddings.0.embedding.text": "Once"})
    assert request["input"] == "Once"


# What went wrong

EXCEPTION = event("exception", exception__type="openai.RateLimitError", exception__message="Too many", exception__stacktrace="…")
FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    "an error": ({}, {"status": {"code": 2, "message": "boom"}}, 500, "error: boom"),
    "an error and a status": ({"http.response.status_code": 429}, {"status": {"code": 2, "message": "slow"}}, 429, "error: slow"),
    "an error and a good status": ({"http.response.status_code": 200}, {"status": {"code": 2}}, 500, "error"),
    "a type that is a status": ({"error.type": "503"}, {}, 503, "503"),
    "a type that is a name": ({"error.type": "timeout"}, {"status": {"code": 2}}, 500, "timeout"),
    "an exception": ({}, {"status": {"code": 2}, "events": [EXCEPTION]}, 500, "openai.RateLimitError: Too many"),
}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gcp.gemini"])
@pytest.mark.parametrize(("attributes", "more", "status", "error"), FAILURES.values(), ids=FAILURES)
def test_a_call_that_failed(attributes: dict[str, Any], more: dict[str, Any], status: int, error: str, provider: str) -> None:
    model = {"gen_ai.request.model": "m", "gen_ai.provider.name": provider}
    found = priced(model | attributes, **more)
    assert (found.outcome, found.status, found.error) == (Outcome.PROVIDER_ERROR, status, error)


def test_a_step_that_failed() -> None:
    found = events({"traceloop.span.kind": "tool"}, status={"code": 2, "message": "boom"})[1]
    assert (found.outcome, found.status, found.call.step) == (Outcome.PROVIDER_ERROR, 500, Step.TOOL)
    assert json.loads(found.response.text or "")["error"] == {"type": "error", "message": "boom"}


FIRST: dict[str, tuple[dict[str, Any], list[dict[str, Any]], float | None]] = {
    "told in seconds": ({"gen_ai.response.time_to_first_chunk": 0.25}, [], 250),
    "by the first piece": ({}, [event("llm.content.completion.chunk", 1.5), event("llm.content.completion.chunk", 0.5)], 500),
    "OpenInference's": ({}, [event("First Token Stream Event", 0.5)], 500),
    "not told": ({}, [event("gen_ai.choice", 0.5)], None),
    "before the beginning": ({}, [event("First Token Stream Event", -5)], None),
    "no time at all": ({"gen_ai.response.time_to_first_chunk": -1.0}, [], None),
}


@pytest.mark.parametrize(("attributes", "told", "ttft_ms"), FIRST.values(), ids=FIRST)
def test_when_the_first_token_came(attributes: dict[str, Any], told: list[dict[str, Any]], ttft_ms: float | None) -> None:
    assert events(CHAT | attributes, events=told)[1].ttft_ms == ttft_ms


PROVIDERS: dict[str, tuple[dict[str, Any], str]] = {
    "the conventions'": ({"gen_ai.provider.name": "aws.bedrock"}, "bedrock"),
    "an older name": ({"gen_ai.system": "az.ai.openai"}, "azure"),
    "OpenLLMetry's": ({"gen_ai.system": "OpenAI"}, "openai"),
    "OpenInference's": ({"llm.provider": "xai"}, "x"),
    "one SDK, another provider": ({"gen_ai.provider.name": "openai", "server.address": "api.groq.com"}, "groq"),
    "the same by its base": ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "https://api.deepseek.com/v1/"}, "deepseek"),
    "an address nobody knows": ({"gen_ai.provider.name": "openai", "server.address": "localhost"}, "openai"),
    "a framework": ({"gen_ai.system": "Langchain"}, "custom"),
    "a framework and an address": ({"gen_ai.system": "Langchain", "server.address": "llm.internal"}, "llm.internal"),
    "nobody": ({}, "custom"),
}


@pytest.mark.parametrize(("attributes", "provider"), PROVIDERS.values(), ids=PROVIDERS)
def test_whose_model_it_was(attributes: dict[str, Any], provider: str) -> None:
    assert events({"gen_ai.request.model": "m"} | attributes)[1].call.provider == provider


# Whose it is, and where it belongs

SESSIONS: dict[str, tuple[dict[str, Any], str]] = {
    "the trace": ({}, TRACE),
    "the conversation": ({"gen_ai.conversation.id": "c"}, "c"),
    "the session": ({"gen_ai.conversation.id": "c", "session.id": "s"}, "s"),
    "what is said": ({"session.id": "s", f"{ASSOCIATED}Helicone-Session-Id": "h"}, "h"),
}


@pytest.mark.parametrize(("attributes", "session"), SESSIONS.values(), ids=SESSIONS)
def test_the_session(attributes: dict[str, Any], session: str) -> None:
    assert events(CHAT | attributes)[1].call.session_id == session


def test_what_is_said_in_place_of_headers() -> None:
    said = {"Helicone-User-Id": "u", "Helicone-Property-Plan": "pro", "team": "blue", "Helicone-Odd": 7, "Helicone-Prompt-Id": "p"}
    said |= {"Helicone-Auth": "Bearer sk-helicone-aaaaaaa", "Helicone-Session-Name": "Trip", "Helicone-Session-Path": "/a/b"}
    found = kept(
        span(CHAT | {f"{ASSOCIATED}{name}": value for name, value in said.items()} | {"gen_ai.agent.name": "planner"}, parentSpanId=PARENT),
        headers={
            "Helicone-User-Id": "all",
            "Helicone-Property-Region": "eu",
            "Helicone-Request-Id": "0190c5d4-9c8b-7b1e-8f3a-0123456789ab",
        },
        resource={"service.name": "shop", "deployment.environment": "prod", "host.name": "h"},
    )
    call = found.calls[0].facts
    assert (call.user_id, call.prompt_id, call.session_name, call.session_path) == ("u", "p", "Trip", "/a/b")
    assert call.request_id == call.call_id
    assert call.properties == {
        "otel.trace_id": TRACE,
        "otel.span_id": SPAN,
        "otel.parent_span_id": PARENT,
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "planner",
        "service.name": "shop",
        "deployment.environment.name": "prod",
        "region": "eu",
        "plan": "pro",
        "team": "blue",
        "helicone-odd": "7",
    }


def test_a_header_that_is_wrong_refuses_its_span_alone() -> None:
    wrong = span(CHAT | {f"{ASSOCIATED}Helicone-Cost-Override": "much"}, spanId=PARENT)
    long = span(CHAT | {f"{ASSOCIATED}x": "x" * 70_000})
    found = kept(wrong, long, span())
    assert len(found.calls) == 1
    place = "resourceSpans[0].scopeSpans[0].spans"
    assert [each.field for each in found.refused] == [
        f"{place}[0].attributes['{ASSOCIATED}Helicone-Cost-Override']",
        f"{place}[1].attributes",
    ]


def test_the_path_is_made_of_the_steps_above() -> None:
    ids = [f"{number:016x}" for number in range(1, 6)]
    found = kept(
        span({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "trip/planner"}, spanId=ids[0]),
        span({"http.request.method": "POST"}, spanId=ids[1], parentSpanId=ids[0]),
        span({"traceloop.span.kind": "task", "traceloop.entity.name": "book"}, spanId=ids[2], parentSpanId=ids[1]),
        span(CHAT, spanId=ids[3], parentSpanId=ids[2]),
        span(CHAT, spanId=ids[4], parentSpanId=ids[0], traceId="1" * 32),
    )
    assert [call.facts.session_path for call in found.calls] == [
        "/trip_planner",
        "/trip_planner/book",
        "/trip_planner/book/chat gpt-4o-mini",
        "/chat gpt-4o-mini",
    ]


PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "OpenLLMetry's": (
        {"traceloop.workflow.name": "trip", "traceloop.entity.path": "plan.book"},
        "/trip/plan/book/chat gpt-4o-mini",
    ),
    "the conventions'": ({"gen_ai.workflow.name": "trip", "gen_ai.agent.name": "planner"}, "/trip/planner/chat gpt-4o-mini"),
    "nothing": ({}, "/chat gpt-4o-mini"),
}


@pytest.mark.parametrize(("attributes", "path"), PATHS.values(), ids=PATHS)
def test_parents_that_came_in_another_request(attributes: dict[str, Any], path: str) -> None:
    assert events(CHAT | attributes, parentSpanId=PARENT)[1].call.session_path == path


def test_parents_in_a_circle_end() -> None:
    found = kept(span(CHAT, parentSpanId=PARENT), span(CHAT, spanId=PARENT, parentSpanId=SPAN))
    assert [(call.facts.session_path or "").count("/") for call in found.calls] == 2 * [DEEPEST_PATH]


def test_of_many_parents_those_next_to_it_are_kept() -> None:
    ids = [f"{number:016x}" for number in range(1, 302)]
    chain = [span(CHAT, spanId=own, parentSpanId=above, name=own.lstrip("0")) for above, own in pairwise(ids)]
    last = kept(*chain).calls[-1].facts.session_path or ""
    assert last.split("/")[1:] == [each.lstrip("0") for each in ids[-DEEPEST_PATH:]]


def test_keys_are_nowhere() -> None:
    secret = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
    found = kept(
        span(CHAT | {f"{ASSOCIATED}note": f"of {secret}", f"{ASSOCIATED}Helicone-Auth": secret, "session.id": secret}, name=secret)
    )
    assert secret not in repr(found.calls[0].facts)


def test_what_nobody_named_a_property_is_cut() -> None:
    found = kept(span(CHAT | {"session.id": "s" * 9_999}, name="n" * 9_999), resource={"service.name": "x" * 9_999})
    call = found.calls[0].facts
    assert (len(call.session_id or ""), len(call.properties["service.name"]), len(call.path)) == (LONGEST, LONGEST, URL_CHARACTERS)


# Whatever it says

NAMES = sorted(
    {
        name
        for path in (ROOT / "ingress" / "otlp").glob("*.py")
        for name in re.findall(r'"((?:gen_ai|llm|[a-z]+)\.[\w.]+)"', path.read_text())
    }
    | {
        f"{prefix}.0.{rest}"
        for prefix in ("gen_ai.prompt", "gen_ai.completion")
        for rest in ("content", "role", "tool_calls", "tool_calls.0.id")
    }
    | {
        f"llm.{side}_messages.0.message{rest}"
        for side in ("input", "output")
        for rest in ("", ".content", ".tool_calls", ".contents.0", ".x.y.z")
    }
    | {"traceloop.association.properties.Helicone-Session-Id", "traceloop.association.properties.\u00e9", "llm.tools.0.tool.json_schema"}
)
OPERATIONS = ["chat", "embeddings", "text_completion", "rerank", "execute_tool", "invoke_agent", "retrieval"]
PLAIN = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(max_size=9) | st.binary(max_size=4)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "type", "content", "tool_calls", "text", "id", "function", "message"]), inner, max_size=4
        )
    ),
)
AS_JSON = VALUES.filter(lambda value: not isinstance(value, bytes)).map(lambda value: json.dumps(value, default=str))


@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES | AS_JSON, max_size=8),
    st.sampled_from(OPERATIONS),
    st.dictionaries(
        st.sampled_from(["content", "message", "gen_ai.event.content", "tool_calls", "gen_ai.prompt"]), VALUES | AS_JSON, max_size=3
    ),
    st.sampled_from(["gen_ai.choice", "gen_ai.tool.message", "exception", "gen_ai.client.inference.operation.details", "x"]),
)
def test_no_attributes_are_more_than_refused(attributes: dict[str, Any], operation: str, told: dict[str, Any], name: str) -> None:
    said = {"gen_ai.operation.name": operation} | attributes
    found = kept(span(said, events=[{"name": name, "attributes": pairs(told)}], status={"code": 2}))
    assert len(found.calls) + len(found.refused) + found.left_out == 1
    for call in found.calls:
        understand(batch(call.events[1]), RATES)
