"""Ollama's own completion API.

Source: Ollama API, "Generate a completion".
"""

from processors.dialects.accumulate import add, finished
from processors.dialects.answer import object_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.lines import lines_of
from processors.dialects.ollama_counts import of_json, of_stream

TEXTS = ("response", "thinking")


def claims(path: str) -> bool:
    return path.endswith("/api/generate")


def message_of(events: Events) -> Message | None:
    whole: Message = {}
    texts: Message = {}
    for event in events:
        line = object_of(event.data) or {}
        add(texts, {name: text for name in TEXTS if isinstance(text := line.pop(name, None), str)})
        whole |= line
    return whole | finished(texts) if whole or texts else None


DIALECT = Dialect(name="ollama.generate", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of, pieces=lines_of)
