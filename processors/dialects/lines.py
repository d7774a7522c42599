"""Streams that are lines of JSON, one object each (NDJSON): Ollama's, and Cohere's first API.

Sources: Ollama API, "Conventions", on streaming; Cohere API v1, "Chat", on streaming. Each line is given as the data of
an event without a name, so that whoever reads a stream need not know how it was written.
"""

import re

from processors.dialects.answer import Answer, object_of
from processors.dialects.sse import BOM, ServerSentEvent

SAID = re.compile(rb"\S")


def lines_of(answer: Answer) -> list[ServerSentEvent] | None:
    """Those that may be objects, in order. None when the answer is no such stream: its first line is no object, or there is no second."""
    pieces = [answer.text + (answer.tail or "")] if answer.tail is None or answer.adjoins else [answer.text, answer.tail]
    first, *rest = [_bytes(piece) for piece in pieces]
    if first.startswith(BOM):
        first = first[len(BOM) :]
    first = first.lstrip()  # copies nothing where there is no blank, as partition and split would
    end = first.find(b"\n")
    more = end >= 0 and SAID.search(first, end) is not None
    if (not more and not any(rest)) or object_of(first if end < 0 else first[:end]) is None:
        return None
    return [ServerSentEvent("", line) for piece in (first, *rest) for line in piece.split(b"\n") if line.lstrip()[:1] == b"{"]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
