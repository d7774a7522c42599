"""Spills whose owners are gone: claimed, drained one after the other, removed.

All beside live sending: the numbers in them are another producer's.
"""

import asyncio
from contextlib import suppress

import structlog

from eventlog import spill_folder
from eventlog.port import LogCorrupt, LogUnavailable, LogWriter
from eventlog.spill_drain import FIRST_BYTES, Grounds, Pace, Spill, attempt, set_aside
from eventlog.spill_folder import CORRUPT, TOO_OLD, UNKNOWN, Claim

log = structlog.get_logger()

RESCAN_S = 30.0
"""How often owners are looked for that have gone meanwhile."""


class Orphans:
    """`look` claims them, `drain` goes on until it is cancelled, `close` leaves what is left to whoever comes next."""

    def __init__(self, grounds: Grounds, writer: LogWriter) -> None:
        self._grounds = grounds
        self._writer = writer
        self._claims: list[tuple[Claim, int]] = []
        """With their size."""
        self.open: Spill | None = None
        """The one that is being drained."""
        self._ending: asyncio.Task[None] | None = None

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self._claims) + (self.open.bytes if self.open else 0)

    async def look(self) -> None:
        """Raises LogUnavailable."""
        found = await asyncio.to_thread(spill_folder.orphans, self._grounds.config.directory)
        self._claims += [(claim, claim.size_bytes()) for claim in found]
        if found:
            log.info("spills_adopted", spills=len(found), bytes=self.bytes)

    async def drain(self) -> None:
        while True:
            while self._claims:
                await self._drain_first()
            await asyncio.sleep(RESCAN_S)
            with suppress(LogUnavailable):
                await self.look()

    async def close(self) -> None:
        if self._ending is not None:
            await self._ending
        if self.open is not None:
            await leave(self.open)
        for claim, _ in self._claims:
            spill_folder.release(claim)

    async def _drain_first(self) -> None:
        """The claim stays in the list until its spill is open, so that it is never forgotten."""
        claim = self._claims[0][0]
        try:
            self.open = await Spill.open(claim, self._grounds)
        except LogUnavailable as error:
            log.warning("spill_unusable", spill=claim.folder.name, error=str(error))
            await asyncio.sleep(RESCAN_S)
            return
        except LogCorrupt as error:
            del self._claims[0]
            await set_aside(claim, CORRUPT, str(error), 0, self._grounds.tally)
            return
        del self._claims[0]
        spill = self.open
        unfit = await self._unfit(spill)
        if unfit is None:
            await self._send_all(spill)
        self.open, self._ending = None, asyncio.create_task(self._end(spill, unfit))
        await asyncio.shield(self._ending)

    async def _unfit(self, spill: Spill) -> str | None:
        """Why it is not to be sent."""
        most = self._grounds.config.most_age
        try:
            age_s = await spill.age_s()
        except LogCorrupt as error:
            spill.damage = error
        except LogUnavailable:
            return None  # the drain will meet it too, and tries again
        else:
            if age_s > most.total_seconds():
                return (
                    f"its oldest message is {age_s / 86400:.0f} days old, and may be on Kafka already without anybody knowing it again;"
                    " to send it even so, set HELIOGRAPH_SPILL__MOST_DAYS higher, name the folder"
                    f" {spill.claim.folder.name} again, and restart"
                )
        return None

    async def _send_all(self, spill: Spill) -> None:
        pace = Pace(FIRST_BYTES, 0.0)
        while not pace.empty and spill.damage is None:
            await asyncio.sleep(pace.pause_s)
            pace = await attempt(spill, self._writer, pace)

    async def _end(self, spill: Spill, unfit: str | None) -> None:
        """Not to be cancelled halfway."""
        if unfit is not None:
            await spill.close()
            await set_aside(spill.claim, TOO_OLD, unfit, spill.messages, self._grounds.tally)
        elif spill.damage is not None:
            await spill.close()
            await set_aside(spill.claim, CORRUPT, str(spill.damage), spill.messages, self._grounds.tally)
        elif spill.messages:
            await spill.close()
            why = "it holds messages of topics that this version does not know; drain it with the version that wrote it"
            await set_aside(spill.claim, UNKNOWN, why, spill.messages, self._grounds.tally)
        else:
            await leave(spill)


async def leave(spill: Spill) -> None:
    """Removes a spill in which nothing is left; else whoever comes next may have it."""
    held = spill.messages
    with suppress(LogUnavailable, LogCorrupt):
        held = await spill.held()
    await spill.close()
    if held:
        spill_folder.release(spill.claim)
        return
    with suppress(LogUnavailable):
        await asyncio.to_thread(spill_folder.remove, spill.claim)
