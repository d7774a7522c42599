"""What was asked: a request's body as messages, tools and settings. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from storage.dashboard.said.messages import Message, item_of, message_of
from storage.dashboard.said.parts import Kind, Part, listed, mapped, parts_of, text_of, written

SETTING_CHARACTERS = 300


class Tool(Struct, frozen=True, kw_only=True):
    """A tool that the model may call."""

    name: str
    description: str = ""
    schema: str = ""


class Asked(Struct, frozen=True, kw_only=True):
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


def asked(body: Any) -> Asked | None:
    """None where it has no shape that is known."""
    said = mapped(body)
    for key, read in _READINGS.items():
        if key in said:
            return Asked(messages=tuple(read(said)), tools=tuple(_tools(said)), settings=tuple(_settings(said)))
    return None


def _chat(said: Mapping[str, Any]) -> Iterator[Message]:
    if "system" in said:
        yield Message(role="system", parts=parts_of(said["system"]))
    yield from (message_of(each) for each in listed(said["messages"]))


def _responses(said: Mapping[str, Any]) -> Iterator[Message]:
    if said.get("instructions"):
        yield Message(role="system", parts=parts_of(said["instructions"]))
    if isinstance(said["input"], list) and any(isinstance(each, dict) for each in said["input"]):
        yield from (item_of(each, "user") for each in said["input"])
    else:
        yield from _inputs(said["input"], "user" if "instructions" in said else "input")


def _google(said: Mapping[str, Any]) -> Iterator[Message]:
    system = mapped(said.get("systemInstruction") or said.get("system_instruction"))
    if system:
        yield Message(role="system", parts=parts_of(system.get("parts")))
    contents = said["contents"]
    for each in contents if isinstance(contents, list) else [contents]:
        yield message_of(each, "user")


def _inputs(inputs: Any, role: str = "input") -> Iterator[Message]:
    """Texts, or tokens by their numbers."""
    texts = inputs if isinstance(inputs, list) else [inputs]
    if texts and all(isinstance(each, int) for each in texts):
        texts = [f"{len(texts):,} tokens by their numbers"]
    for each in texts:
        tokens = isinstance(each, list) and all(isinstance(token, int) for token in each)
        text = f"{len(each):,} tokens by their numbers" if tokens else text_of(each)
        yield Message(role=role, parts=(Part(kind=Kind.TEXT, text=text),))


def _prompt(said: Mapping[str, Any]) -> Iterator[Message]:
    if "system" in said:
        yield Message(role="system", parts=parts_of(said["system"]))
    yield from _inputs(said["prompt"], "user")


def _embedded(said: Mapping[str, Any]) -> Iterator[Message]:
    wanted = said.get("requests", [said])
    yield from (message_of(mapped(each).get("content"), "input") for each in listed(wanted))


def _cohere(said: Mapping[str, Any]) -> Iterator[Message]:
    if said.get("preamble"):
        yield Message(role="system", parts=parts_of(said["preamble"]))
    for each in listed(said.get("chat_history")):
        yield Message(role=text_of(mapped(each).get("role")).lower() or "user", parts=parts_of(mapped(each).get("message")))
    yield Message(role="user", parts=parts_of(said["message"]))


def _ranked(said: Mapping[str, Any]) -> Iterator[Message]:
    yield Message(role="user", parts=parts_of(said["query"]))
    yield from _inputs(said.get("documents"), "document")


_READINGS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Message]]] = {
    "messages": _chat,
    "contents": _google,
    "input": _responses,
    "prompt": _prompt,
    "requests": _embedded,
    "content": _embedded,
    "message": _cohere,
    "query": _ranked,
    "texts": lambda said: _inputs(said["texts"]),
}
_CONVERSATION = frozenset(
    {
        *("messages", "system", "input", "instructions", "contents", "systemInstruction", "system_instruction", "prompt", "requests"),
        *("content", "message", "chat_history", "preamble", "query", "documents", "texts", "tools", "functions", "model", "toolConfig"),
    }
)


def _tools(said: Mapping[str, Any]) -> Iterator[Tool]:
    for each in [*listed(said.get("tools")), *listed(said.get("functions")), *listed(mapped(said.get("toolConfig")).get("tools"))]:
        tool = mapped(each)
        declared = listed(tool.get("functionDeclarations") or tool.get("function_declarations"))
        for described in declared or [tool.get("function") or tool.get("toolSpec") or tool]:
            yield _tool(mapped(described), text_of(tool.get("type")) or next(iter(tool), ""))


def _tool(said: Mapping[str, Any], kind: str) -> Tool:
    schema = next((said[key] for key in ("parameters", "input_schema", "inputSchema", "parametersJsonSchema") if key in said), None)
    name, description = text_of(said.get("name")) or kind or "tool", text_of(said.get("description"))
    return Tool(name=name, description=description, schema="" if schema is None else written(schema))


def _settings(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What else is asked for, Google's one level deeper."""
    flat = {**said, **mapped(said.get("generationConfig")), **mapped(said.get("inferenceConfig"))}
    for name, value in flat.items():
        if name in _CONVERSATION or name in {"generationConfig", "inferenceConfig"} or value is None:
            continue
        text = value if isinstance(value, str) else _short(value)
        yield name, text if len(text) <= SETTING_CHARACTERS else f"{text[:SETTING_CHARACTERS]}…"


def _short(value: Any) -> str:
    return " ".join(written(value).split())
