"""What a line says of a call; whatever an application hands over, Heliograph can read it."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import httpx
import pydantic
import pytest
from heliograph_client.answers import Answer, Verdict, pause_s, reason_of, verdict_of
from heliograph_client.facts import About, Told
from heliograph_client.ids import draw, is_id
from heliograph_client.lines import line_of
from heliograph_client.plain import json_of
from heliograph_client.snapshots import Snapshot
from hypothesis import given
from hypothesis import strategies as st

from ingress.async_log import parse_log
from tests.fakes.hostile import Hostile, HostileMapping, HostileModel, circle, deep

CHAT = {"object": "chat.completion", "model": "gpt-4o-mini-2024-07-18", "choices": [], "usage": {"prompt_tokens": 3}}
MESSAGE = {"type": "message", "role": "assistant", "model": "claude-3-5-sonnet-20241022", "content": []}
EMBEDDINGS = {"object": "list", "data": [{"embedding": [0.5]}], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 2}}
CHUNKS = [CHAT | {"object": "chat.completion.chunk"}, {"object": "chat.completion.chunk", "choices": []}]


class Point(pydantic.BaseModel):
    x: int = 1
    when: datetime = datetime(2026, 11, 27, tzinfo=UTC)
    unset: str | None = None


@dataclass
class Plain:
    x: int


class Colour(Enum):
    RED = "red"


class Tells:
    """Only in its own way."""

    def to_dict(self) -> dict[str, Any]:
        return {"x": 1}


JSON = {
    "an object of pydantic, as it was set": (Point(x=2), {"x": 2}),
    "objects within": (
        {"a": [Point(x=3)], "b": Plain(4), "c": Tells(), "d": Colour.RED},
        {"a": [{"x": 3}], "b": {"x": 4}, "c": {"x": 1}, "d": "red"},
    ),
    "what JSON has no number for": ({"a": float("nan"), "b": [float("-inf"), 1.5]}, {"a": None, "b": [None, 1.5]}),
    "names that are no text": ({1: 2, None: 3, (1, 2): 4, 1.5: float("inf")}, {"1": 2, "<NoneType>": 3, "<tuple>": 4, "1.5": None}),
    "bytes and times": ({"a": b"123", "b": datetime(2026, 11, 27, tzinfo=UTC)}, {"a": "<3 bytes>", "b": "2026-11-27T00:00:00+00:00"}),
    "a type": ({"response_format": Point}, {"response_format": "<ModelMetaclass>"}),
    "an object that shows nothing": ({"a": object()}, {"a": "<object>"}),
    "hostile ones": ([Hostile(), HostileModel()], ["<Hostile>", "<HostileModel>"]),
    "a hostile mapping": ({"a": HostileMapping(), "b": 1}, {"a": "<HostileMapping>", "b": 1}),
    "a circle": (circle(), {"a": ["<dict>"]}),
    "a number of many digits": ({"a": 10**9_999}, {"a": None}),
    "a set": ({"a": {7}}, {"a": [7]}),
}


@pytest.mark.parametrize(("value", "wanted"), JSON.values(), ids=JSON)
def test_any_object_is_json(value: Any, wanted: Any) -> None:
    text = json_of(value)
    assert "\n" not in text
    assert json.loads(text) == wanted


def test_what_is_deeper_than_anybody_means_ends_somewhere() -> None:
    assert json_of(deep(5_000)).strip("[]") == '"<list>"'


NOBODY = About()


def told(response: Any = None, *, request: Any = None, about: About = NOBODY, **more: Any) -> Told:
    return Told(draw(), request, response, about, more.pop("told_at", 1_000.0), **more)


def line_and_mistakes(call: Told) -> tuple[dict[str, Any], list[str]]:
    mistakes: list[str] = []
    text = line_of(call, lambda argument, why: mistakes.append(argument))
    parse_log(text.encode(), [], time.time())
    return json.loads(text), mistakes


BODIES = {
    "a chat": (told(CHAT), "openai", {"model": CHAT["model"]}, CHAT),
    "a message": (told(MESSAGE), "anthropic", {"model": MESSAGE["model"]}, MESSAGE),
    "embeddings": (told(EMBEDDINGS), "openai", {"model": EMBEDDINGS["model"]}, EMBEDDINGS),
    "nobody's": (told({"a": 1}), None, {}, {"a": 1}),
    "nothing": (told(None), None, {}, {}),
    "a list": (told([{"a": 1}]), None, {}, [{"a": 1}]),
    "chunks": (told(pieces=CHUNKS), "openai", {"model": CHAT["model"]}, {"streamed_data": CHUNKS}),
    "of a provider that is named": (told(CHAT, about=About(provider="groq")), "groq", {"model": CHAT["model"]}, CHAT),
    "with a request": (told(CHAT, request={"model": "gpt-4o-mini", "seed": 1}), "openai", {"model": "gpt-4o-mini", "seed": 1}, CHAT),
}


@pytest.mark.parametrize(("call", "provider", "request_json", "response_json"), BODIES.values(), ids=BODIES)
def test_bodies(call: Told, provider: str | None, request_json: Any, response_json: Any) -> None:
    line, mistakes = line_and_mistakes(call)
    assert (line.get("provider"), line["providerRequest"]["json"], line["providerResponse"]["json"]) == (
        provider,
        request_json,
        response_json,
    )
    assert mistakes == []


TEXTS = {
    "text": (told("Salt"), "Salt"),
    "an answer of an HTTP client": (told(httpx.Response(200, text="Salt")), "Salt"),
    "events in pieces": (told(pieces=[b"data: {}\n", b"\n"]), "data: {}\n\n"),
    "lines": (told(pieces=["data: {}", "", "data: [DONE]"]), "data: {}\n\ndata: [DONE]"),
}


@pytest.mark.parametrize(("call", "text"), TEXTS.values(), ids=TEXTS)
def test_text(call: Told, text: str) -> None:
    assert line_and_mistakes(call)[0]["providerResponse"]["textBody"] == text


def test_what_is_for_the_client_alone_is_not_told() -> None:
    request = {"model": "m", "api_key": "sk-secret", "extra_headers": {"a": "b"}, "timeout": 3, "extra_body": {"top_k": 5}}
    line, _ = line_and_mistakes(told(CHAT, request=request, base_url="http://llm.example/v1/"))
    assert line["providerRequest"]["json"] == {"model": "m", "top_k": 5}
    assert (line["providerRequest"]["url"], line.get("provider")) == ("http://llm.example/v1/chat/completions", None)


SAID = {
    "numbers and booleans": (
        About(user_id=7, properties={"a": True, "b": 1.5}),
        {"User-Id": "7", "Property-a": "true", "Property-b": "1.5"},
        [],
    ),
    "lines": (About(user_id="a\nb"), {"User-Id": "a b"}, []),
    "more headers": (About(headers={"Helicone-Prompt-Id": "greeting"}), {"Prompt-Id": "greeting"}, []),
    "the own argument wins": (About(user_id="a", headers={"Helicone-User-Id": "b"}), {"User-Id": "a"}, []),
    "a foreign header": (About(headers={"Authorization": "x"}), {}, ["headers"]),
    "a user who is an object": (About(user_id=object()), {}, ["user_id"]),
    "properties that are a list": (About(properties=["a"]), {}, ["properties"]),
    "a property that is an object": (About(properties={"a": object(), "b": "c"}), {"Property-b": "c"}, ["properties"]),
    "a property without a name": (About(properties={"": "x", 5: "y"}), {}, ["properties"] * 2),
    "hostile properties": (About(properties=HostileMapping()), {}, ["properties"]),
    "an empty user": (About(user_id=""), {}, []),
}


@pytest.mark.parametrize(("about", "meta", "mistakes"), SAID.values(), ids=SAID)
def test_what_is_said_of_it(about: About, meta: dict[str, str], mistakes: list[str]) -> None:
    call = told(CHAT, about=about)
    line, made = line_and_mistakes(call)
    wanted = {f"Helicone-{name}": value for name, value in meta.items()} | {"Helicone-Request-Id": call.request_id}
    assert (line["providerRequest"]["meta"], made) == (wanted, mistakes)


def at(seconds: int, milliseconds: float = 0) -> dict[str, float]:
    return {"seconds": seconds, "milliseconds": milliseconds}


TIMES = {
    "none": ({}, {"startTime": at(1000), "endTime": at(1000)}, []),
    "a beginning": ({"started_at": 998.5}, {"startTime": at(998, 500), "endTime": at(1000)}, []),
    "datetimes": ({"started_at": datetime(1970, 1, 1, 0, 1, tzinfo=UTC)}, {"startTime": at(60), "endTime": at(1000)}, []),
    "to the first token": ({"ttft_ms": 12}, {"startTime": at(1000), "endTime": at(1000), "timeToFirstToken": 12.0}, []),
    "backwards": ({"started_at": 1001}, {"startTime": at(1000), "endTime": at(1000)}, ["started_at"]),
    "no time": ({"ended_at": "now", "started_at": float("nan")}, {"startTime": at(1000), "endTime": at(1000)}, ["ended_at", "started_at"]),
    "before 1970": ({"started_at": -5, "ttft_ms": -1}, {"startTime": at(1000), "endTime": at(1000)}, ["started_at", "ttft_ms"]),
}


@pytest.mark.parametrize(("times", "timing", "mistakes"), TIMES.values(), ids=TIMES)
def test_times(times: dict[str, Any], timing: Any, mistakes: list[str]) -> None:
    line, made = line_and_mistakes(told(CHAT, **times))
    assert (line["timing"], made) == (timing, mistakes)


def test_status_and_cost() -> None:
    line, _ = line_and_mistakes(told({}, status=429, cost_usd=0.25))
    assert (line["providerResponse"]["status"], line["providerResponse"]["cost"]) == (429, 0.25)
    line, mistakes = line_and_mistakes(told(httpx.Response(503, text=""), status="odd", cost_usd="free"))
    assert (line["providerResponse"]["status"], mistakes) == (503, ["status", "cost_usd"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(Hostile) | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3),
    max_leaves=8,
)


@given(
    response=ANYTHING,
    request=ANYTHING,
    about=st.builds(About, *[ANYTHING] * 8),
    numbers=st.fixed_dictionaries({}, optional=dict.fromkeys(("status", "started_at", "ended_at", "ttft_ms", "cost_usd"), ANYTHING)),
)
def test_heliograph_reads_whatever_was_said(response: Any, request: Any, about: About, numbers: dict[str, Any]) -> None:
    snapshot = Snapshot()
    text = line_of(told(snapshot.of(response), request=snapshot.of(request), about=about, **numbers), lambda argument, why: None)
    line = json.loads(text.encode("utf-8", "replace"))
    assert "\n" not in text
    assert is_id(line["providerRequest"]["meta"]["Helicone-Request-Id"])


def test_a_snapshot_is_of_that_moment() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    request = {"model": "m", "messages": messages}
    copy = Snapshot().of(request)
    messages.append({"role": "assistant", "content": []})
    messages[0]["content"] = "else"
    assert copy == {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}


WEIGHTS: dict[str, Any] = {
    "a text": "x" * 100_000,
    "far within": {"messages": [{"content": [{"image_url": {"url": "x" * 100_000}}]}]},
    "an object": Plain("x" * 100_000),  # type: ignore[arg-type]
    "many of the same": ["x" * 1_000] * 100,
    "more than are looked at": ["x" * 100] * 1_200,
    "an embedding's tokens": {"input": [1] * 4_000},
}


@pytest.mark.parametrize("value", WEIGHTS.values(), ids=WEIGHTS)
def test_a_snapshot_has_about_the_weight_of_its_texts(value: Any) -> None:
    snapshot = Snapshot()
    snapshot.of(value)
    assert 100_000 <= snapshot.weight <= 300_000


def test_a_long_request_leaves_room_to_weigh_the_answer() -> None:
    snapshot = Snapshot()
    snapshot.of([{"role": "user", "content": "x"}] * 1_000)
    before = snapshot.weight
    snapshot.of({"text": "x" * 100_000})
    assert snapshot.weight - before > 100_000


def answer(status: int, body: Any = None) -> Answer:
    return Answer(status, None, b"" if body is None else json.dumps(body).encode())


VERDICTS = {
    "all accepted": (answer(200, {"accepted": [], "refused": []}), Verdict(True)),
    "an answer that says nothing": (answer(200), Verdict(True)),
    "one refused": (answer(200, {"refused": [{"line": 2, "error": "odd"}]}), Verdict(True, {1: "odd"})),
    "one again": (
        answer(503, {"refused": [{"line": 1, "again": True}, {"line": 2, "error": "x"}]}),
        Verdict(True, {1: "x"}, frozenset({0})),
    ),
    "a 503 that names no line": (answer(503, {"error": "not now"}), Verdict(False)),
    "lines that there are not": (answer(200, {"refused": [{"line": 0}, {"line": 9}, {"line": "1"}, 5]}), Verdict(True)),
    "a proxy's error": (answer(502, "bad gateway"), Verdict(False)),
    "too many": (answer(429), Verdict(False)),
    "nothing of it": (answer(400, {"error": "body has no line"}), Verdict(True, dict.fromkeys(range(2), "400 body has no line"))),
}


@pytest.mark.parametrize(("says", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_what_becomes_of_a_batch_of_two(says: Answer, verdict: Verdict) -> None:
    assert verdict_of(says, 2) == verdict


def test_a_reason_is_short_and_names_the_remedy() -> None:
    assert reason_of(Answer(401, None, b"x" * 9_999)).endswith("; see api_key")
    assert len(reason_of(answer(400, {"error": "y" * 9_999}))) < 400


PAUSES = {
    "the first": (1, None, 0.0, 0.05),
    "the third": (3, None, 1.0, 0.4),
    "the hundredth": (100_000, None, 1.0, 5.0),
    "named": (1, "30", 0.5, 30.0),
    "named longer than anybody waits": (1, "1e9", 0.5, 300.0),
    "named shorter than our own": (100, "0", 1.0, 5.0),
    "a date": (1, "Fri, 27 Nov 2026 00:00:00 GMT", 0.0, 0.05),
    "not a number": (1, "nan", 0.0, 0.05),
}


@pytest.mark.parametrize(("failures", "retry_after", "chance", "seconds"), PAUSES.values(), ids=PAUSES)
def test_pauses(failures: int, retry_after: str | None, chance: float, seconds: float) -> None:
    assert pause_s(failures, retry_after, chance) == pytest.approx(seconds)


def test_ids_are_of_version_7_and_in_order_of_time() -> None:
    drawn = [draw() for _ in range(100)]
    assert len(set(drawn)) == 100
    assert all(is_id(each) and each[14] == "7" and each[19] in "89ab" for each in drawn)
    assert int(drawn[0].replace("-", "")[:12], 16) <= int(drawn[-1].replace("-", "")[:12], 16)
