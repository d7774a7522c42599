"""The user's newest message is shown to the provider's moderation first: what it is asked, and what comes of its answer."""

import json
from typing import Any

import pytest

from eventlog.events import Outcome
from ingress.errors import BadDirective
from ingress.moderation import categories_of, question_of
from tests.fakes.ingress import running
from tests.fakes.provider import ANSWER, Answering, raw, sized
from tests.fakes.raw_server import Peer

MODERATED = b"Helicone-Moderations-Enabled: true\r\nAuthorization: Bearer mine\r\nX-Other: x\r\n"


def chat(*messages: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


ASKED = {
    "a text": ([user("hello")], "hello"),
    "the newest": ([user("first"), {"role": "assistant", "content": "x"}, user("second")], "second"),
    "parts": (
        [user([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "b"}])],
        "a\nb",
    ),
    "no text": ([user([{"type": "image_url"}])], None),
    "nothing": ([user(None)], None),
    "an answer is the newest": ([user("a"), {"role": "assistant", "content": "b"}], None),
    "none": ([], None),
}


@pytest.mark.parametrize(("messages", "text"), ASKED.values(), ids=ASKED)
def test_what_is_asked(messages: list[Any], text: str | None) -> None:
    assert question_of(chat(*messages)) == (None if text is None else json.dumps({"input": text}, separators=(",", ":")).encode())


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"messages": 1}', b'{"messages": [1]}', b"\x1f\x8b", b"[" * 10_000])
def test_a_body_that_is_no_chat(body: bytes) -> None:
    with pytest.raises(BadDirective, match="messages"):
        question_of(body)


def test_what_it_answers() -> None:
    assert categories_of(b'{"results":[{"flagged":false,"categories":{"hate":false}}]}') is None
    assert categories_of(b'{"results":[{"flagged":true,"categories":{"hate":true,"x":false,"violence":true}}]}') == ["hate", "violence"]
    for other in (b"", b"{}", b'{"results":[1]}'):
        with pytest.raises(ValueError, match="moderation"):
            categories_of(other)


def provider_of(moderation: Answering) -> Answering:
    good = sized()

    async def answer(peer: Peer, request: bytes) -> None:
        await (moderation if b"/v1/moderations" in request else good)(peer, request)

    return answer


def said(flagged: bool) -> Answering:
    return sized(json.dumps({"results": [{"flagged": flagged, "categories": {"hate": flagged}}]}).encode())


async def test_a_message_that_is_flagged_is_not_sent() -> None:
    async with running(provider_of(said(True))) as world:
        answer = await world.post(body=chat(user("x")), headers=MODERATED)
        assert answer.startswith(b"HTTP/1.1 400 ")
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert (told["success"], told["error"]["code"], told["error"]["details"]) == (False, "PROMPT_FLAGGED_FOR_MODERATION", ["hate"])
        (asked,) = world.provider.requests
        assert asked.startswith(b"POST /v1/moderations ")
        assert b"Bearer mine" in asked
        assert b"x-other" not in asked.lower()
        (row,) = await world.responses()
        assert (row.outcome, row.status, row.attempts) == (Outcome.REJECTED, 400, 0)


PASSED = {
    "not flagged": (said(False), None),
    "it fails": (sized(b"{}", status=b"500 x"), "did not answer"),
    "it breaks off": (raw(b"", then="reset"), "did not answer"),
    "it is none": (sized(b"nothing"), "did not answer"),
}


@pytest.mark.parametrize(("moderation", "warning"), PASSED.values(), ids=PASSED)
async def test_what_passes(moderation: Answering, warning: str | None) -> None:
    async with running(provider_of(moderation)) as world:
        answer = await world.post(body=chat(user("x")), headers=MODERATED)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (head.startswith(b"HTTP/1.1 200 "), body) == (True, ANSWER)
        assert (b"moderation endpoint did not answer" in head) is (warning is not None)
        assert len(world.provider.requests) == 2


async def test_another_provider() -> None:
    async with running(provider_of(said(True))) as world:
        answer = await world.post("/groq/openai/v1/chat/completions", body=chat(user("x")), headers=MODERATED)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"the call goes elsewhere" in answer
        assert len(world.provider.requests) == 1


@pytest.mark.parametrize("path", ["/v1/models", "/v1/embeddings", "/v1/responses", "/v1/messages"])
async def test_what_is_no_chat_passes(path: str) -> None:
    """A client's default goes everywhere."""
    async with running(provider_of(said(True))) as world:
        answer = await world.post(path, body=b'{"input":"x"}', headers=MODERATED)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Helicone-Warning: Helicone-Moderations-Enabled is not obeyed: only chats are moderated" in answer
        assert len(world.provider.requests) == 1


async def test_a_body_that_is_no_chat_is_told() -> None:
    async with running() as world:
        answer = await world.post(body=b"{}", headers=MODERATED)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["param"] == "Helicone-Moderations-Enabled"
        assert world.provider.requests == []
