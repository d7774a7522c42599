"""What the demo provider says: deterministic answers in the documented shapes of both dialects, with usage that adds up.

The same request is answered by the same bytes, so that a test may compare a call through a proxy with one without. Shapes: OpenAI API
reference (chat, completions, responses, embeddings), Anthropic API reference (messages, streaming messages).
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

CREATED = 1_750_000_000
WORDS_LIMIT = 12
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
    words = f"This is the demo provider. You said: {asked}".split()[: WORDS_LIMIT * 2]
    return [word + " " for word in words[:-1]] + words[-1:]


def tokens(text: str) -> int:
    return max(1, len(text) // 4)


def minimal(schema: Any) -> Any:
    """The smallest value that fits a JSON schema of the everyday kind."""
    if not isinstance(schema, dict):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return minimal(schema["anyOf"][0])
    match schema.get("type"):
        case "object":
            return {name: minimal(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "demo"


# OpenAI


def openai_usage(body: Json, answer: str) -> Json:
    prompt = tokens(json.dumps(body.get("messages") or body.get("prompt") or body.get("input") or ""))
    completion = tokens(answer)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt // 4, "audio_tokens": 0},
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
    if choice in {"required", "any", "tool"} and tools:
        return str(tools[0].get("function", tools[0])["name"])
    return None


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
    words = "".join(reply(str(body.get("prompt", ""))))
    return {
        "id": f"cmpl-{identity(body)}",
        "object": "text_completion",
        "created": CREATED,
        "model": body.get("model", ""),
        "choices": [{"index": 0, "text": words, "logprobs": None, "finish_reason": "stop"}],
        "usage": openai_usage(body, words),
    }


def completion_stream(body: Json, chunks: int | None) -> list[Event]:
    head = {"id": f"cmpl-{identity(body)}", "object": "text_completion", "created": CREATED, "model": body.get("model", "")}
    words = reply(str(body.get("prompt", "")), chunks)
    events: list[Event] = [
        (None, head | {"choices": [{"index": 0, "text": word, "logprobs": None, "finish_reason": None}]}) for word in words
    ]
    events.append((None, head | {"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]}))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append((None, head | {"choices": [], "usage": openai_usage(body, "".join(words))}))
    return [*events, (None, "[DONE]")]


def response_text(body: Json) -> str:
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps(minimal(wanted.get("schema")))
    return "".join(reply(said(body.get("input"))))


def response(body: Json, status: str = "completed") -> Json:
    text, done = response_text(body), status == "completed"
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_demo", "status": status, "role": "assistant", "content": [content]}
    prompt, answer = tokens(json.dumps(body.get("input") or "")), tokens(text)
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": prompt // 4},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": answer // 5},
        "total_tokens": prompt + answer,
    }
    return {
        "id": f"resp_{identity(body)}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": body.get("model", ""),
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if done else None,
    }


def response_stream(body: Json, chunks: int | None) -> list[Event]:
    text = response_text(body)
    pieces = reply("", chunks) if chunks is not None else [text[start : start + 8] for start in range(0, len(text), 8)]
    at = {"item_id": "msg_demo", "output_index": 0, "content_index": 0}
    item: Json = {"type": "message", "id": "msg_demo", "status": "in_progress", "role": "assistant", "content": []}
    part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    whole = response(body)
    steps: list[tuple[str, Json]] = [
        ("response.created", {"response": response(body, "in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.content_part.added", at | {"part": part}),
        *(("response.output_text.delta", at | {"delta": piece, "logprobs": []}) for piece in pieces),
        ("response.output_text.done", at | {"text": "".join(pieces), "logprobs": []}),
        ("response.content_part.done", at | {"part": part | {"text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": whole["output"][0]}),
        ("response.completed", {"response": whole}),
    ]
    return [(name, {"type": name, "sequence_number": number} | data) for number, (name, data) in enumerate(steps)]


def embeddings(body: Json) -> Json:
    asked = body.get("input", "")
    texts: Sequence[Any] = asked if isinstance(asked, list) else [asked]
    vector: Any = [0.5, -0.5, 0.25]
    if body.get("encoding_format") == "base64":
        vector = "AAAAPwAAAL8AAIA+"  # the same three numbers as little-endian 32-bit floats
    count = sum(tokens(str(text)) for text in texts)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(texts))],
        "model": body.get("model", ""),
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def models() -> Json:
    return {"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model", "created": CREATED, "owned_by": "demo"}]}


def openai_error(status: int) -> Json:
    kinds = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
    return {
        "error": {
            "message": f"The demo provider was asked to fail with {status}.",
            "type": "demo",
            "param": None,
            "code": kinds.get(status),
        }
    }


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
    words = reply(said(body.get("messages")), chunks)
    return [{"type": "text", "text": "".join(words)}], words, "end_turn"


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


def anthropic_error(status: int) -> Json:
    kind = "rate_limit_error" if status == 429 else "api_error" if status >= 500 else "invalid_request_error"
    return {"type": "error", "error": {"type": kind, "message": f"The demo provider was asked to fail with {status}."}}
