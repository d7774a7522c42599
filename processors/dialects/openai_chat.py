"""OpenAI chat completions, and every provider that answers in their shape.

Source: OpenAI API reference, "Chat completions": "The chat completion object" and "The chat completion chunk object" (read 2026-11-24).
A stream reports usage only when asked to (`stream_options.include_usage`), in a last chunk without choices; Groq also in `x_groq`.
"""

from typing import Any

from processors.dialects.accumulate import add, finished, without_index
from processors.dialects.answer import Answer, object_of
from processors.dialects.chunks import chunks_reading
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_usage import chat_usage
from processors.dialects.outline import outline_of, outline_of_pieces, reading_of
from processors.dialects.reading import Reading

WHOLE = (
    *("id", "created", "model", "service_tier", "system_fingerprint", "usage", "error"),
    *("provider", "citations", "search_results", "x_groq"),
)
"""Fields of a chunk that stand for the whole answer."""

PATHS = ("/chat/completions", "/fim/completions", "/agents/completions")
"""The last two are Mistral's: they have choices with messages, as chat has."""


def claims(path: str) -> bool:
    return path.endswith(PATHS)


def of_json(answer: Answer) -> Reading:
    outline = outline_of(answer.text) if answer.tail is None else outline_of_pieces(answer)
    return reading_of(outline, chat_usage)


def of_stream(events: Events) -> Reading:
    return chunks_reading(events, chat_usage)


def message_of(events: Events) -> Message | None:
    whole: Message = {"object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        chunk = object_of(event.data)
        if chunk is None:
            continue
        whole |= _whole_of(chunk)
        for choice in _choices(chunk):
            _add_choice(choices, choice)
    if not choices and len(whole) == 1:
        return None
    return whole | {"choices": [{"index": index} | _finished_choice(choices[index]) for index in sorted(choices)]}


def _whole_of(chunk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name in WHOLE if (value := chunk.get(name)) is not None and value != ""}


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _add_choice(choices: dict[int, dict[str, Any]], choice: dict[str, Any]) -> None:
    index = choice.get("index")
    total = choices.setdefault(index if isinstance(index, int) else 0, {"message": {"role": "assistant", "content": None}})
    delta = choice.get("delta")
    if isinstance(delta, dict):
        add(total["message"], delta)
    add(total, {name: value for name, value in choice.items() if name not in {"index", "delta", "message"} and value is not None})


def _finished_choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = finished(choice.pop("message"))
    if "tool_calls" in message:
        message["tool_calls"] = without_index(message["tool_calls"])
    return {"message": message, "finish_reason": None, **finished(choice)}


DIALECT = Dialect(name="openai.chat", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of)
