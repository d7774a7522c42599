"""The whole role on one machine: a call on the log and in the lake, a webhook, and an alert; and what it leaves on the log."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventlog.codec import BatchId, decode, message_of
from eventlog.control import decide
from eventlog.events import DeadLetter
from eventlog.port import Log
from eventlog.retained import retained
from eventlog.topics import CALLS, DEAD_LETTERS
from runtime.deciding import opened_log
from runtime.settings import Settings
from runtime.webhooks_side import run
from tests.fakes.facts import priced
from tests.fakes.hooks import PATIENCE_S, alert, webhook
from tests.fakes.receiver import receiver
from tests.fakes.small_lake import SmallLake


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[None]:
    stop, ready = asyncio.Event(), asyncio.Event()
    chosen = Settings(data_dir=folder, **settings)
    role = asyncio.create_task(run(chosen, [], stop, ready.set))
    try:
        await asyncio.wait_for(ready.wait(), PATIENCE_S)
        yield
    finally:
        stop.set()
        await asyncio.wait_for(role, PATIENCE_S)


async def letters_on(log: Log) -> list[DeadLetter]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            records = [record async for part in retained(log, DEAD_LETTERS.name, group=f"test.{time.time()}") for record in part.records]
            if records:
                return [letter for record in records for letter in decode(DeadLetter, record.message)[0].events]
            await asyncio.sleep(0.01)


async def append(log: Log, number: int) -> None:
    writer = await log.writer()
    await writer.append([message_of(CALLS, 0, BatchId("e" * 32, number), [priced(number)])])
    await writer.close()


async def test_a_call_and_an_alert_are_told(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path / "lake")
    now = datetime.fromtimestamp(time.time(), UTC).isoformat()
    lake.add("calls", {"call_id": "call-000001", "created_at": now, "cost_usd": "11"})
    at = {"call_id": "call-000001", "created_at": priced(1).call.created_at.isoformat()}
    lake.add("bodies", at | {"side": "request", "text": '{"a": 1}'}, at | {"side": "response", "text": "é" * 6000})
    chosen = Settings(data_dir=tmp_path)
    async with receiver(500) as app, opened_log(chosen) as log:
        one = webhook(destination=app.url)
        await decide(log, [one, alert()])
        await append(log, 1)
        async with running(tmp_path, allow_private_targets=True):
            taken = await app.until(3)
    by_event = {each.headers["heliograph-event"]: each for each in taken}
    call, told = (json.loads(by_event[name].body) for name in ("call", "alert"))
    assert (call["request_id"], call["request_body"]) == ("call-000001", {"a": 1})
    assert "10 KiB" in call["response_body"]["helicone_message"]
    assert call["request_response_url"].startswith("http://localhost:8585/v1/request/call-000001/bodies?organization=default&webhook=w1")
    assert (told["type"], told["value"]) == ("alert.started", 11.0)
    for each in taken:
        assert each.headers["helicone-signature"] == hmac.new(one.hmac_key.encode(), each.body, hashlib.sha256).hexdigest()
    assert len({each.headers["heliograph-delivery"] for each in taken}) == 2


async def test_a_private_destination_is_a_dead_letter(tmp_path: Path) -> None:
    """It was allowed when the webhook was made, and is no more."""
    at = {"call_id": "call-000001", "created_at": priced(1).call.created_at.isoformat(), "omitted": True}
    SmallLake(tmp_path / "lake").add("bodies", at | {"side": "request"}, at | {"side": "response"})
    chosen = Settings(data_dir=tmp_path)
    async with receiver() as app, opened_log(chosen) as log:
        await decide(log, [webhook(destination=app.url.replace("http:", "https:"))])
        await append(log, 1)
        async with running(tmp_path):
            [letter] = await letters_on(log)
    assert app.taken == []
    assert (letter.reason, letter.topic, letter.offset, letter.call_id) == ("webhook_refused", CALLS.name, 0, "call-000001")
    assert "s3cret" not in letter.error
