"""Made-up talk as Anthropic's messages have it. Shapes: Anthropic API reference, Messages and streaming."""

from runtime.history.scenes import PIXEL, Json, Said, earlier_turns, parameters, written

MOST_TOKENS = 8192
PIECE = 60


def request(said: Said) -> Json:
    messages: list[Json] = []
    for asked, answered in earlier_turns(said):
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": [{"type": "text", "text": answered}]}]
    content: list[Json] = [{"type": "text", "text": said.asked}]
    if said.scene.pictured:
        content.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})
    messages.append({"role": "user", "content": content})
    system: Json = {"type": "text", "text": said.system} | ({"cache_control": {"type": "ephemeral"}} if said.cache_write else {})
    body: Json = {"model": said.model, "max_tokens": MOST_TOKENS, "system": [system], "messages": messages}
    if said.scene.tool is not None:
        tool = said.scene.tool
        body["tools"] = [{"name": tool.name, "description": tool.about, "input_schema": parameters(tool)}]
    if said.thought is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    return body | ({"stream": True} if said.stream else {})


def _blocks(said: Said) -> list[Json]:
    thought = [] if said.thought is None else [{"type": "thinking", "thinking": said.thought, "signature": f"sig{said.number:08x}"}]
    if said.calls_tool and said.scene.tool is not None:
        used = {"type": "tool_use", "id": f"toolu_{said.number:08x}", "name": said.scene.tool.name, "input": said.arguments}
        return [*thought, used]
    return [*thought, {"type": "text", "text": said.text}]


def _usage(said: Said, output: int) -> Json:
    return {
        "input_tokens": said.input - said.cache_read - said.cache_write,
        "cache_creation_input_tokens": said.cache_write,
        "cache_read_input_tokens": said.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": said.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
    }


def _stop(said: Said) -> str:
    return "tool_use" if said.calls_tool else "max_tokens" if said.was_cut else "end_turn"


def answer(said: Said) -> Json:
    return {
        "id": f"msg_{said.number:08x}",
        "type": "message",
        "role": "assistant",
        "model": said.answers_as,
        "content": _blocks(said),
        "stop_reason": _stop(said),
        "stop_sequence": None,
        "usage": _usage(said, said.output),
    }


def stream(said: Said) -> list[str]:
    begun = answer(said) | {"content": [], "stop_reason": None, "usage": _usage(said, min(said.output, 3))}
    events: list[Json] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(_blocks(said)):
        events += _block_events(index, block, said)
    ended = {"delta": {"stop_reason": _stop(said), "stop_sequence": None}, "usage": {"output_tokens": said.output}}
    events += [{"type": "message_delta"} | ended, {"type": "message_stop"}]
    return [f"event: {event['type']}\ndata: {written(event)}\n\n" for event in events]


def _block_events(index: int, block: Json, said: Said) -> list[Json]:
    match block["type"]:
        case "thinking":
            empty = block | {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _cut(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            empty = block | {"input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _cut(written(block["input"]))]
        case _:
            empty = block | {"text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in said.pieces]
    at = {"index": index}
    return [
        {"type": "content_block_start"} | at | {"content_block": empty},
        *({"type": "content_block_delta"} | at | {"delta": delta} for delta in deltas),
        {"type": "content_block_stop"} | at,
    ]


def _cut(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
