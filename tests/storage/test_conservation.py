"""Tokens in are tokens shown: every case of every dialect, understood, come to rest, asked for by SQL and by REST."""

import asyncio
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from eventlog.codec import Batch, BatchId, message_of
from eventlog.events import CallId, CallPriced, PriceBasis, RequestId, ResponseCompleted, TokenUsage
from eventlog.topics import CALLS
from processors.calls import understand
from processors.pricing.invoice import Booked, NotExplained, invoice_of
from processors.pricing.rates import RateBook
from storage.api import create_api
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits, run_query
from storage.rows import COUNT_COLUMNS, money, seconds, usage_in
from storage.sink import run_sink
from tests.fakes.memory_log import MemoryLog
from tests.processors.test_dialect_cases import FOLDERS, Case

EPOCH = "0123456789abcdef" * 2
ALL = Limits(rows=10_000)
SHOWN = (*COUNT_COLUMNS, "audio_seconds", "cost_usd")
EXACT = ("audio_seconds", "cost_usd")
"""Decimals; in JSON they are numbers."""
BOOKED = ("call_id", "outcome", "usage_source", "usage_method", "price_source", "price_basis", "rates", *SHOWN)


def event_of(number: int, name: str) -> ResponseCompleted:
    event = Case(FOLDERS[name]).event
    known = {"call_id": CallId(f"call-{number:04d}"), "request_id": RequestId(f"request-{number:04d}")}
    return replace(event, call=replace(event.call, **known))


def understood() -> tuple[CallPriced, ...]:
    events = tuple(event_of(number, name) for number, name in enumerate(FOLDERS))
    return understand(Batch(id=BatchId(EPOCH, 1), partition=0, events=events), RateBook.bundled()).calls.events


def counts_of(call: CallPriced) -> tuple[int | Decimal | None, ...]:
    usage = call.usage or TokenUsage()
    return (*(getattr(usage, field) for field in COUNT_COLUMNS.values()), seconds(usage.audio_seconds), money(call.cost_usd))


async def at_rest(calls: tuple[CallPriced, ...], folder: Path, *, sequence: int = 1, revision: int | None = None) -> StorageConfig:
    """In the lake there. More than once: each message has its sequence; a replay's rows replace others."""
    batch_id = BatchId(EPOCH if revision is None else "e" * 32, sequence)
    message = message_of(CALLS, 0, batch_id, calls)
    if revision is not None:
        message = replace(message, headers=(("replay", str(revision)),))
    log, config, stop = MemoryLog(), StorageConfig(lake_uri=str(folder), flush_seconds=0.05), asyncio.Event()
    await (await log.writer()).append((message,))
    stop.set()
    await run_sink(log, Lake.open(config), config, assemble=lambda _: None, stop=stop)
    return config


def filmed(like: CallPriced) -> CallPriced:
    """No case has an answer of video: no model gives one so far."""
    usage = TokenUsage(prompt=5, completion=90, video_output=80)
    return replace(like, call=replace(like.call, call_id=CallId("call-filmed")), usage=usage, cost_usd=None)


async def test_tokens_and_cost_are_the_same_at_every_door(tmp_path: Path) -> None:
    calls = understood()
    calls = (filmed(calls[0]), *calls)
    expected = {str(call.call.call_id): counts_of(call) for call in calls}
    assert sum(1 for counts in expected.values() if counts[0]) > 100
    config = await at_rest(calls, tmp_path / "lake")
    rows = run_query(Lake.open(config), f"SELECT call_id, {', '.join(SHOWN)} FROM calls", limits=ALL).table.to_pylist()
    assert {row["call_id"]: tuple(row[name] for name in SHOWN) for row in rows} == expected
    for grouping in ("model", "provider", "dialect", "finish_reason, status"):
        await the_groups_add_up(config, grouping, expected)
    await rest_says_the_same(config, expected)


async def the_groups_add_up(config: StorageConfig, grouping: str, expected: dict[str, tuple[int | Decimal | None, ...]]) -> None:
    sums = ", ".join(f"sum({name}) AS {name}" for name in SHOWN)
    groups = run_query(Lake.open(config), f"SELECT {sums} FROM calls GROUP BY {grouping}", limits=ALL).table.to_pylist()
    for at, name in enumerate(SHOWN):
        assert sum(group[name] or 0 for group in groups) == sum(counts[at] or 0 for counts in expected.values()), (grouping, name)


async def rest_says_the_same(config: StorageConfig, expected: dict[str, tuple[int | Decimal | None, ...]]) -> None:
    app = create_api(config)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as api:
        for call_id, counts in [*list(expected.items())[::10], *(some_with(at, expected) for at in range(len(SHOWN)))]:
            found = (await api.get(f"/v1/calls/{call_id}")).json()
            exact = {name: None if found[name] is None else Decimal(str(found[name])) for name in EXACT}
            assert tuple((found | exact)[name] for name in SHOWN) == counts, call_id


def some_with(at: int, expected: dict[str, tuple[int | Decimal | None, ...]]) -> tuple[str, tuple[int | Decimal | None, ...]]:
    return next((call_id, counts) for call_id, counts in expected.items() if counts[at])


async def test_the_invoice_of_a_row_adds_up_to_its_cost(tmp_path: Path) -> None:
    config = await at_rest(understood(), tmp_path / "lake")
    rows = run_query(Lake.open(config), f"SELECT {', '.join(BOOKED)} FROM calls", limits=ALL).table.to_pylist()
    by_lines = 0
    for row in rows:
        basis, usage = PriceBasis(row["price_basis"]), usage_in(row)
        seen = Booked(cost=row["cost_usd"], source=row["price_source"], basis=basis, rates=dict(row["rates"]), usage=usage)
        if row["cost_usd"] is None:
            with pytest.raises(NotExplained, match=r"^unpriced: "):
                invoice_of(seen)
            continue
        invoice = invoice_of(seen)
        assert money(str(invoice.total)) == row["cost_usd"], row["call_id"]
        assert sum(line.amount for line in invoice.lines) == invoice.total
        assert all(line.amount >= 0 for line in invoice.lines)
        by_lines += len(invoice.lines) > 1
    assert by_lines > 100


async def test_what_was_counted_is_read_back_from_the_row(tmp_path: Path) -> None:
    calls = {str(call.call.call_id): call.usage for call in understood()}
    config = await at_rest(understood(), tmp_path / "lake")
    rows = run_query(Lake.open(config), f"SELECT {', '.join(BOOKED)} FROM calls", limits=ALL).table.to_pylist()
    for row in rows:
        found, usage = usage_in(row), calls[row["call_id"]]
        assert (found is None) == (usage is None)
        if found is not None and usage is not None:
            lengths = [None if each.audio_seconds is None else Decimal(each.audio_seconds) for each in (found, usage)]
            assert lengths[0] == lengths[1]
            assert replace(found, audio_seconds=usage.audio_seconds) == usage
