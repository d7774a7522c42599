"""`prices.toml`: prices of one's own, as people write them down and keep them beside their other configuration.

    [[price]]
    provider = "openai"
    model = "gpt-4o*"
    from = 2026-01-01
    rates = { input = 2.0, output = 8.0 }

It is read anew when it changes. One that cannot be read is told, and the prices that were read before go on counting.
"""

import asyncio
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Gauge

from eventlog.events import Organization
from eventlog.own_prices import EVERY, OwnPrice, checked_price, checked_together
from eventlog.own_rates import amount_text, told

LOOK_EVERY_S = 1.0
LIMIT = 4 << 20
"""Bytes. Nobody has so many prices."""
FIELDS = ("organization", "provider", "model", "from", "until", "rates")

REFUSED = Gauge(
    "heliograph_prices_file_refused", "1 while the prices file cannot be read, and earlier ones count.", multiprocess_mode="livemax"
)

log = structlog.get_logger()


class BadPrices(ValueError):
    """The file, or an entry of it, is not as it has to be. The message names the entry, the field and the fix."""


def parse_prices(text: str) -> tuple[OwnPrice, ...]:
    """Raises BadPrices."""
    try:
        said = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:  # no TOML, or numbers beyond all bounds
        raise BadPrices(f"it is no TOML: {error}") from None
    entries = said.pop("price", [])
    if said:
        raise BadPrices(f"it has {sorted(said)[0]!r}; it holds [[price]] entries and nothing else")
    if not isinstance(entries, list):
        raise BadPrices("each price begins with [[price]], in two brackets")
    prices: list[OwnPrice] = []
    for number, entry in enumerate(entries, start=1):
        try:
            prices.append(_price(entry))
        except ValueError as error:
            raise BadPrices(f"[[price]] {number}: {error}") from None
    try:
        checked_together(prices)
    except ValueError as error:
        raise BadPrices(str(error)) from None
    return tuple(prices)


def _price(entry: object) -> OwnPrice:
    if not isinstance(entry, dict):
        raise ValueError("it is no table")
    unknown = [name for name in entry if name not in FIELDS]
    if unknown:
        raise ValueError(f"it has {unknown[0]!r}; fields are {', '.join(FIELDS)}")
    if "rates" not in entry:
        raise ValueError("rates are missing, such as rates = { input = 2.0, output = 8.0 }")
    organization, model = _text(entry, "organization"), _text(entry, "model")
    return checked_price(
        OwnPrice(
            organization=None if organization is None else Organization(organization),
            provider=_text(entry, "provider"),
            model=EVERY if model is None else model,
            since=_time(entry, "from"),
            until=_time(entry, "until"),
            rates=_rates(entry["rates"]),
        )
    )


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is a text in quotes")
    return value


def _time(entry: Mapping[str, Any], name: str) -> datetime | None:
    """A day begins at midnight. UTC, unless it says otherwise."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError(f"{name} is a day or a time without quotes, such as 2026-01-01 or 2026-01-01T12:00:00Z")


def _rates(said: object) -> dict[str, str]:
    if not isinstance(said, dict):
        raise ValueError("rates is a table, such as rates = { input = 2.0, output = 8.0 }")
    rates = {}
    for name, amount in said.items():
        try:
            rates[name] = amount_text(amount)
        except ValueError as error:
            raise ValueError(f"rates: {name} {error}") from None
    return rates


class PriceFile:
    """What a file says, read anew when it changes. `must_exist`: somebody named it."""

    def __init__(self, path: Path, *, must_exist: bool) -> None:
        self.path = path
        self.prices: tuple[OwnPrice, ...] = ()
        self._must_exist = must_exist
        self._seen: object = None

    def read(self) -> None:
        """Raises BadPrices where it cannot be read; what was read before stays."""
        self._seen = self._stamp()
        self.prices = parse_prices(self._text())

    def _text(self) -> str:
        try:
            if self.path.stat().st_size > LIMIT:
                raise BadPrices(f"it has more than {LIMIT:,} bytes")
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            if self._must_exist:
                raise BadPrices("there is no such file") from None
            return ""
        except UnicodeDecodeError:
            raise BadPrices("it is no UTF-8") from None
        except OSError as error:
            raise BadPrices(f"it cannot be read: {error.strerror}") from None

    def _stamp(self) -> object:
        try:
            found = self.path.stat()
        except OSError as error:
            return error.errno
        return found.st_mtime_ns, found.st_size, found.st_ino

    async def follow(self) -> None:
        """For ever. A change counts once it has stood from one look to the next: a file may be half written, or gone for a moment."""
        last: object = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            before, last = last, self._stamp()
            if last == self._seen or last != before:
                continue
            try:
                await asyncio.to_thread(self.read)
            except BadPrices as error:
                REFUSED.set(1)
                log.error("prices_file_refused", file=str(self.path), error=str(error), meanwhile="the prices read before it count")
                continue
            REFUSED.set(0)
            log.info("prices_file_read", file=str(self.path), prices=[f"{each.name}: {told(each.rates)}" for each in self.prices][:20])
