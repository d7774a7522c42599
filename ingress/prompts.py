"""`Helicone-Prompt-…`: which prompt a call was made of, and what was filled into it.

Helicone's packages mark what was filled in by tags inside the messages, which no provider is to see:
`<helicone-prompt-input key="city">Oslo</helicone-prompt-input>` (its docs and `HeliconePromptFormat` of its package 3.1.2, read 2026-11).
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from ingress.errors import BadDirective
from ingress.texts import MOST_TEXTS, crowded, texts_of, with_values

NAME = "Helicone-Prompt-Mode"
HINT = b"helicone-prompt-input"
"""In every body with such a tag, however its JSON is escaped."""
PROPERTY = "helicone-prompt-name"
MOST_INPUTS = 64
LONGEST_INPUT = 4_096
"""Characters that are kept of each; they travel with every event of the call."""
_OPENING = re.compile(r'<helicone-prompt-input\s{1,16}key="([^"]{1,256})"\s{0,16}>')
_CLOSING = "</helicone-prompt-input>"


class Mode(StrEnum):
    """What is done about the tags."""

    PRODUCTION = "production"
    TESTING = "testing"
    DEACTIVATED = "deactivated"
    """Nothing."""


class Filled(Struct, frozen=True):
    """A body without tags, and what stood in them, by their keys."""

    body: bytes
    inputs: dict[str, str]
    warning: str | None = None
    """Why some, or all, of them are still there."""


def text_of(value: Any) -> str:
    """What stands in a text for a value: itself where it is one, else its JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def kept_inputs(values: Mapping[str, Any]) -> dict[str, str]:
    """Inputs by name, as they are kept with a call: as many, and as much of each, as there is room for."""
    return {name: text_of(value)[:LONGEST_INPUT] for name, value in islice(values.items(), MOST_INPUTS)}


def parse_mode(_name: str, value: str) -> Mode:
    """Raises BadDirective."""
    try:
        return Mode(value.strip().lower())
    except ValueError:
        raise BadDirective(f"{NAME} must be production, testing or deactivated; an example: {NAME}: production", field=NAME) from None


def filled(body: bytes) -> Filled:
    """One that is no JSON object, holds too many texts, or is nested too deep, stays as it is."""
    if crowded(body):
        return Filled(body, {}, f"{NAME} is not obeyed: the body holds more than {MOST_TEXTS} texts")
    inputs: dict[str, str] = {}
    try:
        said: Any = msgspec.json.decode(body)
        texts = texts_of(said) if isinstance(said, dict) else []
        changes = {each.path: plain for each in texts if (plain := untagged(each.text, inputs)) != each.text}
        plain_body = with_values(body, changes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Filled(body, {}, f"{NAME} is not obeyed: the body is no plain JSON, is nested too deep, or holds half a character")
    left = f"{NAME} is not obeyed everywhere: tags in a place, or of a form, that is not known here went to the provider"
    return Filled(plain_body, inputs, left if HINT in plain_body else None)


def untagged(text: str, inputs: dict[str, str]) -> str:
    """`text` without tags. What stood in them is added to `inputs`, the last of a key's, as far as there is room."""
    parts, place = [], 0
    while (opening := _OPENING.search(text, place)) and (closing := text.find(_CLOSING, opening.end())) >= 0:
        value = text[opening.end() : closing]
        parts += [text[place : opening.start()], value]
        if opening[1] in inputs or len(inputs) < MOST_INPUTS:
            inputs[opening[1]] = value[:LONGEST_INPUT]
        place = closing + len(_CLOSING)
    return "".join((*parts, text[place:]))
