"""Requests that are longer than their model reads: what is cut, what stays to the byte, and what the client is told."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.context_windows import context_window_of, model_in
from ingress.errors import BadDirective
from ingress.texts import Text, crowded, texts_of, with_values
from ingress.token_limits import (
    Handler,
    beginning,
    end,
    fitted,
    level_of,
    limit_of,
    parse_handler,
    shortened,
    size_of,
    tidied,
    tokens_of,
    without_middle,
)
from tests.fakes.ingress import World, headers_of, running, status_of

FAMILY = "👨‍👩‍👧"
WINDOWS = {"small": 100, "large": 1_000}


def chat(*messages: tuple[str, Any], **more: Any) -> bytes:
    return json.dumps({"model": "small"} | more | {"messages": [{"role": role, "content": content} for role, content in messages]}).encode()


def contents(body: bytes) -> list[Any]:
    return [message["content"] for message in json.loads(body)["messages"]]


def cut(body: bytes, handler: Handler, override: str | None = None) -> tuple[bytes, str | None]:
    found = fitted(body, handler, override=override, window_of=WINDOWS.get)
    return found.body, found.warning


HANDLERS = {"truncate": Handler.TRUNCATE, " Middle-Out ": Handler.MIDDLE_OUT, "FALLBACK": Handler.FALLBACK}


@pytest.mark.parametrize(("said", "handler"), HANDLERS.items())
def test_handlers(said: str, handler: Handler) -> None:
    assert parse_handler("", said) is handler


@pytest.mark.parametrize("said", ["", "trunc", "middle out", "true"])
def test_handlers_that_are_none(said: str) -> None:
    with pytest.raises(BadDirective, match="truncate, middle-out or fallback"):
        parse_handler("", said)


LIMITS: dict[str, tuple[dict[str, Any], int]] = {
    "a tenth is left for the answer": ({}, 900),
    "what is asked for": ({"max_tokens": 300}, 700),
    "by its newer name": ({"max_completion_tokens": 200, "max_tokens": 300}, 800),
    "of responses": ({"max_output_tokens": 1}, 999),
    "nothing is none": ({"max_completion_tokens": 0, "max_tokens": 300}, 700),
    "no number": ({"max_tokens": "300"}, 900),
    "true is no number": ({"max_tokens": True}, 900),
    "more than there is": ({"max_tokens": 2_000}, -1_000),
    "Gemini's": ({"generationConfig": {"maxOutputTokens": 300}}, 700),
    "Gemini's, as Python writes it": ({"generation_config": {"max_output_tokens": 300}}, 700),
    "Bedrock's": ({"inferenceConfig": {"maxTokens": 300}}, 700),
    "a config that is none": ({"generationConfig": [1]}, 900),
}


@pytest.mark.parametrize(("said", "limit"), LIMITS.values(), ids=LIMITS)
def test_limits(said: dict[str, Any], limit: int) -> None:
    assert limit_of(said, 1_000) == limit


SIZES = {"nothing": ("", 0), "one": ("a", 1), "four": ("abcd", 1), "five": ("abcde", 2), "two characters of three": ("日本", 2)}


@pytest.mark.parametrize(("text", "tokens"), SIZES.values(), ids=SIZES)
def test_tokens(text: str, tokens: int) -> None:
    assert tokens_of(size_of(text)) == tokens


LEVELS = {
    "all fit": ([1, 2, 3], 6, 3),
    "the longest is cut": ([1, 2, 9], 6, 3),
    "two are cut alike": ([1, 9, 7], 9, 4),
    "all alike": ([9, 9], 7, 3),
    "none": ([], 5, 0),
}


@pytest.mark.parametrize(("sizes", "budget", "level"), LEVELS.values(), ids=LEVELS)
def test_levels(sizes: list[int], budget: int, level: int) -> None:
    assert level_of(sizes, budget) == level


ENDS = {
    "plain": ("abcdef", 3, "abc", "def"),
    "all of it": ("abc", 3, "abc", "abc"),
    "nothing": ("abc", 0, "", ""),
    "within a character": ("日本語", 4, "日", "語"),
    "an accent of its own": ("ae\u0301b", 2, "a", "b"),
    "a family": (f"a{FAMILY}b", 8, "a", "b"),
    "a skin": ("a👍🏽b", 6, "a", "b"),
    "nothing but a family": (FAMILY, 5, "👨", "👧"),
}


@pytest.mark.parametrize(("text", "size", "first", "last"), ENDS.values(), ids=ENDS)
def test_no_character_is_split(text: str, size: int, first: str, last: str) -> None:
    assert beginning(text, size) == first
    assert end(text, size) == last


TIDIED = {
    "words": ("a b\nc", "a b\nc"),
    "spaces": ("a    b \t c", "a b c"),
    "indentation stays": ("def f():\n    return  1", "def f():\n    return 1"),
    "blank lines": ("a\n\n \n\n\nb", "a\n\nb"),
    "one blank line": ("a\n\nb", "a\n\nb"),
    "rules": ("a\n--------\nb =====", "a\n---\nb ==="),
}


@pytest.mark.parametrize(("text", "tidy"), TIDIED.values(), ids=TIDIED)
def test_what_says_nothing_goes_first(text: str, tidy: str) -> None:
    assert tidied(text) == tidy


MIDDLES = {
    "one text": (["a" * 20 + "b" * 20], 23, ["a" * 10 + "…" + "b" * 10]),
    "all fits": (["abc", "def"], 6, ["abc", "def"]),
    "both ends of a conversation": (["first", "m" * 50, "n" * 50, "last!"], 32, ["first", "mmmmm…", "…nnnnn", "last!"]),
    "what lies wholly between": (["a" * 30, "b" * 30, "c" * 30], 29, ["a" * 10 + "…", "…", "…" + "c" * 10]),
}


@pytest.mark.parametrize(("texts", "budget", "left"), MIDDLES.values(), ids=MIDDLES)
def test_middles(texts: list[str], budget: int, left: list[str]) -> None:
    assert without_middle(texts, budget) == left


CUTTERS = st.sampled_from([Handler.TRUNCATE, Handler.MIDDLE_OUT])


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8), st.integers(0, 200), CUTTERS)
def test_what_is_left_always_fits(texts: list[str], more: int, handler: Handler) -> None:
    budget = 8 * len(texts) + more
    changes = shortened([Text((place,), text) for place, text in enumerate(texts)], budget, handler)
    left = [changes.get((place,), text) for place, text in enumerate(texts)]
    assert sum(map(size_of, left)) <= budget
    assert [bool(text) for text in left] == [bool(text) for text in texts]
    assert all(after.strip() for after, before in zip(left, texts, strict=True) if before.strip())


QUESTION = "What is it about?"
CUT: dict[str, tuple[bytes, Handler, str | None, list[Any], str | None]] = {
    "what fits stays to the byte": (chat(("user", "hi")), Handler.TRUNCATE, None, ["hi"], None),
    "the longest is cut at its end": (
        chat(("user", "a" * 1_000), ("user", QUESTION)),
        Handler.TRUNCATE,
        None,
        ["a" * (360 - len(QUESTION)), QUESTION],
        "cut from about 255 to at most 90 tokens",
    ),
    "the middle is taken out": (
        chat(("user", "a" * 500 + "b" * 500)),
        Handler.MIDDLE_OUT,
        None,
        ["a" * 178 + "…" + "b" * 179],
        "cut from about 250 to at most 90 tokens",
    ),
    "instructions stay": (
        chat(("system", "s" * 300), ("user", "u" * 300)),
        Handler.TRUNCATE,
        None,
        ["s" * 300, "u" * 60],
        "cut from about 150 to",
    ),
    "instructions that are too long by themselves": (
        chat(("developer", "s" * 400), ("user", "u" * 300)),
        Handler.TRUNCATE,
        None,
        ["s" * 180, "u" * 180],
        "cut from about 175 to",
    ),
    "room for the answer": (chat(("user", "u" * 300), max_tokens=60), Handler.TRUNCATE, None, ["u" * 160], "at most 40 tokens"),
    "no room at all": (chat(("user", "u" * 300), max_tokens=100), Handler.TRUNCATE, None, ["u" * 300], "take the whole context window"),
    "parts": (
        chat(("user", [{"type": "image_url", "image_url": {"url": "x" * 900}}, {"type": "text", "text": "t" * 900}])),
        Handler.TRUNCATE,
        None,
        [[{"type": "image_url", "image_url": {"url": "x" * 900}}, {"type": "text", "text": "t" * 360}]],
        "cut from",
    ),
    "what a tool said, and not its id": (
        chat(("user", [{"type": "tool_result", "tool_use_id": "i" * 64, "content": "t" * 900}])),
        Handler.TRUNCATE,
        None,
        [[{"type": "tool_result", "tool_use_id": "i" * 64, "content": "t" * 360}]],
        "cut from",
    ),
    "tools count and stay": (
        chat(("user", "u" * 400), tools=["x" * 98]),
        Handler.TRUNCATE,
        None,
        ["u" * 258],
        "cut from",
    ),
    "tools alone are too many": (chat(("user", "u" * 400), tools=["x" * 400]), Handler.MIDDLE_OUT, None, ["u" * 400], "is not obeyed"),
    "a model that nobody knows": (chat(("user", "u" * 900), model="mine"), Handler.TRUNCATE, None, ["u" * 900], "is not known"),
    "no model": (chat(("user", "u" * 900), model=None), Handler.TRUNCATE, None, ["u" * 900], "is not known"),
    "the override's window": (chat(("user", "u" * 900), model="mine"), Handler.TRUNCATE, "small", ["u" * 360], "cut from"),
    "an override with a larger window": (chat(("user", "u" * 900)), Handler.TRUNCATE, "large", ["u" * 900], None),
    "no text that is known": (
        json.dumps({"model": "small", "messages": [], "question": "u" * 900}).encode(),
        Handler.TRUNCATE,
        None,
        [],
        "no text in a shape that is known",
    ),
    "blanks before the words": (
        chat(("user", " " * 600 + "hello " * 100), ("user", QUESTION)),
        Handler.TRUNCATE,
        None,
        [("hello " * 100)[: 360 - len(QUESTION)].strip(), QUESTION],
        "cut from",
    ),
    "a blank at the cut": (
        chat(("user", "a" * 355 + " " + "b" * 500)),
        Handler.TRUNCATE,
        None,
        ["a" * 355 + " bbbb"],
        "cut from",
    ),
    "blanks at the cut": (chat(("assistant", "a" * 359 + " " + "b" * 500)), Handler.TRUNCATE, None, ["a" * 359], "cut from"),
    "only spaces had to go": (chat(("user", "a" + " " * 500 + "b")), Handler.TRUNCATE, None, ["a b"], "cut from"),
}


@pytest.mark.parametrize(("body", "handler", "override", "left", "warning"), CUT.values(), ids=CUT)
def test_cuts(body: bytes, handler: Handler, override: str | None, left: list[Any], warning: str | None) -> None:
    found, told = cut(body, handler, override)
    assert contents(found) == left
    assert (told is None) == (warning is None)
    assert (warning or "") in (told or "")
    assert (found == body) == (contents(body) == left)


CHOSEN: dict[str, tuple[str, int, str | None, str, bool]] = {
    "the first reads it": ("small, large", 100, None, "small", False),
    "the first does not": ("small,large", 400, None, "large", True),
    "the second of three": ("small,large,huge", 400, None, "large", True),
    "there is only one": ("small", 4_000, None, "small", False),
    "nobody knows the first": ("mine,large", 4_000, None, "mine", False),
    "the override's window": ("mine,other", 400, "small", "other", True),
}


@pytest.mark.parametrize(("models", "size", "override", "model", "told"), CHOSEN.values(), ids=CHOSEN)
def test_fallback(models: str, size: int, override: str | None, model: str, told: bool) -> None:
    body, warning = cut(chat(("user", "u" * size), model=models), Handler.FALLBACK, override)
    assert json.loads(body) == json.loads(chat(("user", "u" * size), model=model))
    assert (warning is not None) is told


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'"x"', b"\x1f\x8b\x08", b"[" * 100_000, b"{", b'{"a":"\xff"}'])
@pytest.mark.parametrize("handler", Handler)
def test_a_body_that_is_none_is_sent_as_it_is(body: bytes, handler: Handler) -> None:
    found, warning = cut(body, handler)
    assert found == body
    assert "no plain JSON object" in (warning or "")


STRANGE: list[dict[str, Any]] = [
    {"messages": None},
    {"messages": "text"},
    {"messages": [1, None, [], {}]},
    {"messages": [{"role": 1, "content": 1, "tool_calls": 1}]},
    {"messages": [{"content": [1, None, {}, {"type": "text"}, {"type": "text", "text": 1}, {"type": "tool_result", "content": 1}]}]},
    {"input": ["a", "b"], "tools": 1, "system": 5, "instructions": []},
    {"model": "small", "messages": [{"content": [{"type": "tool_use", "input": {}}]}]},
    {"messages": [{"role": ["system"], "content": [{"type": [1], "text": "a"}, {"type": {}, "text": "a"}]}]},
    {"contents": [1, {"parts": 1}, {"parts": [1, {"text": 1}]}], "systemInstruction": 1, "system_instruction": {"parts": 1}},
]


@pytest.mark.parametrize("said", STRANGE, ids=str)
@pytest.mark.parametrize("handler", Handler)
def test_strange_bodies_pass(said: dict[str, Any], handler: Handler) -> None:
    body = json.dumps({"model": "small"} | said).encode()
    assert cut(body, handler)[0] == body


@pytest.mark.parametrize("deep", [900, 980, 990, 992, 994, 999, 1_200])
@pytest.mark.parametrize("handler", Handler)
def test_how_deep_a_body_is_nested_is_no_fault_of_ours(deep: int, handler: Handler) -> None:
    nested = b"[" * deep + b"]" * deep
    body = b'{"model":"small","messages":[{"role":"user","x":%b,"content":"%b"}]}' % (nested, b"u" * 1_000)
    found, warning = cut(body, handler)
    assert nested in found
    assert (found == body) is (handler is Handler.FALLBACK or "no plain JSON object" in (warning or ""))


TEXTS: dict[str, tuple[dict[str, Any], list[tuple[Any, ...]]]] = {
    "a chat": (
        {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]},
        [(("messages", 0, "content"), "a", True), (("messages", 1, "content"), "b", False)],
    ),
    "Anthropic's": (
        {"system": [{"type": "text", "text": "a"}], "messages": [{"role": "user", "content": [{"type": "text", "text": "b"}]}]},
        [(("system", 0, "text"), "a", True), (("messages", 0, "content", 0, "text"), "b", False)],
    ),
    "what its tools said": (
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "b"}]}]}]},
        [(("messages", 0, "content", 0, "content", 0, "text"), "b", False)],
    ),
    "responses": ({"instructions": "a", "input": "b"}, [(("instructions",), "a", True), (("input",), "b", False)]),
    "items of responses": (
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "function_call", "call_id": "c", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "b"},
            ]
        },
        [(("input", 0, "content", 0, "text"), "a", False), (("input", 2, "output"), "b", False)],
    ),
    "a completion": ({"prompt": "a"}, [(("prompt",), "a", False)]),
    "nothing": ({"model": "m", "input": ["a", "b"]}, []),
    "Gemini's": (
        {
            "systemInstruction": {"parts": [{"text": "a"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "b"}, {"inlineData": {"data": "c"}}]},
                {"role": "model", "parts": [{"text": "d", "thought": True}, {"functionCall": {"name": "e", "args": {"text": "f"}}}]},
            ],
        },
        [(("systemInstruction", "parts", 0, "text"), "a", True), (("contents", 0, "parts", 0, "text"), "b", False)],
    ),
    "Gemini's, one of each": (
        {"system_instruction": {"parts": {"text": "a"}}, "contents": {"parts": {"text": "b"}}},
        [(("system_instruction", "parts", "text"), "a", True), (("contents", "parts", "text"), "b", False)],
    ),
    "Bedrock's": (
        {"system": [{"text": "a"}], "messages": [{"role": "user", "content": [{"text": "b"}]}]},
        [(("system", 0, "text"), "a", True), (("messages", 0, "content", 0, "text"), "b", False)],
    ),
}


@pytest.mark.parametrize(("body", "texts"), TEXTS.values(), ids=TEXTS)
def test_texts(body: Mapping[str, Any], texts: list[tuple[Any, ...]]) -> None:
    assert texts_of(body) == [Text(*each) for each in texts]


def test_what_is_not_changed_stays_to_the_byte() -> None:
    body = b'{"z":1.0,"messages":[{"role":"user","x":{"n": 1e5 },"content":"a"},{"content":"\\u0061"}],"a":10000000000000000000000}'
    found = with_values(body, {("messages", 0, "content"): "b", ("z",): "c"})
    assert (
        found == b'{"z":"c","messages":[{"role":"user","x":{"n": 1e5 },"content":"b"},{"content":"\\u0061"}],"a":10000000000000000000000}'
    )
    assert with_values(body, {}) is body


def many(count: int, *, parts: bool) -> bytes:
    """So many texts, each a message of its own or a part of one."""
    if parts:
        return chat(("user", [{"type": "text", "text": "hello"}] * count))
    return chat(*[("user", "hello")] * count)


CROWDS = {
    "a long text": (chat(("user", 'a "text": "content" b' * 50_000)), False),
    "as many as may be": (many(10_000, parts=False), False),
    "one more": (many(10_001, parts=False), True),
    "parts": (many(9_990, parts=True), False),
    "too many parts": (many(10_010, parts=True), True),
    "no JSON": (b"x" * 1_000_000, False),
}


@pytest.mark.parametrize(("body", "are"), CROWDS.values(), ids=CROWDS)
def test_crowds(body: bytes, *, are: bool) -> None:
    assert crowded(body) is are


@pytest.mark.parametrize("handler", [Handler.TRUNCATE, Handler.MIDDLE_OUT])
def test_a_crowd_is_not_cut(handler: Handler) -> None:
    body = many(20_000, parts=False)
    assert cut(body, handler) == (body, "Helicone-Token-Limit-Exception-Handler is not obeyed: the body holds more than 10000 texts")


def test_a_crowd_is_measured_by_its_length() -> None:
    body = many(20_000, parts=False).replace(b'"model": "small"', b'"model": "small, large", "max_tokens": 5')
    found, warning = cut(body, Handler.FALLBACK)
    assert json.loads(found)["model"] == "large"
    assert "are too many for the first model" in (warning or "")
    assert cut(b'{"messages":[%b{}]}' % (b'{"content":"a"},' * 20_000), Handler.FALLBACK)[1] is not None


IN_PATHS = {
    b"/v1beta/models/gemini-2.5-pro:generateContent": "gemini-2.5-pro",
    b"/v1/projects/p/locations/l/publishers/google/models/gemini-2.0-flash-001:streamGenerateContent?alt=sse": "gemini-2.0-flash-001",
    b"/v1/chat/completions": None,
    b"/v1/models/gpt-4o": None,
    b"/x?y=/models/a:b": None,
    b"/models/%ff:b": None,
}


@pytest.mark.parametrize(("target", "model"), IN_PATHS.items())
def test_models_in_paths(target: bytes, model: str | None) -> None:
    assert model_in(target) == model


WINDOWS_OF: dict[str, tuple[str, str, int | None]] = {
    "its maker's": ("openai", "gpt-4o-mini", 128_000),
    "with a date": ("openai", "gpt-4o-mini-2024-07-18", 128_000),
    "Anthropic's": ("anthropic", "claude-sonnet-4-5", 200_000),
    "sold by somebody else": ("models.example.com", "gpt-4o", 128_000),
    "nobody's": ("openai", "my-own-model", None),
    "without a name": ("openai", "", None),
    "too long a name": ("openai", "gpt-4o" + "x" * 300, None),
}


@pytest.mark.parametrize(("provider", "model", "window"), WINDOWS_OF.values(), ids=WINDOWS_OF)
def test_context_windows(provider: str, model: str, window: int | None) -> None:
    assert context_window_of(provider, model) == window


# Through the ingress


async def sent(world: World, body: bytes, headers: bytes) -> tuple[bytes, str]:
    """What the provider was asked by the newest call, and the client's warning."""
    answer = await world.post(body=body, headers=headers)
    assert status_of(answer) == 200
    return world.provider.requests[-1].partition(b"\r\n\r\n")[2], headers_of(answer).get("helicone-warning", "")


def said(handler: bytes) -> bytes:
    return b"Helicone-Token-Limit-Exception-Handler: %b\r\n" % handler


LONG = chat(("system", "Be kind."), ("user", "word " * 120_000 + QUESTION), model="gpt-4o-mini", max_tokens=1_000)


@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_what_is_sent_is_what_is_recorded(durability: str) -> None:
    async with running(durability=durability) as world:
        body, warning = await sent(world, LONG, said(b"middle-out"))
        assert "cut from about 150007 to at most 127000 tokens" in warning
        system, user = contents(body)
        assert system == "Be kind."
        assert (user.startswith("word word"), user.endswith(QUESTION), "…" in user) == (True, True, True)
        assert 126_900 <= tokens_of(size_of(system + user)) <= 127_000
        (response,) = await world.responses()
        assert (response.call.model, response.request_bytes) == ("gpt-4o-mini", len(body))
        (request,) = await world.requests()
        assert request.request.size == len(body)
        assert durability == "strict" or request.request.text == body.decode()


async def test_what_is_larger_than_what_is_kept_is_recorded_as_it_was_sent() -> None:
    async with running(body_limit=200_000) as world:
        body, _ = await sent(world, LONG, said(b"truncate"))
        (request,) = await world.requests()
        assert (request.request.size, request.request.truncated) == (len(body), True)
        assert QUESTION.encode() not in body
        assert QUESTION not in (request.request.tail or "")


async def test_what_passes() -> None:
    async with running() as world:
        for body in (chat(("user", "hi"), model="gpt-4o-mini"), b"no JSON", LONG.replace(b"gpt-4o-mini", b"my-own-mini")):
            found, warning = await sent(world, body, said(b"truncate"))
            assert found == body
            assert ("is not obeyed" in warning) is (b"hi" not in body)
        large = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"' + b"x" * (17 << 20) + b'"}]}'
        found, warning = await sent(world, large, said(b"truncate"))
        assert "HELIOGRAPH_ATTEMPTS__BODY_BYTES" in warning
        answer = await world.talk(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + said(b"truncate") + b"\r\n")
        assert (status_of(answer), "helicone-warning" in headers_of(answer)) == (200, False)


async def test_the_second_model() -> None:
    async with running() as world:
        body, warning = await sent(world, LONG.replace(b"gpt-4o-mini", b"gpt-4o-mini, gpt-4.1"), said(b"fallback"))
        assert json.loads(body)["model"] == "gpt-4.1"
        assert "the second was asked" in warning
        body, warning = await sent(world, chat(("user", "hi"), model="gpt-4o-mini,gpt-4.1"), said(b"Fallback"))
        assert (json.loads(body)["model"], warning) == ("gpt-4o-mini", "")
        assert [row.call.model for row in await world.responses(2)] == ["gpt-4.1", "gpt-4o-mini"]


async def test_each_fallback_has_the_window_of_its_own_model() -> None:
    async with running() as world:
        entries = [
            {"target-url": "http://127.0.0.1:1", "headers": {}, "onCodes": [], "bodyKeyOverride": {"model": "gpt-4.1"}},
            {"target-url": world.provider.url, "headers": {}, "onCodes": [], "bodyKeyOverride": {"model": "gpt-4o-mini"}},
        ]
        headers = said(b"truncate") + b"Helicone-Fallbacks: " + json.dumps(entries).encode() + b"\r\n"
        body, warning = await sent(world, LONG, headers)
        assert json.loads(body)["model"] == "gpt-4o-mini"
        assert size_of("".join(contents(body))) == 4 * 127_000
        assert warning.count("cut from") == 1
        same = [each | {"bodyKeyOverride": {}} for each in entries]
        _, warning = await sent(world, LONG, said(b"truncate") + b"Helicone-Fallbacks: " + json.dumps(same).encode() + b"\r\n")
        assert warning.count("cut from") == 1


async def test_an_unknown_handler_is_refused() -> None:
    async with running() as world:
        answer = await world.post(body=LONG, headers=said(b"shorten"))
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert (status_of(answer), error["param"]) == (400, "Helicone-Token-Limit-Exception-Handler")
        assert "middle-out" in error["message"]
        assert world.provider.requests == []


async def test_gemini_names_its_model_in_the_path() -> None:
    calls = {"functionCall": {"name": "f", "args": {"a": "x" * 400}}}
    body = json.dumps(
        {
            "systemInstruction": {"parts": [{"text": "Be kind."}]},
            "contents": [{"role": "model", "parts": [calls]}, {"role": "user", "parts": [{"text": "word " * 900_000}]}],
            "generationConfig": {"maxOutputTokens": 1_000},
        }
    ).encode()
    async with running(upstreams_of=("google",)) as world:
        answer = await world.post("/google/v1beta/models/gemini-2.0-flash:generateContent", body=body, headers=said(b"truncate"))
        assert "cut from about 1125109 to at most 999000 tokens" in headers_of(answer)["helicone-warning"]
        sent = json.loads(world.provider.requests[-1].partition(b"\r\n\r\n")[2])
        assert (sent["systemInstruction"]["parts"][0]["text"], sent["contents"][0]["parts"]) == ("Be kind.", [calls])
        text = sent["contents"][1]["parts"][0]["text"]
        assert 998_800 <= tokens_of(size_of(text)) <= 999_000
