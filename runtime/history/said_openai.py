"""Made-up talk as OpenAI's chat completions, responses and embeddings have it. Shapes: OpenAI API reference."""

from runtime.demo_responses import call_steps, message_steps
from runtime.history.scenes import PIXEL, Json, Said, earlier_turns, parameters, written

CREATED = 1_767_225_600
VECTOR = 24
"""Numbers of a vector; a real one has 1,536."""


def chat_request(said: Said) -> Json:
    messages: list[Json] = [{"role": "system", "content": said.system}]
    for asked, answered in earlier_turns(said):
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    content: str | list[Json] = said.asked
    if said.scene.pictured:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}
        content = [{"type": "text", "text": said.asked}, image]
    messages.append({"role": "user", "content": content})
    body: Json = {"model": said.model, "messages": messages, "temperature": 0.2}
    if said.scene.tool is not None:
        tool = said.scene.tool
        function = {"name": tool.name, "description": tool.about, "parameters": parameters(tool)}
        body["tools"] = [{"type": "function", "function": function}]
    if said.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _tool_call(said: Said) -> Json:
    assert said.scene.tool is not None  # noqa: S101
    return {
        "id": f"call_{said.number:08x}",
        "type": "function",
        "function": {"name": said.scene.tool.name, "arguments": written(said.arguments)},
    }


def _finish(said: Said) -> str:
    return "tool_calls" if said.calls_tool else "length" if said.was_cut else "stop"


def _chat_usage(said: Said) -> Json:
    """Servers of one's own do not tell the parts."""
    usage: Json = {"prompt_tokens": said.input, "completion_tokens": said.output, "total_tokens": said.input + said.output}
    if not said.at_home:
        usage["prompt_tokens_details"] = {"cached_tokens": said.cache_read, "audio_tokens": 0}
        usage["completion_tokens_details"] = {"reasoning_tokens": said.reasoning, "audio_tokens": 0}
    return usage


def chat_answer(said: Said) -> Json:
    message: Json = {"role": "assistant", "content": None if said.calls_tool else said.text}
    if said.calls_tool:
        message["tool_calls"] = [_tool_call(said)]
    return {
        "id": f"chatcmpl-{said.number:08x}",
        "object": "chat.completion",
        "created": CREATED,
        "model": said.answers_as,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(said)}],
        "usage": _chat_usage(said),
    }


def chat_stream(said: Said) -> list[str]:
    shared = {"id": f"chatcmpl-{said.number:08x}", "object": "chat.completion.chunk", "created": CREATED, "model": said.answers_as}

    def chunk(delta: Json, finish: str | None = None) -> str:
        return _data(shared | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None})

    begun = chunk({"role": "assistant", "content": "" if not said.calls_tool else None})
    if said.calls_tool:
        middle = [chunk({"tool_calls": [{"index": 0} | _tool_call(said)]})]
    else:
        middle = [chunk({"content": piece}) for piece in said.pieces]
    counted = _data(shared | {"choices": [], "usage": _chat_usage(said)})
    return [begun, *middle, chunk({}, _finish(said)), counted, "data: [DONE]\n\n"]


def responses_request(said: Said) -> Json:
    turns = [
        message
        for asked, answered in earlier_turns(said)
        for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    ]
    body: Json = {
        "model": said.model,
        "instructions": said.system,
        "input": [*turns, {"role": "user", "content": said.asked}],
        "reasoning": {"effort": "medium", "summary": "auto"},
    }
    if said.scene.tool is not None:
        tool = said.scene.tool
        body["tools"] = [{"type": "function", "name": tool.name, "description": tool.about, "parameters": parameters(tool)}]
    return body | ({"stream": True} if said.stream else {})


def _item(said: Said) -> Json:
    if said.calls_tool and said.scene.tool is not None:
        call = f"{said.number:08x}"
        told = {"name": said.scene.tool.name, "arguments": written(said.arguments), "status": "completed"}
        return {"type": "function_call", "id": f"fc_{call}", "call_id": f"call_{call}"} | told
    content = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": f"msg_{said.number:08x}", "status": "completed", "role": "assistant", "content": [content]}


def responses_answer(said: Said) -> Json:
    summary = [] if said.thought is None else [{"type": "summary_text", "text": said.thought}]
    return {
        "id": f"resp_{said.number:08x}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if said.was_cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if said.was_cut else None,
        "model": said.answers_as,
        "output": [{"type": "reasoning", "id": f"rs_{said.number:08x}", "summary": summary}, _item(said)],
        "usage": {
            "input_tokens": said.input,
            "input_tokens_details": {"cached_tokens": said.cache_read},
            "output_tokens": said.output,
            "output_tokens_details": {"reasoning_tokens": said.reasoning},
            "total_tokens": said.input + said.output,
        },
    }


def responses_stream(said: Said) -> list[str]:
    whole, item = responses_answer(said), _item(said)
    begun = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    steps = call_steps(item, [item["arguments"]]) if item["type"] == "function_call" else message_steps(item, said.pieces)
    events = [
        ("response.created", {"response": begun}),
        *steps,
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.incomplete" if said.was_cut else "response.completed", {"response": whole}),
    ]
    told = [{"type": name, "sequence_number": number} | data for number, (name, data) in enumerate(events)]
    return [f"event: {event['type']}\n{_data(event)}" for event in told]


def embeddings_request(said: Said) -> Json:
    return {"model": said.model, "input": said.asked, "encoding_format": "float"}


def embeddings_answer(said: Said) -> Json:
    vector = [round(((said.number * 7919 + at * 104_729) % 2000 - 1000) / 10_000, 4) for at in range(VECTOR)]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": said.answers_as,
        "usage": {"prompt_tokens": said.input, "total_tokens": said.input},
    }


def _data(event: Json) -> str:
    return f"data: {written(event)}\n\n"
