"""Whether an answer is what was asked for, from its beginning to its end, as far as its bytes tell: only such a one is given again.

A status of 200 says little: it was sent before the answer was made, and routers send it with errors. A stream has come to its end when it
says so: `[DONE]`, `message_stop`, `response.completed`, Ollama's `"done": true`; where a provider has no such marker, by the reason why the
answer finished. (OpenAI "Streaming" guides, Anthropic "Streaming messages", Gemini `streamGenerateContent`, Cohere "Streaming", Ollama
"API", Amazon Bedrock API reference, all read 2026-11.)
"""

import base64
import binascii
import re
from typing import Any

import msgspec

from eventlog.eventstream import CONTENT_TYPE, EventStreamDecoder
from ingress.copies import Copy
from ingress.streams import ENDING, has_ended, has_failed, is_event_stream

ERROR_BYTES = 64 << 10
"""A JSON answer above it is no error."""
_DATA = re.compile(rb"(?:^|[\r\n])data: ?(\{[^\r\n]*)")
_ERROR = re.compile(rb'(?:^|[\r\n])(?:data: ?)?\{\s*"error"\s*:\s*(?!null)')
_LINES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/stream+json"}
)
_LAST_EVENTS = 3
"""The reason may be followed by what the answer used."""
_UNDER_WAY = frozenset({"queued", "in_progress"})
"""What a response says of itself that is made in the background: whoever asks again wants to see it end."""
_LAST_FRAMES, _METRICS = frozenset({"messageStop", "metadata"}), b"amazon-bedrock-invocationMetrics"
"""Events that end a conversation (ConverseStream); what Bedrock adds to the last chunk (InvokeModelWithResponseStream)."""
_UNTOLD = object()


def is_sound(content_type: str | None, answer: Copy, *, framed: bool) -> bool:
    """`framed`: how long it is was told, before or in its chunks; else the connection's end was its own, whatever the reason.

    One that cannot be decoded cannot be judged.
    """
    if answer.undecodable is not None:
        return False
    kind = (content_type or "").partition(";")[0].strip().lower()
    if is_event_stream(content_type):
        return _is_sound_stream(answer.ending(ENDING), framed=framed)
    if kind in _LINES:
        return framed and _is_sound_last_line(answer.ending(ENDING))
    if kind == CONTENT_TYPE:
        return _is_sound_frames(answer)
    if kind == "application/json" or kind.endswith("+json"):
        return _is_sound_json(answer, framed=framed)
    return framed


def _is_sound_stream(ending: bytes, *, framed: bool) -> bool:
    if has_failed(ending) or _ERROR.search(ending) is not None:
        return False
    last = [_object_of(data) for data in _DATA.findall(ending)[-_LAST_EVENTS:]]
    if any(map(_tells_error, last)):
        return False
    return has_ended(ending) or (framed and any(map(_has_finished, last)))


def _has_finished(event: dict[str, Any]) -> bool:
    return event.get("type") == "message-end" or any(each.get("finish_reason") or each.get("finishReason") for each in _said_in(event))


def _tells_error(event: dict[str, Any]) -> bool:
    """Beside what it says, or in one of its choices: routers break an answer off so."""
    said = _said_in(event)
    return bool(event.get("error")) or any(each.get("error") or each.get("finish_reason") == "error" for each in said)


def _said_in(event: dict[str, Any]) -> list[dict[str, Any]]:
    listed = [each for name in ("choices", "candidates") if isinstance(each := event.get(name), list)]
    return [each for several in listed for each in several if isinstance(each, dict)]


def _is_sound_last_line(ending: bytes) -> bool:
    lines = ending.strip().splitlines()
    last = _object_of(lines[-1]) if lines else {}
    return bool(last) and not last.get("error") and last.get("done", True) is True


def _is_sound_json(answer: Copy, *, framed: bool) -> bool:
    if answer.truncated or len(answer.head) > ERROR_BYTES:
        return framed
    value = _value_of(bytes(answer.head))
    if isinstance(value, dict):
        return not _tells_error(value) and value.get("status") not in _UNDER_WAY
    if isinstance(value, list):
        return _is_sound_list([each for each in value if isinstance(each, dict)])
    return value is not _UNTOLD


def _is_sound_list(events: list[dict[str, Any]]) -> bool:
    """Gemini streams so where nobody asks for events."""
    if any(map(_tells_error, events)):
        return False
    return not any("candidates" in each for each in events) or any(map(_has_finished, events[-_LAST_EVENTS:]))


def _is_sound_frames(answer: Copy) -> bool:
    """Amazon's: whole frames, none of which tells of a failure, and the one that ends an answer."""
    data = bytes(answer.head)
    if answer.truncated or not data:
        return False
    decoder = EventStreamDecoder()
    frames = [*decoder.feed(data), *decoder.feed(b"")]
    if decoder.cut or decoder.skipped or any(frame.kind != "event" for frame in frames):
        return False
    return any(frame.name in _LAST_FRAMES or _METRICS in _within(frame.payload) for frame in frames[-_LAST_EVENTS:])


def _within(payload: bytes) -> bytes:
    """What a chunk of InvokeModel carries."""
    coded = _object_of(payload).get("bytes")
    try:
        return base64.b64decode(coded) if isinstance(coded, str) else b""
    except binascii.Error:
        return b""


def _object_of(data: bytes) -> dict[str, Any]:
    value = _value_of(data)
    return value if isinstance(value, dict) else {}


def _value_of(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _UNTOLD
