"""The texts of a JSON body that a model reads, each with its place: found, and put back changed.

Shapes: OpenAI API reference, "Chat completions", "Responses", "Completions"; Anthropic API reference, "Messages"; Gemini API reference,
"Generating content"; Amazon Bedrock API reference, "Converse" (read 2026-11-26).
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
_TEXT_PARTS = ("text", "input_text", "output_text")
"""Types of a part that is text. Gemini and Bedrock name none."""
MOST_TEXTS = 10_000
"""Of a body whose texts are worked on. More take longer than whoever waits for the answer would like."""
LEAST_BYTES = 12
"""Of one text with its name."""
AT_ONCE = 512 << 10
"""Bytes that are looked through at once: no other thread of this process runs meanwhile."""
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
    for name in ("systemInstruction", "system_instruction"):
        for path, instruction in _objects((name,), body.get(name)):
            found += _content((*path, "parts"), instruction.get("parts"), standing=True)
    for name in ("prompt", "input", "messages", "contents"):
        said = body.get(name)
        if isinstance(said, str):
            found.append(Text((name,), said))
        else:
            found += [text for path, each in _objects((name,), said) for text in _message(path, each)]
    return found


def _message(path: Path, message: Mapping[str, Any]) -> Iterator[Text]:
    role = message.get("role")
    standing = isinstance(role, str) and role in STANDING
    yield from _content((*path, "content"), message.get("content"), standing=standing)
    yield from _content((*path, "parts"), message.get("parts"), standing=standing)
    if message.get("type") == "function_call_output":
        yield from _content((*path, "output"), message.get("output"), standing=False)


def _content(path: Path, content: Any, *, standing: bool) -> Iterator[Text]:
    if isinstance(content, str):
        yield Text(path, content, standing)
    for place, part in _objects(path, content):
        kind, text = part.get("type"), part.get("text")
        if isinstance(text, str) and (kind is None or kind in _TEXT_PARTS) and not part.get("thought"):
            yield Text((*place, "text"), text, standing)
        elif kind == "tool_result":
            yield from _content((*place, "content"), part.get("content"), standing=standing)


def _objects(path: Path, said: Any) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Those of a list; Gemini takes one alone as well."""
    if isinstance(said, dict):
        yield path, said
    for index, each in enumerate(said) if isinstance(said, list) else ():
        if isinstance(each, dict):
            yield (*path, index), each


def crowded(body: bytes) -> bool:
    """Whether a JSON body holds more than about `MOST_TEXTS` texts, by the names before them: found out without reading it."""
    contents = texts = 0
    for begin in range(0, len(body), AT_ONCE) if len(body) > MOST_TEXTS * LEAST_BYTES else ():
        contents += body.count(b'"content"', begin, begin + AT_ONCE)
        texts += body.count(b'"text"', begin, begin + AT_ONCE)  # a part's type, and the text itself
        if max(contents, texts // 2) > MOST_TEXTS:
            return True
    return False


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
