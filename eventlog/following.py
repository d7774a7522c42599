"""The control topic, followed by whoever has to know what was decided: read to its end, then for as long as the program runs."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from eventlog.control import Decided, recall, remember
from eventlog.outages import Outage
from eventlog.port import Log, LogReader, LogUnavailable, OffsetOutOfRange
from eventlog.retained import Beginning
from eventlog.topics import CONTROL

Opened = Callable[[], AbstractAsyncContextManager[Log]]
"""The log, opened anew. Entering raises LogUnavailable."""

POLL = timedelta(seconds=30)
POLL_BYTES = 4 << 20
AGAIN_S = 1.0


class Following:
    """Keeps `decided` as the topic has it. Until the log is reached, the copy in `file` counts, where there is one."""

    def __init__(self, opened: Opened, file: Path, decided: Decided | None = None, *, on_change: Callable[[], None] = lambda: None) -> None:
        self.decided = decided or Decided()
        self.known = asyncio.Event()
        """It is known what was decided: from the topic, or from the copy."""
        self._opened, self._file, self._on_change = opened, file, on_change
        self._outage = Outage(reader="control")

    async def run(self) -> None:
        """For ever."""
        if await asyncio.to_thread(recall, self._file, self.decided):
            self.known.set()
            self._on_change()
        while True:
            try:
                async with self._opened() as log:
                    await self._follow(log)
            except LogUnavailable as error:
                self._outage.goes_on(error)
            except OffsetOutOfRange:
                continue  # compaction went past us: from the beginning
            await asyncio.sleep(AGAIN_S)

    async def _follow(self, log: Log) -> None:
        holder = Beginning(first=True)
        reader = await log.reader([CONTROL.name], group=f"control.{secrets.token_hex(8)}", holder=holder)
        try:
            await self._begin(reader, holder)
            self._outage.over()
            while True:
                if records := await reader.poll(max_bytes=POLL_BYTES, timeout=POLL):
                    self.decided.take(records)
                    await self._changed()
        finally:
            await reader.close()

    async def _begin(self, reader: LogReader, holder: Beginning) -> None:
        """Everything that lies there, at once: what was taken away while nobody looked must not stay."""
        open_ends = {place: span.next for place, span in holder.spans.items() if span.next > span.first}
        records = []
        while open_ends:
            polled = await reader.poll(max_bytes=POLL_BYTES, timeout=POLL)
            if not polled:
                raise LogUnavailable(f"{CONTROL.name} gave nothing for {POLL.total_seconds():.0f} s, and has more to give.")
            records += polled
            for record in polled:
                if record.offset + 1 >= open_ends.get(record.place, record.offset + 2):
                    del open_ends[record.place]
        self.decided.begin(records)
        await self._changed()

    async def _changed(self) -> None:
        self.known.set()
        self._on_change()
        await asyncio.to_thread(remember, self._file, self.decided)
