"""What prices a role begins with."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from eventlog.control import Decided, decide, key_of, remember
from eventlog.events import DEFAULT_ORGANIZATION
from eventlog.own_prices import OwnPrice
from runtime.deciding import copy_of, opened_log
from runtime.prices import followed_prices
from runtime.settings import Settings

AT = datetime(2026, 11, 26, tzinfo=UTC)
OLD, NEW = (OwnPrice(model="house-1", rates={"request": rate}) for rate in ("1", "2"))


async def test_a_copy_of_long_ago_prices_nothing(tmp_path: Path) -> None:
    """What was set while the role was down counts for all that waited for it."""
    chosen, old = Settings(data_dir=tmp_path), Decided()
    old.replace({key_of(OLD): OLD})
    remember(copy_of(chosen), old)
    async with opened_log(chosen) as log:
        await decide(log, [NEW])
    async with followed_prices(chosen, asyncio.Event()) as followed:
        assert followed is not None
        assert followed[0].find(DEFAULT_ORGANIZATION, "openai", "house-1", AT) == NEW


async def test_whoever_is_told_to_end_before_prices_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.write_text("no folder")  # so that no log can be opened
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(30), followed_prices(Settings(data_dir=tmp_path), stop) as prices:
        assert prices is None
