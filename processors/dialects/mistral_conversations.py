"""Mistral conversations: its agents, which may call connectors (web search, code, images, documents) on their own.

Source: Mistral API reference, "Beta Conversations"; "Agents", on connectors and streaming. What a connector read stands
beside the prompt in `connector_tokens` and is in the total; its calls are billed apart. The models stand in the outputs.
"""

from itertools import groupby
from typing import Any

import msgspec

from processors.dialects.answer import Answer, last_object, object_of, word_in
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.openai_usage import chat_usage
from processors.dialects.outline import Outline, reading_of
from processors.dialects.reading import Reading, part
from processors.usage import Usage, count

PROVIDERS = frozenset({"mistral"})
KINDS = {"message.output.delta": "message.output", "function.call.delta": "function.call"}
"""Deltas, and the entries that they are parts of."""
TEXTS = ("content", "arguments")


class ConversationOutline(Outline):
    outputs: Any = None


_outline = msgspec.json.Decoder(ConversationOutline)


def claims(path: str) -> bool:
    """OpenAI's conversations are another thing."""
    return "/v1/conversations" in path


def usage_of(usage: object) -> Usage | None:
    read = count(part(usage, "connector_tokens"), "connector_tokens")
    prompt = count(part(usage, "prompt_tokens"), "prompt_tokens")
    if isinstance(usage, dict) and read and prompt is not None:
        return chat_usage(usage | {"prompt_tokens": prompt + read})
    return chat_usage(usage)


def of_json(answer: Answer) -> Reading:
    outline = _outline.decode(answer.text) if answer.tail is None else _of_pieces(answer)
    outputs = outline.outputs if isinstance(outline.outputs, list) else []
    outline.model = next((model for entry in outputs if isinstance(model := part(entry, "model"), str) and model), outline.model)
    return reading_of(outline, usage_of)


def _of_pieces(answer: Answer) -> ConversationOutline:
    whole = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    return ConversationOutline(model=word_in(answer.text, "model") or word_in(whole, "model"), usage=last_object(whole, "usage"))


def of_stream(events: Events) -> Reading:
    """The first model that is named, and the end, which has the usage."""
    merged = Outline()
    for event in events:
        wanted = merged.model is None and b'"model"' in event.data
        if not wanted and b"conversation.response." not in event.data:
            continue
        told = object_of(event.data) or {}
        merged.model = merged.model or told.get("model")
        if told.get("type") == "conversation.response.done":
            merged.usage = told.get("usage")
        elif told.get("type") == "conversation.response.error":
            merged.error = {name: told.get(name) for name in ("code", "message")}
    return reading_of(merged, usage_of)


def message_of(events: Events) -> Message | None:
    whole: Message = {"object": "conversation.response"}
    entries: dict[str, dict[str, Any]] = {}
    pieces: dict[tuple[str, str], list[Any]] = {}
    for event in events:
        told = object_of(event.data) or {}
        _add_whole(whole, told)
        kind = told.get("type")
        if isinstance(kind, str) and isinstance(told.get("id"), str) and kind.split(".")[0] != "conversation":
            _add_entry(entries, pieces, kind, told)
    if len(whole) == 1 and not entries:
        return None
    for (key, name), parts in pieces.items():
        entries[key][name] = _joined(parts)
    return whole | {"outputs": list(entries.values())}


def _add_whole(whole: Message, told: dict[str, Any]) -> None:
    for name in ("conversation_id", "usage"):
        if told.get(name) is not None:
            whole[name] = told[name]
    if told.get("type") == "conversation.response.error":
        whole["error"] = {name: told.get(name) for name in ("code", "message")}


def _add_entry(entries: dict[str, dict[str, Any]], pieces: dict[tuple[str, str], list[Any]], kind: str, told: dict[str, Any]) -> None:
    """`tool.execution.started` and `.done` tell of one entry."""
    key, name = told["id"], KINDS.get(kind) or ".".join(kind.split(".")[:2])
    entry = entries.setdefault(key, {"type": name})
    for field, value in told.items():
        if field in TEXTS and kind in KINDS:
            pieces.setdefault((key, field), []).append(value)
        elif field not in {"type", "output_index", "content_index"} and value is not None:
            entry[field] = value


def _joined(parts: list[Any]) -> Any:
    """A text; where there are references or files between the texts, the list of them all."""
    runs = [(texts, list(run)) for texts, run in groupby(parts, lambda piece: isinstance(piece, str))]
    if len(runs) == 1 and runs[0][0]:
        return "".join(parts)
    return [piece for texts, run in runs for piece in ([{"type": "text", "text": "".join(run)}] if texts else run)]


DIALECT = Dialect(
    name="mistral.conversations", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of, providers=PROVIDERS
)
