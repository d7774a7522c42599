"""`Helicone-RateLimit-Policy`: how much of what, in which time, and for whom each.

The grammar and the canonical spelling are Helicone's (its policy parser, read 2026-11): `[quota];w=[seconds];u=[request|cents];s=[segment]`
in this order, in any case. Windows below a minute, which it refuses, are taken.
"""

import re
from enum import StrEnum

from msgspec import Struct

from ingress.errors import BadDirective

NAME = "Helicone-RateLimit-Policy"
EXAMPLE = "10;w=60;s=user"
LARGEST = 1e12
LONGEST_S = 31_536_000
_GRAMMAR = re.compile(
    r"(?P<quota>\d{1,13}(?:\.\d{1,9})?);w=(?P<window>\d{1,15})(?:;u=(?P<unit>request|cents))?(?:;s=(?P<segment>[\w-]+))?", re.A
)
USER = "user"


class Unit(StrEnum):
    """What is counted."""

    REQUEST = "request"
    """Calls that were let through."""
    CENTS = "cents"
    """What they cost, in US cents, once that is known."""


class Policy(Struct, frozen=True, kw_only=True):
    """At most `quota` in any `window_s` seconds. `str()` is its canonical spelling."""

    quota: float
    window_s: int
    unit: Unit = Unit.REQUEST
    segment: str | None = None
    """None: everyone together. `user`: each user. Else the lower-case name of a property: each of its values."""

    def __str__(self) -> str:
        unit = ";u=cents" if self.unit is Unit.CENTS else ""
        segment = "" if self.segment is None else f";s={self.segment}"
        quota = f"{self.quota:.9f}".rstrip("0").rstrip(".")
        return f"{quota};w={self.window_s}{unit}{segment}"


def parse_policy(text: str) -> Policy:
    """Raises BadDirective, which names the part that is wrong."""
    found = _GRAMMAR.fullmatch(text.strip().lower())
    if found is None:
        raise _bad("is no policy: expected [quota];w=[seconds], then ;u=request or ;u=cents, then ;s=user or ;s=[property]")
    quota, window_s = float(found["quota"]), int(found["window"])
    unit = Unit(found["unit"] or "request")
    if quota <= 0 or (unit is Unit.REQUEST and quota < 1):
        raise _bad("has a quota below one call: nothing would ever pass")
    if quota > LARGEST:
        raise _bad(f"has a quota above {LARGEST:.0f}")
    if not 1 <= window_s <= LONGEST_S:
        raise _bad(f"has a window of {window_s} seconds: from 1 to {LONGEST_S} are possible")
    return Policy(quota=quota, window_s=window_s, unit=unit, segment=found["segment"])


def _bad(wrong: str) -> BadDirective:
    return BadDirective(f"{NAME} {wrong}; an example: {EXAMPLE}", field=NAME)
