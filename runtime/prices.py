"""The prices that were set, by a file and by `heliograph prices set`, as whoever prices calls knows them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from eventlog.control import Decided
from eventlog.events import Organization
from eventlog.following import Following
from eventlog.own_prices import OwnPrice, OwnPrices
from eventlog.waiting import first_of
from runtime.deciding import beside, copy_of, opened_log
from runtime.price_file import BadPrices, PriceFile
from runtime.settings import Misconfigured, Settings

FILE = "prices.toml"


class By(StrEnum):
    """Where a price comes from."""

    SET = "set"
    FILE = "file"


log = structlog.get_logger()


def price_file(chosen: Settings) -> PriceFile:
    """Read. Raises Misconfigured."""
    path = chosen.prices_file or chosen.data_dir / FILE
    file = PriceFile(path, must_exist=chosen.prices_file is not None)
    try:
        file.read()
    except BadPrices as error:
        raise Misconfigured(f"{path}: {str(error).rstrip('.')}. `heliograph prices check` reads it without starting anything.") from None
    return file


def listed(of_file: Iterable[OwnPrice], were_set: Iterable[OwnPrice]) -> list[tuple[OwnPrice, By]]:
    """The most specific first."""
    were_set = tuple(were_set)
    known = set(map(id, were_set))
    return [(price, By.SET if id(price) in known else By.FILE) for price in OwnPrices(of_file, were_set).all]


def shown(price: OwnPrice, by: By) -> dict[str, Any]:
    """As JSON has it, wherever a price is shown."""
    return {
        "id": price.id if by is By.SET else None,
        "organization": price.organization,
        "provider": price.provider,
        "model": price.model,
        "from": None if price.since is None else price.since.isoformat(),
        "until": None if price.until is None else price.until.isoformat(),
        "rates": price.rates,
        "by": by.value,
    }


class Prices:
    """What was set counts from the moment that it is read. Of equally specific prices, those set by command count before the file's."""

    def __init__(self, file: PriceFile, decided: Callable[[], tuple[OwnPrice, ...]]) -> None:
        self._file, self._decided = file, decided
        self._made_of: tuple[tuple[OwnPrice, ...], tuple[OwnPrice, ...]] = ((), ())
        self._known = OwnPrices()

    @property
    def known(self) -> OwnPrices:
        sources = (self._file.prices, self._decided())
        if sources[0] is not self._made_of[0] or sources[1] is not self._made_of[1]:
            self._known, self._made_of = OwnPrices(*sources), sources
        return self._known

    @property
    def listed(self) -> list[tuple[OwnPrice, By]]:
        return listed(self._file.prices, self._decided())

    def in_file(self, id_: str) -> Path | None:
        """The file, if a price of that id stands in it."""
        return self._file.path if any(price.id == id_ for price in self._file.prices) else None

    def find(self, organization: Organization, provider: str, model: str, at: datetime) -> OwnPrice | None:
        return self.known.find(organization, provider, model, at)


@contextlib.asynccontextmanager
async def followed_prices(chosen: Settings, stop: asyncio.Event) -> AsyncIterator[tuple[Prices, Decided] | None]:
    """Prices, and all that is decided, followed for as long as the block runs.

    It begins when they are known: from the log, for a copy may be of long ago. None where `stop` came before. Raises Misconfigured.
    """
    file = await asyncio.to_thread(price_file, chosen)
    chosen.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    following = Following(lambda: opened_log(chosen), copy_of(chosen))
    async with beside(following.run(), "prices"), beside(file.follow(), "prices_file"):
        heard = await first_of(following.heard, stop)
        yield (Prices(file, lambda: following.decided.own_prices), following.decided) if heard else None
