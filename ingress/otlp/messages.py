"""Messages in the shape of chat completions, of those in the shape of OpenTelemetry's GenAI conventions.

There a message is parts, of which a call of a tool and its result are two; here calls stand beside the content, and each result is a
message. Messages that have no parts are in a provider's own shape, and are kept so. Source: `gen-ai-input-messages.json` and
`gen-ai-output-messages.json` (read 2026-11-27).
"""

from collections.abc import Mapping, Sequence

from ingress.otlp.said import Plain, as_text, in_order, structured
from ingress.otlp.spans import Value


def chat_messages(value: Value, role: str) -> list[Plain]:
    """`role` is whose words they are that stand alone."""
    found = structured(value)
    if isinstance(found, str):
        return [{"role": role, "content": found}] if found else []
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, Sequence) or isinstance(found, bytes):
        return []
    told: list[Plain] = []
    for message in found:
        if isinstance(message, str):
            told.append({"role": role, "content": message})
        elif isinstance(message, Mapping):
            told += _of_message(message, role)
    return told


def instructions(value: Value) -> list[Plain]:
    """System instructions, which are parts without a message around them."""
    found = structured(value)
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        found = {"parts": found}
    if isinstance(found, Mapping) and "parts" not in found:
        found = {"parts": [found]}
    return chat_messages(found, "system")


def _of_message(message: Mapping[str, Value], role: str) -> list[Plain]:
    parts = message.get("parts")
    if not isinstance(parts, Sequence) or isinstance(parts, str | bytes):
        return [{"role": role} | dict(message)]
    told: Plain = {"role": message.get("role") or role}
    if message.get("name"):
        told["name"] = message["name"]
    content: list[Value] = []
    calls: list[Value] = []
    thoughts: list[str] = []
    results: list[Plain] = []
    for part in parts:
        if not isinstance(part, Mapping):
            content.append({"type": "text", "text": as_text(part)})
            continue
        match part.get("type"):
            case "tool_call":
                calls.append(tool_call(part.get("id"), part.get("name"), part.get("arguments")))
            case "tool_call_response":
                result = part.get("response", part.get("result"))
                results.append({"role": "tool", "tool_call_id": part.get("id"), "content": as_text(result)})
            case "reasoning":
                thoughts.append(as_text(part.get("content", "")))
            case _:
                content.append(_content(part))
    if content or calls or thoughts or not results:
        told["content"] = _together(content)
        if thoughts:
            told["reasoning_content"] = "\n".join(thoughts)
        if calls:
            told["tool_calls"] = calls
        if message.get("finish_reason"):
            told["finish_reason"] = message["finish_reason"]
        results.append(told)
    return results


def tool_call(call_id: Value, name: Value, arguments: Value) -> Plain:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "" if arguments is None else as_text(arguments)}}


def _together(content: Sequence[Value]) -> Value:
    """A text that is alone stands for itself."""
    if not content:
        return None
    only = content[0]
    return only["text"] if len(content) == 1 and isinstance(only, Mapping) and only.get("type") == "text" else content


def _content(part: Mapping[str, Value]) -> Value:
    """A part that no dialect has is kept as it came."""
    kind, media = part.get("type"), part.get("mime_type")
    modality = part.get("modality") or str(media or "").partition("/")[0]
    match kind, modality:
        case "text", _:
            return {"type": "text", "text": part.get("content", part.get("text"))}
        case "blob", "image":
            return {"type": "image_url", "image_url": {"url": f"data:{media or 'image/png'};base64,{as_text(part.get('content'))}"}}
        case "uri", "image":
            return {"type": "image_url", "image_url": {"url": part.get("uri")}}
        case "blob", "audio":
            return {"type": "input_audio", "input_audio": {"data": part.get("content"), "format": str(media or "").partition("/")[2]}}
        case "file", _:
            return {"type": "file", "file": {"file_id": part.get("file_id")}}
    return dict(part)


# Messages that are spelled out, a field by an attribute


def spelled_message(fields: Mapping[str, Value]) -> Plain:
    """OpenLLMetry's: `role`, `content`, `tool_calls` by number, `finish_reason`."""
    told: Plain = {"role": fields.get("role"), "content": _parts_of(fields.get("content"))}
    told |= {name: fields[name] for name in ("name", "tool_call_id", "finish_reason", "refusal") if fields.get(name)}
    if fields.get("reasoning"):
        told["reasoning_content"] = fields["reasoning"]
    calls = [tool_call(call.get("id"), call.get("name"), call.get("arguments")) for call in in_order(fields.get("tool_calls"))]
    return told | ({"tool_calls": calls} if calls else {})


def _parts_of(content: Value) -> Value:
    """It writes a content of several parts as JSON; text that only looks like that stays text."""
    found = structured(content)
    if isinstance(found, list) and found and all(isinstance(part, Mapping) and "type" in part for part in found):
        return found
    return content


def inference_message(fields: Mapping[str, Value]) -> Plain:
    """OpenInference's: all of it below `message`."""
    message = fields.get("message")
    if not isinstance(message, Mapping):
        return {}
    told: Plain = {"role": message.get("role"), "content": message.get("content")}
    told |= {name: message[name] for name in ("name", "tool_call_id", "finish_reason") if message.get(name)}
    parts = [_inference_part(part) for part in in_order(message.get("contents"))]
    if parts:
        told["content"] = _together(parts)
    calls = [_inference_call(call) for call in in_order(message.get("tool_calls"))]
    return told | ({"tool_calls": calls} if calls else {})


def _inference_part(fields: Mapping[str, Value]) -> Value:
    part = within(fields, "message_content")
    url = within(within(part, "image"), "image").get("url")
    return {"type": "text", "text": part.get("text")} if url is None else {"type": "image_url", "image_url": {"url": url}}


def _inference_call(fields: Mapping[str, Value]) -> Plain:
    call = within(fields, "tool_call")
    function = within(call, "function")
    return tool_call(call.get("id"), function.get("name"), function.get("arguments"))


def within(fields: Mapping[str, Value], name: str) -> Mapping[str, Value]:
    found = fields.get(name)
    return found if isinstance(found, Mapping) else {}
