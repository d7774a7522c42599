"""The processes that answer questions: started, kept warm, ended when a question takes too long or too much, and replaced.

One more is kept ready than are busy. Questions in SQL never occupy all of them: one stays for what the query port asks by itself, so that
health and look-ups are answered whatever others ask.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from storage.answerer import Begin
from storage.asked import Answer, Asked, Lacking, Take, Told, encoded, unheard
from storage.config import StorageConfig
from storage.engine import OUT_OF_MEMORY, timed_out
from storage.forking import ForkServer
from storage.handle import STOPPING, Answerer
from storage.query import Limits
from storage.refusal import Refusal, Refused
from storage.turns import Turns

log = structlog.get_logger()

T = TypeVar("T")
W = TypeVar("W")

GRACE_S = 1.0
"""The engine's own limit comes first, and tells more; so much later the process is ended."""
PAUSE_S = 0.5
"""Before another one is started where one could not."""
LEAST_SLACK = 128 << 20
"""Of memory: what the engine does not count. An idle process may keep as much."""
LOOK_S = 0.05
"""How often it is looked at how much memory they take."""

NOBODY = Refusal(
    code="not_answering",
    message="No process is there to answer the question.",
    fix="Look at the server's log, which says why none could be started.",
    status=503,
)


def too_heavy(taken: Mapping[W, int], limit: int) -> W | None:
    """Whoever takes most, when all together take more than `limit`."""
    return max(taken, key=lambda each: taken[each]) if sum(taken.values()) > limit else None


class Pool:
    """All answerers of one lake. Lives in one event loop; close it at the end."""

    def __init__(self, config: StorageConfig, limits: Limits) -> None:
        self._begin = Begin(config=config, limits=limits)
        self.limits = limits
        self._most = limits.at_once + 1
        self._slack = max(limits.memory_bytes // 4, LEAST_SLACK)
        self._sql = Turns(limits.at_once, limits.waiting)
        self._own = Turns(self._most, limits.waiting)
        self._server = ForkServer()
        self._everyone: set[Answerer] = set()
        self._idle: asyncio.LifoQueue[Answerer | None] = asyncio.LifoQueue()
        """The last one is the warmest. None: there will be no more."""
        self._asked: set[Answerer] = set()
        self._wanted = 0
        self._threads = ThreadPoolExecutor(2 * self._most, thread_name_prefix="answerer")
        """One for each that is asked, started, or waited for at its end."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching = self.closed = False

    def warm(self) -> None:
        """Starts the first, and does not wait for it."""
        self._grow()

    async def ask(self, asked: Asked, *, own: bool = False) -> Answer:
        """The whole answer. `own`: one of the query port itself, which is short. Raises Refused; cancelled, the question is stopped."""
        pieces: list[bytes] = []
        told = await self.pass_on(asked, pieces.append, own=own)
        return Answer(pieces=tuple(pieces), told=told)

    async def pass_on(self, asked: Asked, take: Take, lacking: Lacking = unheard, *, own: bool = False) -> Told:
        """Hands each piece of the answer to `take`, in a thread, as soon as it is there. Then and else as `ask`.

        Neither `take` nor `lacking` may raise. Their time is the question's.
        """
        try:
            question = encoded(asked)
        except RecursionError:
            raise Refused(TOO_DEEP) from None
        async with (self._own if own else self._sql).turn(asked.organization):
            answerer = await self._free()
            task = self._task(self._served(answerer, question, take, lacking))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                task.add_done_callback(_unheard)
                await asyncio.shield(self._task(self._stop(answerer, task)))
                raise

    async def end(self, seconds: float) -> None:
        """Closes once nothing is asked any more, or when the seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._wanted:  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(LOOK_S)
        await self.close()

    async def close(self) -> None:
        """Ends all of them, whatever they do. What is asked later is refused."""
        self.closed = True
        for answerer in self._everyone:
            answerer.kill()
        while not self._idle.empty():
            self._lose(self._idle.get_nowait())
        for _ in range(self._wanted - len(self._asked)):
            self._idle.put_nowait(None)
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._server.close)  # its own threads may be gone: an end may come twice
        self._threads.shutdown()

    async def _free(self) -> Answerer:
        """One that is idle, or the next that will be."""
        self._wanted += 1
        self._grow()
        try:
            async with asyncio.timeout(self.limits.start_s):
                while not self.closed:
                    answerer = await self._idle.get()
                    if answerer is not None and answerer.alive:
                        return answerer
                    self._lose(answerer)
            raise Refused(STOPPING)
        except BaseException as error:
            self._wanted -= 1
            if isinstance(error, TimeoutError):
                raise Refused(NOBODY) from None
            raise

    async def _served(self, answerer: Answerer, question: bytes, take: Take, lacking: Lacking) -> Told:
        overdue = asyncio.get_running_loop().call_later(self.limits.timeout_s + GRACE_S, answerer.kill, timed_out(self.limits.timeout_s))
        self._asked.add(answerer)
        self._watch()
        try:
            return await self._thread(answerer.ask, question, take, lacking)
        finally:
            overdue.cancel()
            self._asked.discard(answerer)
            self._wanted -= 1
            if answerer.alive and answerer.taken() <= self._slack:
                self._idle.put_nowait(answerer)
            else:
                self._lose(answerer)

    async def _stop(self, answerer: Answerer, task: "asyncio.Task[Told]") -> None:
        """Nobody waits for this any more: it may end by itself, or is ended. Once it is over, the process may be another's already."""
        if task.done():
            return
        answerer.stop(answerer.number)
        await asyncio.wait([task], timeout=GRACE_S)
        if not task.done():
            answerer.kill()

    def _lose(self, answerer: Answerer | None) -> None:
        """It is dead, or must be, or has grown and does not give back what it took."""
        if answerer in self._everyone:
            self._everyone.discard(answerer)
            answerer.kill()
            self._task(self._thread(answerer.wait))
        self._grow()

    def _grow(self) -> None:
        """One more than are wanted, within bounds."""
        while not self.closed and len(self._everyone) < min(self._wanted + 1, self._most):
            try:
                answerer = Answerer(self._server)
            except OSError as error:
                log.error("answerer_not_started", error=str(error))
                asyncio.get_running_loop().call_later(PAUSE_S, self._grow)
                return
            self._everyone.add(answerer)
            self._task(self._start(answerer))

    async def _start(self, answerer: Answerer) -> None:
        try:
            await self._thread(answerer.begin, self._begin)
        except OSError as error:
            if not self.closed:
                log.error("answerer_not_started", error=str(error))
                await asyncio.sleep(PAUSE_S)
            self._lose(answerer)
            return
        if self.closed:
            self._lose(answerer)
        else:
            self._idle.put_nowait(answerer)

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._task(self._watch_memory())

    async def _watch_memory(self) -> None:
        """While anything is asked: of all questions together, the largest is ended when they take too much."""
        limit = self.limits.memory_bytes + self._slack
        while self._asked:
            heavy = too_heavy({each: each.taken() for each in self._asked}, limit)
            if heavy is not None:
                heavy.kill(OUT_OF_MEMORY)
            await asyncio.sleep(LOOK_S)
        self._watching = False

    async def _thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _task(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unheard(task: "asyncio.Task[Told]") -> None:
    """How a question ended that nobody waits for is nobody's concern."""
    if not task.cancelled():
        task.exception()


TOO_DEEP = Refusal(
    code="invalid_parameters",
    message="The parameters are nested too deeply.",
    fix="Pass plain values, lists and objects of them.",
    field="parameters",
)
