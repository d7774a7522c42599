"""The bodies of calls that are about to be told: asked for together, however many couriers want some."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from eventlog.events import CallId, Organization
from processors.webhooks.messages import NOTHING, CallTold, Sides

TOGETHER = 200
"""Calls of one question."""

Key = tuple[Organization, CallId]
Ask = Callable[[Sequence[CallTold]], Awaitable[Mapping[Key, Sides]]]
"""What is at rest of these calls' bodies. Never raises: what cannot be read is not there."""


class Bodies:
    """One question at a time; whoever comes meanwhile is in the next one."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._wanted: dict[Key, tuple[CallTold, asyncio.Future[Sides]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def of(self, call: CallTold) -> Sides:
        key = (call.organization, call.call_id)
        if key not in self._wanted:
            self._wanted[key] = call, asyncio.get_running_loop().create_future()
        answer = self._wanted[key][1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._work())
        return await asyncio.shield(answer)

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _work(self) -> None:
        while self._wanted:
            chosen = {key: self._wanted.pop(key) for key in list(self._wanted)[:TOGETHER]}
            found: Mapping[Key, Sides] = {}
            try:
                found = await self._ask([call for call, _ in chosen.values()])
            finally:
                for key, (_, answer) in chosen.items():
                    answer.set_result(found.get(key, NOTHING))
