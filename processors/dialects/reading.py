"""What a dialect makes of an answer, and the small words it is made of."""

import re
from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, structs

from processors.usage import Usage

WORD_LIMIT = 256
"""Characters of a model's name or a finish reason. No provider has longer ones."""
MESSAGE_LIMIT = 500
KEY_LIKE = re.compile(r"\b(?:(?:sk|pk|rk|gsk|xai|hf|key)[-_]|AIza|[Bb]earer )[\w*.\-]{6,}")
"""Providers repeat a wrong key, half masked, in their error messages."""

PriceContext = tuple[tuple[str, str], ...]


class Problem(Struct, frozen=True):
    """What the provider says went wrong: `code` never holds a caller's text, `message` may."""

    code: str | None
    message: str | None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, self.message) if part)


class Reading(Struct, frozen=True, kw_only=True):
    """An answer, understood as far as it went. Nothing of its text beyond an error message is in here."""

    usage: Usage | None = None
    model: str | None = None
    finish_reason: str | None = None
    problem: Problem | None = None
    context: PriceContext = ()
    """What beside the model decides the price, in genai-prices' words (`service_tier`, `processing`, `speed`)."""
    stated_cost: Decimal | None = None
    """USD, where the provider reports the price itself."""
    stated_absurd: bool = False
    """It reports one, and that cannot be true."""
    free: str | None = None
    """Why the call costs nothing, where the provider bills none of its kind."""
    elsewhere: str | None = None
    """Why what the answer tells is not billed with this call, but with another: a batch's results may be fetched often."""
    job: str | None = None
    """The provider's id of work that is billed once and may be told of often: a background response, a batch."""
    unpriced: str | None = None
    """Why the price list cannot tell what it cost, whatever tokens were counted: something else is billed, or at a price of its own."""
    estimated: str | None = None
    """How the usage was counted here, where the provider reported none."""
    broke_off: str | None = None
    """What the provider counted is not all of it, because the answer broke off."""
    uncounted: str | None = None
    """Why it could not be counted here either."""
    refused: str | None = None
    """Why the usage that was reported does not count."""
    unreadable: str | None = None
    """Why the body, or part of it, could not be read at all."""


def free(reading: Reading, why: str) -> Reading:
    """The same of a call that no model was asked in, or none that is billed: no tokens, and cost 0."""
    return structs.replace(
        reading, usage=Usage(input=0, output=0), context=(), stated_cost=None, free=why, elsewhere=None, unpriced=None, refused=None
    )


def word(value: object) -> str | None:
    """A short name; what is too long is cut, so that nobody's price list knows it."""
    return value[:WORD_LIMIT] if isinstance(value, str) and value else None


def part(details: object, name: str) -> object:
    """A field of an object that may be missing, null or of another kind."""
    return details.get(name) if isinstance(details, Mapping) else None


def problem_of(error: object) -> Problem | None:
    """OpenAI's `{"code", "type", "message"}`, Anthropic's `{"type", "message"}`, a bare text, or whatever a router makes of it."""
    if isinstance(error, str) and error:
        return Problem(None, _message(error))
    if not isinstance(error, Mapping) or not error:
        return None
    named = next((name for field in ("code", "type", "status") if (name := _code(part(error, field)))), "error")
    return Problem(named, _message(part(error, "message")))


def _code(value: object) -> str | None:
    """Routers use the HTTP status."""
    if type(value) is int and 0 <= value < 10_000:
        return str(value)
    return value if isinstance(value, str) and 0 < len(value) <= WORD_LIMIT else None


def _message(text: object) -> str | None:
    if not isinstance(text, str) or not text:
        return None
    return KEY_LIKE.sub("***", text[: 2 * MESSAGE_LIMIT])[:MESSAGE_LIMIT]
