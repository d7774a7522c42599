"""A call's cost, line by line: what was counted, at which rate, and what that comes to. Made from what its row keeps, and nothing else.

So a cost that was booked a year ago is explained by the rates that were in force then, whatever the price list says today.
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from eventlog.events import CallPriced, PriceBasis, TokenUsage
from processors.pricing.cards import UNITS, Line, stated_card
from processors.usage import Usage

LABELS: Mapping[str, str] = {
    "input_tokens": "prompt",
    "output_tokens": "answer",
    "cache_read_tokens": "prompt, read from the cache",
    "cache_write_tokens": "prompt, written to the cache",
    "cache_write_5m_tokens": "prompt, cached for 5 minutes",
    "cache_write_1h_tokens": "prompt, cached for an hour",
    "output_reasoning_tokens": "answer, reasoning",
    "output_citation_tokens": "answer, citations",
    "input_audio_tokens": "prompt, audio",
    "output_audio_tokens": "answer, audio",
    "cache_audio_read_tokens": "prompt, audio from the cache",
    "input_image_tokens": "prompt, images",
    "output_image_tokens": "answer, images",
    "input_video_tokens": "prompt, video",
    "output_video_tokens": "answer, video",
    "audio_seconds": "sound",
    "web_searches": "web searches",
    "requests": "each call",
}
"""What a line is for, by the price list's name of the unit."""

PER = {1_000_000: "million tokens", 1_000: "thousand", 3_600: "hour", 1: "call"}
NO_LINES: dict[PriceBasis, str] = {
    PriceBasis.STATED: "as the provider stated it",
    PriceBasis.LOCAL: "on hardware of your own",
    PriceBasis.FREE: "not billed",
    PriceBasis.CACHE: "from Heliograph's cache",
}


class InvoiceLine(Struct, frozen=True, kw_only=True):
    label: str
    count: int | Decimal
    unit: str
    """Of what: tokens, seconds, searches, calls."""
    rate: Decimal
    """USD for `per` of them."""
    per: str
    amount: Decimal
    """USD, exact."""


class Invoice(Struct, frozen=True, kw_only=True):
    lines: tuple[InvoiceLine, ...]
    total: Decimal
    """USD, exact: the sum of the lines."""


class NotExplained(Exception):
    """The row does not keep what its cost was worked out from. The message says why, and what helps."""


def invoice_of(call: CallPriced) -> Invoice:
    """Raises NotExplained for a call without a cost, and for one whose row was written before its rates were kept."""
    if call.cost_usd is None:
        raise NotExplained(call.price_source or "the cost is not known")
    if call.price_basis in NO_LINES:
        cost = Decimal(call.cost_usd)
        line = InvoiceLine(label=NO_LINES[call.price_basis], count=1, unit="call", rate=cost, per="call", amount=cost)
        return Invoice(lines=(line,), total=cost)
    if call.price_basis in {PriceBasis.UNKNOWN, PriceBasis.ELSEWHERE}:
        raise NotExplained(f"its row was written before rates were kept with a call: {call.price_source}")
    lines = tuple(lines_of(call.rates, usage_of_tokens(call.usage)))
    return Invoice(lines=lines, total=sum((line.amount for line in lines), Decimal(0)))


def lines_of(rates: Mapping[str, str], usage: Usage) -> list[InvoiceLine]:
    """`rates` by the price list's names, as a row keeps them."""
    if not rates:
        return []
    card = stated_card(rates, "")
    found = [made for line in card.lines if (made := _line(line, usage)).amount or line.key in {"input_tokens", "output_tokens"}]
    if card.fixed:
        found.append(_made("requests", 1, card.fixed * 1000, card.fixed, whole=True))
    return found


def _line(line: Line, usage: Usage) -> InvoiceLine:
    amount = line.amount_in(usage)
    rate = line.rate * UNITS.units[line.key].per if line.per == 1 else line.rate
    return _made(line.key, amount, rate, line.price_of(amount, usage.input), whole=len(line.terms) == 1)


def _made(key: str, count: int | Decimal, rate: Decimal, amount: Decimal, *, whole: bool) -> InvoiceLine:
    unit = UNITS.units[key]
    family = {"tokens": "tokens", "durations": "seconds", "requests": "calls"}.get(unit.dimensions["family"], "searches")
    label = LABELS.get(key, key) if whole else f"{LABELS.get(key, key)}, the rest"
    return InvoiceLine(label=label, count=count, unit=family, rate=rate, per=PER[unit.per], amount=amount)


def usage_of_tokens(counted: TokenUsage | None) -> Usage:
    """As the dialect gave it. Where nothing was counted, nothing is billed by count."""
    if counted is None:
        return Usage(input=0, output=0)
    return Usage(
        input=counted.prompt or 0,
        output=counted.completion or 0,
        cache_read=counted.cache_read,
        cache_write=counted.cache_write,
        cache_write_5m=counted.cache_write_5m,
        cache_write_1h=counted.cache_write_1h,
        reasoning=counted.reasoning,
        citations=counted.citations,
        audio_input=counted.audio_input,
        audio_output=counted.audio_output,
        audio_cache_read=counted.audio_cache_read,
        image_input=counted.image_input,
        image_output=counted.image_output,
        video_input=counted.video_input,
        video_output=counted.video_output,
        audio_seconds=None if counted.audio_seconds is None else Decimal(counted.audio_seconds),
        web_searches=counted.web_searches,
    )
