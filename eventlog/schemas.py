"""The JSON Schema of each topic's events, made from the structs: what we publish is what we encode and decode.

What a field means stands beside it in `events.py`, once, and goes into the schema from there.
"""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from eventlog import events
from eventlog.codec import encode_event
from eventlog.examples import EXAMPLES
from eventlog.topics import TOPICS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

NAMES = tuple(topic.name for topic in TOPICS.values() if topic.event is not None)
"""The schemas there are. Each has the name of its topic, version included, so that a name never changes its meaning."""


class Summary(Struct, frozen=True, kw_only=True):
    """One entry of the list of schemas."""

    name: str
    event: str
    """The `event` field of each line."""
    description: str


def summaries() -> list[Summary]:
    return [_summary(name) for name in NAMES]


def _summary(name: str) -> Summary:
    kind = TOPICS[name].event
    assert kind is not None  # noqa: S101 NAMES are those with events
    return Summary(name=name, event=str(kind.__struct_config__.tag), description=_about(kind))


@cache
def schema_json(name: str) -> bytes:
    """The schema of one of NAMES, a JSON document with an example. Raises KeyError for another name."""
    kind = TOPICS[name].event
    if kind is None:
        raise KeyError(name)
    _, components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for title, component in components.items():
        _describe(component, getattr(events, title))
    document = {
        "$schema": DIALECT,
        "$id": f"urn:heliograph:{name}",
        **components.pop(kind.__name__),
        "$defs": components,
        "examples": [json.loads(encode_event(EXAMPLES[name]))],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _describe(component: dict[str, Any], kind: type) -> None:
    """Adds what the source says of the type and of each of its members."""
    members = dict(_member_docs(kind))
    component["description"] = _about(kind)
    if issubclass(kind, StrEnum):
        component["enum"] = [each.value for each in kind]  # in the order of their telling
        component["description"] += "".join(f"\n`{kind[name].value}`: {text}" for name, text in members.items())
        return
    for name, schema in component["properties"].items():
        if name in members:
            # beside a reference it is about the field, inside it would be about the type
            component["properties"][name] = {"description": members[name], **schema}


def _about(kind: type) -> str:
    return _worded(inspect.cleandoc(kind.__doc__ or ""))


def _member_docs(kind: type) -> Iterator[tuple[str, str]]:
    """The strings below the members of a class, which Python itself does not keep."""
    (declared,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(declared, ast.ClassDef)  # noqa: S101 the source of a class
    for member, after in pairwise(declared.body):
        match member, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, _worded(inspect.cleandoc(text))


def _worded(text: str) -> str:
    """In JSON's terms, for readers of other languages."""
    return re.sub(r"\bNone\b", "null", text)
