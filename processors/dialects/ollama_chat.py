"""Ollama's own chat API. Its streams are lines of JSON, and it streams unless told not to.

Source: Ollama API, "Generate a chat completion". A tool call comes whole, in one line.
"""

from typing import Any

from processors.dialects.accumulate import add, finished
from processors.dialects.answer import object_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.lines import lines_of
from processors.dialects.ollama_counts import of_json, of_stream


def claims(path: str) -> bool:
    return path.endswith("/api/chat")


def message_of(events: Events) -> Message | None:
    whole: Message = {}
    message: dict[str, Any] = {}
    for event in events:
        line = object_of(event.data) or {}
        delta = line.pop("message", None)
        whole |= line
        if isinstance(delta, dict):
            add(message, delta)
    if not message:
        return whole or None
    return whole | {"message": finished(message)}


DIALECT = Dialect(name="ollama.chat", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of, pieces=lines_of)
