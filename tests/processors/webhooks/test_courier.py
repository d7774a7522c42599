"""One webhook's courier: what is tried again and for how long, what is lost and why, and what waits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from eventlog.webhooks import Webhook
from processors.webhooks.courier import Courier, CourierLimits
from processors.webhooks.deliveries import AlertTold, Delivery, Lost, Origin, Tried, pause_after
from processors.webhooks.messages import CallTold
from tests.fakes.facts import priced
from tests.fakes.hooks import PATIENCE_S, Outside, Sent, webhook

QUICK = CourierLimits(settle_s=0.0, look_again_s=0.001)
ORIGIN = Origin("llm.calls.v1", 0, 0, 0, 0.0)


@dataclass
class Ends:
    """What became of each message, by its key: `done`, and why it was lost."""

    done: list[str] = field(default_factory=list)
    lost: list[tuple[str, Lost, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def give_up(self, _: Webhook, delivery: Delivery, why: Lost, error: str) -> None:
        self.lost.append((delivery.key, why, error))
        delivery.done()

    def end(self, key: str) -> None:
        self.done.append(key)
        self.news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.done) < count:
                self.news.clear()
                await self.news.wait()


def delivery(key: str, ends: Ends, *, call: bool = False, wanted: Callable[[], bool] = lambda: True) -> Delivery:
    told = CallTold.of(priced(1)) if call else AlertTold(key.encode())
    return Delivery(key=key, told=told, origin=ORIGIN, done=partial(ends.end, key), wanted=wanted)


async def written(_: Webhook, each: Delivery, patient: bool) -> bytes | None:
    return each.key.encode()


def courier(outside: Outside, ends: Ends, limits: CourierLimits = QUICK) -> Courier:
    return Courier(webhook(), outside.post, written, ends.give_up, limits, drawn=lambda: 0.0)


async def test_each_message_is_sent_and_over() -> None:
    outside, ends = Outside(), Ends()
    one = courier(outside, ends)
    assert all(one.offer(delivery(str(number), ends)) for number in range(20))
    await ends.until(20)
    await one.drain(1)
    assert sorted(each.key for each in outside.sent) == sorted(map(str, range(20)))
    assert (ends.lost, one.waiting) == ([], 0)


async def test_what_is_not_taken_is_tried_again_under_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.webhooks.deliveries.FIRST_PAUSE_S", 0.001)
    answers = [Tried(status=500), Tried(error="closed"), Tried(status=302), Tried(status=204)]
    outside, ends = Outside(lambda _: answers.pop(0)), Ends()
    one = courier(outside, ends)
    one.offer(delivery("k", ends))
    await ends.until(1)
    assert [each.key for each in outside.sent] == ["k"] * 4
    assert ends.lost == []
    await one.drain(1)


async def test_a_message_has_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.webhooks.deliveries.FIRST_PAUSE_S", 0.001)
    outside, ends = Outside(lambda _: Tried(status=503)), Ends()
    one = courier(outside, ends, CourierLimits(give_up_s=0.1, settle_s=0))
    one.offer(delivery("k", ends))
    await ends.until(1)
    [(key, why, error)] = ends.lost
    assert (key, why) == ("k", Lost.FAILED)
    assert error == f"it answered 503 (tries: {len(outside.sent)})"
    assert len(outside.sent) > 1
    await one.drain(1)


async def test_where_we_may_not_send_is_not_tried_again() -> None:
    outside, ends = Outside(lambda _: Tried(error="it leads to 10.0.0.1", refused=True)), Ends()
    one = courier(outside, ends)
    one.offer(delivery("k", ends))
    await ends.until(1)
    assert ends.lost == [("k", Lost.REFUSED, "it leads to 10.0.0.1 (tries: 1)")]
    await one.drain(1)


async def test_a_fault_of_ours_costs_a_message_a_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.webhooks.deliveries.FIRST_PAUSE_S", 0.001)
    answers = iter([1, 0])
    outside, ends = Outside(lambda _: Tried(status=200 // (1 - next(answers)))), Ends()
    one = courier(outside, ends)
    one.offer(delivery("k", ends))
    await ends.until(1)
    assert (len(outside.sent), ends.lost) == (2, [])
    await one.drain(1)


async def test_one_that_is_tried_again_holds_up_no_other() -> None:
    def answer(sent: Sent) -> Tried:
        return Tried(status=500 if sent.key == "bad" else 200)

    outside, ends = Outside(answer), Ends()
    one = courier(outside, ends, CourierLimits(at_once=1))
    for key in ("bad", "a", "b"):
        one.offer(delivery(key, ends))
    await ends.until(2)
    assert ends.done == ["a", "b"]
    await one.drain(1)


async def test_no_more_than_so_many_wait_and_are_under_way() -> None:
    held: asyncio.Future[Tried] = asyncio.get_running_loop().create_future()
    outside, ends = Outside(lambda _: held), Ends()
    one = courier(outside, ends, CourierLimits(waiting=5, at_once=2))
    assert [one.offer(delivery(str(number), ends)) for number in range(7)] == [True] * 5 + [False] * 2
    await outside.until(2)
    assert (len(outside.sent), one.waiting) == (2, 5)
    room = asyncio.create_task(one.room())
    held.set_result(Tried(status=200))
    await asyncio.wait_for(room, PATIENCE_S)
    await ends.until(5)
    assert one.offer(delivery("7", ends))
    await one.drain(1)


class TestBodies:
    @pytest.mark.parametrize(("limits", "found"), [(QUICK, b"whole"), (CourierLimits(settle_s=0, look_again_s=0.001, bodies_s=0), b"not")])
    async def test_a_message_waits_for_them_and_not_for_ever(self, limits: CourierLimits, found: bytes) -> None:
        looks = iter([None, None, b"whole"])

        async def write(_: Webhook, __: Delivery, patient: bool) -> bytes | None:
            return next(looks) if patient else b"not"

        outside, ends = Outside(), Ends()
        one = Courier(webhook(), outside.post, write, ends.give_up, limits)
        one.offer(delivery("k", ends, call=True))
        await ends.until(1)
        assert [each.body for each in outside.sent] == [found]
        await one.drain(1)


class TestEnds:
    async def test_of_a_webhook_that_is_removed_nothing_waits(self) -> None:
        outside, ends = Outside(lambda _: asyncio.get_running_loop().create_future()), Ends()
        one = courier(outside, ends, CourierLimits(at_once=2))
        for number in range(5):
            one.offer(delivery(str(number), ends))
        await outside.until(2)
        one.remove()
        assert sorted(ends.done) == list("01234")
        assert ends.lost == []

    async def test_what_was_not_sent_at_the_end_is_not_over(self) -> None:
        held: asyncio.Future[Tried] = asyncio.get_running_loop().create_future()
        outside, ends = Outside(lambda sent: held if sent.key == "slow" else asyncio.get_running_loop().create_future()), Ends()
        one = courier(outside, ends, CourierLimits(at_once=2))
        for key in ("slow", "stalled", "waiting"):
            one.offer(delivery(key, ends))
        await outside.until(2)
        held.set_result(Tried(status=200))
        await one.drain(0.01)
        assert ends.done == ["slow"]

    async def test_what_is_another_readers_is_not_sent(self) -> None:
        outside, ends = Outside(), Ends()
        one = courier(outside, ends)
        one.offer(delivery("k", ends, wanted=lambda: False))
        await ends.until(1)
        assert outside.sent == []
        await one.drain(1)


@pytest.mark.parametrize(
    ("tries", "drawn", "seconds"), [(1, 0.0, 0.5), (1, 1.0, 1.0), (2, 1.0, 2.0), (5, 0.5, 12.0), (9, 1.0, 256.0), (10_000, 1.0, 300.0)]
)
def test_pauses_double_up_to_five_minutes(tries: int, drawn: float, seconds: float) -> None:
    assert pause_after(tries, drawn) == seconds
