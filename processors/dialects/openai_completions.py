"""OpenAI completions, the older shape: a text for a prompt.

Source: OpenAI API reference, "Completions" (legacy; read 2026-11-24). Streams are chunks of the same object.
"""

from typing import Any

from processors.dialects.answer import Answer, object_of
from processors.dialects.chunks import chunks_reading
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_chat import PATHS
from processors.dialects.openai_usage import chat_usage
from processors.dialects.outline import outline_of, outline_of_pieces, reading_of
from processors.dialects.reading import Reading

WHOLE = ("id", "object", "created", "model", "system_fingerprint", "usage", "error")


def claims(path: str) -> bool:
    return path.endswith("/completions") and not path.endswith(PATHS)


def of_json(answer: Answer) -> Reading:
    outline = outline_of(answer.text) if answer.tail is None else outline_of_pieces(answer)
    return reading_of(outline, chat_usage)


def of_stream(events: Events) -> Reading:
    return chunks_reading(events, chat_usage)


class _Choice:
    """One of the texts while it arrives."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.finish_reason: object = None

    def add(self, choice: dict[str, Any]) -> None:
        text = choice.get("text")
        if isinstance(text, str):
            self.parts.append(text)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason


def message_of(events: Events) -> Message | None:
    whole: Message = {}
    choices: dict[int, _Choice] = {}
    for event in events:
        chunk = object_of(event.data)
        if chunk is None:
            continue
        whole |= {name: value for name in WHOLE if (value := chunk.get(name)) is not None}
        given = chunk.get("choices")
        for choice in given if isinstance(given, list) else []:
            if isinstance(choice, dict):
                index = choice.get("index")
                choices.setdefault(index if isinstance(index, int) else 0, _Choice()).add(choice)
    if not choices and not whole:
        return None
    return whole | {"choices": [_finished(index, choices[index]) for index in sorted(choices)]}


def _finished(index: int, choice: _Choice) -> dict[str, Any]:
    return {"index": index, "text": "".join(choice.parts), "finish_reason": choice.finish_reason}


DIALECT = Dialect(name="openai.completions", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
