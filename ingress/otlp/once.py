"""What was written lately is not written again: an exporter sends a batch anew when its answer was late, or 503 for one span of it."""

import asyncio

from eventlog.events import CallId
from ingress.async_log_calls import Call, Log

REMEMBERED = 16_384
"""Calls. One process knows only what it wrote itself."""


class Once:
    def __init__(self, log: Log, remembered: int = REMEMBERED) -> None:
        self._log, self._remembered = log, remembered
        self._writing: dict[CallId, asyncio.Task[bool]] = {}
        self._written: dict[CallId, None] = {}

    async def write(self, call: Call) -> bool:
        """Whether it is on durable ground, by this or by an earlier request. Whoever waits may leave: it goes on."""
        call_id = call.facts.call_id
        if call_id in self._written:
            return True
        writing = self._writing.get(call_id)
        if writing is None:
            writing = self._writing[call_id] = asyncio.create_task(self._write(call_id, call))
        return await asyncio.shield(writing)

    async def _write(self, call_id: CallId, call: Call) -> bool:
        try:
            taken = await self._log([call.events], None)
        finally:
            del self._writing[call_id]
        if taken:
            self._written[call_id] = None
            if len(self._written) > self._remembered:
                del self._written[next(iter(self._written))]
        return taken
