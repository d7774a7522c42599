"""From the log to webhooks: who hears of what, what comes again after a crash, what is given up, and where the group stands."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from eventlog.codec import decode, message_of
from eventlog.events import CallPriced, DeadLetter, Organization, Source
from eventlog.port import LogUnavailable, Place
from eventlog.topics import CALLS, DEAD_LETTERS
from eventlog.webhooks import PropertyIs, Webhook
from processors.webhooks.bodies import Bodies, Key
from processors.webhooks.courier import CourierLimits
from processors.webhooks.deliveries import Tried
from processors.webhooks.messages import CallTold, Sides
from processors.webhooks.office import Office
from processors.webhooks.telling import GROUP, Lettering, Telling
from tests.fakes.facts import calls_message, priced
from tests.fakes.hooks import PATIENCE_S, Outside, Sent, webhook
from tests.fakes.memory_log import MemoryLog

PLACE = (CALLS.name, 0)
QUICK = CourierLimits(settle_s=0.0, look_again_s=0.001)
SIDES = Sides("asked", "answered")


async def at_rest(calls: Sequence[CallTold]) -> dict[Key, Sides]:
    return {(call.organization, call.call_id): SIDES for call in calls}


@dataclass
class Reader:
    """One life of the role."""

    log: MemoryLog
    outside: Outside
    webhooks: dict[str, Webhook]
    limits: CourierLimits = QUICK
    ask: Callable[..., Any] = at_rest
    held: list[frozenset[Place]] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        letters = Lettering()
        link = lambda one, call: f"https://here/{one.id}/{call.call_id}"  # noqa: E731
        self.office = Office(self.outside.post, self.ask, link, letters.give_up, self.limits)
        telling = Telling(self.log, lambda: self.webhooks, self.office, letters, clock=time.time, on_change=self.held.append)
        self.running = asyncio.create_task(telling.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.running, PATIENCE_S)

    async def die(self) -> None:
        """As a process does: nothing is finished, nothing committed."""
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.office.close(0)


@asynccontextmanager
async def reading(log: MemoryLog, outside: Outside, *webhooks: Webhook, **more: Any) -> AsyncIterator[Reader]:
    reader = Reader(log, outside, {each.id: each for each in webhooks}, **more)
    try:
        yield reader
    finally:
        await reader.end()


async def append(log: MemoryLog, *calls: CallPriced, partition: int = 0, sequence: int = 1) -> None:
    message = calls_message("e" * 32, sequence, [], partition=partition)
    await (await log.writer()).append([message_of(CALLS, partition, message.batch_id, calls)])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)


def letters_in(log: MemoryLog) -> list[DeadLetter]:
    return [letter for message in log.messages(DEAD_LETTERS.name) for letter in decode(DeadLetter, message)[0].events]


class TestWhoHears:
    async def test_each_webhook_of_what_it_wants(self) -> None:
        log, outside = MemoryLog(), Outside()
        await append(log, priced(1), priced(2, organization="acme"), priced(3, properties={"plan": "pro"}))
        pro = webhook("pro", property_filters=(PropertyIs(key="plan", value="pro"),), include_data=False)
        async with reading(log, outside, webhook("all"), pro, webhook("theirs", organization=Organization("acme"))):
            await outside.until(4)
        keys = ["call-000001.all", "call-000002.theirs", "call-000003.all", "call-000003.pro"]
        assert sorted(each.key for each in outside.sent) == keys
        assert log.committed(GROUP) == {PLACE: 1}
        told = {each.key: json.loads(each.body) for each in outside.sent}
        assert told["call-000001.all"]["request_response_url"] == "https://here/all/call-000001"
        assert told["call-000003.pro"] == {"request_id": "call-000003", "request_body": "asked", "response_body": "answered"}

    async def test_a_history_that_is_brought_in_is_not_told(self) -> None:
        log, outside, now = MemoryLog(), Outside(), datetime.fromtimestamp(time.time(), UTC)
        old, fresh = priced(1, source=Source.ASYNC_LOG), priced(2, source=Source.ASYNC_LOG)
        await append(log, old, replace(fresh, completed_at=now))
        async with reading(log, outside, webhook("all")):
            await outside.until(1)
            await until(lambda: log.committed(GROUP) == {PLACE: 1})
        assert [each.key for each in outside.sent] == ["call-000002.all"]

    async def test_what_was_understood_before_there_was_the_webhook_is_not_told(self) -> None:
        log, outside = MemoryLog(), Outside()
        await append(log, priced(1))
        fresh = webhook("fresh", created_at=datetime.fromtimestamp(time.time(), UTC))
        async with reading(log, outside, fresh, webhook("old", property_filters=(PropertyIs(key="x", value="y"),))):
            await append(log, priced(2), sequence=2)
            await outside.until(1)
        assert [each.key for each in outside.sent] == ["call-000002.fresh"]

    async def test_a_replay_is_not_told(self) -> None:
        log, outside = MemoryLog(), Outside()
        replayed = replace(calls_message("f" * 32, 1, [1]), headers=(("replay", "1"),))
        await (await log.writer()).append([replayed])
        async with reading(log, outside, webhook()):
            await append(log, priced(2))
            await outside.until(1)
        assert [each.key for each in outside.sent] == ["call-000002.w1"]

    async def test_webhooks_come_and_go_while_it_runs(self) -> None:
        log, outside = MemoryLog(), Outside(lambda sent: stalled() if "gone" in sent.key else Tried(status=200))
        async with reading(log, outside, webhook("gone")) as reader:
            await append(log, priced(1))
            await outside.until(1)
            reader.webhooks = {"new": webhook("new")}
            await until(lambda: log.committed(GROUP) == {PLACE: 1})  # nothing waits for one that is gone
            await append(log, priced(2), sequence=2)
            await outside.until(2)
        assert [each.key for each in outside.sent] == ["call-000001.gone", "call-000002.new"]
        assert letters_in(log) == []

    async def test_without_webhooks_positions_move(self) -> None:
        log = MemoryLog()
        await append(log, priced(1))
        async with reading(log, Outside()):
            await until(lambda: log.committed(GROUP) == {PLACE: 1})


def stalled() -> asyncio.Future[Tried]:
    return asyncio.get_running_loop().create_future()


class TestOneForAll:
    async def test_a_dead_webhook_holds_up_no_other(self) -> None:
        log, outside = MemoryLog(), Outside(lambda sent: stalled() if "dead" in sent.key else Tried(status=200))
        async with reading(log, outside, webhook("dead"), webhook("good")) as reader:
            for number in range(30):
                await append(log, priced(number), sequence=number + 1)
            await until(lambda: sum("good" in each.key for each in outside.sent) == 30)
            await until(lambda: log.committed(GROUP) != {})
            assert log.committed(GROUP) == {PLACE: 0}  # what the dead one has not taken is not passed over
            await reader.office.close(0)

    async def test_nor_does_it_hold_the_position_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("processors.webhooks.deliveries.FIRST_PAUSE_S", 0.001)
        log, outside = MemoryLog(), Outside(lambda _: Tried(status=503))
        async with reading(log, outside, webhook(), limits=replace(QUICK, give_up_s=0.05)):
            await append(log, priced(1), priced(2))
            await until(lambda: log.committed(GROUP) == {PLACE: 1})
        letters = letters_in(log)
        assert {(each.topic, each.partition, each.offset, each.index) for each in letters} == {(CALLS.name, 0, 0, 0), (CALLS.name, 0, 0, 1)}
        assert {(each.reason, each.organization, each.call_id) for each in letters} == {
            ("webhook_failed", "default", "call-000001"),
            ("webhook_failed", "default", "call-000002"),
        }
        assert all(each.error.startswith("webhook w1 at w1.example: it answered 503 (tries: ") for each in letters)
        assert not any("t0p" in each.error for each in letters)

    async def test_what_does_not_fit_is_a_dead_letter_at_once(self) -> None:
        log, outside = MemoryLog(), Outside(lambda sent: stalled() if "dead" in sent.key else Tried(status=200))
        async with reading(log, outside, webhook("dead"), webhook("good"), limits=replace(QUICK, waiting=2)) as reader:
            for number in range(5):
                await append(log, priced(number), sequence=number + 1)
                await until(lambda number=number: sum("good" in each.key for each in outside.sent) == number + 1)
            await until(lambda: len(letters_in(log)) == 3)
            assert {(each.reason, each.call_id) for each in letters_in(log)} == {
                ("webhook_overloaded", f"call-{number:06d}") for number in (2, 3, 4)
            }
            await reader.office.close(0)

    async def test_what_was_missed_is_read_no_faster_than_it_is_taken(self) -> None:
        log, outside = MemoryLog(), Outside()
        for number in range(50):
            await append(log, priced(number), sequence=number + 1)
        async with reading(log, outside, webhook(), limits=replace(QUICK, waiting=2)):
            await until(lambda: log.committed(GROUP) == {PLACE: 50})
        assert len(outside.sent) == 50
        assert letters_in(log) == []


class TestCrashes:
    async def test_at_least_once_and_known_by_its_key(self) -> None:
        log = MemoryLog()
        for number in range(10):
            await append(log, priced(number), sequence=number + 1)
        first = Outside(lambda sent: stalled() if sent.key.startswith("call-000004") else Tried(status=200))
        reader = Reader(log, first, {"w1": webhook()})
        await first.until(10)
        await until(lambda: log.committed(GROUP) == {PLACE: 4})
        await reader.die()
        second = Outside()
        async with reading(log, second, webhook()):
            await second.until(6)
            await until(lambda: log.committed(GROUP) == {PLACE: 10})
        keys = Counter(each.key for each in (*first.sent, *second.sent))
        assert set(keys) == {f"call-{number:06d}.w1" for number in range(10)}
        assert [each.key for each in second.sent if each.key.startswith("call-000004")] == ["call-000004.w1"]
        assert first.sent[4].body == second.sent[0].body

    async def test_a_letter_is_durable_before_the_position_moves(self) -> None:
        log, outside = MemoryLog(), Outside(lambda _: Tried(error="private", refused=True))
        await append(log, priced(1))
        log.fail_with(LogUnavailable("away"), times=3)
        async with reading(log, outside, webhook()):
            await until(lambda: log.committed(GROUP) == {PLACE: 1})
        assert [each.reason for each in letters_in(log)] == ["webhook_refused"]

    async def test_it_waits_for_a_log_that_is_away(self) -> None:
        log, outside = MemoryLog(), Outside()
        async with reading(log, outside, webhook()):
            log.fail_reads_with(LogUnavailable("away"))
            await append(log, priced(1))
            log.heal()
            await outside.until(1)

    async def test_what_the_log_forgot_is_gone_and_the_rest_is_told(self) -> None:
        log, outside = MemoryLog(), Outside()
        for number in range(4):
            await append(log, priced(number), sequence=number + 1)
        log.remember(GROUP, {PLACE: 1})
        log.expire(CALLS.name, 0, before=3)
        async with reading(log, outside, webhook()):
            await outside.until(1)
        assert [each.key for each in outside.sent] == ["call-000003.w1"]
        assert log.committed(GROUP) == {PLACE: 4}

    async def test_it_says_which_partitions_it_holds(self) -> None:
        async with reading(MemoryLog(partitions=2), Outside()) as reader:
            await until(lambda: bool(reader.held))
            assert reader.held[-1] == {(CALLS.name, 0), (CALLS.name, 1)}


class TestBodies:
    async def test_they_are_asked_for_together(self) -> None:
        asked: list[int] = []
        answered = asyncio.Event()

        async def ask(calls: Sequence[CallTold]) -> dict[Key, Sides]:
            asked.append(len(calls))
            await answered.wait()
            return await at_rest(calls)

        bodies = Bodies(ask)
        wanted = [asyncio.create_task(bodies.of(CallTold.of(priced(number)))) for number in (1, 2, 2, 3)]
        await until(lambda: asked == [3])
        wanted += [asyncio.create_task(bodies.of(CallTold.of(priced(number)))) for number in range(10, 310)]
        answered.set()
        assert await asyncio.gather(*wanted) == [SIDES] * 304
        assert asked == [3, 200, 100]

    async def test_another_organizations_bodies_are_not_told(self) -> None:
        """Whoever chooses call ids cannot choose one of somebody else's."""

        async def ask(calls: Sequence[CallTold]) -> dict[Key, Sides]:
            return {(Organization("acme"), call.call_id): SIDES for call in calls}

        log, outside = MemoryLog(), Outside()
        await append(log, priced(1))
        async with reading(log, outside, webhook(), ask=ask, limits=replace(QUICK, bodies_s=0.0)):
            sent: list[Sent] = await outside.until(1)
        assert "not at rest" in sent[0].body.decode()
