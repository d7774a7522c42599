"""What an answer is of, by its shape: whose model, at which path, whether a stream came to its end."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple


class Shape(NamedTuple):
    provider: str
    path: str
    """Below the base URL of the client that asks so."""


_CHAT = Shape("openai", "chat/completions")
_OBJECTS = {
    "chat.completion": _CHAT,
    "chat.completion.chunk": _CHAT,
    "text_completion": Shape("openai", "completions"),
    "response": Shape("openai", "responses"),
}
_EMBEDDINGS = Shape("openai", "embeddings")
_RESPONSES = _OBJECTS["response"]
_MESSAGES = Shape("anthropic", "v1/messages")
_LAST_EVENTS = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})


def shape_of(answer: Mapping[str, Any]) -> Shape | None:
    """Of an answer, or of the first piece of a stream."""
    kind, event = answer.get("object"), answer.get("type")
    if isinstance(kind, str) and kind in _OBJECTS:
        return _OBJECTS[kind]
    if kind == "list" and isinstance(answer.get("data"), list) and "usage" in answer:
        return _EMBEDDINGS
    if isinstance(event, str) and event.startswith("response."):
        return _RESPONSES
    return _MESSAGES if event in {"message", "message_start"} else None


def model_of(answer: Mapping[str, Any]) -> str | None:
    """It stands in an answer; in a stream it may stand in the message, or the response, that begins."""
    for place in (answer, answer.get("message"), answer.get("response")):
        model = place.get("model") if isinstance(place, Mapping) else None
        if isinstance(model, str):
            return model
    return None


def is_last(piece: Any) -> bool:
    """Of a piece, or of the answer so far: nothing more belongs to the answer, even where the application reads no further."""
    if _field(piece, "type") in _LAST_EVENTS or _field(piece, "stop_reason") is not None:
        return True
    choices = _field(piece, "choices")
    return isinstance(choices, list) and bool(choices) and all(_field(choice, "finish_reason") is not None for choice in choices)


def is_stream(response: Any) -> bool:
    """Or something that is to be awaited: no answer yet."""
    kind = type(response)
    return kind is not dict and (hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__"))


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
