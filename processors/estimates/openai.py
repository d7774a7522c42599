"""What OpenAI counts: the text, and what the chat format adds to it.

Source: OpenAI cookbook, "How to count tokens with tiktoken", sections 6 and 7 (examples/How_to_count_tokens_with_tiktoken.ipynb in
openai/openai-cookbook, commit c81359c, read 2026-11-26). It is documented for gpt-3.5-turbo, gpt-4, gpt-4o and gpt-4o-mini, and called an
estimate there; other models and the Responses API are taken to do the same. Nothing says what surrounds a tool call, so nothing is added
for it. No end token is added to an answer either: "Hello! How can I assist you today?", which is 9 tokens, is reported as 10 in
the API reference, and as 9 by gpt-4o-2024-08-06 and gpt-4o-mini-2024-07-18 in answers of 2025 that were published.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from processors.dialects.reading import part
from processors.estimates.encodings import Encoding
from processors.estimates.pieces import (
    Json,
    Pieces,
    Uncountable,
    content,
    json_text,
    needed,
    objects,
    refuse,
    refuse_more_than_shown,
    response_item,
    said,
    schema_of,
    text,
    texts_or_ids,
)

MESSAGE, NAME, PRIMED = 3, 1, 3
"""What each message, each name, and the beginning of the answer cost."""
FUNCTION = {Encoding.O200K: 7, Encoding.CL100K: 10}
PROPERTIES, PROPERTY, ENUM, ENUM_ITEM, FUNCTIONS_END = 3, 3, -3, 3, 12
"""Once for the properties of a function, for each one, for a list of allowed values, for each of those, and once after all functions."""

CHAT_HIDES = ("audio", "prediction", "web_search_options", "data_sources")
"""Sound; a prediction whose rejected tokens are billed; searches of the provider's own, at OpenAI and at Azure."""
RESPONSES_HIDE = ("previous_response_id", "conversation", "prompt", "context_management")


class Shape(Struct, frozen=True):
    """Where one API has its text."""

    prompt: Callable[[Json, Encoding], Pieces]
    answer: Callable[[Json], Pieces] | None
    """None where an answer has no tokens."""
    added: str
    """What the count has beside the text."""


def chat_prompt(request: Json, encoding: Encoding) -> Pieces:
    refuse(request, *CHAT_HIDES)
    for message in needed(request.get("messages"), "messages"):
        yield MESSAGE
        yield from text(message.get("role"), "role")
        yield from _named(message)
        yield from said(message)
    yield PRIMED
    yield from functions(request, encoding)
    yield from json_text(schema_of(request))


def _named(message: Json) -> Pieces:
    if message.get("name") is not None:
        yield NAME
        yield from text(message["name"], "name")


def chat_answer(answer: Json) -> Pieces:
    for choice in needed(answer.get("choices"), "choices"):
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Uncountable("choices: one has no message")
        yield from said(message)


def completion_prompt(request: Json, _: Encoding) -> Pieces:
    refuse_more_than_shown(request)
    yield from texts_or_ids(request.get("prompt"), "prompt")
    yield from text(request.get("suffix"), "suffix")


def completion_answer(answer: Json) -> Pieces:
    for choice in needed(answer.get("choices"), "choices"):
        yield from text(choice.get("text"), "choices")


def responses_prompt(request: Json, encoding: Encoding) -> Pieces:
    refuse(request, *RESPONSES_HIDE)
    if request.get("instructions") is not None:
        yield MESSAGE
        yield "system"
        yield from content(request["instructions"])
    given = request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    for item in needed(given, "input"):
        yield MESSAGE
        yield from text(item.get("role"), "role")
        yield from response_item(item)
    yield PRIMED
    yield from functions(request, encoding)
    yield from json_text(schema_of(request))


def responses_answer(answer: Json) -> Pieces:
    for item in needed(answer.get("output"), "output"):
        yield from response_item(item)


def embeddings_prompt(request: Json, _: Encoding) -> Pieces:
    yield from texts_or_ids(request.get("input"), "input")


def functions(request: Json, encoding: Encoding) -> Pieces:
    """The definitions in `tools`, and in the old `functions`."""
    defined = [*_tools(request), *objects(request.get("functions"), "functions")]
    for function in defined:
        yield FUNCTION[encoding]
        yield f"{_word(function.get('name'))}:{_described(function)}"
        yield from _properties(function.get("parameters"))
    if defined:
        yield FUNCTIONS_END


def _tools(request: Json) -> Iterator[Json]:
    """Chat has a definition in `function`, the Responses API beside the type."""
    for tool in objects(request.get("tools"), "tools"):
        if tool.get("type") != "function":
            raise Uncountable("tools: one that is no function")
        inner = tool.get("function")
        yield inner if isinstance(inner, dict) else tool


def _properties(schema: object) -> Pieces:
    """The cookbook knows only one level; an object within counts as the same again."""
    if not isinstance(schema, dict):
        return
    found = schema.get("properties")
    if isinstance(found, dict) and found:
        yield PROPERTIES
        for name, inner in found.items():
            yield PROPERTY
            yield from _allowed(part(inner, "enum"))
            yield f"{name}:{_type_of(inner)}:{_described(inner)}"
            yield from _properties(inner)
    for alternatives in (schema.get("anyOf"), schema.get("oneOf"), schema.get("allOf"), [schema.get("items")], _definitions(schema)):
        for inner in alternatives if isinstance(alternatives, list) else ():
            yield from _properties(inner)


def _definitions(schema: Json) -> list[object]:
    found = schema.get("$defs")
    return list(found.values()) if isinstance(found, dict) else []


def _allowed(values: object) -> Pieces:
    if isinstance(values, list):
        yield ENUM
        for value in values:
            yield ENUM_ITEM
            yield from json_text(value)


def _type_of(schema: object) -> str:
    kind = part(schema, "type")
    return "|".join(map(_word, kind)) if isinstance(kind, list) else _word(kind)


def _described(of: object) -> str:
    return _word(part(of, "description")).removesuffix(".")


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


CHAT = f"{MESSAGE} a message, {NAME} a name and {PRIMED} for the answer's beginning, as OpenAI's cookbook has it"

SHAPES = {
    "openai.chat": Shape(chat_prompt, chat_answer, CHAT),
    "openai.completions": Shape(completion_prompt, completion_answer, "nothing added"),
    "openai.responses": Shape(responses_prompt, responses_answer, f"{CHAT} for chat"),
    "openai.embeddings": Shape(embeddings_prompt, None, "nothing added"),
}
"""By the name of the dialect."""


def told(request: Json, shape: Shape) -> str:
    """What was added, in words for the row."""
    defined = "functions by the cookbook's constants" if request.get("tools") or request.get("functions") else None
    schema = "the answer's schema as JSON, without a claim" if schema_of(request) is not None else None
    return ", ".join(words for words in (shape.added, defined, schema) if words)
