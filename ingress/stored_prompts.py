"""Prompts that are kept here, filled in for calls that name one: `prompt_id` in the body, the same as in `Helicone-Prompt-Id`.

The rules are those of Helicone's gateway as its packages have them (`helicone-helpers` 1.2.1, prompt and template manager, read 2026-11):
the prompt's messages come before the call's, of other fields the call's win, and `{{hc:name:type}}` becomes the input of that name.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from eventlog.events import Organization
from ingress.edits import fields_of
from ingress.errors import BadRequest, CallFailed
from ingress.prompts import kept_inputs, text_of
from ingress.texts import Path, texts_of, with_values

HINT = b'"prompt_id"'
FILLED_CHARACTERS = 4 << 20
"""Of all inputs together, in all their places."""
OWN = ("prompt_id", "version_id", "environment", "inputs")
"""Fields of the body that no provider sees."""
TEMPLATED = ("tools", "response_format")
"""Fields of the prompt that may hold variables beside its messages."""
_VARIABLE = re.compile(
    r"\{\{\s{0,16}hc\s{0,16}:\s{0,16}([A-Za-z_-][\w-]{0,255})\s{0,16}:\s{0,16}([A-Za-z_-][\w-]{0,255})\s{0,16}\}\}", re.ASCII
)
_PARTIAL = re.compile(r"\{\{\s{0,16}hcp\s{0,16}:")
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


class Wish(Struct, frozen=True):
    """Which version of which prompt: the one that is named, that an environment stands for, or, of neither, production's."""

    prompt: str
    version: str | None = None
    environment: str | None = None


class Stored(Struct, frozen=True):
    """A version, and its body."""

    version: str
    body: bytes


StoredFor = Callable[[Organization, Wish], Awaitable[Stored]]
"""Raises UnknownPrompt, PromptsUnknown."""


class UnknownPrompt(BadRequest):
    """A prompt, version or environment that there is none of."""

    code: str = "unknown_prompt"
    status: int = 404


class PromptsUnknown(CallFailed):
    """Which prompts there are is not known yet."""

    code: str = "prompts_unknown"
    status: int = 503
    retryable = True


class Mistyped(BadRequest):
    """An input is of another type than its variable."""


class Filling(dict[str, Any]):
    """The inputs, and how much of them was filled in: a small one in a thousand places is not small."""

    room = FILLED_CHARACTERS

    def told(self, value: Any) -> str:
        """As text. Raises BadRequest."""
        text = text_of(value)
        self.room -= len(text)
        if self.room < 0:
            raise BadRequest(f"The inputs fill more than {FILLED_CHARACTERS >> 20} Mi characters of the prompt.", field="inputs")
        return text


class Expanded(Struct, frozen=True):
    """A body for a provider, and what was filled in, by name."""

    body: bytes
    inputs: dict[str, str]


async def no_prompts(_organization: Organization, wish: Wish) -> Stored:
    """Where none are kept."""
    raise UnknownPrompt(f"There is no prompt {wish.prompt[:100]!r} here.", field="prompt_id")


def prompt_in(body: bytes) -> Any:
    """The prompt that the body names; None where it names none."""
    return _decoded((fields_of(body) or {}).get("prompt_id", Raw(b"null")))


def wish_of(body: bytes) -> Wish:
    """What the body, which names a prompt, wants filled in. Raises BadRequest."""
    fields = fields_of(body) or {}
    return Wish(_said(fields, "prompt_id", str), _said(fields, "version_id", str | None), _said(fields, "environment", str | None))


def expanded(body: bytes, stored: bytes) -> Expanded:
    """`body`, which wants something filled in, made of the prompt. Raises BadRequest."""
    call, kept = fields_of(body) or {}, fields_of(stored) or {}
    inputs: dict[str, Raw] = _said(call, "inputs", dict[str, Raw] | None) or {}
    if _PARTIAL.search(stored.decode(errors="replace")) is not None:
        raise BadRequest(
            "The prompt holds {{hcp:…}}, a part of another prompt, which is filled in by helicone-helpers alone.", field="prompt_id"
        )
    variables = Filling({name: _decoded(value) for name, value in inputs.items()})
    messages = [*_messages(kept), *_messages(call)]
    whole = kept | {name: value for name, value in call.items() if name not in OWN} | {"messages": messages}
    for name in TEMPLATED:
        if name in kept:
            whole[name] = _filled(_decoded(kept[name]), variables)
    merged = msgspec.json.encode(whole)
    return Expanded(with_values(merged, _changes(merged, len(_messages(kept)), variables)), kept_inputs(variables))


def _changes(merged: bytes, of_prompt: int, variables: Filling) -> dict[Path, str]:
    """Texts that become others. What stands in the call's own messages, behind those of the prompt, may be anybody's words: never wrong."""
    changes: dict[Path, str] = {}
    for each in texts_of(_decoded(merged)):
        own = len(each.path) > 1 and each.path[0] == "messages" and isinstance(each.path[1], int) and each.path[1] >= of_prompt
        try:
            text = _filled_text(each.text, variables)
        except Mistyped:
            if not own:
                raise
            continue
        if text != each.text:
            changes[each.path] = text
    return changes


def _said(fields: Mapping[str, Raw], name: str, kind: Any) -> Any:
    if name not in fields:
        return None
    try:
        return msgspec.json.decode(fields[name], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(
            f"{name} of the body is of another type: it is {'an object' if name == 'inputs' else 'text'}.", field=name
        ) from None


def _decoded(said: Raw | bytes) -> Any:
    try:
        return msgspec.json.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The body is nested too deeply, or holds half a character.", field="body") from None


def _messages(fields: Mapping[str, Raw]) -> list[Raw]:
    if "messages" not in fields:
        return []
    try:
        return msgspec.json.decode(fields["messages"], type=list[Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("messages must be a list.", field="messages") from None


def _filled(said: Any, inputs: Filling) -> Any:
    """With inputs in all its texts; a text that is nothing but a variable becomes the input, of whatever type."""
    match said:
        case str():
            alone = _VARIABLE.fullmatch(said.strip())
            if alone is None or inputs.get(alone[1]) is None:
                return _filled_text(said, inputs)
            value = _input(alone, inputs)
            inputs.told(value)
            return value
        case list():
            return [_filled(each, inputs) for each in said]
        case dict():
            return {_filled_text(name, inputs): _filled(each, inputs) for name, each in said.items()}
    return said


def _filled_text(text: str, inputs: Filling) -> str:
    """A variable without an input stays as it is."""
    if "{{" not in text:
        return text
    return _VARIABLE.sub(lambda found: found[0] if inputs.get(found[1]) is None else inputs.told(_input(found, inputs)), text)


def _input(variable: re.Match[str], inputs: Filling) -> Any:
    name, kind = variable[1], variable[2]
    value = inputs[name]
    match kind:
        case "string" if not isinstance(value, str):
            raise _mistyped(name, kind)
        case "number" if isinstance(value, bool) or not isinstance(value, int | float):
            raise _mistyped(name, kind)
        case "boolean" if not isinstance(value, bool):
            if not isinstance(value, str) or value.lower() not in _BOOLEANS:
                raise _mistyped(name, kind)
            return _BOOLEANS[value.lower()]
    return value


def _mistyped(name: str, kind: str) -> Mistyped:
    return Mistyped(f"Variable {name!r} of the prompt is a {kind}, and the input is not.", field=f"inputs.{name}")
