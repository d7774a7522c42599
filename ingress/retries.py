"""When a call is made again, when it moves on to another target, and when it is given up: decisions, each a function of values.

Headers and statuses are Helicone's (its proxy and its docs, "Retries" and "Gateway Fallbacks", read 2026-11). Its docs' reading of
`Helicone-Retry-Num` holds: so many *further* tries.
"""

import math
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

from msgspec import Struct

Headers = Sequence[tuple[bytes, bytes]]
TOO_MANY = 429


class Retries(Struct, frozen=True, kw_only=True):
    """How often, and after which pauses, the same target is asked again."""

    more: int = 5
    """Tries after the first."""
    factor: float = 2.0
    """Each pause is so many times the one before."""
    least_s: float = 1.0
    """The first pause."""
    most_s: float = 10.0
    """The longest pause that we choose; Retry-After may be longer."""


class Failed(Struct, frozen=True, kw_only=True):
    """What came of a try."""

    status: int | None
    """None: there was no answer."""
    retryable: bool
    """The same may come out differently when it is tried again."""
    retry_after_s: float = 0.0
    """The provider asks not to be asked before."""


class Again(Struct, frozen=True):
    """The same target once more, after a pause."""

    pause_s: float


class MoveOn(Struct, frozen=True):
    """To the next target."""


class GiveUp(Struct, frozen=True):
    """What came is the answer."""


Step = Again | MoveOn | GiveUp


def worth_another(status: int) -> bool:
    """Statuses after which the same request may be answered: too many, and the provider's own faults."""
    return status == TOO_MANY or 500 <= status <= 599


def next_step(failed: Failed, retries: Retries | None, *, made: int, moves_on: bool, left_s: float, chance: float) -> Step:
    """After the `made`th try of a target failed.

    `moves_on`: there is another target for such a failure. `left_s`: seconds until the call's time is over: a pause that would outlast
    it is not begun. `chance`: evenly drawn from 0 to 1; it spreads those who failed together.
    """
    if retries is not None and failed.retryable and made <= retries.more:
        pause_s = max(pause_of(retries, made, chance), failed.retry_after_s)
        if pause_s <= left_s:
            return Again(pause_s)
    return MoveOn() if moves_on and left_s > 0 else GiveUp()


def pause_of(retries: Retries, made: int, chance: float) -> float:
    """Seconds before the next try: exponential, at most `most_s`, of which the second half is left to chance."""
    try:
        grown = retries.least_s * retries.factor ** (made - 1)
    except OverflowError:
        grown = math.inf
    return min(grown, retries.most_s) * (0.5 + chance / 2)


def retry_after_of(headers: Headers, now: float) -> float:
    """Seconds that `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`; 0 when neither does."""
    found = {name.lower(): value for name, value in headers if len(name) in {11, 14}}
    milliseconds = _number(found.get(b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = found.get(b"retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds or 0.0
    try:
        at = parsedate_to_datetime(said.decode("latin-1"))
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _number(text: bytes | None) -> float | None:
    try:
        value = float(text or b"")
    except ValueError:
        return None
    return value if value >= 0 and math.isfinite(value) else None
