"""What is counted of a body, piece by piece.

A function that knows where a shape of API has its text yields it: a `str` is text to be encoded, an `int` is tokens already. What cannot
be counted is not guessed: `Uncountable` says why, and never holds a body's text.
"""

from collections.abc import Iterator, Mapping

import msgspec

from processors.dialects.reading import part

Piece = str | int
Pieces = Iterator[Piece]
Json = Mapping[str, object]
"""A body's object, of which nothing is known but that it was JSON. Whoever reads a field looks what it is."""

KINDS = {
    "image": "an image",
    "image_url": "an image",
    "input_image": "an image",
    "input_audio": "sound",
    "audio": "sound",
    "video": "a film",
    "video_url": "a film",
    "file": "a file",
    "input_file": "a file",
    "document": "a file",
    "document_url": "a file",
    "inlineData": "a file",
    "inline_data": "a file",
    "fileData": "a file",
    "file_data": "a file",
    "reasoning": "reasoning that is hidden",
    "redacted_thinking": "reasoning that is hidden",
    "item_reference": "a reference to what the provider keeps",
}
"""Parts of a message that are no text, in our words: theirs would be the caller's."""

PART_TEXTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "refusal": "refusal",
}
"""Where a part of each kind has its text."""


class Uncountable(ValueError):
    """Why the tokens of a body cannot be told."""


def objects(value: object, name: str) -> Iterator[Json]:
    """Those of a list; none when it is missing."""
    if value is None:
        return
    if not isinstance(value, list):
        raise Uncountable(f"{name}: no list")
    for item in value:
        if not isinstance(item, dict):
            raise Uncountable(f"{name}: an item is no object")
        yield item


def needed(value: object, name: str) -> Iterator[Json]:
    """The same of a list that must be there."""
    if not isinstance(value, list):
        raise Uncountable(f"{name}: missing or no list")
    return objects(value, name)


def text(value: object, name: str) -> Pieces:
    if isinstance(value, str):
        yield value
    elif value is not None:
        raise Uncountable(f"{name}: no text")


def json_text(value: object) -> Pieces:
    """What is there as compact JSON; a text as it is."""
    if isinstance(value, str):
        yield value
    elif value is not None:
        yield msgspec.json.encode(value).decode()


def content(value: object) -> Pieces:
    """A text, or a list of parts that are texts."""
    if isinstance(value, str):
        yield value
        return
    for item in objects(value, "content"):
        where = PART_TEXTS.get(_kind_of(item))
        if where is None:
            raise no_text(item)
        yield from text(item.get(where), "content")


def no_text(item: Json) -> Uncountable:
    """By the name of its kind, or by the field that holds it."""
    return Uncountable(
        f"content: {next((KINDS[name] for name in (_kind_of(item), *item) if name in KINDS), 'neither text nor a tool call')}"
    )


def _kind_of(item: Json) -> str:
    kind = item.get("type")
    return kind if isinstance(kind, str) else ""


def texts_or_ids(value: object, name: str) -> Pieces:
    """A text, tokens already encoded, or a list of either."""
    if isinstance(value, list) and value and all(type(token) is int for token in value):
        yield len(value)
    elif isinstance(value, list) and value:
        for item in value:
            if isinstance(item, list) and all(type(token) is int for token in item):
                yield len(item)
            else:
                yield from text(item, name)
    elif isinstance(value, str):
        yield value
    else:
        raise Uncountable(f"{name}: missing or no text")


def refuse(request: Json, *names: str) -> None:
    """Raises Uncountable when the request has one of these: it brings in what nobody sees here, or bills what nobody is shown."""
    for name in names:
        if request.get(name) not in (None, False, [], {}, ""):
            raise Uncountable(f"the request has {name}, which is not counted")


def refuse_more_than_shown(request: Json) -> None:
    """Of completions: an answer that repeats the prompt, and candidates that are billed and not shown."""
    refuse(request, "echo")
    if request.get("best_of") != 1:
        refuse(request, "best_of")


def called(call: Json) -> Pieces:
    """The name and the arguments of one tool call in OpenAI's shape, or in the old one that has no `function`."""
    for inner in (call.get("function"), call.get("custom")):
        if isinstance(inner, dict):
            call = inner
    yield from text(call.get("name"), "tool call")
    yield from json_text(call.get("arguments") if call.get("arguments") is not None else call.get("input"))


def said(message: Json) -> Pieces:
    """What a message in OpenAI's shape says: its content, a refusal, its tool calls."""
    if message.get("audio") is not None:
        raise Uncountable("content: sound")
    yield from content(message.get("content"))
    yield from text(message.get("refusal"), "refusal")
    for call in objects(message.get("tool_calls"), "tool calls"):
        yield from called(call)
    old = message.get("function_call")
    if isinstance(old, dict):
        yield from called(old)


def response_item(item: Json) -> Pieces:
    """One item of the Responses API, of its input or its output."""
    match item.get("type"):
        case None | "message":
            yield from content(item.get("content"))
        case "function_call" | "custom_tool_call":
            yield from called(item)
        case "function_call_output" | "custom_tool_call_output":
            yield from content(item.get("output"))
        case _:
            raise no_text(item)


def schema_of(request: Json) -> object:
    """The schema that the answer must follow: chat has it in `response_format`, the Responses API in `text.format`."""
    wanted = request.get("response_format") or part(request.get("text"), "format")
    return part(part(wanted, "json_schema"), "schema") or part(wanted, "schema")


def summarizes(answer: Json) -> bool:
    """Whether the model that answered shows a summary of its thinking: Claude does, from its version 4 on."""
    model = answer.get("model")
    return isinstance(model, str) and "claude" in model and "claude-3" not in model
