"""Who is answered next, when more is asked than can be answered at once."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from storage.refusal import Refused
from storage.turns import Turns


class Busy:
    """Questions that go on until they are told to end, in the order in which their turn came."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.turns = Turns(at_once, waiting)
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str) -> None:
        self.tasks[name] = asyncio.create_task(self._ask(name))
        await asyncio.sleep(0)

    async def _ask(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.begun.append(name)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self.tasks[name].cancel()
            await asyncio.gather(self.tasks[name], return_exceptions=True)
            await asyncio.sleep(0)


async def test_one_turn_is_left_to_others() -> None:
    busy = Busy(3, 10)
    for name in ("a1", "a2", "a3", "b1"):
        await busy.ask(name)
    assert busy.begun == ["a1", "a2", "b1"]
    await busy.end("b1")
    assert busy.begun == ["a1", "a2", "b1"]
    await busy.end("a1")
    assert busy.begun == ["a1", "a2", "b1", "a3"]


async def test_those_who_wait_come_by_turns() -> None:
    busy = Busy(1, 10)
    for name in ("a1", "a2", "a3", "a4", "b1", "c1", "b2"):
        await busy.ask(name)
    for name in ("a1", "a2", "b1", "c1", "a3", "b2"):
        await busy.end(name)
    assert busy.begun == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_whoever_fills_his_places_leaves_those_of_others() -> None:
    busy = Busy(1, 4)
    for name in ("a1", "a2", "a3"):
        await busy.ask(name)
    with pytest.raises(Refused, match="waiting already"):
        await busy.turns.turn("a").__aenter__()
    for name in ("b1", "c1"):
        await busy.ask(name)
    with pytest.raises(Refused, match="waiting already"):
        await busy.turns.turn("d").__aenter__()
    await busy.end("a1")
    await busy.ask("d1")
    await busy.end("a2", "b1", "c1", "a3")
    assert busy.begun == ["a1", "a2", "b1", "c1", "a3", "d1"]


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    busy = Busy(1, 2)
    await busy.ask("a1")
    await busy.ask("b1")
    await busy.end("b1")
    assert busy.begun == ["a1"]
    await busy.ask("b2")
    await busy.end("a1")
    assert busy.begun == ["a1", "b2"]
    await busy.end("b2")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(busy.turns.turn("a"))


async def test_who_is_called_and_cancelled_at_the_same_moment_gives_the_turn_back() -> None:
    busy = Busy(1, 4)
    for name in ("a1", "b1", "c1"):
        await busy.ask(name)
    busy.tasks["a1"].cancel()
    await asyncio.sleep(0)  # it ends, and calls the next, which is cancelled before it hears that
    busy.tasks["b1"].cancel()
    await asyncio.gather(busy.tasks["a1"], busy.tasks["b1"], return_exceptions=True)
    await asyncio.sleep(0)
    assert busy.begun == ["a1", "c1"]
