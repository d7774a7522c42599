"""A call's cost, line by line: what was counted, at which rate, and what that comes to. Made from what its row keeps, and nothing else.

So a cost that was booked a year ago is explained by the rates that were in force then, whatever the price list says today.
"""

from collections.abc import Mapping
from decimal import Decimal

from genai_prices.units import UnitDef
from msgspec import Struct

from eventlog.events import CallPriced, PriceBasis, TokenUsage
from processors.pricing.cards import FIELDS, UNITS, Line, stated_card
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
    "storage_searches": "file searches",
    "requests": "each call",
}
"""What a line is for, by the price list's name of the unit; in the order of an invoice."""

ORDER = {key: at for at, key in enumerate(LABELS)}

PER = {1_000_000: "million {}", 1_000: "thousand {}", 3_600: "hour"}
FAMILIES = {"tokens": "tokens", "durations": "seconds", "requests": "calls", "tool_calls": "searches", "rerank": "searches"}
NO_LINES: dict[PriceBasis, str] = {
    PriceBasis.STATED: "as it was stated",
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


class Booked(Struct, frozen=True, kw_only=True):
    """What a call's row keeps of its cost."""

    cost: Decimal | None
    """USD."""
    source: str | None
    basis: PriceBasis | None
    """None in a row that was written before it was kept."""
    rates: dict[str, str]
    usage: TokenUsage | None


def booked(call: CallPriced) -> Booked:
    cost = None if call.cost_usd is None else Decimal(call.cost_usd)
    return Booked(cost=cost, source=call.price_source, basis=call.price_basis, rates=call.rates, usage=call.usage)


def invoice_of(row: Booked) -> Invoice:
    """Raises NotExplained for a call without a cost, and for one whose row was written before its rates were kept."""
    if row.cost is None:
        raise NotExplained(row.source or "unpriced: the cost is not known")
    if row.basis in NO_LINES:
        line = InvoiceLine(label=NO_LINES[row.basis], count=1, unit="calls", rate=row.cost, per="call", amount=row.cost)
        return Invoice(lines=(line,), total=row.cost)
    if row.basis is None:
        raise NotExplained("the row was written by an earlier version, which kept no rates with it. `heliograph replay` writes it anew.")
    lines = tuple(lines_of(row.rates, usage_of_tokens(row.usage)))
    return Invoice(lines=lines, total=sum((line.amount for line in lines), Decimal(0)))


def lines_of(rates: Mapping[str, str], usage: Usage) -> list[InvoiceLine]:
    """`rates` by the price list's names, as a row keeps them."""
    if not rates:
        return []
    card = stated_card(rates, "")
    lines = sorted(card.lines, key=lambda line: ORDER.get(line.key, len(ORDER)))
    found = [made for line in lines if (made := _line(line, usage)).amount or line.key in {"input_tokens", "output_tokens"}]
    if card.fixed:
        found.append(_made("requests", 1, card.fixed * 1000, card.fixed, whole=True))
    return found


def _line(line: Line, usage: Usage) -> InvoiceLine:
    amount = line.amount_in(usage)
    rate = line.rate * UNITS.units[line.key].per if line.per == 1 else line.rate
    whole = line.key in FIELDS and amount == (getattr(usage, FIELDS[line.key]) or 0)
    return _made(line.key, amount, rate, line.price_of(amount, usage.input), whole=whole)


def _made(key: str, count: int | Decimal, rate: Decimal, amount: Decimal, *, whole: bool) -> InvoiceLine:
    label = LABELS.get(key, key) if whole else f"{LABELS.get(key, key)}, the rest"
    counted, per = _counted(UNITS.units[key])
    return InvoiceLine(label=label, count=count, unit=counted, rate=rate, per=per, amount=amount)


def _counted(unit: UnitDef) -> tuple[str, str]:
    """What is counted, and how much of it a rate is for."""
    counted = FAMILIES.get(unit.dimensions["family"], unit.dimensions["family"])
    return counted, PER.get(unit.per, f"{unit.per:,} {{}}").format(counted)


def rate_told(name: str) -> str:
    """What a rate is for, by the price list's name of it: `a million tokens of the prompt`."""
    unit = UNITS.unit_for_price_key(name)
    return f"a {_counted(unit)[1]}: {LABELS.get(unit.usage_key, unit.usage_key)}"


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
        file_searches=counted.file_searches,
    )
