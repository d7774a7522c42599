"""The control topic, followed by whoever has to know what was decided: read to its end, then for as long as the program runs."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import structlog

from eventlog.control import Decided, recall, remember
from eventlog.outages import Outage
from eventlog.port import Log, LogUnavailable, OffsetOutOfRange
from eventlog.retained import POLL_BYTES, Beginning, to_the_ends
from eventlog.topics import CONTROL

logger = structlog.get_logger()

Opened = Callable[[], AbstractAsyncContextManager[Log]]
"""The log, opened anew. Entering raises LogUnavailable."""

POLL = timedelta(seconds=30)
AGAIN_S = 1.0


class Following:
    """Keeps `decided` as the topic has it. Until the log is reached, the copy in `file` counts, where there is one."""

    def __init__(self, opened: Opened, file: Path) -> None:
        self.decided = Decided()
        self.known = asyncio.Event()
        """It is known what was decided: from the topic, or from the copy."""
        self.heard = asyncio.Event()
        """It is known from the topic itself."""
        self._news = asyncio.Condition()
        self._opened, self._file = opened, file
        self._outage = Outage(reader="control")

    async def run(self) -> None:
        """For ever."""
        if await asyncio.to_thread(recall, self._file, self.decided):
            self.known.set()
        while True:
            try:
                async with self._opened() as log:
                    await self._follow(log)
            except LogUnavailable as error:
                self._outage.goes_on(error)
            except OffsetOutOfRange:
                pass  # compaction went past us: from the beginning
            except Exception:  # who was let in must not stay so for a fault of ours
                logger.exception("control_not_followed")
            await asyncio.sleep(AGAIN_S)

    async def until(self, holds: Callable[[Decided], bool]) -> None:
        """Returns once what was decided is so."""
        async with self._news:
            await self._news.wait_for(lambda: holds(self.decided))

    async def _follow(self, log: Log) -> None:
        holder = Beginning(first=True)
        reader = await log.reader([CONTROL.name], group=f"control.{secrets.token_hex(8)}", holder=holder)
        try:
            parts = [part async for part in to_the_ends(reader, dict(holder.spans))]
            self.decided.begin(record for part in parts for record in part.records)  # at once: what was taken away meanwhile must not stay
            await self._changed()
            self._outage.over()
            self.heard.set()
            while True:
                if records := await reader.poll(max_bytes=POLL_BYTES, timeout=POLL):
                    self.decided.take(records)
                    await self._changed()
        finally:
            await reader.close()

    async def _changed(self) -> None:
        self.known.set()
        async with self._news:
            self._news.notify_all()
        await asyncio.to_thread(remember, self._file, self.decided)
