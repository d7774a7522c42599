"""Cohere chat, version 1.

Source: Cohere API v1 reference, "Chat". Streams are lines of JSON, or server-sent events where the caller
accepts those; their last, `stream-end`, repeats the whole answer. No answer names its model.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import Answer, last_object, object_of, word_in
from processors.dialects.cohere_usage import reading_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.lines import lines_of
from processors.dialects.reading import Reading, part, word

PROVIDERS = frozenset({"cohere"})


class Outline(Struct):
    """Of an answer in one piece; `message` says what went wrong."""

    meta: Any = None
    finish_reason: Any = None
    generations: Any = None
    message: Any = None


_outline = msgspec.json.Decoder(Outline)


def claims(path: str) -> bool:
    return path.endswith("/v1/chat")


def of_json(answer: Answer) -> Reading:
    outline = _outline.decode(answer.text) if answer.tail is None else _of_pieces(answer)
    reason = word(outline.finish_reason) or _of_generations(outline.generations)
    return reading_of(outline.meta, finish_reason=reason, message=outline.message)


def _of_pieces(answer: Answer) -> Outline:
    whole = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    reason = word_in(whole, "finish_reason", last=True) or word_in(answer.text[:4096], "finish_reason")
    return Outline(meta=last_object(whole, "meta"), finish_reason=reason)


def _of_generations(generations: object) -> str | None:
    """The first one's; several have a reason each."""
    first = generations[0] if isinstance(generations, list) and generations else None
    return word(part(first, "finish_reason"))


def of_stream(events: Events) -> Reading:
    meta, reason, message = None, None, None
    for event in events:
        if b"stream-end" not in event.data and b'"message"' not in event.data:
            continue
        told = object_of(event.data) or {}
        response = told.get("response")
        meta = part(response, "meta") or meta
        reason = _reason(told) or reason
        message = next((text for text in (told.get("message"), told.get("error")) if isinstance(text, str)), message)
    return reading_of(meta, finish_reason=reason, message=message)


def _reason(ended: dict[str, Any]) -> str | None:
    response = ended.get("response")
    return word(ended.get("finish_reason")) or word(part(response, "finish_reason")) or _of_generations(part(response, "generations"))


def message_of(events: Events) -> Message | None:
    """What `stream-end` repeats; of a stream that was cut before it, the text that came."""
    texts: list[str] = []
    for event in events:
        told = object_of(event.data) or {}
        response, text = told.get("response"), told.get("text")
        if isinstance(response, dict):
            return _complete(response, _reason(told))
        if isinstance(text, str):
            texts.append(text)
    return {"text": "".join(texts)} if texts else None


def _complete(response: Message, reason: str | None) -> Message:
    """The reason may stand only beside the answer."""
    known = word(response.get("finish_reason")) or _of_generations(response.get("generations"))
    return response if reason is None or known is not None else response | {"finish_reason": reason}


DIALECT = Dialect(
    name="cohere.chat_v1", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of, providers=PROVIDERS, pieces=lines_of
)
