"""One model's rates on one day, ready to be multiplied.

A price list has a rate for a whole (the prompt) and others for parts of it (what was read from the cache). A token is paid once, at the
rate of the narrowest part it belongs to; so each line of a card counts its part less the narrower ones on the same card.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter

from genai_prices import types as listed
from genai_prices.data_units import unit_data
from genai_prices.units import UnitDef, UnitRegistry
from msgspec import Struct

from eventlog.own_rates import COUNTED, FILE_SEARCH, REQUEST, WEB_SEARCH, OwnRates
from processors.usage import Usage

UNITS = UnitRegistry(unit_data)

FIELDS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "output_reasoning_tokens": "reasoning",
    "output_citation_tokens": "citations",
    "input_audio_tokens": "audio_input",
    "output_audio_tokens": "audio_output",
    "cache_audio_read_tokens": "audio_cache_read",
    "input_image_tokens": "image_input",
    "output_image_tokens": "image_output",
    "input_video_tokens": "video_input",
    "output_video_tokens": "video_output",
    "audio_seconds": "audio_seconds",
    "web_searches": "web_searches",
    "storage_searches": "file_searches",
}
"""What a usage counts: genai-prices' names, and ours."""

KEYS = tuple(FIELDS)

FREE = ":free"
"""Routers mark so what costs nothing. Another entry without a rate is one that the price list does not know."""

SELDOM_SAID = frozenset({"cache_audio_read_tokens", "output_image_tokens", "output_video_tokens"})
"""Parts that some providers report and others do not: what is missing is no zero where the card prices it apart."""

ANSWERS_KIND = frozenset({"output_image_tokens", "output_video_tokens"})
"""Any token of an answer may be one of these, at ten times the price of text."""

OWN_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    WEB_SEARCH: "web_searches_kcount",
    FILE_SEARCH: "storage_searches_kcount",
    REQUEST: "requests_kcount",
}
"""Names of rates that people state, and the price list's."""

REQUESTS = OWN_KEYS[REQUEST]
ONE = Decimal(1)
SECONDS = "audio_seconds"
AUDIO = frozenset({"input_audio_tokens", "output_audio_tokens"})


counts_of: Callable[[Usage], tuple[int | Decimal | None, ...]] = attrgetter(*FIELDS.values())
"""In the order of `KEYS`; None is not reported."""


class Unpriced(Struct, frozen=True):
    """Why there is no price."""

    reason: str


class Line(Struct, frozen=True):
    """A rate in USD per unit, and what it is to be multiplied with: the sum of some counts, each times a small number."""

    key: str
    terms: tuple[tuple[str, int], ...]
    rate: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()
    """(prompts above, rate) from the highest down: beyond a step, all tokens of the call have its rate."""
    per: int = 1
    """A rate by the hour is divided last, or it would be no exact number."""

    def rate_of(self, prompt: int) -> Decimal:
        for above, rate in self.steps:
            if prompt > above:
                return rate
        return self.rate

    def amount_in(self, usage: Usage) -> int | Decimal:
        """So many of its units; below 0 where the parts exceed the whole."""
        amount: int | Decimal = 0
        for field, times in self.terms:
            if count := getattr(usage, field):
                amount += count * times
        return amount

    def price_of(self, amount: int | Decimal, prompt: int) -> Decimal:
        price = amount * (self.rate_of(prompt) if self.steps else self.rate)
        return price if self.per == 1 else price / self.per


class Gap(Struct, frozen=True):
    """A part that the card prices and that was not reported, while some counts would have to be split by it."""

    key: str
    touched: tuple[int, ...]
    overlaps: tuple[tuple[int, int], ...]

    def matters(self, counts: Sequence[int | Decimal | None]) -> bool:
        if self.key in SELDOM_SAID and counts[KEYS.index(self.key)] is not None:
            return False
        return any(counts[at] for at in self.touched) or any(counts[a] and counts[b] for a, b in self.overlaps)


class Card(Struct, frozen=True, kw_only=True):
    """The rates of one model."""

    name: str
    source: str
    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    fixed: Decimal
    """USD for each request, whatever its size."""
    steps: tuple[int, ...]
    prices_audio: bool
    """False where audio tokens would be billed as text, though they are not."""
    prices_tokens: bool
    prices_seconds: bool
    prices_cached: bool
    """False where cached tokens would be billed as others, though they are not."""
    prices_searches: bool
    """False where searches in the web would cost nothing, though they are billed."""
    prices_file_searches: bool
    in_force: tuple[dict[str, str], ...]
    """For prompts above each of `steps`, and last for all shorter ones: all its rates by the price list's names, USD in plain digits."""

    def cost_of(self, usage: Usage) -> Decimal | Unpriced:
        """USD, exact."""
        for gap in self.gaps:
            if gap.matters(counts_of(usage)):
                return Unpriced(f"the provider does not report {gap.key}, which {self.name} prices apart")
        cost, prompt = self.fixed, usage.input
        for line in self.lines:
            amount = line.amount_in(usage)
            if amount:
                if amount < 0:
                    return Unpriced(f"the parts of {line.key} exceed it")
                cost += line.price_of(amount, prompt)
        return cost

    def source_of(self, prompt: int) -> str:
        """Names the package, its version, the price, and the step of prompt length."""
        step = next((above for above in self.steps if prompt > above), None)
        return self.source if step is None else f"{self.source}, prompts over {step}"

    def rates_for(self, prompt: int) -> dict[str, str]:
        """The rates in force for a prompt of so many tokens."""
        for above, rates in zip(self.steps, self.in_force, strict=False):
            if prompt > above:
                return rates
        return self.in_force[-1]


Rate = Decimal | listed.TieredPrices


def card_of(prices: listed.ModelPrice, *, name: str, source: str, uniform: bool, times: Decimal = ONE) -> Card | Unpriced:
    """`uniform`: a part without a rate costs what the whole does. `times`: by which the rate of every token is multiplied, and no other."""
    rates = _rates(prices)
    if rates is None:
        return Unpriced(f"the price list's entry for {name} is not sound")
    if times != ONE:
        rates = {key: _dearer(rate, times) if _is_tokens(key) else rate for key, rate in rates.items()}
    tokens = {key: rate for key, rate in rates.items() if key != "requests"}
    lines = tuple(_line(key, rate, _terms(key, tokens)) for key, rate in sorted(tokens.items()) if _terms(key, tokens))
    if not lines and not (FREE in name and not rates):
        return Unpriced(f"{name} is not priced by tokens")
    steps = tuple(sorted({above for line in lines for above, _ in line.steps}, reverse=True))
    return Card(
        name=name,
        source=source,
        lines=lines,
        gaps=tuple(_gaps(key for key in sorted(tokens) if key not in KEYS or key in SELDOM_SAID)),
        fixed=_per_unit(_base(rates["requests"]), "requests") if "requests" in rates else Decimal(0),
        steps=steps,
        in_force=tuple(_told(rates, prompt) for prompt in (*(above + 1 for above in steps), 0)),
        prices_audio=uniform or bool(AUDIO & tokens.keys()),
        prices_tokens=not lines or any(line.key != SECONDS for line in lines),
        prices_seconds=SECONDS in tokens,
        prices_cached=uniform or "cache_read_tokens" in tokens,
        prices_searches="web_searches" in tokens,
        prices_file_searches="storage_searches" in tokens,
    )


def own_card(own: OwnRates, source: str) -> Card:
    """`own` as `eventlog.own_rates` checks it."""
    if "cache_write_1h" in own:
        own = {"cache_write": own["input"]} | dict(own)  # the price list knows no rate for an hour without one for the rest
    return stated_card(own_keys(own), source)


def own_keys(own: OwnRates) -> dict[str, str]:
    """The same rates by the price list's names, which count by the thousand."""
    return {OWN_KEYS[name]: plain(Decimal(amount) * 1000) if name in COUNTED else amount for name, amount in own.items()}


def stated_card(rates: Mapping[str, str], source: str) -> Card:
    """Of rates by the price list's names, such as a call's row keeps."""
    amounts = {key: Decimal(amount) for key, amount in rates.items()}
    if amounts.keys() == {REQUESTS}:
        return Card(
            name=source,
            source=source,
            lines=(),
            gaps=(),
            fixed=_per_unit(amounts[REQUESTS], "requests"),
            steps=(),
            prices_audio=True,
            prices_tokens=True,
            prices_seconds=True,
            prices_cached=True,
            prices_searches=True,
            prices_file_searches=True,
            in_force=(dict(rates),),
        )
    card = card_of(listed.ModelPrice(**amounts), name=source, source=source, uniform=True)
    if isinstance(card, Unpriced):
        raise ValueError(card.reason)
    return card


def plain(amount: Decimal) -> str:
    """Plain digits, exact, without trailing zeros."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _rates(prices: listed.ModelPrice) -> dict[str, Rate] | None:
    """By usage key. None when genai-prices itself cannot price with them."""
    try:
        prices.calc_price({"input_tokens": 0, "output_tokens": 0})
    except ValueError:
        return None
    given = {key: value for key, value in vars(prices).items() if not key.startswith("_") and value is not None}
    return {UNITS.unit_for_price_key(key).usage_key: value for key, value in given.items()}


def _line(key: str, rate: Rate, terms: tuple[tuple[str, int], ...]) -> Line:
    if key == SECONDS:
        return Line(key, terms, _base(rate), per=UNITS.units[key].per)
    steps = rate.tiers if isinstance(rate, listed.TieredPrices) else []
    downwards = tuple((step.start, _per_unit(step.price, key)) for step in reversed(steps))
    return Line(key, terms, _per_unit(_base(rate), key), downwards)


def _dearer(rate: Rate, times: Decimal) -> Rate:
    if isinstance(rate, Decimal):
        return rate * times
    return listed.TieredPrices(base=rate.base * times, tiers=[listed.Tier(step.start, step.price * times) for step in rate.tiers])


def _told(rates: Mapping[str, Rate], prompt: int) -> dict[str, str]:
    return {UNITS.units[key].price_key: plain(_at(rate, prompt)) for key, rate in sorted(rates.items())}


def _at(rate: Rate, prompt: int) -> Decimal:
    steps = rate.tiers if isinstance(rate, listed.TieredPrices) else []
    return next((step.price for step in reversed(steps) if prompt > step.start), _base(rate))


def _base(rate: Rate) -> Decimal:
    return rate.base if isinstance(rate, listed.TieredPrices) else rate


def _per_unit(rate: Decimal, key: str) -> Decimal:
    return rate / UNITS.units[key].per


def _terms(key: str, priced: Mapping[str, Rate]) -> tuple[tuple[str, int], ...]:
    """The counts that make up a part less its narrower ones."""
    return tuple((FIELDS[name], times) for name, times in _leaf(key, priced).items() if times and name in FIELDS)


def _leaf(key: str, priced: Mapping[str, Rate]) -> dict[str, int]:
    total = {key: 1}
    for narrower in priced:
        if narrower != key and _within(key, narrower):
            for name, times in _leaf(narrower, priced).items():
                total[name] = total.get(name, 0) - times
    return total


def _is_tokens(key: str) -> bool:
    return UNITS.units[key].dimensions["family"] == "tokens"


def _within(whole: str, narrower: str) -> bool:
    return UNITS.units[whole].dimensions.items() <= UNITS.units[narrower].dimensions.items()


def _gaps(keys: Iterable[str]) -> Iterable[Gap]:
    """Those that can matter: what is counted in none of our counts splits none of them."""
    return (gap for gap in map(_gap, keys) if gap.touched or gap.overlaps)


def _gap(key: str) -> Gap:
    known = [(at, UNITS.units[name]) for at, name in enumerate(KEYS)]
    unit = UNITS.units[key]
    pairs = ((a, b) for a, first in known for b, second in known if a < b and _meet_in(unit, first, second))
    touched = [at for at, other in known if _within(key, other.usage_key)]
    if key in ANSWERS_KIND:
        touched.append(KEYS.index("output_tokens"))
    return Gap(key, tuple(touched), tuple(pairs))


def _meet_in(unit: UnitDef, first: UnitDef, second: UnitDef) -> bool:
    """Whether what is both is just this part."""
    if _within(first.usage_key, second.usage_key) or _within(second.usage_key, first.usage_key):
        return False
    return first.is_compatible_with(second) and unit.dimensions == {**first.dimensions, **second.dimensions}
