"""Rates that somebody states for their own calls, in the place of a price list's: `input=2.5,output=10`."""

import re
from collections.abc import Mapping
from decimal import Decimal

UNITS: Mapping[str, str] = {
    "input": "the prompt",
    "output": "the answer",
    "cache_read": "of the prompt, what was read from the provider's cache; else as the prompt",
    "cache_write": "of the prompt, what was written there; else as the prompt",
    "cache_write_1h": "of that, what is kept for an hour; else as the rest of it",
    "reasoning": "of the answer, reasoning; else as the answer",
    "web_search": "each search in the web",
    "file_search": "each search in files that are kept at the provider",
    "request": "each call, whatever its size",
}
"""What a rate may be of. In USD for a million tokens; in USD for each of what is counted one by one (`COUNTED`)."""
REQUEST, WEB_SEARCH, FILE_SEARCH = "request", "web_search", "file_search"
COUNTED = frozenset({REQUEST, WEB_SEARCH, FILE_SEARCH})
EXAMPLE = "input=2.5,output=10"
LARGEST = Decimal(1_000_000)
WRITTEN_OUT = 20
"""Powers of ten. What is larger, or smaller, is no amount."""
_AMOUNT = re.compile(r"\d{1,7}(\.\d{1,9})?", re.ASCII)

OwnRates = Mapping[str, str]
"""By name as in `UNITS`, in plain digits."""


def parse_rates(text: str) -> dict[str, str]:
    """`name=amount`, separated by commas, in the order of `UNITS`. Raises ValueError that says what is wrong, less what it is about."""
    said: dict[str, str] = {}
    for part in text.split(","):
        name, equals, amount = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"has {part.strip()[:40]!r} where NAME=AMOUNT is expected; names are {', '.join(UNITS)}")
        if name in said:
            raise ValueError(f"says {name} twice")
        said[name] = amount
    return checked_rates(said)


def amount_text(amount: object) -> str:
    """An amount as `checked_rates` takes it, exact, of a number or a text. No binary fraction is one. Raises ValueError."""
    if isinstance(amount, Decimal):  # of 1e999999999, plain digits would fill the memory: it stays as it is, and is refused
        return f"{amount:f}" if amount.is_finite() and abs(amount.adjusted()) <= WRITTEN_OUT else str(amount)
    if isinstance(amount, bool) or not isinstance(amount, int | str):
        raise ValueError("is a number, in USD for a million tokens")
    return str(amount)


def checked_rates(said: OwnRates) -> dict[str, str]:
    """In the order of `UNITS`. Raises ValueError, as `parse_rates` does."""
    for name, amount in said.items():
        if name not in UNITS:
            raise ValueError(f"has no rate named {name[:40]!r}; names are {', '.join(UNITS)}")
        if _AMOUNT.fullmatch(amount) is None or Decimal(amount) > LARGEST:
            raise ValueError(
                f"has {amount[:40]!r} for {name}: an amount is plain digits in USD, 0 to {LARGEST:,}, at most nine behind the point"
            )
    if not said:
        raise ValueError("says no rate")
    tokens = said.keys() - {REQUEST}  # searches belong to calls that have tokens
    if tokens and not {"input", "output"} <= tokens:
        raise ValueError("needs both input and output where tokens cost something: what is not said would be free")
    return {name: said[name] for name in UNITS if name in said}


def told(rates: OwnRates) -> str:
    """As `parse_rates` reads it."""
    return ",".join(f"{name}={amount}" for name, amount in rates.items())
