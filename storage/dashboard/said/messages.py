"""One message of a conversation, and the items of OpenAI's responses, which are messages, calls of tools and results in one list. Pure."""

from typing import Any

from msgspec import Struct

from storage.dashboard.said.parts import Kind, Part, called, given, listed, mapped, other, parts_of, text_of


class Message(Struct, frozen=True, kw_only=True):
    """`role` is as it was said, but for those of which there are several names: `system`, `user`, `assistant`, `tool`; `error`; `input`."""

    role: str
    parts: tuple[Part, ...]
    name: str = ""
    note: str = ""
    """Why it ended, and which of several it is."""


_ROLES = {"model": "assistant", "developer": "system", "function": "tool", "chatbot": "assistant", "human": "user", "ai": "assistant"}


def message_of(said: Any, role: str = "", note: str = "") -> Message:
    """A message with content or parts, with the calls of tools beside them."""
    if isinstance(said, str):
        return Message(role=role or "user", parts=parts_of(said), note=note)
    message = mapped(said)
    named = text_of(message.get("role")) or role or "unknown"
    named = _ROLES.get(named.lower(), named)
    answers = message.get("tool_call_id")
    if answers is not None or (named == "tool" and isinstance(message.get("content"), str)):
        parts = tuple(given(message.get("content"), answers, message.get("name") or message.get("tool_name")))
        return Message(role="tool", parts=parts, note=note)
    parts = (*_thought(message), *parts_of(message.get("content", message.get("parts"))), *_beside(message))
    if parts and all(part.kind in {Kind.RESULT, Kind.IMAGE} for part in parts) and any(part.kind is Kind.RESULT for part in parts):
        named = "tool"
    return Message(role=named, parts=parts, name=text_of(message.get("name")), note=note)


def _thought(message: Any) -> tuple[Part, ...]:
    """Reasoning that stands beside the content, as DeepSeek, OpenRouter and Ollama have it."""
    said = next((message[key] for key in ("reasoning_content", "reasoning", "thinking") if message.get(key)), None)
    return (Part(kind=Kind.THINKING, text=text_of(said)),) if said else ()


def _beside(message: Any) -> tuple[Part, ...]:
    refused = message.get("refusal")
    parts = [Part(kind=Kind.REFUSAL, text=text_of(refused))] if refused else []
    for each in listed(message.get("tool_calls")):
        call = mapped(each)
        function = mapped(call.get("function") or call.get("custom") or call)
        parts.append(called(function.get("name"), function.get("arguments", function.get("input")), call.get("id")))
    if isinstance(message.get("function_call"), dict):
        parts.append(called(message["function_call"].get("name"), message["function_call"].get("arguments")))
    if isinstance(message.get("audio"), dict) and message["audio"].get("transcript"):
        parts.append(Part(kind=Kind.OTHER, name="audio", text=text_of(message["audio"]["transcript"])))
    return tuple(parts)


def item_of(said: Any, role: str) -> Message:
    """An item of a response's input or output."""
    item = mapped(said)
    kind = text_of(item.get("type"))
    if kind in {"function_call", "custom_tool_call", "mcp_call"}:
        return Message(role="assistant", parts=(called(item.get("name"), item.get("arguments", item.get("input")), item.get("call_id")),))
    if kind.endswith("_call_output"):
        return Message(role="tool", parts=tuple(given(item.get("output"), item.get("call_id"))))
    if kind == "reasoning":
        return Message(role="assistant", parts=parts_of(said))
    if "role" in item or isinstance(said, str):
        return message_of(said, role)
    return Message(role="assistant" if kind.endswith("_call") else role, parts=(other(said),))
