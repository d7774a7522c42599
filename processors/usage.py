"""Tokens of one call, and what a provider may say of them.

A count that cannot be true is refused with its reason: no figure is better than a wrong one. Every dialect parses its provider's words
with `count`, which raises `UsageRefused`; so does `Usage` itself when the parts exceed the whole.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ParamSpec

from msgspec import Struct, structs

LIMIT = 1_000_000_000
"""No call has more tokens. The longest context of any model is a hundred times shorter."""


SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
P = ParamSpec("P")


class UsageRefused(ValueError):
    """What the provider reported cannot be the tokens of one call. The message names the field, never a body's text."""


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one call, counted the way the invoice counts them.

    `input` is the whole prompt and `output` the whole answer; all else is a part of one of them, never an addition to it. None is *not
    reported*. OpenAI reports it so. Anthropic reports cached tokens beside the rest of the prompt, so its dialect adds them up.
    Source: OpenAI "Prompt caching" guide; Anthropic "Prompt caching", section on usage fields (both read 2026-11-24).
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    """Part of `cache_write`, kept for five minutes; it has another price than the hour."""
    cache_write_1h: int | None = None
    reasoning: int | None = None
    citations: int | None = None
    """What the model read of its sources, which Perplexity bills apart; part of `output`, as the price list has it."""
    audio_input: int | None = None
    audio_output: int | None = None
    audio_cache_read: int | None = None
    """Part of `cache_read` and of `audio_input`, both."""
    image_input: int | None = None
    image_output: int | None = None
    video_input: int | None = None
    video_output: int | None = None
    audio_seconds: Decimal | None = None
    """Sound that is billed by its length. Where it is instead of tokens, `input` and `output` are 0 and mean nothing."""
    web_searches: int | None = None
    """Searches that the provider made and bills one by one; no tokens."""
    file_searches: int | None = None
    """The same of files that are kept there."""

    def __post_init__(self) -> None:
        read, write = self.cache_read or 0, self.cache_write or 0
        if self.input > LIMIT or self.output > LIMIT:
            raise UsageRefused("more tokens than any call has")
        if read + write > self.input:
            raise UsageRefused("cached tokens exceed the prompt")
        if (self.reasoning or 0) + (self.citations or 0) > self.output:
            raise UsageRefused("reasoning tokens exceed the answer")
        if self.cache_write_5m is not None or self.cache_write_1h is not None:
            self._check_cache_writes(write)
        if self.audio_input is not None or self.audio_output is not None:
            self._check_audio()
        if self.image_input or self.image_output or self.video_input or self.video_output or self.audio_cache_read:
            self._check_media(read)

    def plus(self, other: "Usage") -> "Usage":
        """Of two calls together. What neither reports stays unknown."""
        mine, theirs = structs.asdict(self), structs.asdict(other)
        both: dict[str, Any] = {}
        for name, count_of_mine in mine.items():
            unknown = count_of_mine is None and theirs[name] is None
            both[name] = None if unknown else (count_of_mine or 0) + (theirs[name] or 0)
        return Usage(**both)

    def _check_cache_writes(self, write: int) -> None:
        if (self.cache_write_5m or 0) + (self.cache_write_1h or 0) > write:
            raise UsageRefused("cache writes by their duration exceed the cache writes")

    def _check_audio(self) -> None:
        if (self.audio_input or 0) > self.input or (self.audio_output or 0) > self.output:
            raise UsageRefused("audio tokens exceed the whole")

    def _check_media(self, cache_read: int) -> None:
        """A token is of one kind only."""
        if (self.audio_input or 0) + (self.image_input or 0) + (self.video_input or 0) > self.input:
            raise UsageRefused("tokens by their kind exceed the prompt")
        if (self.audio_output or 0) + (self.image_output or 0) + (self.video_output or 0) > self.output:
            raise UsageRefused("tokens by their kind exceed the answer")
        if (self.audio_cache_read or 0) > min(cache_read, self.audio_input or 0):
            raise UsageRefused("cached audio tokens exceed the audio or the cached tokens")


def or_refused(usage_of: Callable[P, Usage | None], *args: P.args, **named: P.kwargs) -> tuple[Usage | None, str | None]:
    """What `usage_of` makes of it, or why that was refused."""
    try:
        return usage_of(*args, **named), None
    except UsageRefused as error:
        return None, str(error)


def count(value: object, name: str) -> int | None:
    """A provider's count: 12, "12" and 12.0 are twelve, null is not known. Raises UsageRefused for all else."""
    if type(value) is int:
        number = value
    elif value is None:
        return None
    else:
        number = _spelled(value, name)
    if number < 0:
        raise UsageRefused(f"{name} is negative")
    if number > LIMIT:
        raise UsageRefused(f"{name} is above {LIMIT:,}")
    return number


def seconds(value: object, name: str) -> Decimal | None:
    """A provider's length of time, whole or not, as a number or spelled; null is not known. Raises UsageRefused for all else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(text := repr(value).strip("'")) > 40:
        raise UsageRefused(f"{name} is no number")
    if not SECONDS.fullmatch(text) or (length := Decimal(text)) >= LIMIT:
        raise UsageRefused(f"{name} is no length of time")
    return length


def _spelled(value: object, name: str) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.strip().isdecimal() and len(value) <= 20:
        return int(value)
    if isinstance(value, float | str):
        raise UsageRefused(f"{name} is no whole number")
    raise UsageRefused(f"{name} is no number")
