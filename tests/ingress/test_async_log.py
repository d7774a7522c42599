"""Calls that are told of afterwards: what is taken, what is refused and how, and that 200 means durable."""

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
import msgspec
import pytest
import zstandard
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.admission import Admission
from eventlog.codec import BatchId
from eventlog.events import Outcome, RequestReceived, ResponseCompleted, Source, Step, TokenUsage
from eventlog.keys import Auth
from eventlog.redaction import Redaction
from ingress.async_log import AHEAD_S, BODY_BYTES, BODY_CHARACTERS, BadLog, Logged, TooLong, parse_log
from ingress.async_log_events import events_of, whereabouts
from ingress.async_log_routes import DOORS, Told, async_log_routes
from ingress.directives import parse_directives
from ingress.log_message import parse_message
from ingress.recording import CallIds
from ingress.redactor import Pair
from tests.fakes.ingress import headers_of, running, status_of
from tests.fakes.keyring import KEYS, MADE_AT, READER, STRANGER, WRITER, key, keyring

NOW = 1_764_000_000.0
ID = "0190c5d4-9c8b-7b1e-8f3a-0123456789AB"
MESSAGE: dict[str, Any] = {
    "authorization": f"Bearer {WRITER}",
    "heliconeMeta": {"modelOverride": "gpt-4o", "omitRequestLog": False}
    | {"promptId": "abc123", "promptVersionId": "v1", "promptEnvironment": "staging", "promptInputs": {"name": "Ann", "age": 7}},
    "log": {
        "request": {
            "id": ID,
            "userId": "u",
            "properties": {"plan": "pro", "Helicone-Session-Id": "s"},
            "targetUrl": "https://api.openai.com/v1/chat/completions",
            "provider": "OPENAI",
            "requestCreatedAt": "2025-11-24T12:00:00.000Z",
            "isStream": True,
        },
        "response": {"status": 200, "delayMs": 1250, "timeToFirstToken": 120, "model": "gpt-4o-mini", "cost": None}
        | {"promptTokens": 8, "completionTokens": 9, "promptCacheReadTokens": 2, "reasoningTokens": 1, "promptAudioTokens": -1},
    },
}
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
ANSWER = {"model": "gpt-4o-mini-2024-07-18", "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 9}}
GOOD_URL = "custom-model-nopath"
KEYS_OF = next(iter(KEYS.values())).organization
TIMING = {
    "startTime": {"seconds": NOW - 10, "milliseconds": 250},
    "endTime": {"seconds": NOW - 8, "milliseconds": 500},
    "timeToFirstToken": 120.5,
}
GOOD: dict[str, Any] = {
    "providerRequest": {"url": "custom-model-nopath", "json": ASKED, "meta": {}},
    "providerResponse": {"status": 200, "headers": {}, "json": ANSWER},
    "timing": TIMING,
}


def but(path: str, value: Any, log: Mapping[str, Any] = GOOD) -> dict[str, Any]:
    """`log` with another value at the path, or without it for `...`."""
    name, _, rest = path.partition(".")
    if rest:
        return {**log, name: but(rest, value, log[name])}
    return {each: found for each, found in log.items() if each != name} | ({} if value is ... else {name: value})


def parsed(log: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None) -> Logged:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return parse_log(log if isinstance(log, bytes) else json.dumps(log).encode(), raw, NOW)


def events(
    log: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None, provider: str = "custom", body_limit: int = 8 << 20
) -> tuple[RequestReceived, ResponseCompleted]:
    logged = parsed(log, headers)
    directives = parse_directives([pair for pair in logged.headers if pair[0].startswith(b"helicone-")])
    call_id = CallIds().draw(logged.times.began)
    return events_of(logged, directives, organization=KEYS_OF, call_id=call_id, provider=provider, body_limit=body_limit)


# What is understood


def test_both_events_have_the_same_facts() -> None:
    received, completed = events(GOOD, {"Helicone-User-Id": "u", "Helicone-Property-Plan": "pro", "Helicone-Session-Id": "s"})
    call = completed.call
    assert received.call == call
    assert (call.organization, call.source, call.method, call.path, call.target_url) == ("acme", Source.ASYNC_LOG, "POST", *2 * [GOOD_URL])
    assert (call.model, call.user_id, call.session_id, call.properties, call.stream) == ("gpt-4o-mini", "u", "s", {"plan": "pro"}, False)
    assert call.request_id == call.call_id
    assert call.created_at.timestamp() == NOW - 9.75
    assert int(call.call_id.replace("-", "")[:12], 16) == int((NOW - 9.75) * 1000)
    assert completed.completed_at.timestamp() == NOW - 7.5
    assert (completed.latency_ms, completed.ttft_ms, completed.status, completed.outcome) == (2250.0, 120.5, 200, Outcome.COMPLETED)
    assert json.loads(received.request.text or "") == ASKED
    assert json.loads(completed.response.text or "") == ANSWER
    assert completed.request_bytes == received.request.size == len(received.request.text or "")


def test_bodies_are_kept_as_they_were_sent() -> None:
    received, completed = events(
        b'{"providerRequest":{"url":"x","json":{ "a" : 1.50 }},"providerResponse":{"json":{"b":[ ]},"status":200}}'
    )
    assert (received.request.text, completed.response.text) == ('{ "a" : 1.50 }', '{"b":[ ]}')


OUTCOMES = {
    200: (Outcome.COMPLETED, 200),
    302: (Outcome.COMPLETED, 302),
    400: (Outcome.PROVIDER_ERROR, 400),
    500.0: (Outcome.PROVIDER_ERROR, 500),
    -3: (Outcome.INTERRUPTED_BY_CLIENT, None),
    -2: (Outcome.TIMED_OUT, None),
    -4: (Outcome.REJECTED, None),
    -100: (Outcome.PROVIDER_ERROR, None),
}


@pytest.mark.parametrize(("status", "expected"), OUTCOMES.items(), ids=map(str, OUTCOMES))
def test_the_outcome_follows_the_status(status: float, expected: tuple[Outcome, int | None]) -> None:
    completed = events(but("providerResponse.status", status))[1]
    assert (completed.outcome, completed.status) == expected


LINES = '{"a":1}\n{"b":2}'
ANSWERS = {
    "a stream as text": ({"textBody": "data: {}\n\n", "json": {}}, "data: {}\n\n", "text/event-stream"),
    "lines of JSON as text": ({"textBody": LINES, "json": {}}, LINES, "application/json"),
    "text wins": ({"textBody": "hello", "json": ANSWER}, "hello", "text/plain"),
    "text alone": ({"textBody": "hello"}, "hello", "text/plain"),
    "an empty text does not win": ({"textBody": "", "json": {"a": 1}}, '{"a": 1}', "application/json"),
    "no text": ({"textBody": None, "json": {"a": 1}}, '{"a": 1}', "application/json"),
    "a list": ({"json": [1]}, "[1]", "application/json"),
    "pieces": ({"json": {"streamed_data": [{"a": 1}, {"b": 2}]}}, 'data: {"a": 1}\n\ndata: {"b": 2}\n\n', "text/event-stream"),
    "pieces that are events": (
        {"json": {"streamed_data": ["data: {}\n\n", "[DONE]"]}},
        "data: {}\n\ndata: [DONE]\n\n",
        "text/event-stream",
    ),
    "no pieces": ({"json": {"streamed_data": []}}, "", "text/event-stream"),
    "pieces of all kinds": (
        {"json": {"streamed_data": [1, None, [2, 3]]}},
        "data: 1\n\ndata: null\n\ndata: [2, 3]\n\n",
        "text/event-stream",
    ),
    "half a surrogate pair": ({"textBody": "\ud83d"}, "�", "text/plain"),
    "a whole one": ({"textBody": "😀 \\ud83d"}, "😀 \\ud83d", "text/plain"),
}


@pytest.mark.parametrize(("response", "text", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer(response: dict[str, Any], text: str, kind: str) -> None:
    completed = events(but("providerResponse", {"status": 200, "headers": {}} | response))[1]
    assert (completed.response.text or "", completed.response.content_type) == (text, kind)
    assert completed.call.stream is (kind == "text/event-stream")


TIMES = {
    "none": (..., NOW, NOW, None),
    "null": (None, NOW, NOW, None),
    "no first token": ({"startTime": {"seconds": 5, "milliseconds": 0}, "endTime": {"seconds": 6, "milliseconds": 1}}, 5, 6.001, None),
    "a first token that is null": (TIMING | {"timeToFirstToken": None}, NOW - 9.75, NOW - 7.5, None),
    "ISO": ({"startTime": "2025-11-24T12:00:00Z", "endTime": "2025-11-24T12:00:01.5"}, 1_763_985_600, 1_763_985_601.5, None),
    "digits": ({"startTime": "1763000000", "endTime": "1763000000500"}, 1_763_000_000, 1_763_000_000.5, None),
    "numbers": ({"startTime": 1763000000, "endTime": 1763000000500}, 1_763_000_000, 1_763_000_000.5, None),
    "a clock that is ahead": ({"startTime": NOW + 9, "endTime": NOW + AHEAD_S}, NOW + 9, NOW + AHEAD_S, None),
}


@pytest.mark.parametrize(("timing", "began", "ended", "ttft"), TIMES.values(), ids=TIMES)
def test_times(timing: Any, began: float, ended: float, ttft: float | None) -> None:
    times = parsed(but("timing", timing)).times
    assert (times.began, times.ended, times.ttft_ms) == (began, ended, ttft)


def test_meta_is_headers_and_headers_win() -> None:
    said = {
        "Helicone-Request-Id": ID,
        "Helicone-User-Id": "from-meta",
        "helicone-property-plan": "pro",
        "Helicone-Property-Größe": "groß",
        "Helicone-Property-N": 7,
        "Helicone-Property-Flag": True,
        "Helicone-Property-Nothing": None,
        "Helicone-Session-Id": "s",
        "Helicone-Session-Path": "/a/b",
        "Helicone-Session-Name": "n",
        "Helicone-Prompt-Id": "p",
        "Helicone-Model-Override": "gpt-4o",
        "Helicone-Cost-Override": "input=1,output=2",
        "user_api_key_metadata": {"litellm": ["sends", "all"]},
    }
    call = events(but("providerRequest.meta", said), {"Helicone-User-Id": "from-header"})[1].call
    assert (call.request_id, call.user_id) == (ID.lower(), "from-header")
    assert call.properties == {"plan": "pro", "größe": "groß", "n": "7", "flag": "true"}
    assert (call.session_id, call.session_path, call.session_name, call.prompt_id) == ("s", "/a/b", "n", "p")
    assert (call.model_override, call.cost_override) == ("gpt-4o", {"input": "1", "output": "2"})


def test_bodies_can_be_omitted() -> None:
    meta = {"Helicone-Omit-Request": "true", "Helicone-Omit-Response": "true"}
    received, completed = events(but("providerRequest.meta", meta))
    assert (received.request.text, received.request.omitted) == (None, True)
    assert completed.response.omitted
    assert completed.response.text  # its tokens are counted; whoever keeps bodies drops it
    assert completed.request.text is None


STEPS = {
    "a tool": ({"_type": "tool", "toolName": "search"}, Step.TOOL, "tool:search"),
    "a tool without a name": ({"_type": "tool"}, Step.TOOL, "tool"),
    "a search": ({"_type": "vector_db", "operation": "search"}, Step.VECTOR_DB, "vector_db"),
    "data": ({"_type": "data", "name": "users"}, Step.DATA, "data:users"),
    "data with a strange name": ({"_type": "data", "name": [1]}, Step.DATA, "data"),
    "another": ({"_type": "unknown", "model": "m"}, None, "m"),
    "of no kind": ({"_type": ["tool"], "model": "m"}, None, "m"),
}


@pytest.mark.parametrize(("asked", "step", "model"), STEPS.values(), ids=STEPS)
def test_steps_of_a_session(asked: dict[str, Any], step: Step | None, model: str) -> None:
    call = events(but("providerRequest.json", asked))[1].call
    assert (call.step, call.model) == (step, model)


PLACES = {
    "a name": ("custom-model-nopath", ("custom-model-nopath", "custom-model-nopath", None)),
    "nothing": (None, ("async-unknown-path", "", None)),
    "a URL": ("https://api.openai.com/v1/chat?a=1", ("/v1/chat?a=1", "https://api.openai.com/v1/chat?a=1", "api.openai.com")),
    "an origin": ("https://api.openai.com", ("/", "https://api.openai.com/", "api.openai.com")),
    "secrets": ("https://u:p@h.example/v1?key=AIza#x", ("/v1?key=***", "https://h.example/v1?key=***", "h.example")),
    "a query alone": ("https://h.example?token=x", ("/?token=***", "https://h.example/?token=***", "h.example")),
    "our key": (f"https://h.example/{WRITER}/v1", ("/***/v1", "https://h.example/***/v1", "h.example")),
}


@pytest.mark.parametrize(("url", "expected"), PLACES.values(), ids=PLACES)
def test_where_it_went(url: str | None, expected: tuple[str, str, str | None]) -> None:
    assert whereabouts(url) == expected


PROVIDERS = {
    "the endpoint": ({}, "openai", "openai"),
    "the body": ({"provider": "ANTHROPIC"}, "openai", "anthropic"),
    "the host, where the endpoint is anybody's": ({"url": "https://api.groq.com/x"}, "custom", "groq"),
    "an endpoint before a host": ({"url": "https://api.groq.com/x"}, "openai", "openai"),
    "nobody": ({}, "custom", "custom"),
}


@pytest.mark.parametrize(("told", "endpoint", "provider"), PROVIDERS.values(), ids=PROVIDERS)
def test_whose_call_it_is(told: dict[str, str], endpoint: str, provider: str) -> None:
    log = but("provider", told.get("provider"), but("providerRequest.url", told.get("url", GOOD_URL)))
    assert events(log, provider=endpoint)[1].call.provider == provider


@pytest.mark.parametrize(("written", "stated"), [("0.0042", "0.0042"), ("0", "0"), ("1e-7", "0.0000001"), ("null", None)])
def test_a_stated_cost_keeps_its_digits(written: str, stated: str | None) -> None:
    text = json.dumps(but("providerResponse.cost", 77.5)).replace("77.5", written)
    assert events(text.encode())[1].stated_cost_usd == stated


def test_a_request_goes_along_where_the_answer_tells_no_usage() -> None:
    assert events(GOOD)[1].request.text is None
    silent = but("providerResponse.json", {"choices": [{"message": {"content": "hi"}}]})
    assert json.loads(events(silent)[1].request.text or "") == ASKED


def test_long_bodies_are_cut_as_those_of_proxied_calls_are() -> None:
    received, completed = events(but("providerRequest.json", {"text": "x" * 300_000}), body_limit=100_000)
    assert (received.request.truncated, completed.request_truncated) == (True, True)


# What is refused

R, P = "providerRequest", "providerResponse"
HUGE = 10**400
WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "body"),
    "no JSON": (b"{", "body"),
    "no object": ([], "body"),
    "no UTF-8": (b'{"a": "\xff"}', "body"),
    "deeper than anybody means": (b'{"providerRequest": {"json": ' + b"[" * 90_000, "body"),
    "no request": (but(R, ...), R),
    "a request of no shape": (but(R, []), R),
    "no response": (but(P, None), P),
    "a response of no shape": (but(P, "x"), P),
    "a URL of no kind": (but(f"{R}.url", 1), f"{R}.url"),
    "a URL without end": (but(f"{R}.url", "x" * 9_000), f"{R}.url"),
    "no request body": (but(f"{R}.json", ...), f"{R}.json"),
    "a request body that is text": (but(f"{R}.json", "x"), f"{R}.json"),
    "meta of no shape": (but(f"{R}.meta", [1]), f"{R}.meta"),
    "meta with a nested header": (but(f"{R}.meta", {"Helicone-User-Id": {}}), f"{R}.meta.Helicone-User-Id"),
    "a hundred thousand properties": (but(f"{R}.meta", {f"Helicone-Property-{at}": "x" for at in range(100_000)}), f"{R}.meta"),
    "neither text nor JSON": (but(f"{P}.json", ...), f"{P}.json"),
    "JSON that is text": (but(f"{P}.json", "x"), f"{P}.json"),
    "a text of no kind": (but(f"{P}.textBody", 1), f"{P}.textBody"),
    "pieces of no shape": (but(f"{P}.json", {"streamed_data": {}}), f"{P}.json.streamed_data"),
    "more pieces than a stream has": (but(f"{P}.json", {"streamed_data": [1] * 200_001}), f"{P}.json.streamed_data"),
    "meta without end": (but(f"{R}.meta", {"x": "y" * (1 << 20)}), f"{R}.meta"),
    "no status": (but(f"{P}.status", ...), f"{P}.status"),
    "a status in words": (but(f"{P}.status", "200"), f"{P}.status"),
    "a status that is none": (but(f"{P}.status", 0), f"{P}.status"),
    "half a status": (but(f"{P}.status", 200.5), f"{P}.status"),
    "true as a status": (but(f"{P}.status", True), f"{P}.status"),
    "a status beyond": (but(f"{P}.status", HUGE), f"{P}.status"),
    "headers of no shape": (but(f"{P}.headers", [1]), f"{P}.headers"),
    "a negative cost": (but(f"{P}.cost", -1), f"{P}.cost"),
    "a cost in words": (but(f"{P}.cost", "1"), f"{P}.cost"),
    "a cost beyond": (but(f"{P}.cost", HUGE), f"{P}.cost"),
    "NaN": (but(f"{P}.cost", float("nan")), "body"),
    "a number beyond JSON": (json.dumps(but(f"{P}.cost", 77.5)).replace("77.5", "1e999").encode(), f"{P}.cost"),
    "a provider of no kind": (but("provider", 1), "provider"),
    "timing of no shape": (but("timing", 1), "timing"),
    "no start": (but("timing.startTime", ...), "timing.startTime"),
    "no end": (but("timing.endTime", ...), "timing.endTime"),
    "no seconds": (but("timing.startTime.seconds", ...), "timing.startTime.seconds"),
    "no milliseconds": (but("timing.endTime.milliseconds", ...), "timing.endTime.milliseconds"),
    "seconds in words": (but("timing.startTime.seconds", "1"), "timing.startTime.seconds"),
    "negative seconds": (but("timing.startTime.seconds", -1), "timing.startTime.seconds"),
    "negative milliseconds": (but("timing.endTime.milliseconds", -1), "timing.endTime.milliseconds"),
    "seconds beyond": (but("timing.startTime.seconds", HUGE), "timing.startTime.seconds"),
    "the end before the start": (but("timing.endTime.seconds", NOW - 20), "timing.startTime"),
    "the future": (but("timing.endTime.seconds", NOW + 2 * AHEAD_S), "timing.endTime"),
    "milliseconds as seconds": (but("timing.startTime.seconds", NOW * 1000), "timing.startTime"),
    "before 1970": (but("timing.startTime", "1969-01-01T00:00:00Z"), "timing.startTime"),
    "a day of no calendar": (but("timing.startTime", "2026-02-31"), "timing.startTime"),
    "a first token of no kind": (but("timing.timeToFirstToken", "1"), "timing.timeToFirstToken"),
    "a first token before the start": (but("timing.timeToFirstToken", -1), "timing.timeToFirstToken"),
    "a first token by the clock": (but("timing.timeToFirstToken", NOW * 1000), "timing.timeToFirstToken"),
}


@pytest.mark.parametrize(("log", "field"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_by_its_path(log: Any, field: str) -> None:
    with pytest.raises(BadLog) as raised:
        parsed(log)
    assert raised.value.field == field
    assert str(raised.value)


def test_helicones_limit_counts_characters() -> None:
    long = but(f"{R}.json", {"text": ""})
    room = BODY_CHARACTERS - len(json.dumps(long))
    text = json.dumps(long, ensure_ascii=False).replace('""', '"%s"')
    assert parsed((text % ("€" * room)).encode()).request
    with pytest.raises(TooLong):
        parsed((text % ("€" * (room + 1))).encode())
    with pytest.raises(TooLong):
        parsed((text % ("😀" * (room // 2 + 1))).encode())


NAMES = st.sampled_from(
    "providerRequest providerResponse timing url json meta textBody status cost startTime endTime seconds _type".split()
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["200", "-1", "1e9", "tool"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
PATHS = [case[1] for case in WRONG.values() if case[1] != "body" and "streamed_data" not in case[1] and case[1].count(".") < 3]


@settings(max_examples=300, deadline=None)
@given(ANYTHING, st.sampled_from(sorted({path for path in PATHS if "Helicone" not in path})))
def test_no_value_anywhere_is_more_than_refused(value: Any, path: str) -> None:
    log = json.dumps(but(path, value)).encode()
    with suppress(BadLog):
        received, completed = events(log)
        assert msgspec.json.encode(received)
        assert msgspec.json.encode(completed)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_more_than_refused(body: bytes) -> None:
    with suppress(BadLog):
        parsed(body)


# Helicone's queue


def test_a_message_of_helicones_queue() -> None:
    logged = parse_message(json.dumps(MESSAGE).encode(), [(b"authorization", b"Bearer service")], NOW)
    assert dict(logged.headers)[b"helicone-auth"] == f"Bearer {WRITER}".encode()
    directives = parse_directives([pair for pair in logged.headers if pair[0].startswith(b"helicone-")])
    call_id = CallIds().draw(logged.times.began)
    received, completed = events_of(logged, directives, organization=KEYS_OF, call_id=call_id, provider="custom", body_limit=99)
    call = completed.call
    assert (call.request_id, call.user_id, call.properties, call.session_id) == (ID.lower(), "u", {"plan": "pro"}, "s")
    assert (call.provider, call.path, call.model, call.model_override, call.stream) == (
        *("openai", "/v1/chat/completions", "gpt-4o-mini", "gpt-4o", True),
    )
    assert call.created_at.isoformat() == "2025-11-24T12:00:00+00:00"
    assert (call.prompt_id, call.prompt_version, call.prompt_inputs) == ("abc123", "v1", {"name": "Ann", "age": "7"})
    assert (completed.latency_ms, completed.ttft_ms, received.request.text, completed.response.text) == (1250, 120, None, None)
    assert completed.stated_usage == TokenUsage(prompt=10, completion=10, cache_read=2, reasoning=1)


MISTAKEN = {
    "no log": ("log", ...),
    "a request of no shape": ("log.request", []),
    "no response": ("log.response", None),
    "meta of no shape": ("heliconeMeta", 1),
    "inputs of no shape": ("heliconeMeta.promptInputs", ["Ann"]),
    "properties of no shape": ("log.request.properties", [1]),
    "a property of no kind": ("log.request.properties.plan", {}),
    "a status of no kind": ("log.response.status", "200"),
    "half a token": ("log.response.promptTokens", 0.5),
    "tokens below none": ("log.response.completionTokens", -2),
    "a time of no kind": ("log.request.requestCreatedAt", "yesterday"),
    "a long way": ("log.response.delayMs", 1e300),
    "a first token of no kind": ("log.response.timeToFirstToken", []),
    "a model of no kind": ("log.response.model", {}),
}


@pytest.mark.parametrize(("path", "value"), MISTAKEN.values(), ids=MISTAKEN)
def test_what_is_wrong_in_a_message_is_named_by_its_path(path: str, value: Any) -> None:
    with pytest.raises(BadLog) as raised:
        parse_message(json.dumps(but(path, value, MESSAGE)).encode(), [], NOW)
    assert raised.value.field == path


def test_a_message_without_its_ends() -> None:
    log = but("log.response", {"status": -3}, but("log.request", {"path": "https://h.example/v1"}, but("heliconeMeta", ..., MESSAGE)))
    logged = parse_message(json.dumps(log).encode(), [], NOW)
    assert (logged.usage, logged.url, logged.times.ended) == (None, "https://h.example/v1", NOW)


# The endpoints


class World:
    def __init__(self, auth: Auth | None = None, keys: Any = KEYS) -> None:
        self.written: list[tuple[RequestReceived, ResponseCompleted]] = []
        self.batches: list[BatchId | None] = []
        self.durable = True
        app = FastAPI()
        app.include_router(
            async_log_routes(self.log, Admission(auth, lambda: keys, clock=MADE_AT.timestamp), lambda: NOW, body_limit=8 << 20)
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")

    async def log(self, calls: Sequence[Pair], batch: BatchId | None) -> bool:
        self.written += calls
        self.batches.append(batch)
        return self.durable

    async def post(self, path: str = "/oai/v1/log", log: Any = None, **headers: str) -> httpx.Response:
        content = log if isinstance(log, bytes) else json.dumps(GOOD if log is None else log).encode()
        named = {"authorization": f"Bearer {WRITER}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=content, headers={name: value for name, value in named.items() if value})


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
async def test_every_endpoint_takes_a_call(world: World, door: Any) -> None:
    log = but("log.request.id", ID, MESSAGE) if door.parse is parse_message else but(f"{R}.meta", {"Helicone-Request-Id": ID})
    answer = await world.post(door.path, log)
    assert (answer.status_code, answer.text) == (200, "ok" if door.told is Told.WORKER else "")
    assert answer.headers["helicone-id"] == ID.lower()
    ((_, completed),) = world.written
    provider = "openai" if door.parse is parse_message else door.provider
    assert (completed.call.provider, completed.call.request_id, completed.call.organization) == (provider, ID.lower(), "acme")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
async def test_every_endpoint_names_the_field(world: World, door: Any) -> None:
    message = door.parse is parse_message
    field = "log.response.status" if message else f"{P}.status"
    answer = await world.post(door.path, but(field, 0, MESSAGE if message else GOOD))
    assert answer.status_code == 400
    told = answer.json()
    if door.path.endswith("typed"):
        assert told["isValid"] is False
        assert [error["field"] for error in told["errors"]] == [field]
    else:
        assert told["field"] == field
        assert told["error"].startswith(f"{field} must be")
    assert world.written == []


KEYED = {
    "a writer's": ({}, {}, 200),
    "in Helicone-Auth": ({"authorization": "", "helicone_auth": f"Bearer {WRITER}"}, {}, 200),
    "in meta, as LiteLLM sends it": ({"authorization": "Bearer x"}, {"Helicone-Auth": f"Bearer {WRITER}"}, 200),
    "in meta, before Authorization": ({"authorization": f"Bearer {STRANGER}"}, {"Helicone-Auth": f"Bearer {WRITER}"}, 200),
    "in a header, before meta": ({"helicone_auth": STRANGER}, {"Helicone-Auth": f"Bearer {WRITER}"}, 401),
    "nobody's": ({"authorization": f"Bearer {STRANGER}"}, {}, 401),
    "a reader's": ({"authorization": f"Bearer {READER}"}, {}, 403),
    "none": ({"authorization": ""}, {"Helicone-Auth": f"Bearer {WRITER}"}, 401),
}


@pytest.mark.parametrize("auth", [None, Auth.REQUIRED, Auth.PERMISSIVE])
@pytest.mark.parametrize(("headers", "meta", "status"), KEYED.values(), ids=KEYED)
async def test_who_may_log(auth: Auth | None, headers: dict[str, str], meta: dict[str, str], status: int) -> None:
    world = World(auth)
    answer = await world.post(log=but(f"{R}.meta", meta), **headers)
    assert answer.status_code == status
    assert len(world.written) == (status == 200)
    assert WRITER not in str(world.written)


async def test_a_key_that_is_refused_is_told_of_as_helicone_does(world: World) -> None:
    assert (await world.post(authorization="")).text == "Unauthorized"
    assert "not known here" in (await world.post(authorization=f"Bearer {STRANGER}")).json()["error"]
    traced = (await world.post("/v1/trace/custom/log", authorization=f"Bearer {STRANGER}")).json()
    assert traced["trace"] == "key_unknown"


async def test_where_anybody_may_come_in_no_key_is_needed() -> None:
    world = World(Auth.OPEN, {})
    assert (await world.post(authorization="")).status_code == 200
    assert world.written[0][0].call.organization == "default"


async def test_defaults_of_the_key_hold(world: World) -> None:
    world = World(
        keys=keyring(
            key(WRITER, *next(iter(KEYS.values())).scopes, defaults={"Helicone-Property-Team": "a", "Helicone-Omit-Request": "true"})
        )
    )
    assert (await world.post()).status_code == 200
    received, _ = world.written[0]
    assert (received.call.properties, received.request.omitted) == ({"team": "a"}, True)


async def test_a_directive_that_is_wrong_is_named_where_it_was_said(world: World) -> None:
    answer = await world.post(log=but(f"{R}.meta", {"Helicone-Cost-Override": "much"}))
    assert (answer.status_code, answer.json()["field"]) == (400, f"{R}.meta.Helicone-Cost-Override")
    answer = await world.post(helicone_omit_request="perhaps")
    assert (answer.status_code, answer.json()["field"]) == (400, "Helicone-Omit-Request")


async def test_a_request_id_that_is_none_is_replaced_and_said(world: World) -> None:
    answer = await world.post(log=but(f"{R}.meta", {"Helicone-Request-Id": "mine", "Helicone-Näme\n": "x"}))
    assert answer.headers["helicone-id"] == world.written[0][0].call.call_id
    assert "no UUID" in answer.headers["helicone-warning"]


async def test_what_is_not_durable_is_not_answered_as_if_it_were(world: World) -> None:
    world.durable = False
    answer = await world.post()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "Send it again" in answer.json()["error"]


@pytest.mark.parametrize(("encoding", "encode"), [("gzip", gzip.compress), ("zstd", zstandard.compress), ("X-GZIP", gzip.compress)])
async def test_bodies_may_be_compressed(world: World, encoding: str, encode: Any) -> None:
    assert (await world.post(log=encode(json.dumps(GOOD).encode()), content_encoding=encoding)).status_code == 200


BOMBS = {"gzip": gzip.compress(b" " * (BODY_BYTES + 1)), "zstd": zstandard.compress(b" " * (BODY_BYTES + 1))}


@pytest.mark.parametrize(("encoding", "body"), BOMBS.items(), ids=BOMBS)
async def test_a_bomb_does_not_go_off(world: World, encoding: str, body: bytes) -> None:
    answer = await world.post(log=body, content_encoding=encoding)
    assert (answer.status_code, answer.text) == (400, "Payload too large")


async def test_what_is_too_long_is_refused_as_helicone_does(world: World) -> None:
    for size in (BODY_CHARACTERS + 1, BODY_BYTES + 1):
        answer = await world.post(log=b" " * size)
        assert (answer.status_code, answer.text) == (400, "Payload too large")


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"no"), ("rot13", b"{}")])
async def test_an_encoding_that_cannot_be_undone_is_named(world: World, encoding: str, body: bytes) -> None:
    answer = await world.post(log=body, content_encoding=encoding)
    assert (answer.status_code, answer.json()["field"]) == (400, "Content-Encoding")


# Many at once


async def test_each_line_of_a_batch_is_accepted_or_refused_by_its_number(world: World) -> None:
    mine, theirs = (but(f"{R}.meta", meta) for meta in ({"Helicone-Request-Id": ID}, {"Helicone-Auth": f"Bearer {STRANGER}"}))
    lines = [json.dumps(mine), "", json.dumps(but(f"{P}.status", 0)), "{", json.dumps(theirs), json.dumps(GOOD), ""]
    body = zstandard.compress("\r\n".join(lines).encode())
    answer = await world.post("/v1/log/batch", body, content_encoding="zstd", helicone_user_id="u", helicone_request_id=ID)
    assert answer.status_code == 200
    told = answer.json()
    assert [(each["line"], each["helicone-id"]) for each in told["accepted"]] == [
        (1, ID.lower()),
        (6, world.written[1][1].call.call_id),
    ]
    assert [(each["line"], each["field"]) for each in told["refused"]] == [(3, f"{P}.status"), (4, "body"), (5, "Helicone-Auth")]
    assert [completed.call.user_id for _, completed in world.written] == ["u", "u"]


async def test_lines_that_are_not_durable_may_be_sent_again(world: World) -> None:
    world.durable = False
    answer = await world.post("/v1/log/batch", json.dumps(GOOD).encode())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["accepted"] == []
    assert [(each["line"], each["again"]) for each in answer.json()["refused"]] == [(1, True)]


BATCHES = {
    "nothing": (b"", 400, "body"),
    "blank lines": (b"\n \n", 400, "body"),
    "more lines than a batch has": (b"{}\n" * 10_001, 400, "body"),
    "an encoding of no kind": (b"{}", 400, "Content-Encoding"),
}


@pytest.mark.parametrize(("body", "status", "field"), BATCHES.values(), ids=BATCHES)
async def test_a_batch_that_is_none_is_refused_as_a_whole(world: World, body: bytes, status: int, field: str) -> None:
    answer = await world.post("/v1/log/batch", body, content_encoding="rot13" if field == "Content-Encoding" else "")
    assert (answer.status_code, answer.json()["field"]) == (status, field)


async def test_as_many_lines_as_a_batch_has(world: World) -> None:
    answer = await world.post("/v1/log/batch", b"{}\n" * 10_000)
    assert len(answer.json()["refused"]) == 10_000


async def test_who_may_send_a_batch(world: World) -> None:
    assert (await world.post("/v1/log/batch", authorization="")).text == "Unauthorized"
    assert (await world.post("/v1/log/batch", helicone_auth=STRANGER)).status_code == 401
    assert (await world.post("/v1/log/batch", b" " * (BODY_BYTES + 1))).text == "Payload too large"


# On the proxy port


def secret(_organization: str) -> Redaction:
    return Redaction(organization=KEYS_OF, detectors=("email",), set_at=MADE_AT)


async def test_on_the_proxy_port_both_bodies_are_redacted() -> None:
    log = but(f"{R}.json", ASKED | {"user": "u", "text": "a@example.com"}, but(f"{P}.json", {"choices": [{"text": "b@example.com " * 9}]}))
    async with running(redaction_for=secret) as world:
        answer = await world.post("/oai/v1/log", json.dumps(log).encode())
        assert (status_of(answer), answer.partition(b"\r\n\r\n")[2]) == (200, b"ok")
        (received,), (completed,) = await world.requests(), await world.responses()
    assert headers_of(answer)["helicone-id"] == completed.call.request_id
    assert "@example.com" not in str((received, completed))
    assert (received.redactions, completed.redactions) == ({"email": 1}, {"email": 10})
    assert completed.request.text == received.request.text  # it goes along to be counted, as it is stored


async def test_a_large_body_is_redacted_beside_the_calls() -> None:
    log = but(f"{P}.json", {"choices": [{"text": "word " * 20_000 + "b@example.com"}]})
    async with running(redaction_for=secret) as world:
        assert status_of(await world.post("/custom/v1/log", json.dumps(log).encode())) == 200
        (completed,) = await world.responses()
    assert completed.redactions == {"email": 1}
    assert "@example.com" not in str(completed)
