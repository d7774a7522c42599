"""Brings messages to one webhook, several at a time, and tries again what it does not take: as long as each message has.

What waits here is bounded, and no webhook waits for another.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from heapq import heappop, heappush
from itertools import count

import structlog
from msgspec import Struct

from eventlog.webhooks import Webhook
from processors.webhooks import telemetry
from processors.webhooks.deliveries import Delivery, Lost, Tried, pause_after
from processors.webhooks.messages import CallTold, Told, headers_of

logger = structlog.get_logger()

Post = Callable[[str, bytes, Sequence[tuple[bytes, bytes]]], Awaitable[Tried]]
"""Sends a body to a URL with these headers, once. Never raises."""
Write = Callable[[Webhook, Delivery, bool], Awaitable[bytes | None]]
"""The message's body. None: not all of it is at rest yet; never, where it has waited long enough, as the last argument says."""
GiveUp = Callable[[Webhook, Delivery, Lost, str], None]
"""A message is lost, and why. Whoever hears it calls the delivery's `done`."""


class CourierLimits(Struct, frozen=True, kw_only=True):
    """What one webhook may take."""

    waiting: int = 10_000
    """Messages that wait for it, those under way included."""
    at_once: int = 8
    give_up_s: float = 3600.0
    """A message is tried for so long."""
    settle_s: float = 1.5
    """Before the first look for its bodies: as long as they usually need to come to rest."""
    look_again_s: float = 1.0
    bodies_s: float = 30.0
    """So long bodies are waited for; then the message goes without."""


class _Waiting(Struct, frozen=True):
    delivery: Delivery
    since: float
    tries: int = 0
    last: str = "its turn did not come"


class Courier:
    """Lives in one event loop; close it at the end."""

    def __init__(
        self, webhook: Webhook, post: Post, write: Write, give_up: GiveUp, limits: CourierLimits, drawn: Callable[[], float] = random.random
    ) -> None:
        self.webhook = webhook
        self._post, self._write, self._give_up, self._limits, self._drawn = post, write, give_up, limits, drawn
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, _Waiting]] = []
        self._numbers = count()
        self._under_way: dict[asyncio.Task[None], _Waiting] = {}
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self.takes = True
        """The last try was answered well, or there was none."""
        self._running = asyncio.create_task(self._run())

    @property
    def waiting(self) -> int:
        return len(self._due) + len(self._under_way)

    def offer(self, delivery: Delivery) -> bool:
        """False when it is full: the message was not taken."""
        if self.waiting >= self._limits.waiting:
            return False
        now = self._loop.time()
        self._put(now + (self._limits.settle_s if isinstance(delivery.told, CallTold) else 0.0), _Waiting(delivery, now))
        return True

    async def room(self) -> None:
        """Until it is no longer full."""
        while self.waiting >= self._limits.waiting and not self._closing:
            self._room.clear()
            await self._room.wait()

    def remove(self) -> None:
        """Nobody wants to hear of anything any more."""
        self._begin_no_more()
        left = [waiting for _, _, waiting in self._due] + [waiting for task, waiting in self._under_way.items() if task.cancel()]
        self._due.clear()
        for waiting in left:
            waiting.delivery.done()

    async def drain(self, seconds: float) -> None:
        """Begins nothing more; what is under way has so long. What waits then is delivered by whoever reads the log next."""
        self._begin_no_more()
        tasks = set(self._under_way)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks)

    def _begin_no_more(self) -> None:
        self._closing = True
        self._room.set()
        self._running.cancel()

    def _put(self, due: float, waiting: _Waiting) -> None:
        heappush(self._due, (due, next(self._numbers), waiting))
        self._changed.set()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            while self._due and self._due[0][0] <= self._loop.time() and len(self._under_way) < self._limits.at_once:
                waiting = heappop(self._due)[2]
                task = asyncio.create_task(self._attempt(waiting))
                self._under_way[task] = waiting
                task.add_done_callback(self._over)
            free = len(self._under_way) < self._limits.at_once
            try:
                async with asyncio.timeout_at(self._due[0][0] if self._due and free else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._changed.set()
        self._room.set()

    async def _attempt(self, waiting: _Waiting) -> None:
        try:
            await self._step(waiting)
        except Exception as error:  # a fault of ours costs this message a try, and nobody else anything
            logger.exception("webhook_fault", webhook=self.webhook.id)
            self._again(waiting, type(error).__name__)

    async def _step(self, waiting: _Waiting) -> None:
        delivery, webhook = waiting.delivery, self.webhook
        if not delivery.wanted():
            delivery.done()
            return
        if self._loop.time() >= waiting.since + self._limits.give_up_s:
            self._lose(waiting, Lost.FAILED)
            return
        patient = self._loop.time() < waiting.since + self._limits.bodies_s
        body = await self._write(webhook, delivery, patient)
        if body is None:
            self._put(self._loop.time() + self._limits.look_again_s, waiting)
            return
        told = Told.CALL if isinstance(delivery.told, CallTold) else Told.ALERT
        tried = await self._post(webhook.destination, body, headers_of(webhook, body, key=delivery.key, told=told))
        self.takes = tried.taken
        telemetry.TRIES.labels("delivered" if tried.taken else "failed").inc()
        if tried.taken:
            delivery.done()
        elif tried.refused:
            self._lose(_Waiting(delivery, waiting.since, waiting.tries + 1, str(tried)), Lost.REFUSED)
        else:
            self._again(waiting, str(tried))

    def _again(self, waiting: _Waiting, why: str) -> None:
        tried = _Waiting(waiting.delivery, waiting.since, waiting.tries + 1, why)
        due = self._loop.time() + pause_after(tried.tries, self._drawn())
        if due >= waiting.since + self._limits.give_up_s:
            self._lose(tried, Lost.FAILED)
        else:
            self._put(due, tried)

    def _lose(self, waiting: _Waiting, why: Lost) -> None:
        self._give_up(self.webhook, waiting.delivery, why, f"{waiting.last} (tries: {waiting.tries})")
