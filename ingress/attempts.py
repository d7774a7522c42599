"""One call's way to an answer when it may be asked more than once: tries, pauses, targets, until one answers or all are spent.

Nothing of an answer is handed on before it is chosen, so the client sees one call.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from eventlog.events import Try
from ingress.connection import Answer
from ingress.errors import TimedOut, UpstreamError
from ingress.retries import Again, Failed, GiveUp, Retries, Step, next_step, retry_after_of, worth_another
from ingress.routes import Route

Sending = Callable[["Target"], Awaitable[Answer]]
"""Asks a target once. Raises CallFailed; an UpstreamError among them may come out differently another time."""
FAILURES = 400
"""Statuses from here on are of no use to whoever asked."""
Others = Callable[[], Awaitable["Target"]]
"""The next target, made when its turn comes."""
DRAINED = 64 << 10
"""So much of an answer that is not the one is read, that its connection may be used again; of a longer one the connection is dropped."""


class Target(Struct, frozen=True, kw_only=True):
    """Where a try goes, and with what."""

    route: Route
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None
    """None: it has none."""
    index: int | None = None
    """Among the fallbacks; None for the way that the call itself names."""
    codes: tuple[tuple[int, int], ...] = ()
    """Statuses, from and to, after which the next target is asked."""
    following: bool = False
    """Another one stands behind it."""

    def moves_on(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.codes)


class Chosen(Struct, frozen=True, kw_only=True):
    """The answer that the client receives."""

    answer: Answer
    gave_up: bool
    """It is a failure that was tried as often, or in as many places, as it may be."""


class TimeSpent(TimedOut):
    """All the time that a call's tries may take together is over, and no answer has begun."""


class Attempts:
    """The tries of one call; `tries` says afterwards what came of each.

    `total_s`: seconds for all of them and the pauses between, until an answer begins. One that has begun takes as long as it takes.
    """

    def __init__(self, retries: Retries | None, *, total_s: float, chance: Callable[[], float] = random.random) -> None:
        self.tries: list[Try] = []
        self._retries = retries
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._total_s, self._until = total_s, self._began + total_s

    async def answer(self, target: Target, others: Others, send: Sending) -> Chosen:
        """The first that is no failure, else the last. Raises what the last try raised."""
        made = 0
        while True:
            made += 1
            answer, error, failed = await self._try(target, send)
            step = GiveUp() if failed is None else self._step(failed, target, made)
            if isinstance(step, GiveUp):
                return _given_up(answer, error, failed, again=len(self.tries) > 1)
            _let_go(answer)  # before the pause: a client that leaves in it must leave no connection behind
            if isinstance(step, Again):
                await asyncio.sleep(step.pause_s)
            else:
                target, made = await others(), 0

    async def _try(self, target: Target, send: Sending) -> tuple[Answer | None, UpstreamError | None, Failed | None]:
        """The answer or the error, and why it is not good enough, if it is not."""
        began = self._loop.time()
        try:
            answer = await self._in_time(send, target)
        except TimeSpent as error:
            self._note(target, began, failure=error.code)
            return None, error, None
        except UpstreamError as error:
            self._note(target, began, failure=error.code)
            return None, error, Failed(status=None, retryable=error.retryable and not error.begun)
        try:
            return self._judged(target, began, answer)
        except BaseException:
            answer.close()
            raise

    async def _in_time(self, send: Sending, target: Target) -> Answer:
        """Raises TimeSpent, and what `send` raises."""
        try:
            async with asyncio.timeout_at(self._until) as limit:
                return await send(target)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeSpent(f"No answer began within {self._total_s:g} s, for all tries together (HELIOGRAPH_ATTEMPTS__TOTAL_S).") from None

    def _judged(self, target: Target, began: float, answer: Answer) -> tuple[Answer, None, Failed | None]:
        self._note(target, began, status=answer.status)
        again = self._retries is not None and worth_another(answer.status)
        if again or (target.following and target.moves_on(answer.status)):
            after_s = retry_after_of(answer.headers, time.time()) if again else 0.0
            return answer, None, Failed(status=answer.status, retryable=again, retry_after_s=after_s)
        return answer, None, None

    def _step(self, failed: Failed, target: Target, made: int) -> Step:
        listed = failed.status is None or target.moves_on(failed.status)
        left_s = self._until - self._loop.time()
        return next_step(failed, self._retries, made=made, moves_on=target.following and listed, left_s=left_s, chance=self._chance())

    def _note(self, target: Target, began: float, *, status: int | None = None, failure: str | None = None) -> None:
        now = self._loop.time()
        self.tries.append(
            Try(
                origin=str(target.route.place.origin),
                status=status,
                failure=failure,
                began_ms=round((began - self._began) * 1000, 3),
                took_ms=round((now - began) * 1000, 3),
            )
        )


def _given_up(answer: Answer | None, error: UpstreamError | None, failed: Failed | None, *, again: bool) -> Chosen:
    """`again`: the same target, or another, was asked before. Whoever began anew would ask all of them again."""
    if answer is None:
        raise error or AssertionError
    spent = failed is not None and failed.retryable
    return Chosen(answer=answer, gave_up=spent or (again and answer.status >= FAILURES))


def _let_go(answer: Answer | None) -> None:
    """Reads what is there of a short answer, so that its connection can be used again."""
    if answer is None:
        return
    size = 0
    try:
        while size <= DRAINED and (piece := answer.take()):
            size += len(piece)
    except UpstreamError:
        pass
    finally:
        answer.close()


async def whole_of(answer: Answer, limit_bytes: int) -> bytes:
    """The body of an answer that is for us. Raises UpstreamError, and ValueError when it is larger."""
    pieces, size = [], 0
    try:
        while piece := await answer.read():
            pieces.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise ValueError(f"more than {limit_bytes} bytes")
    finally:
        answer.close()
    return b"".join(pieces)
