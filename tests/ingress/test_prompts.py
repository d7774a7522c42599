"""Which prompt a call was made of, and what was filled into it: the tags that mark it reach no provider."""

import gzip
import json
from typing import Any

import pytest

from ingress.errors import BadDirective
from ingress.prompts import LONGEST_INPUT, MOST_INPUTS, Mode, filled, parse_mode, untagged
from tests.fakes.ingress import World, headers_of, running, status_of


def tag(key: str, value: str) -> str:
    return f'<helicone-prompt-input key="{key}">{value}</helicone-prompt-input>'


UNTAGGED: dict[str, tuple[str, str, dict[str, str]]] = {
    "none": ("hello", "hello", {}),
    "one": (f"In {tag('city', 'Oslo')}!", "In Oslo!", {"city": "Oslo"}),
    "as Helicone's package writes it": ('<helicone-prompt-input key="a" >x</helicone-prompt-input>', "x", {"a": "x"}),
    "two": (tag("a", "1") + tag("b", "2"), "12", {"a": "1", "b": "2"}),
    "one key twice": (tag("a", "1") + tag("a", "2"), "12", {"a": "2"}),
    "several lines": (tag("a", "1\n2"), "1\n2", {"a": "1\n2"}),
    "nothing in it": (tag("a", ""), "", {"a": ""}),
    "another tag in it": (tag("a", "<b>1</b>"), "<b>1</b>", {"a": "<b>1</b>"}),
    "not closed": ('<helicone-prompt-input key="a">x', '<helicone-prompt-input key="a">x', {}),
    "without a key": ("<helicone-prompt-input>x</helicone-prompt-input>", "<helicone-prompt-input>x</helicone-prompt-input>", {}),
    "closed only": ("x</helicone-prompt-input>", "x</helicone-prompt-input>", {}),
    "long": (tag("a", "é" * 5_000), "é" * 5_000, {"a": "é" * LONGEST_INPUT}),
    "many": (
        "".join(tag(str(number), "x") for number in range(MOST_INPUTS + 1)) + tag("0", "y"),
        "x" * (MOST_INPUTS + 1) + "y",
        {str(number): "x" for number in range(MOST_INPUTS)} | {"0": "y"},
    ),
}


@pytest.mark.parametrize(("text", "plain", "inputs"), UNTAGGED.values(), ids=UNTAGGED)
def test_tags(text: str, plain: str, inputs: dict[str, str]) -> None:
    found: dict[str, str] = {}
    assert (untagged(text, found), found) == (plain, inputs)


def test_tags_that_are_never_closed_take_no_time() -> None:
    text = '<helicone-prompt-input key="a">' * 100_000
    assert untagged(text, {}) == text


MODES = {"production": Mode.PRODUCTION, " Testing": Mode.TESTING, "DEACTIVATED": Mode.DEACTIVATED}


@pytest.mark.parametrize(("said", "mode"), MODES.items())
def test_modes(said: str, mode: Mode) -> None:
    assert parse_mode("", said) is mode


@pytest.mark.parametrize("said", ["", "prod", "off", "true"])
def test_modes_that_are_none(said: str) -> None:
    with pytest.raises(BadDirective, match="production, testing or deactivated"):
        parse_mode("", said)


@pytest.mark.parametrize("body", [b"", b"[]", b"\x1f\x8b", b"{", b"[" * 100_000, b'{"messages":1}'])
def test_a_body_without_messages_stays(body: bytes) -> None:
    found = filled(body)
    assert (found.body, found.inputs) == (body, {})


def chat(content: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()


async def sent(world: World, body: bytes, headers: bytes) -> bytes:
    assert status_of(await world.post(body=body, headers=headers)) == 200
    return world.provider.requests[-1].partition(b"\r\n\r\n")[2]


TAGGED = chat(f"In {tag('city', 'Oslo')}, as it is.")
ID, TESTING = b"Helicone-Prompt-Id: p\r\n", b"Helicone-Prompt-Mode: testing\r\n"
OFF = b"Helicone-Prompt-Mode: deactivated\r\n"
SENT: dict[str, tuple[bytes, bytes, Any, dict[str, str]]] = {
    "with an id": (TAGGED, ID, "In Oslo, as it is.", {"city": "Oslo"}),
    "with a mode": (TAGGED, TESTING, "In Oslo, as it is.", {"city": "Oslo"}),
    "deactivated": (TAGGED, ID + OFF, f"In {tag('city', 'Oslo')}, as it is.", {}),
    "without either": (TAGGED, b"Helicone-Prompt-Version: 3\r\n", f"In {tag('city', 'Oslo')}, as it is.", {}),
    "escaped": (TAGGED.replace(b"<", b"\\u003c").replace(b">", b"\\u003e"), ID, "In Oslo, as it is.", {"city": "Oslo"}),
    "parts": (chat([{"type": "text", "text": tag("a", "b")}]), ID, [{"type": "text", "text": "b"}], {"a": "b"}),
    "kept from events": (TAGGED, ID + b"Helicone-Omit-Request: true\r\n", "In Oslo, as it is.", {}),
}


@pytest.mark.parametrize(("body", "headers", "content", "inputs"), SENT.values(), ids=SENT)
async def test_what_the_provider_sees(body: bytes, headers: bytes, content: Any, inputs: dict[str, str]) -> None:
    async with running() as world:
        found = await sent(world, body, headers)
        assert json.loads(found)["messages"][0]["content"] == content
        (request,), (response,) = await world.requests(), await world.responses()
        assert request.call.prompt_inputs == response.call.prompt_inputs == inputs
        assert request.request.text == (None if b"Omit" in headers else found.decode())


SEEN: dict[str, tuple[bytes, bytes, str]] = {
    "encoded": (gzip.compress(TAGGED), b"Content-Encoding: gzip\r\n", "the body is encoded"),
    "half a character": (TAGGED.replace(b"In ", b"\\ud800 In "), b"", "half a character"),
    "another place": (TAGGED.replace(b"messages", b"questions"), b"", "in a place, or of a form, that is not known"),
    "not closed": (TAGGED.replace(b"</", b"<"), b"", "in a place, or of a form, that is not known"),
    "one of two places": (TAGGED[:-1] + b', "x": "%b"}' % tag("b", "c").replace('"', '\\"').encode(), b"", "not obeyed everywhere"),
    "too many texts": (chat([{"type": "text", "text": tag("a", "b")}] * 10_010), b"", "more than 10000 texts"),
}


@pytest.mark.parametrize(("body", "headers", "warning"), SEEN.values(), ids=SEEN)
async def test_tags_that_a_provider_sees_are_warned_of(body: bytes, headers: bytes, warning: str) -> None:
    async with running() as world:
        answer = await world.post(body=body, headers=ID + headers)
        assert status_of(answer) == 200
        told = headers_of(answer)["helicone-warning"]
        assert told.startswith("Helicone-Prompt-Mode is not obeyed")
        assert warning in told


async def test_gemini_and_bodies_that_say_they_are_plain() -> None:
    async with running() as world:
        body = json.dumps({"contents": [{"parts": [{"text": tag("a", "b")}]}], "systemInstruction": {"parts": [{"text": tag("c", "d")}]}})
        answer = await world.post(body=body.encode(), headers=ID + b"Content-Encoding: identity\r\n")
        assert "helicone-warning" not in headers_of(answer)
        assert b"helicone" not in world.provider.requests[-1]
        (request,) = await world.requests()
        assert request.call.prompt_inputs == {"a": "b", "c": "d"}


async def test_what_has_no_tags_stays_to_the_byte() -> None:
    async with running() as world:
        for body in (b'{ "model": "m" }', b"no JSON helicone-prompt-input", b""):
            assert await sent(world, body, ID) == body


async def test_a_body_that_is_too_large_passes_as_it_is() -> None:
    large = chat(tag("a", "x" * (17 << 20)))
    async with running() as world:
        answer = await world.post(body=large, headers=ID)
        assert "Helicone-Prompt-Mode is not obeyed" in headers_of(answer)["helicone-warning"]
        assert world.provider.requests[-1].endswith(large)


async def test_version_and_name() -> None:
    async with running() as world:
        await world.post(headers=ID + b"Helicone-Prompt-Version: 3\r\nHelicone-Prompt-Name: Greeting\r\n")
        (response,) = await world.responses()
        call = response.call
        assert (call.prompt_id, call.prompt_version, call.properties) == ("p", "3", {"helicone-prompt-name": "Greeting"})


async def test_a_mode_that_is_none_is_refused() -> None:
    async with running() as world:
        answer = await world.post(body=TAGGED, headers=b"Helicone-Prompt-Mode: live\r\n")
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert (status_of(answer), error["param"]) == (400, "Helicone-Prompt-Mode")
        assert world.provider.requests == []
