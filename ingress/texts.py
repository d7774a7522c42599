"""The texts of a JSON body that a model reads, each with its place: found, and put back changed.

Shapes: OpenAI API reference, "Chat completions", "Responses", "Completions"; Anthropic API reference, "Messages" (read 2026-11-26).
Text alone is of interest here: images, audio, ids, and what tools were called with are never touched.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct

Path = tuple[str | int, ...]
"""Keys and indexes, from the outermost object on."""
STANDING = frozenset({"system", "developer"})
"""Roles whose words hold for the whole conversation."""
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_raws = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])


class Text(Struct, frozen=True):
    """One text of a body."""

    path: Path
    text: str
    standing: bool = False
    """Instructions rather than conversation."""


def texts_of(body: Mapping[str, Any]) -> list[Text]:
    """In the order of the conversation, instructions first."""
    found = [text for name in ("system", "instructions") for text in _content((name,), body.get(name), standing=True)]
    for name in ("prompt", "input", "messages"):
        said = body.get(name)
        if isinstance(said, str):
            found.append(Text((name,), said))
        elif isinstance(said, list):
            found += [text for index, each in enumerate(said) if isinstance(each, dict) for text in _message((name, index), each)]
    return found


def _message(path: Path, message: Mapping[str, Any]) -> Iterator[Text]:
    standing = message.get("role") in STANDING
    yield from _content((*path, "content"), message.get("content"), standing=standing)
    if message.get("type") == "function_call_output":
        yield from _content((*path, "output"), message.get("output"), standing=False)


def _content(path: Path, content: Any, *, standing: bool) -> Iterator[Text]:
    if isinstance(content, str):
        yield Text(path, content, standing)
    for index, part in enumerate(content) if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
            yield Text((*path, index, "text"), part["text"], standing)
        elif part.get("type") == "tool_result":
            yield from _content((*path, index, "content"), part.get("content"), standing=standing)


def with_values(body: bytes, changes: Mapping[Path, Any]) -> bytes:
    """`body`, a JSON object, with other values at these paths, which are there. All else stays as its sender wrote it, to the byte."""
    ordered = sorted(changes.items(), key=lambda change: tuple(map(str, change[0])))
    return msgspec.json.encode(_changed(msgspec.Raw(body), ordered)) if changes else body


def _changed(there: msgspec.Raw, changes: Iterable[tuple[Path, Any]]) -> Any:
    inside: Any = None
    for key, group in groupby(changes, key=lambda change: change[0][:1]):
        deeper = [(path[1:], value) for path, value in group]
        if not key:
            return deeper[0][1]
        if inside is None:
            inside = _raws.decode(there)
        inside[key[0]] = _changed(inside[key[0]], deeper)
    return inside
