"""What a span's attributes say, in whichever of several names and forms: each sender has its own.

Structured values come as such, or as JSON in a text. What cannot be read so is as if it had not been said.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from ingress.otlp.spans import Attributes, Value

Plain: TypeAlias = dict[str, Value]
DEEPEST_NAME = 8
"""Parts of a name beyond a prefix that are told apart: `gen_ai.prompt.0.tool_calls.1.arguments` has four."""


class Said:
    """Of several names, the first that says something counts."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes

    def has(self, *names: str) -> bool:
        return any(self.attributes.get(name) is not None for name in names)

    def value(self, *names: str) -> Value:
        for name in names:
            found = self.attributes.get(name)
            if found is not None:
                return found
        return None

    def text(self, *names: str) -> str | None:
        for name in names:
            found = self.attributes.get(name)
            if isinstance(found, str) and found.strip():
                return found.strip()
        return None

    def number(self, *names: str) -> int | float | None:
        for name in names:
            found = self.attributes.get(name)
            if isinstance(found, int | float) and not isinstance(found, bool):
                return found
        return None

    def count(self, *names: str) -> int | None:
        """A whole number, not negative, as a number or as text."""
        for name in names:
            found = self.attributes.get(name)
            if found is None:
                continue
            if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) < 12:
                return int(found)
            if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1e12 and found == int(found):
                return int(found)
        return None

    def flag(self, *names: str) -> bool | None:
        for name in names:
            found = self.attributes.get(name)
            if isinstance(found, bool):
                return found
            if isinstance(found, str) and found.lower() in {"true", "false"}:
                return found.lower() == "true"
        return None

    def texts(self, *names: str) -> list[str]:
        """A list of texts, or one text as a list."""
        for name in names:
            found = structured(self.attributes.get(name))
            if isinstance(found, str) and found:
                return [found]
            if isinstance(found, Sequence) and not isinstance(found, str | bytes):
                return [each for each in found if isinstance(each, str)]
        return []

    def structured(self, *names: str) -> Value:
        return structured(self.value(*names))

    def numbered(self, prefix: str) -> list[Plain]:
        """Objects that are spelled out by name and number, such as `gen_ai.prompt.0.content`, in their order."""
        found: dict[int, Plain] = {}
        start = f"{prefix}."
        for name, value in self.attributes.items():
            if name.startswith(start):
                number, _, rest = name[len(start) :].partition(".")
                if rest and is_number(number):
                    _put(found.setdefault(int(number), {}), rest.split(".", DEEPEST_NAME), value)
        return [found[number] for number in sorted(found)]

    def under(self, prefix: str) -> Plain:
        """What is said below a name, by the rest of it: `traceloop.association.properties.plan` by `plan`."""
        found: Plain = {}
        for name, value in self.attributes.items():
            if name.startswith(prefix) and len(name) > len(prefix):
                found[name[len(prefix) :]] = value
        return found


def _put(whole: Plain, parts: Sequence[str], value: Value) -> None:
    *above, last = parts
    for part in above:
        within = whole.setdefault(part, {})
        if not isinstance(within, dict):
            return
        whole = within
    whole[last] = value


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 7


def in_order(value: Value) -> list[Plain]:
    """Objects in a list, or by their numbers."""
    if isinstance(value, Mapping):
        numbers = sorted((int(name), name) for name in value if is_number(name))
        value = [value[name] for _, name in numbers]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [dict(each) for each in value if isinstance(each, Mapping)]


def structured(value: Value) -> Value:
    """JSON in a text is read; all else, and text that is none, is as it was."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        found: Value = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return value
    return found


def as_text(value: Value) -> str:
    """A text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeError, RecursionError, OverflowError):
        return ""
