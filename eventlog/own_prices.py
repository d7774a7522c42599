"""Prices that people set for calls of theirs, in the place of a price list's: by organization, provider, model and time.

Of several that fit a call the most specific counts. Two that are equally specific, fit the same calls and hold at the same time
contradict each other, and are refused.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from msgspec import Struct

from eventlog.events import Instant, Organization
from eventlog.own_rates import checked_rates, told

EVERY = "*"
ANY = "?"
WILD = EVERY + ANY
LONGEST = 256
"""Characters of a name or a pattern."""
MOST = 1_000
"""Prices of one source. Each pattern is compared with every other, and with each model's name that was not seen before."""
MEMO_LIMIT = 4096
"""Callers choose model names, so there is no end of them."""


class BadPrice(ValueError):
    """A field of a price is not as it has to be: the message names it, and what is expected. `field`: as people write it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class PricesRefused(ValueError):
    """Prices that cannot count together: `fault` says why, `fix` what to do."""

    code = "prices_refused"

    def __init__(self, fault: str, fix: str) -> None:
        self.fault, self.fix = fault, fix
        super().__init__(f"{fault} {fix}")


class Contradiction(PricesRefused):
    """Two of which nobody could say which counts."""

    code = "prices_contradict"

    def __init__(self, one: "OwnPrice", other: "OwnPrice") -> None:
        super().__init__(
            f"{one.name} and {other.name} are equally specific and hold for the same calls at the same time.",
            "End one before the other begins (until, from), make one more specific, or take one away.",
        )


class TooMany(PricesRefused):
    code = "too_many_prices"


class OwnPrice(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="own-price"):
    """Rates, and which calls they are for."""

    organization: Organization | None = None
    """None: of every organization."""
    provider: str | None = None
    """Lower-case name, or a host; None: of every provider."""
    model: str = EVERY
    """A model's name, or a pattern: `*` stands for any text, `?` for one character. Upper and lower case are one."""
    since: Instant | None = None
    """Calls that began then or later."""
    until: Instant | None = None
    """Calls that began before."""
    rates: dict[str, str]
    """As `eventlog.own_rates` has them."""

    def fits(self, organization: Organization, provider: str, model: str) -> bool:
        return self.is_for(organization, provider) and _compiled(self.model).fullmatch(model[:LONGEST]) is not None

    def is_for(self, organization: Organization, provider: str) -> bool:
        return self.organization in {None, organization} and self.provider in {None, provider}

    def holds_at(self, at: datetime) -> bool:
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    @property
    def specificity(self) -> tuple[bool, bool, int, bool]:
        """More is more specific: an organization's own, then a whole name before a pattern, a long pattern, a provider's own."""
        fixed = sum(1 for each in self.model if each not in WILD)
        return self.organization is not None, fixed == len(self.model), fixed, self.provider is not None

    @property
    def key(self) -> str:
        """What a later setting has to share to take its place."""
        begin = "" if self.since is None else self.since.isoformat()
        return f"{self.organization or EVERY}/{self.provider or EVERY}/{self.model.lower()}/{begin}"

    @property
    def id(self) -> str:
        """What it is named by where it is shown, and taken away."""
        return f"price-{sha256(self.key.encode()).hexdigest()[:10]}"

    @property
    def name(self) -> str:
        """For people: which calls it is for."""
        span = [f"from {_short(self.since)}"] if self.since is not None else []
        span += [f"until {_short(self.until)}"] if self.until is not None else []
        whose = f" of {self.organization}" if self.organization is not None else ""
        return " ".join([f"{self.provider or EVERY}/{self.model}{whose}", *span])

    @property
    def source(self) -> str:
        return f"own price for {self.name}: {told(self.rates)}"


def checked_price(price: OwnPrice) -> OwnPrice:
    """As it is kept. Raises BadPrice."""
    for field, text in (("organization", price.organization), ("provider", price.provider), ("model", price.model)):
        if text is not None and not _is_text(text):
            raise BadPrice(field, f"{field} holds a NUL or half of a character")
    model = re.sub(r"\*+", EVERY, price.model.strip().lower())
    if not model or len(model) > LONGEST or any(each.isspace() for each in model):
        raise BadPrice("model", f"model is a name or a pattern of 1 to {LONGEST} characters without blanks, such as gpt-4o*")
    provider = None if price.provider in {None, EVERY} else str(price.provider).strip().lower()
    if provider is not None and (not provider or len(provider) > LONGEST or any(each in ", *?" for each in provider)):
        raise BadPrice("provider", "provider is a lower-case name such as openai, or a host; leave it out for all")
    since, until = _utc("from", price.since), _utc("until", price.until)
    if since is not None and until is not None and since >= until:
        raise BadPrice("from", "from has to lie before until")
    organization = None if price.organization in {None, EVERY} else price.organization
    if organization is not None and not 0 < len(organization) <= LONGEST:
        raise BadPrice("organization", f"organization is a name of 1 to {LONGEST} characters; leave it out for all")
    try:
        rates = checked_rates(price.rates)
    except ValueError as error:
        raise BadPrice("rates", f"rates: the price {error}") from None
    return OwnPrice(organization=organization, provider=provider, model=model, since=since, until=until, rates=rates)


def joined(prices: Iterable[OwnPrice], more: OwnPrice) -> tuple[OwnPrice, ...]:
    """With `more`, in the place of the one of the same key. Raises Contradiction."""
    together = (*(price for price in prices if price.key != more.key), more)
    checked_together(together)
    return together


def checked_together(prices: Sequence[OwnPrice]) -> None:
    """Raises TooMany, and Contradiction."""
    if len(prices) > MOST:
        raise TooMany(f"There are more than {MOST:,} prices.", "Let a pattern stand for many models, or remove those that are over.")
    if (found := contradiction(prices)) is not None:
        raise Contradiction(*found)


def contradiction(prices: Sequence[OwnPrice]) -> tuple[OwnPrice, OwnPrice] | None:
    """Two of which nobody could say which counts."""
    alike: dict[tuple[object, ...], list[OwnPrice]] = {}
    for price in prices:
        of_one = "" if any(each in price.model for each in WILD) else price.model.lower()
        others = alike.setdefault((price.organization, price.provider, price.specificity, of_one), [])
        for other in others:
            if _hold_together(price, other) and both_match(price.model, other.model):
                return other, price
        others.append(price)
    return None


class OwnPrices:
    """All that were set. A later source counts before an earlier one where they are equally specific. Not shared between threads."""

    def __init__(self, *sources: Iterable[OwnPrice]) -> None:
        ranked = [(price.specificity, rank, price) for rank, prices in enumerate(sources) for price in prices]
        self.all = tuple(price for *_, price in sorted(ranked, key=lambda each: each[:2], reverse=True))
        """The most specific first."""
        self._named: dict[str, list[int]] = {}
        self._patterns: list[tuple[int, re.Pattern[str]]] = []
        for at, price in enumerate(self.all):
            if any(each in price.model for each in WILD):
                self._patterns.append((at, _compiled(price.model)))
            else:
                self._named.setdefault(price.model.lower(), []).append(at)
        self._fitting: dict[tuple[str, str, str], tuple[OwnPrice, ...]] = {}

    def find(self, organization: Organization, provider: str, model: str, at: datetime) -> OwnPrice | None:
        """The one that counts for such a call, which began at `at` (aware)."""
        if not self.all:
            return None
        key = (organization, provider, model)
        fitting = self._fitting.get(key)
        if fitting is None:
            if len(self._fitting) >= MEMO_LIMIT:
                self._fitting.clear()
            fitting = self._fitting[key] = tuple(price for price in self._of_model(model) if price.is_for(organization, provider))
        return next((price for price in fitting if price.holds_at(at)), None)

    def _of_model(self, model: str) -> Iterable[OwnPrice]:
        name = model[:LONGEST]
        matching = (at for at, pattern in self._patterns if pattern.fullmatch(name) is not None)
        return (self.all[at] for at in sorted([*self._named.get(name.lower(), ()), *matching]))


def both_match(one: str, other: str) -> bool:
    """Whether some text matches both patterns."""
    one, other = one.lower(), other.lower()
    if not _begin_alike(one, other) or not _begin_alike(one[::-1], other[::-1]):
        return False
    reached = [not other[:at].strip(EVERY) for at in range(len(other) + 1)]  # by nothing of `one`, and so much of `other`
    for each in one:
        further = [reached[0] and each == EVERY]
        for at, its in enumerate(other, start=1):
            if EVERY in {each, its}:
                further.append(reached[at] or further[-1])
            else:
                further.append(reached[at - 1] and (each == its or ANY in {each, its}))
        reached = further
    return reached[-1]


def _begin_alike(one: str, other: str) -> bool:
    """False where already the texts before any wildcard tell two patterns apart."""
    for each, its in zip(one, other, strict=False):
        if each in WILD or its in WILD:
            return True
        if each != its:
            return False
    return True


def _is_text(text: str) -> bool:
    return "\0" not in text and text == text.encode("utf-8", "ignore").decode()


def _utc(field: str, at: datetime | None) -> datetime | None:
    try:
        return None if at is None else at.astimezone(UTC)
    except OverflowError:
        raise BadPrice(field, f"{field} lies beyond the years 1 to 9999 in UTC") from None


def _hold_together(one: OwnPrice, other: OwnPrice) -> bool:
    """Whether there is a moment at which both hold."""
    begins = [each.since for each in (one, other) if each.since is not None]
    ends = [each.until for each in (one, other) if each.until is not None]
    return not begins or not ends or max(begins) < min(ends)


def _compiled(pattern: str) -> re.Pattern[str]:
    """What stands behind a `*` is taken where it comes first, and not looked for again: else a hostile name takes seconds."""
    first, *rest = ("".join("." if each == ANY else re.escape(each) for each in piece) for piece in pattern.split(EVERY))
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.DOTALL | re.IGNORECASE)


def _short(at: datetime | None) -> str:
    if at is None:
        return ""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0) else at.isoformat().replace("+00:00", "Z")
