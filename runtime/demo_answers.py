"""What the demo provider says: deterministic answers in the documented shapes of both dialects, with usage that adds up.

The same request is answered by the same bytes, so that a test may compare a call through a proxy with one without. Shapes: OpenAI API
reference (chat, completions, responses, embeddings), Anthropic API reference (messages, streaming messages).
"""

import json
import re
import struct
from base64 import b64encode
from hashlib import sha256
from typing import Any

from runtime.demo_schemas import minimal

CREATED = 1_750_000_000
WORDS_LIMIT = 24
DIMENSIONS = 8
HARM = "harm"
Json = dict[str, Any]
Event = tuple[str | None, Json | str]
"""A server-sent event: its name, if it has one, and its data."""


def identity(body: Json) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]


def text_of(content: Any) -> str:
    """The text in a message's content, whatever form it has."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def said(messages: Any) -> str:
    if isinstance(messages, str):
        return messages
    users = [message for message in messages or [] if isinstance(message, dict) and message.get("role") == "user"]
    return text_of(users[-1].get("content")) if users else ""


def reply(asked: str, chunks: int | None = None) -> list[str]:
    """The words of an answer, as the pieces they are streamed in."""
    if chunks is not None:
        return [f"word{number} " for number in range(chunks)]
    words = f"This is the demo provider. You said: {asked}".split()[:WORDS_LIMIT]
    return [word + " " for word in words[:-1]] + words[-1:]


def tokens(text: str) -> int:
    return max(1, len(text) // 4)


# OpenAI


UNCACHED = re.compile(r"gpt-(3\.5|4(?![o.]))")
"""Models of before there were cached prompts: no price list has a rate for them."""


def openai_usage(body: Json, answer: str) -> Json:
    prompt = tokens(json.dumps(body.get("messages") or body.get("prompt") or body.get("input") or ""))
    completion = tokens(answer)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0 if UNCACHED.match(str(body.get("model"))) else prompt // 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": completion // 5, "audio_tokens": 0},
    }


def wanted_tool(body: Json) -> str | None:
    """The tool that the request insists on."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        named = choice.get("function", choice).get("name")
        if named is not None:
            return str(named)
        choice = choice.get("type")
    tools = body.get("tools") or []
    names = [described["name"] for described in (tool.get("function", tool) for tool in tools) if "name" in described]
    return str(names[0]) if names and choice in {"required", "any", "tool"} else None


def tool_arguments(body: Json, name: str) -> str:
    for tool in body.get("tools") or []:
        described = tool.get("function", tool)
        if described.get("name") == name:
            return json.dumps(minimal(described.get("parameters") or described.get("input_schema")))
    return "{}"


def chat_words(body: Json, chunks: int | None) -> list[str]:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return [json.dumps(minimal(wanted["json_schema"].get("schema")))]
    return reply(said(body.get("messages")), chunks)


def chat(body: Json) -> Json:
    tool, words = wanted_tool(body), "".join(chat_words(body, None))
    message: Json = {"role": "assistant", "content": words, "refusal": None}
    if tool is not None:
        call = {"id": "call_demo", "type": "function", "function": {"name": tool, "arguments": tool_arguments(body, tool)}}
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    return {
        "id": f"chatcmpl-{identity(body)}",
        "object": "chat.completion",
        "created": CREATED,
        "model": body.get("model", ""),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if tool else "stop"}],
        "usage": openai_usage(body, words),
        "service_tier": "default",
    }


def chat_stream(body: Json, chunks: int | None) -> list[Event]:
    head = {"id": f"chatcmpl-{identity(body)}", "object": "chat.completion.chunk", "created": CREATED, "model": body.get("model", "")}
    with_usage = bool((body.get("stream_options") or {}).get("include_usage"))

    def chunk(delta: Json, finish: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return None, head | {"choices": [choice]} | ({"usage": None} if with_usage else {})

    tool, words = wanted_tool(body), chat_words(body, chunks)
    events = [chunk({"role": "assistant", "content": ""})]
    if tool is not None:
        arguments = tool_arguments(body, tool)
        begin = {"index": 0, "id": "call_demo", "type": "function", "function": {"name": tool, "arguments": ""}}
        halves = (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :])
        events += [chunk({"tool_calls": [begin]})]
        events += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": half}}]}) for half in halves]
    else:
        events += [chunk({"content": word}) for word in words]
    events.append(chunk({}, "tool_calls" if tool else "stop"))
    if with_usage:
        events.append((None, head | {"choices": [], "usage": openai_usage(body, "".join(words))}))
    return [*events, (None, "[DONE]")]


def completion(body: Json) -> Json:
    texts = ["".join(words) for words in completion_words(body, None)]
    return {
        "id": f"cmpl-{identity(body)}",
        "object": "text_completion",
        "created": CREATED,
        "model": body.get("model", ""),
        "choices": [{"index": index, "text": text, "logprobs": None, "finish_reason": "stop"} for index, text in enumerate(texts)],
        "usage": openai_usage(body, "".join(texts)),
    }


def completion_words(body: Json, chunks: int | None) -> list[list[str]]:
    """One answer for each prompt; a prompt may be given as tokens, which say nothing."""
    asked = body.get("prompt", "")
    prompts = asked if isinstance(asked, list) and all(isinstance(prompt, str) for prompt in asked) else [asked]
    return [reply(prompt if isinstance(prompt, str) else "", chunks) for prompt in prompts]


def completion_stream(body: Json, chunks: int | None) -> list[Event]:
    head = {"id": f"cmpl-{identity(body)}", "object": "text_completion", "created": CREATED, "model": body.get("model", "")}
    with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    blank: Json = {"usage": None} if with_usage else {}

    def chunk(index: int, text: str, finish: str | None = None) -> Event:
        return None, head | {"choices": [{"index": index, "text": text, "logprobs": None, "finish_reason": finish}]} | blank

    answers = completion_words(body, chunks)
    events = [event for index, words in enumerate(answers) for event in [*(chunk(index, word) for word in words), chunk(index, "", "stop")]]
    if with_usage:
        usage = openai_usage(body, "".join(word for words in answers for word in words))
        events.append((None, head | {"choices": [], "usage": usage}))
    return [*events, (None, "[DONE]")]


def embeddings(body: Json) -> Json:
    asked = body.get("input", "")
    texts = asked if isinstance(asked, list) and not all(isinstance(token, int) for token in asked) else [asked]
    count = sum(tokens(str(text)) for text in texts)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector(body, text)} for index, text in enumerate(texts)],
        "model": body.get("model", ""),
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def moderation(body: Json) -> Json:
    """Flags what speaks of harm."""
    harm = HARM in json.dumps(body.get("input", "")).lower()
    categories = {name: harm and name == "violence" for name in ("harassment", "hate", "self-harm", "sexual", "violence")}
    scores = {name: float(found) for name, found in categories.items()}
    result: Json = {"flagged": harm, "categories": categories, "category_scores": scores}
    return {"id": f"modr-{identity(body)}", "model": body.get("model", "omni-moderation-latest"), "results": [result]}


def vector(body: Json, text: Any) -> list[float] | str:
    """Numbers that 32 bits hold exactly, so that both encodings mean the same."""
    digest, size = sha256(json.dumps(text).encode()).digest(), body.get("dimensions") or DIMENSIONS
    numbers = [(digest[at % len(digest)] - 128) / 256 for at in range(size)]
    return b64encode(struct.pack(f"<{size}f", *numbers)).decode() if body.get("encoding_format") == "base64" else numbers


def models() -> Json:
    return {"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model", "created": CREATED, "owned_by": "demo"}]}


def openai_error(status: int, text: str) -> Json:
    codes = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}
    kinds = {401: "authentication_error", 403: "permission_error", 429: "requests"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": text, "type": kind, "param": None, "code": codes.get(status)}}


# Anthropic


def anthropic_usage(body: Json) -> Json:
    prompt = tokens(json.dumps(body.get("messages") or ""))
    return {"input_tokens": prompt, "cache_creation_input_tokens": 0, "cache_read_input_tokens": prompt // 4}


def message_blocks(body: Json, chunks: int | None = None) -> tuple[list[Json], list[str], str]:
    """The content, the pieces it is streamed in, and why it stops."""
    tool = wanted_tool(body)
    if tool is not None:
        arguments = tool_arguments(body, tool)
        block = {"type": "tool_use", "id": "toolu_demo", "name": tool, "input": json.loads(arguments)}
        return [block], [arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]], "tool_use"
    wanted = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
    structured = wanted.get("type") == "json_schema"
    words = [json.dumps(minimal(wanted["schema"]))] if structured else reply(said(body.get("messages")), chunks)
    return [{"type": "text", "text": "".join(words)}], words, "end_turn"


def token_count(body: Json) -> Json:
    return {"input_tokens": anthropic_usage(body)["input_tokens"]}


def message(body: Json) -> Json:
    blocks, pieces, reason = message_blocks(body)
    return {
        "id": f"msg_{identity(body)}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": anthropic_usage(body) | {"output_tokens": tokens("".join(pieces))},
    }


def message_stream(body: Json, chunks: int | None) -> list[Event]:
    (block,), pieces, reason = message_blocks(body, chunks)
    usage: Json = anthropic_usage(body)
    begun = message(body) | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    tool = block["type"] == "tool_use"
    blank: Json = {"input": {}} if tool else {"text": ""}
    empty = block | blank
    deltas: list[Json] = [
        {"type": "input_json_delta", "partial_json": each} if tool else {"type": "text_delta", "text": each} for each in pieces
    ]
    ended: Json = {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": tokens("".join(pieces))}}
    nothing: Json = {}
    steps: list[tuple[str, Json]] = [
        ("message_start", {"message": begun}),
        ("content_block_start", {"index": 0, "content_block": empty}),
        ("ping", nothing),
        *(("content_block_delta", {"index": 0, "delta": delta}) for delta in deltas),
        ("content_block_stop", {"index": 0}),
        ("message_delta", ended),
        ("message_stop", nothing),
    ]
    return [(name, {"type": name} | data) for name, data in steps]


def anthropic_error(status: int, text: str) -> Json:
    kinds = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    kind = kinds.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": text}}
