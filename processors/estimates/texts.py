"""Where the APIs of all others have their text. Nothing is added to it: what their formats add, and how they encode, they do not publish.

Sources: the API references that the dialects of the same names cite (read 2026-11-24).
"""

from collections.abc import Callable

from msgspec import Struct

from processors.estimates.blocks import (
    anthropic_answer,
    anthropic_prompt,
    converse_answer,
    converse_prompt,
    gemini_answer,
    gemini_parts,
    gemini_prompt,
)
from processors.estimates.pieces import (
    Json,
    Pieces,
    Uncountable,
    called,
    content,
    json_text,
    needed,
    objects,
    refuse,
    refuse_more_than_shown,
    response_item,
    said,
    schema_of,
    summarizes,
    text,
    texts_or_ids,
)


class Shape(Struct, frozen=True):
    """Where one API has its text."""

    prompt: Callable[[Json], Pieces]
    answer: Callable[[Json], Pieces] | None = None
    """None where an answer has no tokens."""


def chat_prompt(request: Json) -> Pieces:
    """Mistral completes code under the same dialect, from a prompt, and keeps agents whose instructions are not in the request."""
    refuse(request, "audio", "prediction", "web_search_options", "search_parameters", "plugins", "agent_id", "documents")
    if "messages" not in request and request.get("prompt") is not None:
        yield from text(request["prompt"], "prompt")
        yield from text(request.get("suffix"), "suffix")
        return
    for message in needed(request.get("messages"), "messages"):
        yield from text(message.get("name"), "name")
        yield from said(message)
    yield from _functions(request)
    yield from json_text(schema_of(request))


def _functions(request: Json) -> Pieces:
    for tool in objects(request.get("tools"), "tools"):
        if tool.get("type") not in (None, "function"):
            raise Uncountable("tools: one that is no function")
        yield from json_text(tool)
    yield from json_text(request.get("functions"))


def chat_answer(answer: Json) -> Pieces:
    """Reasoning has either name; what is encrypted or a summary cannot be counted."""
    refuse(answer, "citations", "search_results")
    for choice in needed(answer.get("choices"), "choices"):
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Uncountable("choices: one has no message")
        if any(detail.get("type") != "reasoning.text" for detail in objects(message.get("reasoning_details"), "reasoning")):
            raise Uncountable("content: reasoning that is hidden")
        reasoned = message.get("reasoning_content") or message.get("reasoning")
        if reasoned and summarizes(answer):
            raise Uncountable("content: thinking of which only a summary is shown")
        yield from text(reasoned, "reasoning")
        yield from said(message)


def completion_prompt(request: Json) -> Pieces:
    refuse_more_than_shown(request)
    yield from texts_or_ids(request.get("prompt"), "prompt")
    yield from text(request.get("suffix"), "suffix")


def completion_answer(answer: Json) -> Pieces:
    for choice in needed(answer.get("choices"), "choices"):
        yield from text(choice.get("text"), "choices")


def responses_prompt(request: Json) -> Pieces:
    refuse(request, "previous_response_id", "conversation", "prompt", "context_management")
    yield from content(request.get("instructions"))
    given = request.get("input")
    if isinstance(given, str):
        yield given
    else:
        for item in needed(given, "input"):
            yield from response_item(item)
    yield from _functions(request)
    yield from json_text(schema_of(request))


def responses_answer(answer: Json) -> Pieces:
    for item in needed(answer.get("output"), "output"):
        yield from response_item(item)


def embeddings_prompt(request: Json) -> Pieces:
    yield from texts_or_ids(request.get("input"), "input")


def invoke_prompt(request: Json) -> Pieces:
    """The model's own shape, told by a field that only it has."""
    if "anthropic_version" in request:
        yield from anthropic_prompt(request)
    elif "schemaVersion" in request or "inferenceConfig" in request:
        yield from converse_prompt(request)
    elif "messages" in request:
        yield from chat_prompt(request)
    elif "message" in request:
        yield from cohere_v1_prompt(request)
    else:
        refuse(request, "images", "inputImage")
        yield from texts_or_ids(next((request[name] for name in ("prompt", "inputText", "texts") if name in request), None), "prompt")


INVOKED = {"outputs": "text", "results": "outputText", "generations": "text"}
"""Lists that hold texts, and the name of each text."""


def invoke_answer(answer: Json) -> Pieces:
    lists = [name for name in INVOKED if name in answer]
    if answer.get("type") == "message":
        yield from anthropic_answer(answer)
    elif "output" in answer:
        yield from converse_answer(answer)
    elif "choices" in answer:
        choices = list(needed(answer["choices"], "choices"))
        yield from chat_answer(answer) if all("message" in choice for choice in choices) else completion_answer(answer)
    elif lists:
        for item in needed(answer[lists[0]], lists[0]):
            yield from text(item.get(INVOKED[lists[0]]), lists[0])
    elif "embedding" not in answer and "embeddings" not in answer:
        yield from _one_of(answer, "generation", "text", "completion")


def _one_of(answer: Json, *names: str) -> Pieces:
    found = [answer[name] for name in names if isinstance(answer.get(name), str)]
    if not found:
        raise Uncountable("the answer has no text in a place that is known")
    yield from text(found[0], "answer")


def cohere_prompt(request: Json) -> Pieces:
    for message in needed(request.get("messages"), "messages"):
        yield from text(message.get("tool_plan"), "tool plan")
        yield from said(message)
    yield from _functions(request)
    yield from json_text(request.get("documents"))
    yield from json_text(schema_of(request))


def cohere_answer(answer: Json) -> Pieces:
    message = answer.get("message")
    if not isinstance(message, dict):
        raise Uncountable("the answer has no message")
    yield from text(message.get("tool_plan"), "tool plan")
    for item in objects(message.get("content"), "content"):
        yield from text(item["thinking"], "content") if item.get("type") == "thinking" and "thinking" in item else content([item])
    for call in objects(message.get("tool_calls"), "tool calls"):
        yield from called(call)


def cohere_v1_prompt(request: Json) -> Pieces:
    refuse(request, "connectors", "conversation_id")
    yield from text(request.get("preamble"), "preamble")
    for turn in objects(request.get("chat_history"), "chat history"):
        yield from text(turn.get("message"), "chat history")
    yield from text(request.get("message"), "message")
    for name in ("documents", "tools", "tool_results"):
        yield from json_text(request.get(name))


def cohere_v1_answer(answer: Json) -> Pieces:
    yield from _one_of(answer, "text")
    yield from json_text(answer.get("tool_calls") or None)


def cohere_generate_prompt(request: Json) -> Pieces:
    yield from text(request.get("prompt"), "prompt")


def cohere_generate_answer(answer: Json) -> Pieces:
    if "generations" not in answer:
        yield from _one_of(answer, "text")
        return
    for item in needed(answer["generations"], "generations"):
        yield from text(item.get("text"), "generations")


def cohere_embed_prompt(request: Json) -> Pieces:
    refuse(request, "images")
    if request.get("inputs") is not None:
        for item in needed(request["inputs"], "inputs"):
            yield from content(item.get("content"))
    else:
        yield from texts_or_ids(request.get("texts"), "texts")


def google_embeddings_prompt(request: Json) -> Pieces:
    if "instances" in request:
        for instance in needed(request["instances"], "instances"):
            yield from text(instance.get("content"), "instances")
        return
    for one in needed(request["requests"], "requests") if "requests" in request else (request,):
        if not isinstance(one.get("content"), dict):
            raise Uncountable("content: missing or no object")
        yield from gemini_parts(one["content"])


def ollama_prompt(request: Json) -> Pieces:
    for message in needed(request.get("messages"), "messages"):
        refuse(message, "images")
        yield from said(message)
    yield from _functions(request)
    yield from json_text(request.get("format"))


def ollama_answer(answer: Json) -> Pieces:
    message = answer.get("message")
    if not isinstance(message, dict):
        raise Uncountable("the answer has no message")
    yield from text(message.get("thinking"), "thinking")
    yield from said(message)


def ollama_generate_prompt(request: Json) -> Pieces:
    """The context of an earlier answer is tokens already."""
    refuse(request, "images", "template")
    for name in ("system", "prompt", "suffix"):
        yield from text(request.get(name), name)
    if request.get("context"):
        yield from texts_or_ids(request["context"], "context")
    yield from json_text(request.get("format"))


def ollama_generate_answer(answer: Json) -> Pieces:
    yield from text(answer.get("thinking"), "thinking")
    yield from _one_of(answer, "response")


SHAPES = {
    "openai.chat": Shape(chat_prompt, chat_answer),
    "openai.completions": Shape(completion_prompt, completion_answer),
    "openai.responses": Shape(responses_prompt, responses_answer),
    "openai.embeddings": Shape(embeddings_prompt),
    "anthropic.messages": Shape(anthropic_prompt, anthropic_answer),
    "google.gemini": Shape(gemini_prompt, gemini_answer),
    "google.embeddings": Shape(google_embeddings_prompt),
    "bedrock.converse": Shape(converse_prompt, converse_answer),
    "bedrock.invoke": Shape(invoke_prompt, invoke_answer),
    "cohere.chat": Shape(cohere_prompt, cohere_answer),
    "cohere.chat_v1": Shape(cohere_v1_prompt, cohere_v1_answer),
    "cohere.generate": Shape(cohere_generate_prompt, cohere_generate_answer),
    "cohere.embed": Shape(cohere_embed_prompt),
    "ollama.chat": Shape(ollama_prompt, ollama_answer),
    "ollama.generate": Shape(ollama_generate_prompt, ollama_generate_answer),
    "ollama.embed": Shape(embeddings_prompt),
}
"""By the name of the dialect. What is not here is billed otherwise than by the tokens of a text, or its prompt is kept elsewhere."""
