"""Calls that were told of afterwards: the dialect follows the shape of the answer, and the cost whoever knows it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.events import Body, CallPriced, Organization, Outcome, PriceBasis, Source, Step, TokenUsage
from processors.calls import understand
from processors.dialects import DIALECTS, dialect_for
from processors.dialects.logged import logged_dialect
from processors.pricing.rates import RateBook
from processors.pricing.stored import Stored, priced_again
from tests.processors.events import AT, batch, call, completed

RATES = RateBook.bundled()
CASES = Path(__file__).parents[1] / "cases" / "dialects"
CHUNKS = [
    {"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
    {"model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}},
]
MESSAGE: dict[str, Any] = {"type": "message", "model": "claude-3-5-sonnet-20241022", "content": []}
LINES = "\n".join(map(json.dumps, CHUNKS))


def understood(answer: Any, provider: str = "custom", **more: Any) -> CallPriced:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    facts = call(provider, "custom-model-nopath", source=Source.ASYNC_LOG, **{name: more.pop(name) for name in ("step",) if name in more})
    found = understand(batch(completed(text, facts=facts, **more)), RATES)
    assert found.poison == ()
    return found.calls.events[0]


SHAPES: dict[str, tuple[Any, str | None, tuple[int, int] | None]] = {
    "a chat": ({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}}, "openai.chat", (8, 9)),
    "usage alone": ({"usage": {"prompt_tokens": 8, "completion_tokens": 9}}, "openai.chat", (8, 9)),
    "texts": (
        {"object": "text_completion", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}},
        "openai.completions",
        (8, 9),
    ),
    "a response": ({"object": "response", "usage": {"input_tokens": 8, "output_tokens": 9}}, "openai.responses", (8, 9)),
    "embeddings": ({"object": "list", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}, "openai.embeddings", (8, 0)),
    "a message": (MESSAGE | {"usage": {"input_tokens": 8, "output_tokens": 9}}, "anthropic.messages", (8, 9)),
    "a message's usage": ({"usage": {"input_tokens": 8, "output_tokens": 9, "cache_read_input_tokens": 2}}, "anthropic.messages", (10, 9)),
    "a response's usage": ({"usage": {"input_tokens": 8, "output_tokens": 9, "total_tokens": 17}}, "openai.responses", (8, 9)),
    "Google's": ({"candidates": [], "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 9}}, "google.gemini", (8, 9)),
    "counts at the root": ({"text": "hi", "prompt_token_count": 8, "generation_token_count": 9}, "bedrock.invoke", (8, 9)),
    "Ollama's": ({"done": True, "message": {}, "prompt_eval_count": 8, "eval_count": 9}, "ollama.chat", (8, 9)),
    "Converse's": (
        {"output": {}, "stopReason": "x", "usage": {"inputTokens": 8, "outputTokens": 9, "totalTokens": 17}},
        "bedrock.converse",
        (8, 9),
    ),
    "events": ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS), "openai.chat", (8, 9)),
    "lines": (LINES, "openai.chat", (8, 9)),
    "an error, then lines": (f"Traceback: x\nValueError: no\n\n{LINES}", "openai.chat", (8, 9)),
    "an array": (CHUNKS, "openai.chat", (8, 9)),
    "an error": ({"error": {"message": "no"}}, "openai.chat", None),
    "nothing that is known": ({"text": "hi", "_type": "unknown"}, None, None),
    "words": ("hello", None, None),
    "nothing": ("", None, None),
}


@pytest.mark.parametrize(("answer", "dialect", "tokens"), SHAPES.values(), ids=SHAPES)
def test_the_shape_decides(answer: Any, dialect: str | None, tokens: tuple[int, int] | None) -> None:
    priced = understood(answer)
    assert priced.dialect == dialect
    assert (priced.usage and (priced.usage.prompt, priced.usage.completion)) == tokens


def test_a_long_stream_is_told_by_its_beginning() -> None:
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in (*CHUNKS[:1] * 5_000, CHUNKS[1]))
    priced = understood(text)
    assert (priced.dialect, priced.usage and priced.usage.prompt) == ("openai.chat", 8)


LOGGED = {
    *("openai.chat", "openai.completions", "openai.responses", "openai.embeddings", "anthropic.messages", "google.gemini"),
    *("bedrock.converse", "ollama.chat", "ollama.generate", "mistral.conversations"),
}
COMMON = [
    path
    for path in sorted(CASES.glob("*/*/expected.json"))
    if path.parents[1].name in LOGGED
    and not list(path.parent.glob("*.frames"))
    and "usage" in (said := json.loads(path.read_text()))["reading"]
    and "kept" not in said
]


@pytest.mark.parametrize("path", COMMON, ids=lambda path: f"{path.parents[1].name}/{path.parent.name}")
def test_logged_answers_are_read_as_proxied_ones(path: Path) -> None:
    """Whatever the dialect is called: what is counted is the same. Binary streams are logged by nobody."""
    file = next(path.parent.glob("response.*"))
    said = json.loads(path.read_text())["call"]
    body = Body(text=file.read_text(), size=1, content_type=said["content_type"])
    proxied = call(said["provider"], said["path"], model=said["model"], method=said.get("method", "POST"))
    told = call(said["provider"], "custom-model-nopath", model=said["model"], source=Source.ASYNC_LOG)
    one, other = dialect_for(proxied, body), dialect_for(told, body)
    assert one is not None
    assert other is not None
    assert (one.read(body).usage, one.read(body).model) == (other.read(body).usage, other.read(body).model)


@given(
    st.binary(max_size=200).map(lambda data: data.decode("latin-1")) | st.sampled_from(["[" * 5000, "data: {", '{"a":1}\n{"b"', "\ufeff{"])
)
def test_no_body_raises(text: str) -> None:
    logged_dialect(call(source=Source.ASYNC_LOG), Body(text=text, size=len(text)))


def test_a_cut_body_is_the_endpoints() -> None:
    body = Body(text='{"choices": [{"x', tail='"usage": {"prompt_tokens": 8, "completion_tokens": 9}}', size=99_999, truncated=True)
    priced = understand(batch(completed(body=body, facts=call(source=Source.ASYNC_LOG))), RATES).calls.events[0]
    assert (priced.dialect, priced.usage and priced.usage.prompt) == ("openai.chat", 8)


@pytest.mark.parametrize("step", Step)
def test_a_step_is_no_call_of_a_model(step: Step) -> None:
    priced = understood({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}}, step=step)
    assert (priced.dialect, priced.usage, priced.cost_usd, priced.price_basis) == (None, None, None, PriceBasis.UNKNOWN)
    assert priced.price_source == f"unpriced: no model was asked, it is a step of the kind {step}"


def test_a_cancelled_stream_keeps_what_came() -> None:
    priced = understood(LINES.splitlines()[0], outcome=Outcome.INTERRUPTED_BY_CLIENT, status=None)
    assert (priced.dialect, priced.response_model, priced.usage) == ("openai.chat", "gpt-4o-mini", None)


CHAT = {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
STATED = {
    "of a chat": (CHAT, "openai", {}, "0.42"),
    "of nobody's model": ({"text": "x"}, "custom", {}, "0.42"),
    "of a step": ({}, "custom", {"step": Step.TOOL}, "0.42"),
    "0": (CHAT, "openai", {"stated_cost_usd": "0"}, "0"),
}


@pytest.mark.parametrize(("answer", "provider", "more", "cost"), STATED.values(), ids=STATED)
def test_a_cost_that_the_logger_states(answer: Any, provider: str, more: dict[str, Any], cost: str) -> None:
    priced = understood(answer, provider, **({"stated_cost_usd": "0.42"} | more))
    assert (priced.cost_usd, priced.price_source, priced.price_basis) == (cost, "stated by the logger", PriceBasis.STATED)
    assert priced.stated_cost_usd == cost


def test_a_price_of_ones_own_comes_before_what_is_stated() -> None:
    facts = call(source=Source.ASYNC_LOG, cost_override={"request": "1"})
    priced = understand(batch(completed(json.dumps(CHAT), facts=facts, stated_cost_usd="0.42")), RATES).calls.events[0]
    assert (priced.cost_usd, priced.price_basis) == ("1", PriceBasis.CALL)


@pytest.mark.parametrize("stated", ["x", "NaN", "-1", "1e30"])
def test_a_cost_that_is_none_is_not_booked(stated: str) -> None:
    priced = understood(CHAT, "openai", stated_cost_usd=stated)
    assert Decimal(priced.cost_usd or 0) == Decimal("0.0035")


def test_only_whoever_logs_afterwards_states_a_cost() -> None:
    priced = understand(batch(completed(json.dumps(CHAT), stated_cost_usd="0.42")), RATES).calls.events[0]
    assert priced.price_basis is PriceBasis.LIST


def test_the_registry_is_not_altered() -> None:
    assert dialect_for(call(), Body()) in DIALECTS


def test_tokens_that_are_stated_where_no_answer_came() -> None:
    usage = TokenUsage(prompt=1000, completion=100)
    priced = understood("", "openai", stated_usage=usage)
    assert (priced.usage, priced.dialect, priced.cost_usd) == (usage, None, "0.0035")
    refused = understood("", "openai", stated_usage=TokenUsage(prompt=1, completion=1, cache_read=2))
    assert (refused.usage, refused.price_source) == (None, "unpriced: usage refused, cached tokens exceed the prompt")


@pytest.mark.parametrize(("logged", "cost"), [(True, "0.42"), (False, "0.0035")])
def test_priced_again_a_call_costs_what_its_logger_said(logged: bool, cost: str) -> None:
    stored = Stored(
        organization=Organization("acme"),
        provider="openai",
        model="gpt-4o",
        created_at=AT,
        target_url="",
        known=True,
        outcome=Outcome.COMPLETED,
        usage=TokenUsage(prompt=1000, completion=100),
        basis=PriceBasis.STATED,
        source="stated by the logger",
        note=None,
        context={},
        stated_cost=Decimal("0.42"),
        logged=logged,
    )
    price = priced_again(stored, RATES)
    assert price is not None
    assert price.cost == Decimal(cost)
