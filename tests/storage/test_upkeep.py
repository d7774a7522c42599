"""Maintenance in its own process: it merges, survives failure, and lets itself be stopped."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from eventlog.events import Organization
from eventlog.lifetimes import Lifetimes, Span
from storage import telemetry
from storage.lake import Lake
from storage.upkeep import run_upkeep
from tests.storage.test_maintenance import TODAY, lake_of_small_files, put
from tests.storage.test_sink import call_ids, names


async def _run(lake: Lake, stop: asyncio.Event) -> None:
    noon = datetime.combine(TODAY, datetime.min.time(), UTC).timestamp() + 43_200
    config = replace(lake.config, maintenance_seconds=0.05)
    await run_upkeep(Lake(config), stop=stop, clock=lambda: noon, behind=timedelta)


@asynccontextmanager
async def upkeep(lake: Lake) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    running = asyncio.create_task(_run(lake, stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await running


async def test_small_files_are_merged_in_another_process(tmp_path: Path) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=6)
    before = telemetry.COMPACTIONS.labels("calls")._value.get()
    async with upkeep(lake), asyncio.timeout(30):
        while telemetry.COMPACTIONS.labels("calls")._value.get() == before:
            await asyncio.sleep(0.05)
    assert len(lake.files("calls")) == 1
    assert call_ids(lake) == names(range(6))


async def test_stopping_does_not_wait_for_a_round_and_loses_nothing(tmp_path: Path) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=6)
    async with upkeep(lake):
        await asyncio.sleep(0.3)  # the process has been started, and is importing
    assert call_ids(lake) == names(range(6))


@asynccontextmanager
async def retention(lake: Lake, lives: Lifetimes, *, days_later: int = 0) -> AsyncIterator[list[dict[str, Any]]]:
    """What is told while rows are kept for so long."""
    stop, config = asyncio.Event(), replace(lake.config, maintenance_seconds=0.05)
    at = datetime.combine(TODAY + timedelta(days=days_later), datetime.min.time(), UTC).timestamp() + 43_200
    with capture_logs() as told:
        running = asyncio.create_task(run_upkeep(Lake(config), stop=stop, clock=lambda: at, behind=timedelta, lifetimes=lambda: lives))
        try:
            async with asyncio.timeout(30):
                yield told
        finally:
            stop.set()
            await running


async def test_what_its_process_says_is_told_here(tmp_path: Path) -> None:
    lake, _ = lake_of_small_files(tmp_path, files=2)
    before = telemetry.EXPIRED_ROWS.labels("calls")._value.get()
    async with retention(lake, Lifetimes(usual=Span(facts=5, bodies=5)), days_later=40) as told:
        while telemetry.EXPIRED_ROWS.labels("calls")._value.get() == before:
            await asyncio.sleep(0.05)
    assert not call_ids(lake)
    [line] = [each for each in told if each["event"] == "rows_expired"]
    assert (line["table"], line["rows"], line["log_level"]) == ("calls", 2, "info")


async def test_a_step_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    """A file that retention has to read is damaged; small files are merged all the same."""
    lake, sink = lake_of_small_files(tmp_path, files=1, day=-40)
    Path(lake.files("calls")[0]).write_bytes(b"no Parquet")
    for number in range(10, 16):
        put(sink, number)
    lives = Lifetimes(own={Organization("default"): Span(facts=5, bodies=5)})
    async with retention(lake, lives) as told:
        while len(lake.files("calls")) > 2 or not any(each.get("step") == "expire" for each in told):
            await asyncio.sleep(0.05)


async def test_a_failure_is_told_and_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake, _ = lake_of_small_files(tmp_path / "lake", files=6)
    shutil.move(tmp_path / "lake", tmp_path / "away")
    async with upkeep(lake):
        async with asyncio.timeout(20):
            seen = ""
            while "maintenance_failed" not in seen:
                await asyncio.sleep(0.05)
                seen += capsys.readouterr().out
        with suppress(FileNotFoundError):
            shutil.move(tmp_path / "away", tmp_path / "lake")
        async with asyncio.timeout(30):
            while len(lake.files("calls")) > 1:
                await asyncio.sleep(0.05)
    assert call_ids(lake) == names(range(6))
