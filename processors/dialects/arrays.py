"""Streams that are one JSON array, whose items are the events: Google's, unless it is asked for server-sent events.

Source: Gemini API reference, "Generating content", on `streamGenerateContent` (read 2026-11-26). Each item is given as the data of an
event without a name, so that whoever reads a stream need not know how it was written.
"""

import json
from collections.abc import Iterator

import msgspec

from processors.dialects.answer import BLANK, UNREADABLE, Answer
from processors.dialects.sse import ServerSentEvent

_items = msgspec.json.Decoder(list[msgspec.Raw])


def items_of(answer: Answer) -> list[ServerSentEvent] | None:
    """Those that are objects, in order. None when the answer is no array, or lost its middle: where an item begins is not known then."""
    if not answer.text[:1024].lstrip(BLANK).startswith("[") or (answer.tail is not None and not answer.adjoins):
        return None
    return [ServerSentEvent("", item) for item in items_in(answer.text + (answer.tail or "")) if item[:1] == b"{"]


def items_in(text: str) -> list[bytes]:
    """The items of a JSON array, each as its own text; of an array that was cut, those that are whole."""
    text = text.lstrip(BLANK)
    try:
        return [bytes(item) for item in _items.decode(text)]
    except UNREADABLE:
        return list(_whole_items(text))


def _whole_items(text: str) -> Iterator[bytes]:
    decoder, at = json.JSONDecoder(), 0
    while (start := text.find("{", at)) >= 0 and not text[at:start].strip("[, \t\r\n"):
        try:
            _, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield text[start:at].encode("utf-8", "replace")
