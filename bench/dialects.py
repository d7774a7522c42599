"""Streams as providers write them, of as many small events as one likes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

Made = Callable[[int], str]


def chat(chunks: int) -> str:
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18", "usage": None}
    deltas = [common | {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]} for _ in range(chunks - 2)]
    end = common | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = common | {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": chunks, "total_tokens": 12 + chunks}}
    return "".join(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n" for chunk in [*deltas, end, usage]) + "data: [DONE]\n\n"


def messages(chunks: int) -> str:
    usage = {"input_tokens": 12, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 1}
    start = {"type": "message_start", "message": {"id": "m", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "usage": usage}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": chunks}}
    return _named([start, *[delta] * (chunks - 2), end])


def responses(chunks: int) -> str:
    begun = {"id": "r", "model": "gpt-4o-2024-08-06", "status": "in_progress", "output": []}
    delta = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "word ", "logprobs": []}
    said = [{"type": "message", "content": [{"type": "output_text", "text": "word " * chunks}]}]
    usage = {"input_tokens": 12, "output_tokens": chunks, "total_tokens": 12 + chunks}
    done = begun | {"status": "completed", "output": said, "usage": usage}
    deltas = [delta | {"sequence_number": number} for number in range(1, chunks - 1)]
    return _named([{"type": "response.created", "response": begun}, *deltas, {"type": "response.completed", "response": done}])


def gemini(chunks: int) -> str:
    """Each piece tells again what was used until then."""
    return "".join(f"data: {json.dumps(_gemini_piece(number, chunks))}\n\n" for number in range(1, chunks + 1))


def _gemini_piece(number: int, chunks: int) -> dict[str, Any]:
    usage = {"promptTokenCount": 12, "candidatesTokenCount": number, "totalTokenCount": 12 + number}
    candidate: dict[str, Any] = {"content": {"parts": [{"text": "word "}], "role": "model"}, "index": 0} | (
        {"finishReason": "STOP"} if number == chunks else {}
    )
    return {
        "candidates": [candidate],
        "usageMetadata": usage | {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}]},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "x",
    }


def cohere(chunks: int) -> str:
    counts = {"input_tokens": 12, "output_tokens": chunks}
    delta = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "word "}}}}
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": counts, "tokens": counts}}}
    return _named([{"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant"}}}, *[delta] * (chunks - 2), end])


def ollama(chunks: int) -> str:
    line = {"model": "llama3", "created_at": "2026-11-24T00:00:00Z", "message": {"role": "assistant", "content": "word "}, "done": False}
    end = line | {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": chunks}
    return "".join(f"{json.dumps(each)}\n" for each in [*[line] * (chunks - 1), end])


def _named(events: Sequence[dict[str, Any]]) -> str:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)


STREAMS: dict[str, tuple[str, str, str, Made]] = {
    "chat completions": ("openai", "gpt-4o-mini", "/v1/chat/completions", chat),
    "messages": ("anthropic", "claude-sonnet-4-5", "/v1/messages", messages),
    "responses": ("openai", "gpt-4o", "/v1/responses", responses),
    "Gemini": ("google", "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:streamGenerateContent", gemini),
    "Cohere": ("cohere", "command-a-03-2025", "/v2/chat", cohere),
    "Ollama": ("ollama", "llama3", "/api/chat", ollama),
}
"""By the dialect, as people call it: whose, which model, at which path."""


def of_size(made: Made, size: int) -> str:
    """The longest that has at most so many bytes."""
    each = (len(made(1000)) - len(made(500))) / 500
    chunks = int(size / each)
    while len(text := made(chunks)) > size:
        chunks -= chunks // 200 + 1
    return text
