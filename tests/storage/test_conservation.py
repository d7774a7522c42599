"""Tokens in are tokens shown: every case of every dialect, understood, come to rest, asked for by SQL and by REST."""

import asyncio
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec

from eventlog.codec import Batch, BatchId, message_of
from eventlog.events import CallId, CallPriced, RequestId, ResponseCompleted
from eventlog.topics import CALLS
from processors.calls import understand
from processors.pricing.rates import RateBook
from storage.api import create_api
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits, run_query
from storage.rows import money
from storage.sink import run_sink
from tests.fakes.memory_log import MemoryLog
from tests.processors.test_dialect_cases import FOLDERS, Case

EPOCH = "0123456789abcdef" * 2
ALL = Limits(rows=10_000)
SHOWN = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd")


def event_of(number: int, name: str) -> ResponseCompleted:
    event = Case(FOLDERS[name]).event
    known = {"call_id": CallId(f"call-{number:04d}"), "request_id": RequestId(f"request-{number:04d}")}
    return msgspec.structs.replace(event, call=msgspec.structs.replace(event.call, **known))


def understood() -> tuple[CallPriced, ...]:
    events = tuple(event_of(number, name) for number, name in enumerate(FOLDERS))
    return understand(Batch(id=BatchId(EPOCH, 1), partition=0, events=events), RateBook.bundled()).calls.events


def counts_of(call: CallPriced) -> tuple[int | Decimal | None, ...]:
    cost, usage = money(call.cost_usd), call.usage
    if usage is None:
        return (None, None, None, None, None, cost)
    return (usage.prompt, usage.completion, usage.cache_read, usage.cache_write, usage.reasoning, cost)


async def at_rest(calls: tuple[CallPriced, ...], folder: Path, *, sequence: int = 1, revision: int | None = None) -> StorageConfig:
    """In the lake there. More than once: each message has its sequence; a replay's rows replace others."""
    batch_id = BatchId(EPOCH if revision is None else "e" * 32, sequence)
    message = message_of(CALLS, 0, batch_id, calls)
    if revision is not None:
        message = msgspec.structs.replace(message, headers=(("replay", str(revision)),))
    log, config, stop = MemoryLog(), StorageConfig(lake_uri=str(folder), flush_seconds=0.05), asyncio.Event()
    await (await log.writer()).append((message,))
    stop.set()
    await run_sink(log, Lake.open(config), config, assemble=lambda _: None, stop=stop)
    return config


async def test_tokens_and_cost_are_the_same_at_every_door(tmp_path: Path) -> None:
    calls = understood()
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
        for call_id, counts in list(expected.items())[::10]:
            found = (await api.get(f"/v1/calls/{call_id}")).json()
            assert tuple(found[name] for name in SHOWN[:5]) == counts[:5], call_id
            assert (None if found["cost_usd"] is None else Decimal(str(found["cost_usd"]))) == counts[5], call_id
