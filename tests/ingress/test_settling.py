"""What calls cost is brought to the windows that limit it: once for each call, whoever reads, and whenever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from eventlog.codec import BatchId, message_of
from eventlog.embedded import EmbeddedLog
from eventlog.events import CallFacts, CallId, CallPriced, Outcome, RequestId, Spend
from eventlog.port import Log
from eventlog.topics import CALLS
from ingress.ledger import SharedLedger, Window
from ingress.policies import parse_policy
from ingress.settling import Settler
from ingress.telemetry import Telemetry
from tests.fakes.keyring import MADE_AT

POLICY = "5;w=600;u=cents"
WINDOW = Window(b"w" * 16, parse_policy(POLICY))


class World:
    def __init__(self, folder: Path, log: EmbeddedLog) -> None:
        self.folder, self.log = folder / "ledger", log
        self.ledger = SharedLedger(self.folder)
        self._sequence = 0

    def priced(self, name: str, cost: str | None, *, ledger: str | None = None) -> CallPriced:
        spend = Spend(ledger=ledger or self.ledger.id, window=WINDOW.id.hex(), policy=POLICY)
        facts = CallFacts(
            call_id=CallId(name),
            request_id=RequestId(name),
            created_at=MADE_AT,
            provider="openai",
            method="POST",
            path="/",
            target_url="http://x/",
            spends=(spend,),
        )
        return CallPriced(call=facts, completed_at=MADE_AT, outcome=Outcome.COMPLETED, latency_ms=1.0, cost_usd=cost)

    async def tell(self, *calls: CallPriced) -> None:
        self._sequence += 1
        writer = await self.log.writer()
        await writer.append([message_of(CALLS, 0, BatchId("a" * 32, self._sequence), calls)])
        await writer.close()

    async def remaining(self) -> int:
        return (await self.ledger.judge([WINDOW])).verdicts[0].remaining

    async def until(self, remaining: int) -> None:
        async with asyncio.timeout(30):
            while await self.remaining() != remaining:
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[Log]:
            log = await EmbeddedLog.open(self.folder.parent / "log")
            try:
                yield log
            finally:
                await log.close()

        task = asyncio.create_task(Settler(opened, self.ledger, self.folder, Telemetry(), clock=MADE_AT.timestamp).run())
        await asyncio.sleep(0.3)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    log = await EmbeddedLog.open(tmp_path / "log")
    made = World(tmp_path, log)
    await made.ledger.limit_costs()
    yield made
    made.ledger.close()
    await log.close()


async def test_costs_count_once(world: World) -> None:
    async with world.settling():
        await world.tell(world.priced("a", "0.015"), world.priced("b", "0.01"), world.priced("a", "0.015"))
        await world.until(2)
        await world.tell(world.priced("b", "0.01"), world.priced("c", None), world.priced("d", "1", ledger="another's"))
        await world.tell(world.priced("e", "0.03"))
        await world.until(0)
        assert not (await world.ledger.judge([WINDOW])).verdicts[0].allowed


async def test_what_cannot_be_read_holds_up_nothing(world: World) -> None:
    async with world.settling():
        bad = world.priced("bad", "0.01")
        spends = (
            Spend(ledger=world.ledger.id, window="no hex", policy=POLICY),
            Spend(ledger=world.ledger.id, window="00", policy="1e-05;w=1"),
        )
        await world.tell(replace(bad, call=replace(bad.call, spends=spends)), world.priced("a", "0.01"))
        await world.until(4)


async def test_whoever_comes_after_goes_on_where_it_ended(world: World) -> None:
    async with world.settling():
        await world.tell(world.priced("a", "0.01"))
        await world.until(4)
    await world.tell(world.priced("b", "0.01"))
    async with world.settling():
        await world.until(3)


async def test_what_was_spent_long_ago_counts_no_more(world: World) -> None:
    """It may have been counted already, and that forgotten."""
    old, late = (
        replace(world.priced(name, cost), completed_at=MADE_AT - timedelta(seconds=age_s))
        for name, cost, age_s in (("old", "0.01", 600 + 3600 + 1), ("late", "0.02", 3600 + 1))
    )
    async with world.settling():
        await world.tell(old)
        await world.tell(late)
        await world.until(3)


async def test_one_of_several_settles(world: World) -> None:
    async with world.settling(), world.settling():
        await world.tell(*[world.priced(f"{number}", "0.001") for number in range(20)])
        await world.until(3)
        await asyncio.sleep(0.3)
        assert await world.remaining() == 3


async def test_nobody_reads_before_a_call_is_limited_by_cost(tmp_path: Path) -> None:
    ledger = SharedLedger(tmp_path)

    def opened() -> contextlib.AbstractAsyncContextManager[Log]:
        raise AssertionError

    task = asyncio.create_task(Settler(opened, ledger, tmp_path, Telemetry()).run())
    await asyncio.sleep(0.7)
    assert not task.done()
    task.cancel()
    ledger.close()
