"""What the demo provider says on `/v1/responses`. Shapes: OpenAI API reference, Responses and its streaming events."""

import json

from runtime.demo_answers import CREATED, Event, Json, identity, reply, said, tokens, tool_arguments, wanted_tool
from runtime.demo_schemas import minimal

ECHOED = ("instructions", "metadata", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p")
DEFAULTS: Json = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}
SLICE = 8
"""Characters of a streamed piece."""


def response(body: Json) -> Json:
    return finished(body, pieces_of(body, None))


def response_stream(body: Json, chunks: int | None) -> list[Event]:
    pieces = pieces_of(body, chunks)
    whole = finished(body, pieces)
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    (item,) = whole["output"]
    steps = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        *(call_steps(item, pieces) if item["type"] == "function_call" else message_steps(item, pieces)),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole}),
    ]
    return [(name, {"type": name, "sequence_number": number} | data) for number, (name, data) in enumerate(steps)]


def call_steps(item: Json, pieces: list[str]) -> list[tuple[str, Json]]:
    at: Json = {"item_id": item["id"], "output_index": 0}
    return [
        ("response.output_item.added", {"output_index": 0, "item": item | {"status": "in_progress", "arguments": ""}}),
        *(("response.function_call_arguments.delta", at | {"delta": piece}) for piece in pieces),
        ("response.function_call_arguments.done", at | {"name": item["name"], "arguments": "".join(pieces)}),
    ]


def message_steps(item: Json, pieces: list[str]) -> list[tuple[str, Json]]:
    at: Json = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    text, (part,) = "".join(pieces), item["content"]
    return [
        ("response.output_item.added", {"output_index": 0, "item": item | {"status": "in_progress", "content": []}}),
        ("response.content_part.added", at | {"part": part | {"text": ""}}),
        *(("response.output_text.delta", at | {"delta": piece, "logprobs": []}) for piece in pieces),
        ("response.output_text.done", at | {"text": text, "logprobs": []}),
        ("response.content_part.done", at | {"part": part}),
    ]


def pieces_of(body: Json, chunks: int | None) -> list[str]:
    """The answer's text, or its call's arguments, in the pieces they are streamed in."""
    tool, wanted = wanted_tool(body), (body.get("text") or {}).get("format") or {}
    if tool is not None:
        text = tool_arguments(body, tool)
    elif wanted.get("type") == "json_schema":
        text = json.dumps(minimal(wanted.get("schema")))
    elif chunks is not None:
        return reply("", chunks)
    else:
        text = "".join(reply(said(body.get("input"))))
    return [text[start : start + SLICE] for start in range(0, len(text), SLICE)]


def finished(body: Json, pieces: list[str]) -> Json:
    text = "".join(pieces)
    return {
        "id": f"resp_{identity(body)}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": body.get("model", ""),
        "output": [output(wanted_tool(body), text)],
        "usage": usage(body, text),
    } | {name: body.get(name, DEFAULTS[name]) for name in ECHOED}


def output(tool: str | None, text: str) -> Json:
    if tool is not None:
        return {"type": "function_call", "id": "fc_demo", "call_id": "call_demo", "name": tool, "arguments": text, "status": "completed"}
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_demo", "status": "completed", "role": "assistant", "content": [content]}


def usage(body: Json, text: str) -> Json:
    prompt, answer = tokens(json.dumps(body.get("input") or "")), tokens(text)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": prompt // 4},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": answer // 5},
        "total_tokens": prompt + answer,
    }
