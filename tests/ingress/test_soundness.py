"""What is kept to be given again: an answer from its beginning to its end, and no error in the guise of one."""

import gzip

import pytest

from ingress.copies import Copy
from ingress.soundness import ERROR_BYTES, is_sound
from tests.processors.frames import chunk, event, exception

SSE, JSON, LINES = "text/event-stream; charset=utf-8", "application/json", "application/x-ndjson"
CHUNK = b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
FINISHED = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"
GEMINI = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}\n\n'

SOUND: dict[str, tuple[str | None, bytes]] = {
    "json": (JSON, b'{"choices":[{"message":{"content":"Hi"}}]}'),
    "json without an error": (JSON, b'{"error":null,"status":"completed"}'),
    "another json": ("application/problem+json", b"[1]"),
    "a large json": (JSON, b'{"data":"' + b"x" * ERROR_BYTES + b'"}'),
    "text": ("text/plain", b"Hi"),
    "no type": (None, b"Hi"),
    "chat": (SSE, CHUNK + FINISHED + DONE),
    "chat that says no more than why it ended": (SSE, CHUNK + FINISHED),
    "chat, with what it used": (SSE, CHUNK + FINISHED + USED),
    "messages": (SSE, b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
    "responses": (SSE, b"event: response.completed\ndata: {}\n\n"),
    "gemini": (SSE, b'data: {"candidates":[{}]}\r\n\r\n' + GEMINI.replace(b"\n", b"\r\n")),
    "cohere": (SSE, b'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n'),
    "a text about an error": (SSE, b'data: {"choices":[{"delta":{"content":"{\\"error\\":1}"}}]}\n\n' + DONE),
    "ollama": (LINES, b'{"message":{"content":"Hi"},"done":false}\n{"done":true}\n'),
    "gemini's list": (JSON, b'[{"candidates":[{"content":{}}]},{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{}}]'),
    "a list of something else": (JSON, b'[{"a":1},2]'),
    "lines of something else": (LINES, b'{"a":1}\n{"a":2}'),
}
FRAMES = "application/vnd.amazon.eventstream"
DELTA, STOP = event("contentBlockDelta", {"delta": {"text": "Hi"}}), event("messageStop", {"stopReason": "end_turn"})
USAGE = event("metadata", {"usage": {"inputTokens": 1}})
LAST_CHUNK = chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1}})
SOUND |= {
    "a conversation of bedrock": (FRAMES, DELTA + STOP + USAGE),
    "an invocation of bedrock": (FRAMES, chunk({"type": "message_start"}) + LAST_CHUNK),
}
UNSOUND: dict[str, tuple[str | None, bytes]] = {
    "an error in json": (JSON, b'{"error":{"message":"Provider returned error","code":502}}'),
    "json that broke off": (JSON, b'{"choices":[{"mess'),
    "no json": (JSON, b"<html>"),
    "nothing": (JSON, b""),
    "chat that broke off": (SSE, CHUNK),
    "chat that broke off within an event": (SSE, CHUNK + b'data: {"choices":[{"finish_reason":"st'),
    "an error": (SSE, CHUNK + b'data: {"error":{"message":"server had an error"}}\n\n'),
    "an error, and the end": (SSE, b'data: { "error" : {"code":502}}\n\n' + DONE),
    "an error of messages": (SSE, b'event: error\ndata: {"type":"error"}\n\n'),
    "an error behind other fields": (SSE, b'data: {"id":"1","error":{"code":502},"choices":[]}\n\n' + DONE),
    "a choice that failed": (SSE, b'data: {"choices":[{"finish_reason":"error"}]}\n\n' + DONE),
    "a choice with an error": (JSON, b'{"choices":[{"error":{"code":502},"finish_reason":"error"}]}'),
    "a response under way": (JSON, b'{"status":"in_progress"}'),
    "gemini's list with an error": (JSON, b'[{"candidates":[{}]},{"error":{"code":503}}]'),
    "gemini's list that broke off": (JSON, b'[{"candidates":[{"content":{}}]}]'),
    "a response that failed": (SSE, b"event: response.failed\ndata: {}\n\n"),
    "gemini that broke off": (SSE, b'data: {"candidates":[{"content":{}}]}\n\n'),
    "no events": (SSE, b""),
    "ollama that broke off": (LINES, b'{"message":{"content":"Hi"},"done":false}\n'),
    "ollama's error": (LINES, b'{"message":{"content":"He"},"done":false}\n{"error":"an error was encountered"}\n'),
    "a line that broke off": (LINES, b'{"a":1}\n{"a'),
    "no lines": (LINES, b""),
    "frames that broke off": (FRAMES, DELTA + STOP[:-5]),
    "frames without an end": (FRAMES, DELTA + DELTA),
    "chunks without an end": (FRAMES, chunk({"type": "message_start"})),
    "a damaged frame": (FRAMES, DELTA[:-1] + b"x" + STOP + USAGE),
    "an exception": (FRAMES, DELTA + STOP + exception("modelStreamErrorException", {"message": "no"})),
    "no frames": (FRAMES, b""),
}
ENDED_BY_ITSELF = {
    "gemini's list",
    "a list of something else",
    "json",
    "json without an error",
    "another json",
    "chat",
    "messages",
    "responses",
    "a text about an error",
    "a conversation of bedrock",
    "an invocation of bedrock",
}
"""Though the connection's end was all there was."""


def sound(content_type: str | None, body: bytes, *, framed: bool = True, encoded: bool = False) -> bool:
    copy = Copy(1 << 20, "gzip" if encoded else None)
    copy.feed(gzip.compress(body) if encoded else body)
    return is_sound(content_type, copy, framed=framed)


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_sound(name: str, *, encoded: bool) -> None:
    assert sound(*SOUND[name], encoded=encoded)
    assert sound(*SOUND[name], framed=False) is (name in ENDED_BY_ITSELF)


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("name", UNSOUND)
def test_unsound(name: str, *, encoded: bool) -> None:
    assert not sound(*UNSOUND[name], encoded=encoded)


def test_what_cannot_be_decoded_cannot_be_judged() -> None:
    copy = Copy(1 << 20, "gzip")
    copy.feed(b'{"a":1}')
    assert not is_sound(JSON, copy, framed=True)
