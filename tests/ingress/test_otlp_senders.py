"""The packages themselves: OpenTelemetry's SDK and exporter with two instrumentations of OpenAI's client, and what helicone-async sends."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor as Official
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from eventlog.events import CallPriced, ResponseCompleted, Source, TokenUsage
from ingress.otlp.answers import Encoding
from ingress.otlp.export import kept_of
from processors.calls import understand
from processors.pricing.rates import RateBook
from tests.fakes.ingress import World, running
from tests.fakes.provider import sized, streamed
from tests.ingress.test_otlp_calls import ANYBODY
from tests.processors.events import batch

pytestmark = pytest.mark.filterwarnings("ignore:Support for class-based:pydantic.warnings.PydanticDeprecatedSince20")
CASES = Path(__file__).parents[1] / "cases" / "otlp"
RATES = RateBook.bundled()
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 40}}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi", "tool_calls": [TOOL_CALL]}, "finish_reason": "tool_calls"},
    ],
    "usage": USAGE,
}
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
CHUNKS = [
    CHUNK | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]},
    CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    CHUNK | {"choices": [], "usage": USAGE},
]
EVENTS = [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in CHUNKS), b"data: [DONE]\n\n"]


@pytest.fixture(autouse=True)
def with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")


TELLING = OpenLLMetry
"""The other one tells, of chats, neither what was cached nor that it was a stream."""


@pytest.fixture(params=[OpenLLMetry, Official], ids=["OpenLLMetry", "OpenTelemetry"])
def instrumentation(request: pytest.FixtureRequest) -> type:
    chosen: type = request.param
    return chosen


@pytest.fixture
def tracing(instrumentation: type) -> Iterator[Callable[[int], TracerProvider]]:
    instrumentor = instrumentation()
    providers: list[TracerProvider] = []

    def begin(port: int) -> TracerProvider:
        made = TracerProvider(resource=Resource({"service.name": "shop"}))
        exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces", compression=Compression.Gzip)
        made.add_span_processor(BatchSpanProcessor(exporter))
        instrumentor.instrument(tracer_provider=made)
        providers.append(made)
        return made

    yield begin
    instrumentor.uninstrument()
    for each in providers:
        each.shutdown()


async def told_by(world: World, tracing: Callable[[int], TracerProvider], ask: Callable[[OpenAI], object]) -> CallPriced:
    """The call that an application makes at the provider itself, within a span of its own."""

    def application() -> None:
        tracer_provider = tracing(world.port)
        with (
            OpenAI(api_key="sk-x", base_url=f"{world.provider.url}/v1", max_retries=0) as client,
            tracer_provider.get_tracer("shop").start_as_current_span("checkout"),
        ):
            ask(client)
        assert tracer_provider.force_flush()

    await asyncio.to_thread(application)
    (completed,) = await world.responses()
    (priced,) = understand(batch(completed), RATES).calls.events
    assert (priced.call.source, priced.call.properties["service.name"]) == (Source.OTLP, "shop")
    assert priced.call.properties["otel.parent_span_id"]
    return priced


def plain(client: OpenAI) -> object:
    return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=0.5)


def in_pieces(client: OpenAI) -> object:
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as pieces:
        return list(pieces)


def refused(client: OpenAI) -> object:
    with pytest.raises(Exception, match="slow down"):
        plain(client)
    return None


async def test_a_call(tracing: Any, instrumentation: type) -> None:
    async with running(sized(json.dumps(ANSWER).encode())) as world:
        found = await told_by(world, tracing, plain)
        (received,), (completed,) = await world.requests(), await world.responses()
    assert (found.call.model, found.model, found.dialect) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "openai.chat")
    cached, cost = (40, "0.000024") if instrumentation is TELLING else (None, "0.000027")
    assert (found.usage and (found.usage.prompt, found.usage.completion, found.usage.cache_read)) == (100, 20, cached)
    assert (found.cost_usd, found.call.provider) == (cost, "openai")
    request, response = json.loads(received.request.text or ""), json.loads(completed.response.text or "")
    assert (request["messages"], request["temperature"]) == (MESSAGES, 0.5)
    message = response["choices"][0]["message"]
    assert (message["content"], message["tool_calls"]) == ("Hi", [TOOL_CALL])
    assert found.finish_reason in {"tool_calls", "tool_call"}


async def test_a_stream(tracing: Any, instrumentation: type) -> None:
    async with running(streamed(EVENTS)) as world:
        found = await told_by(world, tracing, in_pieces)
    assert (found.usage and (found.usage.prompt, found.usage.completion)) == (100, 20)
    assert (found.call.stream, found.finish_reason) == (instrumentation is TELLING, "stop")
    assert (found.ttft_ms is not None) == (instrumentation is TELLING)


async def test_a_failure(tracing: Any) -> None:
    body = json.dumps({"error": {"message": "slow down", "type": "rate_limit"}}).encode()
    async with running(sized(body, status=b"429 Too Many Requests")) as world:
        found = await told_by(world, tracing, refused)
    assert found.outcome == "provider_error"
    assert found.error is not None
    assert "slow down" in found.error or "RateLimitError" in found.error
    assert found.cost_usd is None


def test_what_helicone_async_sends() -> None:
    """Recorded from helicone-async 1.1.1, which needs an older OpenTelemetry: a workflow that uses a tool."""
    told: list[ResponseCompleted] = []
    for path in sorted(CASES.glob("helicone-async-1.1.1-[0-9].pb")):
        kept = kept_of(path.read_bytes(), Encoding.PROTOBUF, [], ANYBODY, now=1.9e9, body_limit=9_999)
        assert (len(kept.calls), kept.refused) == (1, [])
        told += [call.events[1] for call in kept.calls]
    assert [(each.call.model, each.call.session_path) for each in told] == [
        ("tool:weather", "/trip/weather"),
        ("gpt-4o-mini", "/trip/openai.chat"),
        ("data:trip", "/trip"),
    ]
    for each in told:
        assert (each.call.user_id, each.call.session_id, each.call.properties["plan"], each.call.properties["team"]) == (
            *("user-1", "trip-7"),
            *("pro", "blue"),
        )
    (priced,) = understand(batch(told[1]), RATES).calls.events
    assert (priced.usage and (priced.usage.prompt, priced.usage.completion)) == (8, 3)
    assert (priced.finish_reason, priced.call.provider, priced.cost_usd is not None) == ("tool_calls", "openai", True)


ANTHROPIC = {
    "helicone-async-1.1.1-anthropic": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "anthropic-2.14.0": [],
}
"""Both of one call; the other is by Anthropic's package itself, without words."""


@pytest.mark.parametrize(("name", "messages"), ANTHROPIC.items(), ids=ANTHROPIC)
def test_what_is_sent_of_anthropics_messages(name: str, messages: list[dict[str, str]]) -> None:
    """The provider reported 10 tokens, 40 that were read from its cache beside them, and 5 that were written to it."""
    kept = kept_of((CASES / f"{name}.pb").read_bytes(), Encoding.PROTOBUF, [], ANYBODY, now=1.9e9, body_limit=9_999)
    (call,) = kept.calls
    (priced,) = understand(batch(call.events[1]), RATES).calls.events
    assert priced.usage == TokenUsage(prompt=55, completion=7, cache_read=40, cache_write=5)
    assert (priced.call.provider, priced.model, priced.dialect) == ("anthropic", "claude-sonnet-4-5-20250929", "openai.chat")
    assert priced.cost_usd == "0.00016575"  # 10 at 3, 40 at 0.30, 5 at 3.75, 7 at 15 USD for a million
    assert json.loads(call.events[0].request.text or "")["messages"] == messages
