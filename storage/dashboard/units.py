"""Numbers as people read them, each with its unit. What is not known is a dash, never a nought. Pure."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from msgspec import Struct

Number = int | float | Decimal | None
UNKNOWN = "–"
THIN = "\u202f"
"""Between a number and its unit: a narrow space that does not break."""
_LARGE = ((1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def count(number: Number) -> str:
    """12,345 as it is; from a hundred thousand on in k, M, G."""
    if number is None:
        return UNKNOWN
    exact = float(number)
    if abs(exact) < 100_000:
        return f"{exact:,.0f}" if exact.is_integer() or abs(exact) >= 100 else _digits(exact, 3)
    return _scaled(exact)


def money(usd: Number) -> str:
    """$0.000012, $1.23, $1,234, $1.23 M. Two digits that say something at least."""
    if usd is None:
        return UNKNOWN
    exact = float(usd)
    size, sign = abs(exact), "−" if exact < 0 else ""
    if size == 0:
        return "$0"
    if size < 0.01:
        return f"{sign}${_digits(size, 2)}"
    if size < 1:
        return f"{sign}${size:.3f}"
    if size < 1_000:
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:,.0f}" if size < 100_000 else f"{sign}${_scaled(size)}"


def duration(ms: Number) -> str:
    """843 ms, 1.24 s, 2 min 03 s, 5 h 07 min, 23 d 18 h."""
    if ms is None:
        return UNKNOWN
    ms = float(ms)
    if ms < 1:
        return f"{_digits(ms, 2)}{THIN}ms"
    if ms < 999.5:
        return f"{ms:.0f}{THIN}ms"
    if ms < 59_995:
        return f"{_digits(ms / 1000, 3)}{THIN}s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {seconds:02}{THIN}s" if seconds else f"{minutes}{THIN}min"
    if minutes < 48 * 60:
        return f"{minutes // 60}{THIN}h {minutes % 60:02}{THIN}min"
    return f"{minutes // 1440:,}{THIN}d {minutes // 60 % 24:02}{THIN}h"


def octets(number: Number) -> str:
    """Bytes, in powers of 1000, as commands tell them."""
    if number is None:
        return UNKNOWN
    left = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if left < 999.5 or unit == "TB":
            return f"{left:.0f}{THIN}{unit}" if unit == "B" or left >= 100 else f"{_digits(left, 3)}{THIN}{unit}"
        left /= 1000
    raise AssertionError


def percent(share: Number) -> str:
    """Of a share from 0 to 1. Little is not nothing: 0.004 % stays."""
    if share is None:
        return UNKNOWN
    of_hundred = float(share) * 100
    if of_hundred == 0 or abs(of_hundred) >= 99.95:
        return f"{of_hundred:.0f}{THIN}%" if of_hundred < 1000 else f"{of_hundred:,.0f}{THIN}%"
    return f"{_digits(of_hundred, 3 if abs(of_hundred) >= 10 else 2)}{THIN}%"


def decimal(number: Number) -> str:
    """A number without a unit, such as a score: 0.912, 87.5, 1,250."""
    if number is None:
        return UNKNOWN
    exact = float(number)
    return count(exact) if abs(exact) >= 1_000 else _digits(exact, 3).replace("-", "−")


def plain(text: object) -> str:
    return UNKNOWN if text is None else str(text)


def _scaled(number: float) -> str:
    for scale, letter in _LARGE:
        if abs(number) >= scale * 0.9995:
            return f"{_digits(number / scale, 3)}{THIN}{letter}"
    return _digits(number, 3)


def _digits(number: float, wanted: int) -> str:
    """With so many digits that say something, and without powers of ten."""
    if number == 0:
        return "0"
    text = f"{Decimal(f'{number:.{wanted}g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


FORMATS: Mapping[str, Callable[[Number], str]] = {
    "count": count,
    "money": money,
    "duration": duration,
    "size": octets,
    "percent": percent,
    "decimal": decimal,
}
"""By the name that templates and charts give."""


class Delta(Struct, frozen=True):
    """How a number moved against the one before."""

    text: str
    direction: str = "same"
    """`up`, `down`, `same`."""
    sense: str = "neutral"
    """`good`, `bad`, `neutral`."""
    before: str = ""
    """The number before, with its unit."""


TIMES = 9.5
"""From so many times more on, that is how it is told: a percentage of thousands says nothing."""


def delta(now: Number, before: Number, *, rising: str = "neutral", form: Callable[[Number], str] = count) -> Delta | None:
    """None where nothing is known of before. `rising`: what it means when the number grows."""
    if now is None or before is None:
        return None
    told = form(before)
    if before == 0:
        return Delta("new" if now else "no change", "up" if now else "same", "neutral", told)
    moved = (float(now) - float(before)) / abs(float(before))
    if abs(moved) < 0.0005:
        return Delta("no change", "same", "neutral", told)
    up = moved > 0
    sense = rising if up or rising == "neutral" else {"good": "bad", "bad": "good"}[rising]
    if moved >= TIMES:
        text = f"×{THIN}{moved + 1:,.0f}"
    else:
        text = f"{moved * 100:+.1f}{THIN}%" if abs(moved) < 0.995 else f"{moved * 100:+,.0f}{THIN}%"
    return Delta(text.replace("-", "−"), "up" if up else "down", sense, told)
