"""Streams that are lines of JSON, one object each (NDJSON): Ollama's, and Cohere's first API.

Sources: Ollama API, "Conventions", on streaming; Cohere API v1, "Chat", on streaming (read 2026-11-24). Each line is given as the data of
an event without a name, so that whoever reads a stream need not know how it was written.
"""

from processors.dialects.answer import Answer, object_of
from processors.dialects.sse import ServerSentEvent

BLANK = " \t\r\n"


def lines_of(answer: Answer) -> list[ServerSentEvent] | None:
    """Those that may be objects, in order. None when the answer is no such stream: its first line is no object, or there is no second."""
    text, tail = answer.text, answer.tail or ""
    if answer.adjoins:
        text, tail = text + tail, ""
    text = text.lstrip("\ufeff" + BLANK)
    first, _, rest = text.partition("\n")
    if not (rest.strip(BLANK) or tail) or object_of(_bytes(first)) is None:
        return None
    return [ServerSentEvent("", _bytes(line)) for piece in (text, tail) for line in piece.split("\n") if line.lstrip(BLANK)[:1] == "{"]


def _bytes(line: str) -> bytes:
    return line.strip(BLANK).encode("utf-8", "replace")
