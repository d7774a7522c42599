"""Alerts over a log: told once when they begin and once when they are over, also where whoever watches them is started anew."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from eventlog.alerts import Alert, Measured
from eventlog.control import Decided, decide
from eventlog.port import LogUnavailable
from eventlog.topics import CONTROL
from processors.webhooks.courier import CourierLimits
from processors.webhooks.deliveries import Tried
from processors.webhooks.office import Office
from processors.webhooks.telling import Lettering
from runtime.alerting import Alerting
from runtime.deciding import decided_on
from tests.fakes.hooks import PATIENCE_S, Outside, Sent, alert, webhook
from tests.fakes.memory_log import MemoryLog

BEYOND, BELOW = Measured(12.5, 3), Measured(2.5, 3)


@dataclass
class World:
    """What outlives whoever watches: the log, the outside, the figure that is measured, and the time."""

    log: MemoryLog = field(default_factory=MemoryLog)
    outside: Outside = field(default_factory=Outside)
    figure: Measured | None = BELOW
    now: float = 1_800_000_000.0
    looks: int = 0
    ours: bool = True

    async def measure(self, _: Alert, __: datetime) -> Measured | None:
        self.looks += 1
        return self.figure

    async def decided(self) -> Decided:
        return await decided_on(self.log)

    @property
    def told(self) -> list[str]:
        return [json.loads(each.body)["type"] for each in self.outside.sent]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[None]:
    """One life of whoever watches. What it decides it knows by itself; what was decided before, from the topic."""
    letters, stop, known = Lettering(), asyncio.Event(), await world.decided()
    office = Office(world.outside.post, no_bodies, lambda *_: "", letters.give_up, CourierLimits())
    office.keep(known.webhooks)
    alerting = Alerting(world.log, lambda: known, office, world.measure, clock=lambda: world.now, ours=lambda: world.ours)
    running = asyncio.create_task(alerting.run(0.002, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)
        await office.close(0)


async def no_bodies(_: object) -> dict[object, object]:
    return {}


async def looked(world: World, times: int = 3) -> None:
    seen = world.looks
    await until(lambda: world.looks >= seen + times)


async def a_world(**more: object) -> World:
    world = World(**more)  # type: ignore[arg-type]
    await decide(world.log, [webhook(), alert(cool_down_s=60)])
    return world


async def state_told(world: World) -> bool:
    state = (await world.decided()).alert_states.get("a1")
    return state is not None and state.told


async def until_told(world: World) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await state_told(world):
            await asyncio.sleep(0.001)


async def test_it_begins_and_is_over_and_begins_again() -> None:
    world = await a_world()
    async with watching(world):
        await looked(world)
        assert world.told == []
        for figure, told in ((BEYOND, "alert.started"), (BELOW, "alert.ended"), (BEYOND, "alert.started")):
            world.figure, count = figure, len(world.told)
            await world.outside.until(count + 1)
            await looked(world)
            assert world.told[count:] == [told]
            world.now += 61
    bodies = [json.loads(each.body) for each in world.outside.sent]
    assert [(each["value"], each["calls"], each["threshold"]) for each in bodies] == [(12.5, 3, 10.0), (2.5, 3, 10.0), (12.5, 3, 10.0)]
    assert bodies[0]["at"] == datetime.fromtimestamp(1_800_000_000, UTC).isoformat().replace("+00:00", "Z")
    assert len({each.key for each in world.outside.sent}) == 3


async def test_it_does_not_flutter() -> None:
    world = await a_world(figure=BEYOND)
    async with watching(world):
        await world.outside.until(1)
        world.figure, world.now = BELOW, world.now + 59
        await looked(world)
        assert world.told == ["alert.started"]
        world.now += 2
        await world.outside.until(2)
    assert world.told == ["alert.started", "alert.ended"]


async def test_after_a_restart_it_is_not_told_again() -> None:
    world = await a_world(figure=BEYOND)
    async with watching(world):
        await world.outside.until(1)
        await until_told(world)
    async with watching(world):
        await looked(world)
        assert world.told == ["alert.started"]
        world.figure, world.now = BELOW, world.now + 61
        await world.outside.until(2)
    assert world.told == ["alert.started", "alert.ended"]


async def test_what_was_decided_and_not_told_is_told_after_a_restart_under_the_same_key() -> None:
    def stalls(_: Sent) -> asyncio.Future[Tried]:
        return asyncio.get_running_loop().create_future()

    world = await a_world(figure=BEYOND, outside=Outside(stalls))
    async with watching(world):
        await world.outside.until(1)
    world.outside.answer = lambda _: Tried(status=200)
    async with watching(world):
        await world.outside.until(2)
        await until_told(world)
    assert len({each.key for each in world.outside.sent}) == 1
    assert world.told == ["alert.started"] * 2


async def test_nothing_is_told_that_the_log_does_not_know_of() -> None:
    world = await a_world(figure=BEYOND)
    async with watching(world):
        world.log.fail_with(LogUnavailable("away"))
        await looked(world)
        heard_before = len(world.told)
        world.log.heal()
        await world.outside.until(1)
    assert heard_before <= 1
    assert world.told == ["alert.started"]
    assert len([each for each in world.log.messages(CONTROL.name) if each.key == "alert-state/a1"]) <= 2


async def test_a_lake_that_does_not_answer_changes_nothing() -> None:
    world = await a_world(figure=BEYOND)
    async with watching(world):
        await world.outside.until(1)
        world.figure, world.now = None, world.now + 61
        await looked(world)
    assert world.told == ["alert.started"]


async def test_who_does_not_hold_the_first_partition_watches_nothing() -> None:
    world = await a_world(figure=BEYOND, ours=False)
    async with watching(world):
        world.ours = True
        await world.outside.until(1)
        world.ours = False
        seen = world.looks
        await asyncio.sleep(0)
        world.figure, world.now = BELOW, world.now + 61
    assert world.looks <= seen + 1
    assert world.told == ["alert.started"]
