"""Work that is billed once and told of often is booked with one call, once: in any order, however often one looks, after a replay too."""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eventlog.codec import Batch, BatchId
from eventlog.events import Organization, ResponseCompleted
from processors.calls import understand
from processors.pricing.rates import RateBook
from storage.jobs import book_jobs
from storage.lake import Lake
from storage.query import run_query
from tests.processors.events import AT, call, completed
from tests.storage.test_conservation import at_rest

TODAY, NOW = AT.date(), datetime(2026, 11, 26, tzinfo=UTC)
USED = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, "output_tokens_details": {"reasoning_tokens": 60}}
RESULT = {"type": "succeeded", "message": {"model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 1000, "output_tokens": 100}}}


def event(
    name: str, body: object, path: str, *, minute: int, method: str = "GET", provider: str = "openai", **facts: Any
) -> ResponseCompleted:
    made = call(
        provider, path, call_id=name, request_id=name, method=method, created_at=AT + timedelta(minutes=minute), model=None, **facts
    )
    return completed(body if isinstance(body, str) else json.dumps(body), facts=made)


def response(status: str, usage: object = None) -> dict[str, object]:
    return {"id": "resp_1", "model": "gpt-5-2025-08-07", "background": True, "status": status, "usage": usage}


BEGUN = event("begun", response("queued"), "/v1/responses", method="POST", minute=0, user_id="u-1")
RUNNING = event("running", response("in_progress"), "/v1/responses/resp_1", minute=1)
DONE, AGAIN = (
    event(name, response("completed", USED), "/v1/responses/resp_1", minute=minute) for name, minute in (("done", 2), ("again", 3))
)
BATCH_BEGUN = event("begun", {"id": "batch_1", "object": "batch", "status": "validating"}, "/v1/batches", method="POST", minute=0)
BATCH_DONE = event(
    "done",
    {"id": "batch_1", "object": "batch", "status": "completed", "model": "gpt-5-2025-08-07", "usage": USED},
    "/v1/batches/batch_1",
    minute=2,
)
CLAUDES_BEGUN = event(
    "begun", {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}, "/v1/messages/batches", method="POST",
    minute=0, provider="anthropic",
)  # fmt: skip
CLAUDES_DONE = event(
    "done", "\n".join(json.dumps({"custom_id": f"c{n}", "result": RESULT}) for n in range(3)), "/v1/messages/batches/msgbatch_1/results",
    minute=2, provider="anthropic",
)  # fmt: skip
COST = Decimal("0.00225")  # 1,000 at 1.25, 100 at 10


async def lake_of(folder: Path, *events: ResponseCompleted) -> Lake:
    calls = understand(Batch(id=BatchId("f" * 32, 1), partition=0, events=events), RateBook.bundled()).calls.events
    return Lake.open(await at_rest(calls, folder / "lake"))


def look(lake: Lake) -> int:
    return book_jobs(lake, TODAY, NOW)


def shown(lake: Lake, *columns: str) -> dict[str, tuple[Any, ...]]:
    rows = run_query(lake, f"SELECT call_id, {', '.join(columns)} FROM calls").table.to_pylist()
    return {row["call_id"]: tuple(row[name] for name in columns) for row in rows}


def whole(lake: Lake) -> tuple[Any, ...]:
    return tuple(
        run_query(lake, "SELECT sum(cost_usd), sum(prompt_tokens), sum(completion_tokens) FROM calls").table.to_pylist()[0].values()
    )


async def test_it_is_booked_with_the_call_that_began_it(tmp_path: Path) -> None:
    lake = await lake_of(tmp_path, BEGUN, RUNNING, DONE, AGAIN)
    assert look(lake) == 3
    assert shown(lake, "prompt_tokens", "reasoning_tokens", "cost_usd", "price_basis", "model", "user_id", "revision") == {
        "begun": (1000, 60, COST, "list", "gpt-5-2025-08-07", "u-1", 1),
        "running": (0, None, 0, "free", "gpt-5-2025-08-07", None, 0),
        "done": (0, None, 0, "free", "gpt-5-2025-08-07", None, 1),
        "again": (0, None, 0, "free", "gpt-5-2025-08-07", None, 1),
    }
    assert shown(lake, "price_source")["done"] == ("free: booked with call begun",)
    assert shown(lake, "price_source")["begun"][0].startswith("genai-prices ")
    assert look(lake) == 0
    assert whole(lake) == (COST, 1000, 100)


ORDERS = {"-".join(each.call.call_id for each in events): events for events in itertools.permutations([BEGUN, DONE, AGAIN])}


@pytest.mark.parametrize("arriving", ORDERS.values(), ids=ORDERS)
async def test_in_whatever_order_they_come_it_is_booked_once(arriving: Sequence[ResponseCompleted], tmp_path: Path) -> None:
    """Each comes to rest, and is looked at, before the next."""
    lake = await lake_of(tmp_path, arriving[0])
    look(lake)
    for number, each in enumerate(arriving[1:], start=2):
        calls = understand(Batch(id=BatchId("f" * 32, number), partition=0, events=(each,)), RateBook.bundled()).calls.events
        await at_rest(calls, tmp_path / "lake", sequence=number)
        look(lake)
    assert whole(lake) == (COST, 1000, 100)
    assert sum(1 for (cost,) in shown(lake, "cost_usd").values() if cost) == 1


async def test_one_whose_beginning_is_not_here_is_booked_with_the_first_that_told(tmp_path: Path) -> None:
    lake = await lake_of(tmp_path, AGAIN, DONE)
    look(lake)
    assert shown(lake, "cost_usd", "price_basis") == {"done": (COST, "list"), "again": (0, "free")}


CASES = {
    "a batch of OpenAI's": (BATCH_BEGUN, BATCH_DONE, COST / 2, 1000),
    "a batch of Anthropic's": (CLAUDES_BEGUN, CLAUDES_DONE, Decimal("0.00675"), 3000),  # 3 times 1,000 at 1.5 and 100 at 7.5
}


@pytest.mark.parametrize(("begun", "done", "cost", "prompt"), CASES.values(), ids=CASES)
async def test_a_batch_at_half_the_price(
    begun: ResponseCompleted, done: ResponseCompleted, cost: Decimal, prompt: int, tmp_path: Path
) -> None:
    lake = await lake_of(tmp_path, begun, done)
    assert look(lake) == 2
    assert shown(lake, "cost_usd", "prompt_tokens", "price_context") == {
        "begun": (cost, prompt, [("processing", "batch")]),
        "done": (0, 0, [("processing", "batch")]),
    }


async def test_what_two_organizations_do_is_not_the_same_work(tmp_path: Path) -> None:
    theirs = event("theirs", response("completed", USED), "/v1/responses/resp_1", minute=1, organization=Organization("acme"))
    lake = await lake_of(tmp_path, BEGUN, DONE, theirs)
    look(lake)
    assert shown(lake, "cost_usd") == {"begun": (COST,), "done": (0,), "theirs": (COST,)}


async def test_a_price_that_nobody_knows_stays_unknown_and_is_booked_with_its_tokens(tmp_path: Path) -> None:
    house = response("completed", USED) | {"model": "house-1"}
    lake = await lake_of(tmp_path, BEGUN, event("done", house, "/v1/responses/resp_1", minute=2))
    assert look(lake) == 2
    assert shown(lake, "cost_usd", "prompt_tokens", "price_basis") == {"begun": (None, 1000, "unknown"), "done": (0, 0, "free")}
    assert look(lake) == 0


async def test_a_response_that_told_at_once_is_booked_already(tmp_path: Path) -> None:
    at_once = event("begun", response("completed", USED), "/v1/responses", method="POST", minute=0)
    lake = await lake_of(tmp_path, at_once, DONE)
    assert look(lake) == 1
    assert shown(lake, "cost_usd", "revision") == {"begun": (COST, 0), "done": (0, 1)}


@pytest.mark.parametrize("again", [(BEGUN,), (DONE,), (BEGUN, DONE, AGAIN)], ids=["the first", "the last", "all"])
async def test_after_a_replay_it_is_booked_anew(again: Sequence[ResponseCompleted], tmp_path: Path) -> None:
    lake = await lake_of(tmp_path, BEGUN, DONE, AGAIN)
    look(lake)
    calls = understand(Batch(id=BatchId("e" * 32, 1), partition=0, events=tuple(again)), RateBook.bundled()).calls.events
    await at_rest(calls, tmp_path / "lake", revision=2)
    look(lake)
    assert whole(lake) == (COST, 1000, 100)
    assert look(lake) == 0


async def test_nothing_is_looked_for_where_nobody_told(tmp_path: Path) -> None:
    lake = await lake_of(tmp_path, BEGUN, RUNNING, completed())
    assert look(lake) == 0
    assert book_jobs(await lake_of(tmp_path / "old", BEGUN, DONE), date(2027, 1, 1), NOW) == 0


async def test_what_is_booked_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = await lake_of(tmp_path, BEGUN, DONE, AGAIN)
    look(lake)
    monkeypatch.setattr("storage.jobs._about", lambda *_: pytest.fail("looked at"))
    assert look(lake) == 0
