"""Rows in a lake, and sinks that bring them there."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from eventlog.port import Log
from storage.config import StorageConfig
from storage.lake import Lake
from storage.sink import run_sink


def lake_at(folder: Path) -> Lake:
    return Lake.open(StorageConfig(lake_uri=str(folder), flush_seconds=0.2))


def call_ids(lake: Lake, table: str = "calls") -> Counter[str]:
    return Counter(lake.table(table).to_pyarrow_table(columns=["call_id"]).column("call_id").to_pylist())


async def rows(lake: Lake, count: int, table: str = "calls") -> Counter[str]:
    """How often each call is in a table, once that has so many rows."""
    async with asyncio.timeout(40):
        while (found := await asyncio.to_thread(call_ids, lake, table)).total() < count:
            await asyncio.sleep(0.05)
    return found


@asynccontextmanager
async def sinking(log: Log, lake: Lake, *, days_ago: float = 0) -> AsyncIterator[None]:
    """A sink for as long as the block lasts; then what it read is committed."""
    stop = asyncio.Event()

    def clock() -> float:
        return time.time() - days_ago * 86_400

    task = asyncio.create_task(run_sink(log, lake, lake.config, assemble=lambda event: None, stop=stop, clock=clock, drains=False))
    try:
        yield
    finally:
        stop.set()
        await task


def once(numbers: range) -> Counter[str]:
    return Counter(f"call-{number:06d}" for number in numbers)


@contextmanager
def away(table: Path) -> Iterator[None]:
    """Something else lies where the table was, as after a mount that went away."""
    elsewhere = table.rename(table.with_name("elsewhere"))
    table.touch()
    try:
        yield
    finally:
        table.unlink()
        elsewhere.rename(table)
