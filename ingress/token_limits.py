"""`Helicone-Token-Limit-Exception-Handler`: what becomes of a request that is longer than its model reads.

Names and the room for the answer are Helicone's (its proxy and its docs, "Header directory", read 2026-11). What is cut is ours:
`truncate` shortens the longest texts at their ends, all to the same length, so that short ones, questions among them, stay whole;
`middle-out` takes out the middle of the conversation. Instructions (system, developer) are cut only where all else would not be enough.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from ingress.edits import fields_of
from ingress.errors import BadDirective
from ingress.texts import MOST_TEXTS, Path, Text, crowded, texts_of, with_values

NAME = "Helicone-Token-Limit-Exception-Handler"
BYTES_PER_TOKEN = 4
"""A token is taken for four bytes of UTF-8: about right for English, and within a third for scripts whose characters take two or three."""
ROOM = 10
"""Where no length of the answer is asked for, one part in so many of the window is left for it."""
OUTPUT = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens")
CONFIGS = ("generationConfig", "generation_config", "inferenceConfig")
"""Where Gemini and Bedrock have it."""
TOOLS = ("tools", "functions")
CALLS = ("functionCall", "functionResponse")
"""Of Gemini, in parts."""
LEAST_BYTES = 8
"""No text is cut below this: an empty one would be refused."""
GAP = "…"
AT_ONCE = 32 << 10
"""Characters that are searched at once: nothing else of this process runs meanwhile."""
_SPACES = re.compile(r"(?<=\S)[^\S\n]{2,}")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")
_RULES = re.compile(r"([-=_*.#~])\1{3,}")


class Handler(StrEnum):
    """What is done about a request that is too long."""

    TRUNCATE = "truncate"
    MIDDLE_OUT = "middle-out"
    FALLBACK = "fallback"


class Fitted(Struct, frozen=True):
    """What is sent."""

    body: bytes
    warning: str | None = None
    """What was done, or why nothing was."""


WindowOf = Callable[[str], int | None]
"""Tokens that a model reads and writes at most, by its name; None where nobody knows."""


def parse_handler(_name: str, value: str) -> Handler:
    """Raises BadDirective."""
    try:
        return Handler(value.strip().lower())
    except ValueError:
        raise BadDirective(f"{NAME} must be truncate, middle-out or fallback; an example: {NAME}: middle-out", field=NAME) from None


def fitted(body: bytes, handler: Handler, *, override: str | None, window_of: WindowOf) -> Fitted:
    """`body` as it is to be sent. `override`: the model whose window counts instead of the body's own.

    One that is no JSON object, or names no model that is known, is sent as it is.
    """
    try:
        if crowded(body):
            return _of_many(body, handler, override, window_of)
        said = msgspec.json.decode(body)
        if isinstance(said, dict):
            return _fitted(body, said, handler, override, window_of)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return Fitted(body, f"{NAME} is not obeyed: the body is no plain JSON object, or nested too deep")


def _of_many(body: bytes, handler: Handler, override: str | None, window_of: WindowOf) -> Fitted:
    """Of a body with more texts than are looked at: its length alone says how long it is."""
    fields = fields_of(body) if handler is Handler.FALLBACK else {}
    if not fields:
        return Fitted(body, f"{NAME} is not obeyed: the body holds more than {MOST_TEXTS} texts")
    said = {name: msgspec.json.decode(fields[name]) for name in ("model", *OUTPUT, *CONFIGS) if name in fields}
    return _chosen(body, said, override, window_of, len(body))


def _fitted(body: bytes, said: Mapping[str, Any], handler: Handler, override: str | None, window_of: WindowOf) -> Fitted:
    if handler is Handler.FALLBACK:
        return _chosen(body, said, override, window_of, sum(size_of(each.text) for each in texts_of(said)) + _fixed(said))
    model = said.get("model")
    window = window_of(override or (model if isinstance(model, str) else ""))
    if window is None:
        return Fitted(body, f"{NAME} is not obeyed: the context window of the model is not known")
    return _cut(body, said, handler, limit_of(said, window))


def limit_of(said: Mapping[str, Any], window: int) -> int:
    """Tokens that are left for the request."""
    places = [said, *(config for name in CONFIGS if isinstance(config := said.get(name), dict))]
    asked = next((value for place in places for name in OUTPUT if type(value := place.get(name)) is int and value > 0), None)
    return window - (asked if asked is not None else -(-window // ROOM))


def tokens_of(size_bytes: int) -> int:
    return -(-size_bytes // BYTES_PER_TOKEN)


def size_of(text: str) -> int:
    """In bytes."""
    return len(text.encode())


def _chosen(body: bytes, said: Mapping[str, Any], override: str | None, window_of: WindowOf, size_bytes: int) -> Fitted:
    """The first model of the list, or the second where the first would not read all of it."""
    named = said.get("model")
    listed = [each for each in (part.strip() for part in named.split(",")) if each] if isinstance(named, str) else []
    if not listed:
        return Fitted(body, f"{NAME} is not obeyed: the body names no model")
    window, tokens = window_of(override or listed[0]), tokens_of(size_bytes)
    beyond = window is not None and tokens > limit_of(said, window) and len(listed) > 1
    chosen = listed[1] if beyond else listed[0]
    warning = f"{NAME}: about {tokens} tokens are too many for the first model; the second was asked" if beyond else None
    return Fitted(body if chosen == named else with_values(body, {("model",): chosen}), warning)


def _cut(body: bytes, said: Mapping[str, Any], handler: Handler, limit: int) -> Fitted:
    texts = texts_of(said)
    fixed = _fixed(said)
    total = fixed + sum(size_of(each.text) for each in texts)
    if tokens_of(total) <= limit:
        unread = not texts and tokens_of(len(body)) > limit
        return Fitted(body, f"{NAME} is not obeyed: the body holds no text in a shape that is known here" if unread else None)
    for kept in (True, False):
        standing = sum(size_of(each.text) for each in texts if each.standing and kept)
        movable = [each for each in texts if not (each.standing and kept)]
        budget = limit * BYTES_PER_TOKEN - fixed - standing
        if movable and budget >= len(movable) * LEAST_BYTES:
            changes = shortened(movable, budget, handler)
            cut = with_values(body, dict(changes))
            return Fitted(cut, f"{NAME}: the request was cut from about {tokens_of(total)} to at most {limit} tokens")
    return Fitted(body, f"{NAME} is not obeyed: the answer, and what may not be cut, take the whole context window")


def shortened(texts: Sequence[Text], budget: int, handler: Handler) -> dict[Path, str]:
    """Those texts that change, so that all take at most `budget` bytes, which are `LEAST_BYTES` for each at least."""
    plain = [each.text for each in texts]
    done = truncated(plain, budget) if handler is Handler.TRUNCATE else without_middle(plain, budget)
    return {each.path: text for each, text in zip(texts, done, strict=True) if text != each.text}


def truncated(texts: Sequence[str], budget: int) -> list[str]:
    """Spaces, blank lines and rules first; then the ends of the longest."""
    tidy = [tidied(text) for text in texts]
    level = level_of([size_of(text) for text in tidy], budget)
    return [text if size_of(text) <= level else _begun(text, level) for text in tidy]


def _begun(text: str, size: int) -> str:
    """As `beginning`, with no blanks at its end, nor nothing but blanks: Anthropic refuses such messages."""
    begun = beginning(text, size).rstrip() or beginning(text.lstrip(), size).rstrip()
    return begun or beginning(text, size)


def tidied(text: str) -> str:
    """Runs of spaces, of blank lines and of `-----` shortened: they say nothing. Indentation stays, since it may be code's."""
    return "".join(_tidied(text[begin : begin + AT_ONCE]) for begin in range(0, len(text), AT_ONCE))


def _tidied(text: str) -> str:
    spaced = _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", text))
    return _RULES.sub(r"\1\1\1", spaced)


def level_of(sizes: Sequence[int], budget: int) -> int:
    """The length to which the longer ones are cut, so that all together are at most `budget`."""
    left = budget
    ordered = sorted(sizes)
    for place, size in enumerate(ordered):
        level = left // (len(ordered) - place)
        if size > level:
            return level
        left -= size
    return max(sizes, default=0)


def without_middle(texts: Sequence[str], budget: int) -> list[str]:
    """The first and the last half of `budget` of all texts in a row; a gap stands for what was between."""
    sizes = [size_of(text) for text in texts]
    excess = sum(sizes) - budget
    if excess <= 0:
        return list(texts)
    room = budget - len(texts) * size_of(GAP)
    first, last = room // 2, room - room // 2
    done, begins, total = [], 0, sum(sizes)
    for text, size in zip(texts, sizes, strict=True):
        head, tail = min(size, max(0, first - begins)), min(size, max(0, begins + size - (total - last)))
        whole = head + tail >= size
        done.append(text if whole else beginning(text, head) + GAP + end(text, tail))
        begins += size
    return done


def beginning(text: str, size: int) -> str:
    """At most `size` bytes from the beginning; no character, with what belongs to it, is split."""
    raw = text.encode()
    if size >= len(raw):
        return text
    most = place = len(raw[:size].decode("utf-8", "ignore"))
    while place > 0 and _joined(text, place):
        place -= 1
    return text[: place or most]


def end(text: str, size: int) -> str:
    """As `beginning`, at the end."""
    raw = text.encode()
    if size >= len(raw):
        return text
    least = place = len(text) - len(raw[len(raw) - size :].decode("utf-8", "ignore"))
    while place < len(text) and _joined(text, place):
        place += 1
    return text[least if place == len(text) else place :]


def _joined(text: str, place: int) -> bool:
    """What begins there belongs to the character before."""
    if place >= len(text):
        return False
    after = text[place]
    return unicodedata.combining(after) > 0 or after in _JOINERS or "\U0001f3fb" <= after <= "\U0001f3ff" or text[place - 1] == "\u200d"


_JOINERS = frozenset("\u200d\ufe0e\ufe0f")


def _fixed(said: Mapping[str, Any]) -> int:
    """Bytes of what is read and never cut: tools, and what they were called with."""
    size = sum(len(msgspec.json.encode(said[name])) for name in TOOLS if said.get(name))
    for name in ("messages", "input", "contents"):
        for message in said[name] if isinstance(said.get(name), list) else ():
            size += _called(message) if isinstance(message, dict) else 0
    return size


def _called(message: Mapping[str, Any]) -> int:
    calls = [message.get("tool_calls"), message.get("arguments")]
    listed = [message[name] for name in ("content", "parts") if isinstance(message.get(name), list)]
    parts = [part for each in listed for part in each if isinstance(part, dict)]
    calls += [part["input"] for part in parts if part.get("type") == "tool_use" and "input" in part]
    calls += [part.get(name) for part in parts for name in CALLS]
    return sum(len(msgspec.json.encode(each)) for each in calls if each)
