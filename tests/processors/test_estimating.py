"""Tokens counted from the bodies. The sums are worked out by hand; how a text falls into tokens stands beside it, parted by bars."""

import json
import time
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.events import Body
from processors.estimates import openai, texts
from processors.estimates.encodings import Chosen, Encoding, encoding_of, tokens_of
from processors.estimates.estimate import LIMIT_BYTES, LIMIT_PIECES, Estimate, NotEstimated, estimate
from processors.usage import Usage
from tests.processors.mutations import BODIES, BY_NAME

ASKED = "Where is the mirror?"  # Where| is| the| mirror|?  5, in both encodings
ANSWERED = "On the roof."  # On| the| roof|.  4
RULE = "You keep the mirrors."  # You| keep| the| mirrors|.  5
ANGLE = '{"angle":40}'  # {"|angle|":|40|}  5; the name aim_mirror is aim|_m|irror, 3 in o200k and 2 (aim|_mirror) in cl100k


def as_body(value: object) -> Body:
    text = value if isinstance(value, str) else json.dumps(value)
    return Body(text=text, size=len(text.encode("utf-8", "replace")))


def estimated(
    dialect: str, request: object, answer: object, model: str | None = "gpt-4o", provider: str = "openai"
) -> Estimate | NotEstimated:
    asked = request if isinstance(request, Body) else as_body(request)
    answered = answer if isinstance(answer, Body) else as_body(answer)
    return estimate(asked, answered, dialect=BY_NAME[dialect], provider=provider, model=model)


def counts(found: Estimate | NotEstimated) -> tuple[int, int]:
    assert isinstance(found, Estimate), found
    assert found.usage == Usage(input=found.usage.input, output=found.usage.output)
    return found.usage.input, found.usage.output


def reason(found: Estimate | NotEstimated) -> str:
    assert isinstance(found, NotEstimated), found
    return found.reason


def user(content: Any = ASKED, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": list(messages or [user()]), **more}


def choice(content: Any = ANSWERED, **more: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **more}}


def choices(*of: Any) -> dict[str, Any]:
    return {"choices": list(of or [choice()])}


CALL = {"id": "call_1", "type": "function", "function": {"name": "aim_mirror", "arguments": ANGLE}}
FUNCTION = {
    "name": "aim_mirror",
    "description": "Turns a mirror.",
    "parameters": {
        "type": "object",
        "properties": {
            "angle": {"type": "number", "description": "Degrees above the horizon."},
            "axis": {"type": "string", "description": "Which way", "enum": ["x", "y"]},
        },
    },
}
TOOL = {"type": "function", "function": FUNCTION}
# aim|_m|irror|:|Turns| a| mirror 7; angle|:number|:|Degrees| above| the| horizon 7; axis|:string|:|Which| way 5; x, y 1 each
DEFINED = (
    7 + 7 + 3 + (3 + 7) + (3 - 3 + (3 + 1) + (3 + 1) + 5) + 12
)  # 52; in cl100k the function begins with 10, and 7 is aim|_mirror|:|Turn|s| a| mirror

CHAT = {
    # each message 3, its role 1, its text; then 3 for the answer's beginning
    "one message": (chat(), choices(), (3 + 1 + 5 + 3, 4)),
    "two messages": (chat({"role": "system", "content": RULE}, user()), choices(), (3 + 1 + 5 + 3 + 1 + 5 + 3, 4)),
    "a developer": (chat({"role": "developer", "content": RULE}), choices(), (3 + 1 + 5 + 3, 4)),
    "a name": (chat(user(name="ada")), choices(), (3 + 1 + 1 + 1 + 5 + 3, 4)),  # ada 1, and 1 for having one
    "parts": (chat(user([{"type": "text", "text": ASKED}, {"type": "text", "text": RULE}])), choices(), (3 + 1 + 5 + 5 + 3, 4)),
    "a refusal that was said": (
        chat({"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot say that."}]}),  # I| cannot| say| that|.
        choices(),
        (3 + 1 + 5 + 3, 4),
    ),
    "a tool was called": (
        chat(
            user(),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "40"},
        ),
        choices(),
        (3 + 1 + 5 + 3 + 1 + 3 + 5 + 3 + 1 + 1 + 3, 4),
    ),
    "a function was called in the old way": (
        chat({"role": "assistant", "function_call": {"name": "aim_mirror", "arguments": ANGLE}}),
        choices(),
        (3 + 1 + 3 + 5 + 3, 4),
    ),
    "a tool is defined": (chat(tools=[TOOL]), choices(), (12 + DEFINED, 4)),
    "two tools end once": (chat(tools=[TOOL, TOOL]), choices(), (12 + 2 * DEFINED - 12, 4)),
    "functions in the old way": (chat(functions=[FUNCTION]), choices(), (12 + DEFINED, 4)),
    "a function without properties": (
        chat(tools=[{"type": "function", "function": {"name": "x"}}]),
        choices(),
        (12 + 7 + 2 + 12, 4),
    ),  # x|:
    "an object within": (
        chat(
            functions=[
                {"name": "x", "parameters": {"properties": {"to": {"type": "object", "properties": {"lat": {"type": "number"}}}}}},
            ]
        ),
        choices(),
        (12 + 7 + 2 + 3 + 3 + 4 + 3 + 3 + 3 + 12, 4),  # x|:  to|:|object|:  lat|:number|:
    ),
    "a schema": (
        chat(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}),
        choices(),
        (12 + 5, 4),  # {"|type|":"|object|"}
    ),
    "several answers": (chat(n=2), choices(choice(), choice("done")), (12, 4 + 1)),
    "an answer that refuses": (chat(), choices(choice(None, refusal="I cannot say that.")), (12, 5)),
    "an answer that calls": (chat(), choices(choice(None, tool_calls=[CALL, CALL])), (12, 2 * (3 + 5))),
    "an answer that calls in the old way": (chat(), choices(choice(None, function_call=CALL["function"])), (12, 3 + 5)),
    "nothing came": (chat(), {"choices": []}, (12, 0)),
    "text that looks like a special token": (chat(user("<|endoftext|>")), choices(choice("<|endoftext|>")), (3 + 1 + 7 + 3, 7)),
}


@pytest.mark.parametrize(("request_", "answer", "tokens"), CHAT.values(), ids=CHAT)
def test_chat(request_: object, answer: object, tokens: tuple[int, int]) -> None:
    assert counts(estimated("openai.chat", request_, answer)) == tokens


def test_an_older_model_has_another_encoding_and_other_constants() -> None:
    assert counts(estimated("openai.chat", chat(tools=[TOOL]), choices(choice(None, tool_calls=[CALL])), "gpt-4")) == (
        12 + DEFINED + 3,
        2 + 5,
    )


RESPONSE = {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWERED}]}]}
RESPONSES = {
    "a text": ({"input": ASKED}, RESPONSE, (3 + 1 + 5 + 3, 4)),
    "instructions": ({"input": ASKED, "instructions": RULE}, RESPONSE, (3 + 1 + 5 + 3 + 1 + 5 + 3, 4)),
    "messages": ({"input": [user([{"type": "input_text", "text": ASKED}]), user(type="message")]}, RESPONSE, (2 * (3 + 1 + 5) + 3, 4)),
    "a call and its output": (
        {
            "input": [
                {"type": "function_call", "call_id": "c", "name": "aim_mirror", "arguments": ANGLE},
                {"type": "function_call_output", "call_id": "c", "output": "40"},
            ]
        },
        {"output": [{"type": "function_call", "name": "aim_mirror", "arguments": ANGLE}]},
        (3 + 3 + 5 + 3 + 1 + 3, 3 + 5),
    ),
    "a tool": ({"input": ASKED, "tools": [{"type": "function", **FUNCTION}]}, RESPONSE, (12 + DEFINED, 4)),
    "a schema": ({"input": ASKED, "text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, RESPONSE, (12 + 5, 4)),
    "plain text is no schema": ({"input": ASKED, "text": {"format": {"type": "text"}}}, RESPONSE, (12, 4)),
}


@pytest.mark.parametrize(("request_", "answer", "tokens"), RESPONSES.values(), ids=RESPONSES)
def test_responses(request_: object, answer: object, tokens: tuple[int, int]) -> None:
    assert counts(estimated("openai.responses", request_, answer)) == tokens


TEXTS = {
    "a prompt": ("openai.completions", {"prompt": ASKED}, {"choices": [{"text": ANSWERED}]}, (5, 4)),
    "prompts": (
        "openai.completions",
        {"prompt": [ASKED, RULE], "best_of": 1},
        {"choices": [{"text": ANSWERED}, {"text": ANSWERED}]},
        (10, 8),
    ),
    "a prompt of tokens": ("openai.completions", {"prompt": [9, 8, 7]}, {"choices": [{"text": ANSWERED}]}, (3, 4)),
    "prompts of tokens": ("openai.completions", {"prompt": [[9, 8, 7], [6]]}, {"choices": [{"text": ""}]}, (4, 0)),
    "what follows the gap": ("openai.completions", {"prompt": ASKED, "suffix": RULE}, {"choices": [{"text": ANSWERED}]}, (10, 4)),
    "an embedding": ("openai.embeddings", {"input": ASKED}, {"data": [{"embedding": [0.1]}]}, (5, 0)),
    "embeddings": ("openai.embeddings", {"input": [ASKED, RULE]}, {"data": []}, (10, 0)),
    "embedded tokens": ("openai.embeddings", {"input": [1, 2, 3, 4]}, {"data": []}, (4, 0)),
}


@pytest.mark.parametrize(("dialect", "request_", "answer", "tokens"), TEXTS.values(), ids=TEXTS)
def test_texts_and_tokens(dialect: str, request_: object, answer: object, tokens: tuple[int, int]) -> None:
    model = "text-embedding-3-small" if "embed" in dialect else "gpt-3.5-turbo-instruct"
    assert counts(estimated(dialect, request_, answer, model)) == tokens


GEMINI = {"contents": [{"role": "user", "parts": [{"text": ASKED}]}]}
CANDIDATE = {"candidates": [{"content": {"parts": [{"text": ANSWERED}]}}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": ASKED}]}]}
CLAUDE = {"type": "message", "content": [{"type": "text", "text": ANSWERED}]}
OTHERS = {
    "anthropic": ("anthropic.messages", {"system": RULE, "messages": [user()]}, CLAUDE, (5 + 5, 4)),
    "anthropic, blocks": (
        "anthropic.messages",
        {
            "system": [{"type": "text", "text": RULE, "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "aim_mirror", "input": {"angle": 40}}]},
                user([{"type": "tool_result", "tool_use_id": "t", "content": "40"}, {"type": "text", "text": ASKED}]),
            ],
        },
        {"content": [{"type": "thinking", "thinking": ASKED}, {"type": "tool_use", "name": "aim_mirror", "input": {"angle": 40}}]},
        (5 + 3 + 5 + 1 + 5, 5 + 3 + 5),
    ),
    "gemini": ("google.gemini", {"systemInstruction": {"parts": [{"text": RULE}]}, **GEMINI}, CANDIDATE, (5 + 5, 4)),
    "gemini, calls": (
        "google.gemini",
        {
            "contents": [
                {"parts": [{"functionCall": {"name": "aim_mirror", "args": {"angle": 40}}}]},
                {"parts": [{"functionResponse": {"name": "aim_mirror", "response": {"angle": 40}}}]},
            ]
        },
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "aim_mirror", "args": {"angle": 40}}}]}}]},
        (2 * (3 + 5), 3 + 5),
    ),
    "gemini, embeddings": ("google.embeddings", {"content": {"parts": [{"text": ASKED}]}}, {"embedding": {}}, (5, 0)),
    "gemini, many embeddings": (
        "google.embeddings",
        {"requests": [{"content": {"parts": [{"text": ASKED}]}}] * 2},
        {"embeddings": []},
        (10, 0),
    ),
    "vertex, embeddings": ("google.embeddings", {"instances": [{"content": ASKED}]}, {"predictions": []}, (5, 0)),
    "converse": (
        "bedrock.converse",
        {"system": [{"text": RULE}, {"cachePoint": {"type": "default"}}], **CONVERSE},
        {"output": {"message": {"content": [{"text": ANSWERED}, {"toolUse": {"name": "aim_mirror", "input": {"angle": 40}}}]}}},
        (5 + 5, 4 + 3 + 5),
    ),
    "invoke, claude": ("bedrock.invoke", {"anthropic_version": "v", "messages": [user()]}, CLAUDE, (5, 4)),
    "invoke, nova": (
        "bedrock.invoke",
        {"inferenceConfig": {}, **CONVERSE},
        {"output": {"message": {"content": [{"text": ANSWERED}]}}},
        (5, 4),
    ),
    "invoke, llama": ("bedrock.invoke", {"prompt": ASKED}, {"generation": ANSWERED}, (5, 4)),
    "invoke, titan": ("bedrock.invoke", {"inputText": ASKED}, {"results": [{"outputText": ANSWERED}]}, (5, 4)),
    "invoke, mistral": ("bedrock.invoke", {"prompt": ASKED}, {"outputs": [{"text": ANSWERED}]}, (5, 4)),
    "invoke, chat": ("bedrock.invoke", {"messages": [user()]}, choices(), (5, 4)),
    "invoke, embeddings": ("bedrock.invoke", {"inputText": ASKED}, {"embedding": [0.5]}, (5, 0)),
    "cohere": (
        "cohere.chat",
        {"messages": [user()]},
        {"message": {"content": [{"type": "text", "text": ANSWERED}], "tool_calls": [CALL]}},
        (5, 4 + 3 + 5),
    ),
    "cohere, old": (
        "cohere.chat_v1",
        {"preamble": RULE, "chat_history": [{"role": "USER", "message": ASKED}], "message": ASKED},
        {"text": ANSWERED},
        (15, 4),
    ),
    "cohere, generate": ("cohere.generate", {"prompt": ASKED}, {"generations": [{"text": ANSWERED}]}, (5, 4)),
    "cohere, embeddings": ("cohere.embed", {"texts": [ASKED, RULE]}, {"embeddings": []}, (10, 0)),
    "ollama": ("ollama.chat", {"messages": [user()]}, {"message": {"content": ANSWERED, "thinking": ASKED}}, (5, 4 + 5)),
    "ollama, generate": ("ollama.generate", {"system": RULE, "prompt": ASKED, "context": [1, 2]}, {"response": ANSWERED}, (5 + 5 + 2, 4)),
    "ollama, embeddings": ("ollama.embed", {"input": [ASKED]}, {"embeddings": []}, (5, 0)),
    "openai's shape": ("openai.chat", chat(user(name="ada")), choices(choice(reasoning_content=ASKED)), (1 + 5, 5 + 4)),
    # {"|type|":"|function|","|function|":{"|name|":"|aim|_m|irror|"}}
    "openai's shape, tools": (
        "openai.chat",
        chat(tools=[{"type": "function", "function": {"name": "aim_mirror"}}]),
        choices(),
        (5 + 13, 4),
    ),
    "fill in the middle": ("openai.chat", {"prompt": ASKED, "suffix": RULE}, choices(), (10, 4)),
    "openai's responses": ("openai.responses", {"input": ASKED, "instructions": RULE}, RESPONSE, (10, 4)),
    "openai's completions": ("openai.completions", {"prompt": ASKED}, {"choices": [{"text": ANSWERED}]}, (5, 4)),
}


@pytest.mark.parametrize(("dialect", "request_", "answer", "tokens"), OTHERS.values(), ids=OTHERS)
def test_all_others_by_their_text_alone(dialect: str, request_: object, answer: object, tokens: tuple[int, int]) -> None:
    found = estimated(dialect, request_, answer, "some-model-1", "somebody")
    assert counts(found) == tokens
    assert isinstance(found, Estimate)
    assert found.method == "approximation by o200k_base of the texts alone, without a claim: the model's own encoding is another"


ADDED = "3 a message, 1 a name and 3 for the answer's beginning, as OpenAI's cookbook has it"
METHODS = {
    "chat": (
        "gpt-4o",
        chat(),
        "counted by o200k_base; 3 a message, 1 a name and 3 for the answer's beginning, as OpenAI's cookbook has it",
    ),
    "tools": (
        "gpt-3.5-turbo-0125",
        chat(tools=[TOOL]),
        f"counted by cl100k_base; {ADDED}, functions by the cookbook's constants",
    ),
    "a new model": (
        "new-model",
        chat(response_format={"json_schema": {"schema": {"type": "object"}}}),
        f"counted by o200k_base, assumed for a model that no table has; {ADDED}, the answer's schema as JSON, without a claim",
    ),
}


@pytest.mark.parametrize(("model", "request_", "method"), METHODS.values(), ids=METHODS)
def test_the_method_says_how(model: str, request_: object, method: str) -> None:
    found = estimated("openai.chat", request_, choices(), model)
    assert isinstance(found, Estimate)
    assert found.method == method


MODELS = {
    "gpt-4": Encoding.CL100K,
    "gpt-4-turbo-2024-04-09": Encoding.CL100K,
    "gpt-4-32k-0613": Encoding.CL100K,
    "gpt-3.5-turbo": Encoding.CL100K,
    "gpt-35-turbo-16k": Encoding.CL100K,
    "text-embedding-3-large": Encoding.CL100K,
    "ft:gpt-3.5-turbo-0125:acme::x1": Encoding.CL100K,
    "davinci-002": Encoding.CL100K,
    "gpt-4o": Encoding.O200K,
    "GPT-4o-mini-2024-07-18": Encoding.O200K,
    "ft:gpt-4o-mini-2024-07-18:acme::x1": Encoding.O200K,
    "gpt-4.1-nano": Encoding.O200K,
    "gpt-4.5-preview": Encoding.O200K,
    "chatgpt-4o-latest": Encoding.O200K,
    "gpt-5": Encoding.O200K,
    "gpt-5.1-codex": Encoding.O200K,
    "o1": Encoding.O200K,
    "o4-mini-2025-04-16": Encoding.O200K,
}


@pytest.mark.parametrize("model", MODELS)
def test_the_encoding_of_a_model(model: str) -> None:
    assert encoding_of(model) == Chosen(MODELS[model])


def test_the_encoding_of_a_model_that_no_table_has() -> None:
    assert encoding_of("orion-1") == Chosen(Encoding.O200K, assumed=True)
    assert [encoding_of(old) for old in ("text-davinci-003", "davinci", "ada:ft-acme", "code-cushman-001", "gpt2")] == [None] * 5


def stream(*chunks: Any) -> Body:
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return Body(text=text, size=len(text), content_type="text/event-stream")


def delta(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


STREAM = stream(delta("On the"), delta(" roof"), delta("."))


def test_a_stream_is_put_together_first() -> None:
    assert counts(estimated("openai.chat", chat(), STREAM)) == (12, 4)


def test_a_stream_that_was_left_halfway() -> None:
    text = STREAM.text or ""
    left = Body(text=text[: text.index('"content": "."')], size=9, content_type="text/event-stream")
    assert counts(estimated("openai.chat", chat(), left)) == (12, 3)


def test_a_stream_of_another_kind() -> None:
    start = {"type": "message_start", "message": {"model": "m", "content": []}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWERED}}
    assert counts(estimated("anthropic.messages", {"messages": [user()]}, stream(start, block, said), "m", "somebody")) == (5, 4)


def test_an_answer_that_is_not_to_be_kept_travels_to_be_counted() -> None:
    assert counts(estimated("openai.chat", chat(), Body(text=json.dumps(choices()), omitted=True))) == (12, 4)


def test_head_and_tail_that_adjoin_are_the_whole() -> None:
    asked, answered = json.dumps(chat()), STREAM.text or ""
    found = estimated(
        "openai.chat",
        Body(text=asked[:20], tail=asked[20:], truncated=True, size=len(asked)),
        Body(text=answered[:50], tail=answered[50:], truncated=True, size=len(answered), content_type="text/event-stream"),
    )
    assert counts(found) == (12, 4)


SECRET = "the mirror's secret"
NO_BODY = {
    "request empty": (Body(), as_body(choices()), "the request has no body"),
    "request not kept": (Body(omitted=True, size=9), as_body(choices()), "the request's body is not kept"),
    "request too long": (Body(truncated=True, size=9), as_body(choices()), "the request's body is not kept"),
    "request undecodable": (Body(undecodable="no zstd", base64="AA=="), as_body(choices()), "the request's body cannot be decoded"),
    "request no base64": (Body(base64="%"), as_body(choices()), "the request's body cannot be decoded"),
    "request without its middle": (
        Body(text='{"messages"', tail="]}", truncated=True, size=999),
        as_body(choices()),
        "the middle of the request's body is gone",
    ),
    "request no JSON": (as_body(SECRET), as_body(choices()), "the request is no JSON object"),
    "request a list": (as_body([SECRET]), as_body(choices()), "the request is no JSON object"),
    "request without messages": (as_body({"model": SECRET}), as_body(choices()), "messages: missing or no list"),
    "answer empty": (as_body(chat()), Body(), "the answer has no body"),
    "answer not kept": (as_body(chat()), Body(omitted=True, size=9), "the answer's body is not kept"),
    "answer undecodable": (as_body(chat()), Body(undecodable="no zstd"), "the answer's body is not kept"),
    "answer without its middle": (
        as_body(chat()),
        Body(text=STREAM.text, tail="data: {}\n\n", truncated=True, size=9999, content_type="text/event-stream"),
        "the middle of the answer's body is gone",
    ),
    "answer cut": (as_body(chat()), as_body('{"choices": [{"me'), "the answer is no JSON object, nor a stream that can be put together"),
    "answer no stream": (
        as_body(chat()),
        Body(text="data: [DONE]\n\n", content_type="text/event-stream"),
        "the answer is no JSON object, nor a stream that can be put together",
    ),
    "answer of another shape": (as_body(chat()), as_body({"output": SECRET}), "choices: missing or no list"),
    "answer an error": (as_body(chat()), as_body({"error": {"message": SECRET}}), "the answer is an error"),
}


@pytest.mark.parametrize(("request_", "answer", "why"), NO_BODY.values(), ids=NO_BODY)
def test_a_body_that_is_not_there_is_not_guessed(request_: Body, answer: Body, why: str) -> None:
    assert reason(estimated("openai.chat", request_, answer)) == why


IMAGE = {"type": "image_url", "image_url": {"url": SECRET}}
HOSTED = "tools: one of the provider's own"
FEIGNED = "content: neither text nor a tool call"
UNCOUNTED = {
    "an image": ("openai.chat", chat(user([IMAGE])), choices(), "content: an image"),
    "sound": ("openai.chat", chat(user([{"type": "input_audio", "input_audio": {}}])), choices(), "content: sound"),
    "a file": ("openai.chat", chat(user([{"type": "file", "file": {}}])), choices(), "content: a file"),
    "a part of an unknown kind": ("openai.chat", chat(user([{"type": SECRET}])), choices(), FEIGNED),
    "a spoken answer": ("openai.chat", chat(), choices(choice(None, audio={"id": "a"})), "content: sound"),
    "sound is wanted": ("openai.chat", chat(audio={"voice": "x"}), choices(), "the request has audio, which is not counted"),
    "a prediction": ("openai.chat", chat(prediction={"content": "x"}), choices(), "the request has prediction, which is not counted"),
    "a tool that is no function": ("openai.chat", chat(tools=[{"type": "custom"}]), choices(), "tools: one that is no function"),
    "content of another kind": ("openai.chat", chat(user(7)), choices(), "content: no list"),
    "a role of another kind": ("openai.chat", chat({"role": 7}), choices(), "role: no text"),
    "an earlier response": (
        "openai.responses",
        {"input": ASKED, "previous_response_id": "r"},
        RESPONSE,
        "the request has previous_response_id, which is not counted",
    ),
    "a conversation": (
        "openai.responses",
        {"input": ASKED, "conversation": "c"},
        RESPONSE,
        "the request has conversation, which is not counted",
    ),
    "a stored prompt": ("openai.responses", {"prompt": {"id": "p"}}, RESPONSE, "the request has prompt, which is not counted"),
    "a stored item": (
        "openai.responses",
        {"input": [{"type": "item_reference", "id": "i"}]},
        RESPONSE,
        "content: a reference to what the provider keeps",
    ),
    "a search of the provider's own": (
        "openai.responses",
        {"input": ASKED, "tools": [{"type": "web_search"}]},
        RESPONSE,
        "tools: one that is no function",
    ),
    "an answer that reasoned": (
        "openai.responses",
        {"input": ASKED},
        {"output": [{"type": "reasoning"}]},
        "content: reasoning that is hidden",
    ),
    "candidates that are not shown": (
        "openai.completions",
        {"prompt": "x", "best_of": 3},
        {"choices": []},
        "the request has best_of, which is not counted",
    ),
    "an answer that repeats": (
        "openai.completions",
        {"prompt": "x", "echo": True},
        {"choices": []},
        "the request has echo, which is not counted",
    ),
    "pictures are billed otherwise": (
        "openai.images",
        {"prompt": "x"},
        {"data": []},
        "calls of openai.images are not counted by their text",
    ),
    "claude's API at OpenAI": ("anthropic.messages", {"messages": []}, CLAUDE, "calls of anthropic.messages are not counted by their text"),
}
OTHERS_UNCOUNTED = {
    "anthropic, an image": ("anthropic.messages", {"messages": [user([{"type": "image"}])]}, CLAUDE, "content: an image"),
    "anthropic, a file": ("anthropic.messages", {"messages": [user([{"type": "document"}])]}, CLAUDE, "content: a file"),
    "anthropic, a tool of its own": ("anthropic.messages", {"messages": [], "tools": [{"type": "web_search_20250305"}]}, CLAUDE, HOSTED),
    "anthropic, hidden thinking": (
        "anthropic.messages",
        {"messages": []},
        {"content": [{"type": "redacted_thinking", "data": SECRET}]},
        "content: reasoning that is hidden",
    ),
    "anthropic, a summary": (
        "anthropic.messages",
        {"messages": []},
        {"model": "claude-sonnet-4-5", "content": [{"type": "thinking", "thinking": "x"}]},
        "content: thinking of which only a summary is shown",
    ),
    "gemini, a file": ("google.gemini", {"contents": [{"parts": [{"inlineData": {"data": SECRET}}]}]}, CANDIDATE, "content: a file"),
    "gemini, a cache": (
        "google.gemini",
        {"cachedContent": "c", **GEMINI},
        CANDIDATE,
        "the request has cachedContent, which is not counted",
    ),
    "gemini, a search": ("google.gemini", {"tools": [{"googleSearch": {}}], **GEMINI}, CANDIDATE, HOSTED),
    "gemini, a thought": (
        "google.gemini",
        GEMINI,
        {"candidates": [{"content": {"parts": [{"text": "x", "thought": True}]}}]},
        "content: thinking of which only a summary is shown",
    ),
    "converse, an image": ("bedrock.converse", {"messages": [user([{"image": {}}])]}, {}, "content: an image"),
    "invoke, nothing known": ("bedrock.invoke", {"prompt": "x"}, {"what": SECRET}, "the answer has no text in a place that is known"),
    "cohere, a connector": (
        "cohere.chat_v1",
        {"message": "x", "connectors": [{"id": "web"}]},
        {"text": "x"},
        "the request has connectors, which is not counted",
    ),
    "cohere, a ranking": ("cohere.rerank", {"query": "x"}, {"results": []}, "calls of cohere.rerank are not counted by their text"),
    "ollama, an image": (
        "ollama.chat",
        {"messages": [user(images=[SECRET])]},
        {"message": {}},
        "the request has images, which is not counted",
    ),
    "reasoning that is encrypted": (
        "openai.chat",
        chat(),
        choices(choice(reasoning_details=[{"type": "reasoning.encrypted"}])),
        "content: reasoning that is hidden",
    ),
    "an agent": ("openai.chat", chat(agent_id="a"), choices(), "the request has agent_id, which is not counted"),
}


@pytest.mark.parametrize(("dialect", "request_", "answer", "why"), UNCOUNTED.values(), ids=UNCOUNTED)
def test_what_cannot_be_counted_is_not_guessed(dialect: str, request_: object, answer: object, why: str) -> None:
    assert reason(estimated(dialect, request_, answer)) == why


@pytest.mark.parametrize(("dialect", "request_", "answer", "why"), OTHERS_UNCOUNTED.values(), ids=OTHERS_UNCOUNTED)
def test_what_cannot_be_counted_of_others(dialect: str, request_: object, answer: object, why: str) -> None:
    assert reason(estimated(dialect, request_, answer, "some-model-1", "somebody")) == why


HIDDEN = "the model's reasoning is hidden, and billed"
REASONERS = [
    "o1",
    "o3-mini",
    "o4-mini-2025-04-16",
    "gpt-5",
    "gpt-5-mini-2025-08-07",
    "gpt-5.1",
    "gpt-6",
    "o3-deep-research",
    "codex-mini-latest",
]


@pytest.mark.parametrize("model", REASONERS)
def test_reasoning_that_is_hidden(model: str) -> None:
    assert reason(estimated("openai.chat", chat(), choices(), model)) == HIDDEN
    assert reason(estimated("openai.responses", {"input": ASKED}, RESPONSE, model, "azure")) == HIDDEN
    assert reason(estimated("openai.chat", chat(), choices(), f"openai/{model}", "openrouter")) == HIDDEN


def test_reasoning_that_is_hidden_elsewhere() -> None:
    thinkless = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}, **GEMINI}
    assert reason(estimated("google.gemini", GEMINI, CANDIDATE, "gemini-2.5-flash", "google")) == HIDDEN
    assert reason(estimated("google.gemini", thinkless, CANDIDATE, "gemini-3-pro-preview", "google")) == HIDDEN
    assert counts(estimated("google.gemini", thinkless, CANDIDATE, "gemini-2.5-flash", "google")) == (5, 4)
    assert counts(estimated("google.gemini", GEMINI, CANDIDATE, "gemini-2.0-flash", "google")) == (5, 4)
    assert reason(estimated("openai.chat", chat(), choices(), "grok-4-0709", "x")) == HIDDEN
    assert counts(estimated("openai.chat", chat(), choices(), "grok-4-fast-non-reasoning", "x")) == (5, 4)


def test_a_model_that_was_asked_not_to_reason() -> None:
    """Documented from gpt-5.1 on; together with a length it was seen to reason nevertheless."""
    quiet = chat(reasoning_effort="none")
    assert counts(estimated("openai.chat", quiet, choices(), "gpt-5.1-2025-11-13")) == (12, 4)
    assert counts(estimated("openai.responses", {"input": ASKED, "reasoning": {"effort": "none"}}, RESPONSE, "gpt-5.4")) == (12, 4)
    assert reason(estimated("openai.chat", quiet | {"max_completion_tokens": 9}, choices(), "gpt-5.4")) == HIDDEN
    assert reason(estimated("openai.chat", quiet, choices(), "gpt-5-mini")) == HIDDEN
    assert reason(estimated("openai.chat", chat(reasoning_effort="minimal"), choices(), "gpt-5")) == HIDDEN


def test_models_that_are_not_known() -> None:
    assert counts(estimated("openai.chat", chat(), choices(), None)) == (12, 4)  # the request names gpt-4o
    assert reason(estimated("openai.chat", {"messages": [user()]}, choices(), None)) == "neither request nor answer names a model"
    assert reason(estimated("openai.chat", chat(), choices(), "our-deployment", "azure")) == "a deployment whose model is not known"
    assert counts(estimated("openai.chat", chat(), choices(), "gpt-35-turbo", "azure")) == (12, 4)
    assert (
        reason(estimated("openai.completions", {"prompt": "x"}, {"choices": []}, "text-davinci-003"))
        == "the model's encoding is not at hand"
    )


HOSTILE = {
    "one letter": "a" * 1_000_000,
    "spaces": " " * 1_000_000,
    "line ends": "\n" * 1_000_000,
    "emoji": "😀" * 250_000,
    "families": "👩‍👩‍👧" * 50_000,
    "spaces and tabs": " \t" * 500_000,
    "accents": "e\u0301" * 330_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("encoding", Encoding)
def test_hostile_text_is_counted_at_once(text: str, encoding: Encoding) -> None:
    tokens_of("loaded", encoding)
    began = time.perf_counter()
    assert 0 < tokens_of(text, encoding) <= len(text.encode())
    assert time.perf_counter() - began < 1  # a hundredth of that as a rule


def test_lone_surrogates_are_counted_as_what_stands_for_them() -> None:
    assert tokens_of("\ud800", Encoding.O200K) == tokens_of("?", Encoding.O200K)


def test_more_text_than_is_counted() -> None:
    half = "x" * (LIMIT_BYTES // 2)
    assert isinstance(estimated("openai.completions", {"prompt": half}, {"choices": [{"text": half}]}, "gpt-3.5-turbo-instruct"), Estimate)
    for prompt, said in ((half + "x", half), (half, half + "x"), ("é" * LIMIT_BYTES, "")):
        found = estimated("openai.completions", {"prompt": prompt}, {"choices": [{"text": said}]}, "gpt-3.5-turbo-instruct")
        assert reason(found) == "more than 4 MiB of text"


def test_more_parts_than_are_counted() -> None:
    parts = '{"input":[' + ",".join(['""'] * (LIMIT_PIECES + 1)) + "]}"
    assert reason(estimated("openai.embeddings", parts, {"data": []}, "text-embedding-3-small")) == "too many parts"


NAMES = sorted({*openai.SHAPES, *texts.SHAPES})
FIELDS = (
    "messages content role name tool_calls function function_call arguments type text refusal tools functions parameters properties enum "
    "items anyOf $defs description response_format json_schema schema choices message input output instructions prompt suffix system "
    "thinking parts contents systemInstruction functionCall args candidates toolUse toolResult toolConfig reasoningContent texts inputs "
    "anthropic_version outputs results generations requests instances embedding chat_history preamble documents context response model"
).split()
KINDS = ["text", "message", "function", "tool_use", "tool_result", "thinking", "function_call", "function_call_output", "image_url"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=6) | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=16,
)
BODY = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6).map(json.dumps)


def attempt(name: str, request: Body, answer: Body, provider: str) -> None:
    found = estimate(request, answer, dialect=BY_NAME[name], provider=provider, model="gpt-4o")
    if isinstance(found, Estimate):
        assert found.usage.input >= 0
        assert found.usage.output >= 0
    else:
        assert found.reason


@pytest.mark.parametrize("name", NAMES)
@given(asked=BODY, answered=BODY, provider=st.sampled_from(["openai", "azure", "somebody"]), cut=st.integers(0, 99))
@settings(max_examples=60)
def test_fields_of_any_kind(name: str, asked: str, answered: str, provider: str, cut: int) -> None:
    attempt(name, Body(text=asked), Body(text=answered), provider)
    attempt(name, Body(text=asked), Body(text=f"data: {answered}\n\n", content_type="text/event-stream"), provider)
    attempt(name, Body(text=asked[:cut], tail=asked[cut:], truncated=True, size=len(asked.encode())), Body(text=answered), provider)


@pytest.mark.parametrize("name", NAMES)
@given(asked=BODY | st.text(), answered=st.text() | st.binary().map(lambda data: b64encode(data).decode()))
@settings(max_examples=40)
def test_any_text(name: str, asked: str, answered: str) -> None:
    for body in (
        Body(text=answered),
        Body(base64=answered),
        Body(text=answered, tail=answered, truncated=True),
        Body(undecodable=answered),
    ):
        attempt(name, Body(text=asked), body, "somebody")
        attempt(name, body, Body(text=asked), "openai")


@given(st.sampled_from(BODIES), st.sampled_from(NAMES), st.booleans(), st.integers(0, 2000))
@settings(max_examples=200)
def test_recorded_answers_of_any_dialect(recorded: tuple[str, bytes], name: str, own: bool, cut: int) -> None:
    body = Body(text=recorded[1].decode("utf-8", "replace")[: cut or None])
    for request in (chat(), {"input": ASKED}, {"prompt": ASKED}, GEMINI, {"message": ASKED}):
        attempt(name, as_body(request), body, "openai" if own else "somebody")


DEEP = {
    "lists": '{"messages":' + "[" * 100_000,
    "schemas": '{"messages":[],"functions":[{"parameters":' + '{"items":' * 900 + "1" + "}" * 900 + "}]}",
    "results": '{"messages":[{"content":' + '[{"type":"tool_result","content":' * 400 + "1" + "}]" * 400 + "}]}",
    "arguments": '{"messages":[{"tool_calls":[{"function":{"arguments":' + "[" * 900 + "]" * 900 + "}}]}]}",
    "numbers": '{"messages":[{"content":' + "9" * 10_000 + "}]}",
    "surrogates": '{"messages":[{"role":"user","content":"\ud800"}]}',
    "escaped surrogates": '{"messages":[{"role":"user","content":"\\ud800"}]}',
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("name", NAMES)
def test_depth_and_length(name: str, text: str) -> None:
    for provider in ("openai", "somebody"):
        attempt(name, Body(text=text), as_body(choices()), provider)
        attempt(name, as_body(chat()), Body(text=text.replace("messages", "choices")), provider)


def test_a_reason_never_holds_a_bodys_text() -> None:
    for asked in (
        {SECRET: SECRET},
        chat(user([{"type": SECRET, SECRET: 1}])),
        chat(user(SECRET, tool_calls=SECRET)),
        chat(tools=[{"type": SECRET}]),
        SECRET,
    ):
        assert SECRET not in reason(estimated("openai.chat", asked, choices()))
