"""A line of a batch says more than a single log: what is known of a call beside its bodies, and that it is told once."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from eventlog.admission import Admission
from eventlog.codec import Batch, BatchId
from eventlog.events import Organization, Outcome, PriceBasis, RequestId, RequestReceived, ResponseCompleted, TokenUsage
from ingress.async_log import NOTHING_STATED, BadLog
from ingress.async_log_events import events_of, once_id
from ingress.async_log_routes import async_log_routes
from ingress.directives import parse_directives
from ingress.log_line import parse_line
from ingress.recording import CallIds
from ingress.redactor import Pair
from processors.calls import understand
from processors.pricing.rates import RateBook

NOW = 1_764_000_000.0
ID = "0190c5d4-9c8b-4b1e-8f3a-0123456789ab"
ACME = Organization("acme")
SILENT = {"id": "x", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [{"message": {"content": "hi"}}]}
TELLING = SILENT | {"usage": {"prompt_tokens": 8, "completion_tokens": 9, "total_tokens": 17}}
USAGE = {"prompt": 100, "completion": 20, "cacheRead": 40, "reasoning": 5}


def line(answer: Any = SILENT, **more: Any) -> dict[str, Any]:
    return {
        "providerRequest": {"url": "https://api.openai.com/v1/chat/completions", "json": {"model": "gpt-4o-mini"}, "meta": {}},
        "providerResponse": {"status": 200, "json": answer},
        "timing": {"startTime": NOW - 10, "endTime": NOW - 8},
        "provider": "openai",
    } | more


def events(said: dict[str, Any]) -> tuple[RequestReceived, ResponseCompleted]:
    logged = parse_line(json.dumps(said).encode(), [], NOW)
    directives = parse_directives([pair for pair in logged.headers if pair[0].startswith(b"helicone-")])
    call_id = CallIds().draw(logged.times.began)
    return events_of(logged, directives, organization=ACME, call_id=call_id, provider="custom", body_limit=9_999)


def test_what_is_stated_is_in_the_events() -> None:
    stated = {"latencyMs": 1999.5, "usage": USAGE, "inputs": {"city": "Rome", "n": 7}, "cacheReferenceId": ID, "once": True}
    received, completed = events(line(stated=stated))
    assert received.call.prompt_inputs == {"city": "Rome", "n": "7"}
    assert (completed.latency_ms, completed.cache_hit, completed.cache_reference_id, completed.attempts) == (1999.5, True, ID, 0)
    assert completed.stated_usage == TokenUsage(prompt=100, completion=20, cache_read=40, reasoning=5)
    assert completed.request.text is None  # nobody has to count


@pytest.mark.parametrize("more", [{}, {"stated": None}, {"stated": {}}], ids=["nothing", "null", "an empty object"])
def test_a_line_that_states_nothing_is_as_a_single_log(more: dict[str, Any]) -> None:
    logged = parse_line(json.dumps(line(**more)).encode(), [], NOW)
    assert (logged.stated, logged.usage) == (NOTHING_STATED, None)
    assert events(line(**more))[1].latency_ms == 2000


@pytest.mark.parametrize(
    ("text", "kind"),
    [("a=1&b=2", "text/plain"), ("[1, 2]", "application/json"), ("", "text/plain")],
    ids=["a form", "a list", "nothing"],
)
def test_a_request_that_is_no_object_comes_as_text(text: str, kind: str) -> None:
    received, _ = events(line(stated={"requestText": text}))
    assert (received.request.text or "", received.request.content_type) == (text, kind)


TOKENS = {
    "what the answer tells counts": (TELLING, USAGE, (8, 9, None)),
    "what is stated counts where the answer tells none": (SILENT, USAGE, (100, 20, 40)),
    "also where there is no answer": (None, USAGE, (100, 20, 40)),
    "and in the place of an estimate": ({"text": "in no shape that is known"}, USAGE, (100, 20, 40)),
}


@pytest.mark.parametrize(("answer", "usage", "expected"), TOKENS.values(), ids=TOKENS)
def test_stated_tokens(answer: Any, usage: dict[str, int], expected: tuple[int | None, ...]) -> None:
    completed = events(line(answer, stated={"usage": usage}))[1]
    understood = understand(Batch(id=BatchId("e", 1), partition=0, events=(completed,)), RateBook.bundled())
    (call,) = understood.calls.events
    assert call.usage is not None
    assert (call.usage.prompt, call.usage.completion, call.usage.cache_read) == expected
    assert understood.poison == ()
    assert call.price_basis is PriceBasis.LIST


def test_an_answer_that_a_cache_gave_costs_nothing_and_saved_what_is_stated() -> None:
    said = line(TELLING, stated={"cacheReferenceId": ID})
    said["providerResponse"]["cost"] = 0.5
    completed = events(said)[1]
    (call,) = understand(Batch(id=BatchId("e", 1), partition=0, events=(completed,)), RateBook.bundled()).calls.events
    assert (call.outcome, call.cost_usd, call.cost_saved_usd) == (Outcome.COMPLETED, "0", "0.5")


WRONG: dict[str, tuple[Any, str]] = {
    "of no shape": (7, "stated"),
    "once in words": ({"once": "yes"}, "stated.once"),
    "a negative latency": ({"latencyMs": -1}, "stated.latencyMs"),
    "usage of no shape": ({"usage": []}, "stated.usage"),
    "half a token": ({"usage": {"cacheRead": 1.5}}, "stated.usage.cacheRead"),
    "more tokens than any call has": ({"usage": {"prompt": 10**12}}, "stated.usage.prompt"),
    "inputs of no shape": ({"inputs": [1]}, "stated.inputs"),
    "a text that is none": ({"requestText": {}}, "stated.requestText"),
    "an id without end": ({"cacheReferenceId": "x" * 101}, "stated.cacheReferenceId"),
}


@pytest.mark.parametrize(("stated", "field"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(stated: Any, field: str) -> None:
    with pytest.raises(BadLog) as caught:
        parse_line(json.dumps(line(stated=stated)).encode(), [], NOW)
    assert caught.value.field == field


# The call id of a call that is told once


def test_a_call_told_twice_has_one_id_that_sorts_by_time_and_is_its_organizations() -> None:
    first = once_id(ACME, RequestId(ID), NOW)
    assert first == once_id(ACME, RequestId(ID), NOW)
    assert len({first, *(once_id(*each) for each in OTHERS)}) == 1 + len(OTHERS)
    assert int(first.replace("-", "")[:12], 16) == int(NOW * 1000)
    assert (first[14], first[19] in "89ab", len(first)) == ("7", True, 36)


OTHERS = [
    (Organization("other"), RequestId(ID), NOW),
    (ACME, RequestId(ID.replace("4b1e", "4b1f")), NOW),
    (ACME, RequestId(ID), NOW + 0.001),
]


async def test_the_batch_gives_it() -> None:
    kept: list[ResponseCompleted] = []

    async def log(calls: Sequence[Pair], _batch: BatchId | None) -> bool:
        kept.extend(completed for _, completed in calls)
        return True

    app = FastAPI()
    app.include_router(async_log_routes(log, Admission(), lambda: NOW, body_limit=9_999))
    named = line(stated={"once": True})
    named["providerRequest"]["meta"]["Helicone-Request-Id"] = ID
    lines = [named, named, line(stated={"once": True})]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.post("/v1/log/batch", content="\n".join(map(json.dumps, lines)))
    assert [each["line"] for each in answer.json()["accepted"]] == [1, 2]
    assert [(each["line"], each["field"]) for each in answer.json()["refused"]] == [(3, "stated.once")]
    assert [each.call.call_id for each in kept] == [once_id(Organization("default"), RequestId(ID), NOW - 10)] * 2
