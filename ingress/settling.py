"""What calls cost, brought to the windows that limit it: known only once a call was understood, and so read from `llm.calls.v1`.

One process of a machine does it, for each ledger; another takes over when it ends. Each call is counted once, however often it is read, on
however many machines. Nobody reads the topic before a call was first limited by cost.
"""

import asyncio
import fcntl
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO

import msgspec
import structlog

from eventlog.codec import Positions, Record, decode
from eventlog.events import CallPriced, Spend
from eventlog.following import Opened
from eventlog.outages import Outage
from eventlog.port import Log, LogUnavailable, OffsetOutOfRange, Place, Span
from eventlog.topics import CALLS
from ingress.errors import BadDirective
from ingress.ledger import LedgerUnavailable, Spending, Window
from ingress.policies import parse_policy
from ingress.telemetry import Telemetry

log = structlog.get_logger()

HINT = b'"spends"'
"""In every batch with a call that counts for a window."""
POLL = timedelta(seconds=5)
POLL_BYTES = 4 << 20
LOOK_S = 0.5
"""So often it is looked whether somebody limits by cost, and whether whoever settled has ended."""
REMEMBER_S = 1.0
BACK = 1_000
"""Messages: at the busiest some twenty seconds."""
LATE_S = 3600.0
"""What a call cost that ended longer ago, beyond its window, counts no more: it may have been counted, and that forgotten."""


class Settler:
    """Lives on the running event loop. In `directory`, which is there, it keeps how far it came; each ledger has one of its own."""

    def __init__(
        self, opened: Opened, ledger: Spending, directory: Path, telemetry: Telemetry, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._opened, self._ledger, self._telemetry, self._clock = opened, ledger, telemetry, clock
        self._lock, self._file = directory / "settling.lock", directory / "settled.json"
        self._outage = Outage(reader="settling")
        self._done: dict[Place, int] = {}
        self._remembered_at = 0.0

    async def run(self) -> None:
        """For ever."""
        await _until(self._is_needed)
        with self._lock.open("w") as lock:
            await _until(partial(_taken, lock))
            while True:
                try:
                    async with self._opened() as events:
                        await self._settle(events)
                except (LogUnavailable, LedgerUnavailable) as error:
                    self._outage.goes_on(error)
                except OffsetOutOfRange:
                    self._done.clear()
                    self._remember()
                await asyncio.sleep(LOOK_S)

    async def _is_needed(self) -> bool:
        try:
            return await self._ledger.limits_costs()
        except LedgerUnavailable:
            return False

    async def given(self, spans: Mapping[Place, Span]) -> Positions:
        """Where the one before ended. Without one, a little before the end: a call that was limited just now may have ended since."""
        known = self._recalled()
        self._done = {place: min(max(known.get(place, span.next - BACK), span.first), span.next) for place, span in spans.items()}
        return dict(self._done)

    async def taken(self, places: frozenset[Place]) -> None:
        """Nothing waits here."""

    async def _settle(self, events: Log) -> None:
        reader = await events.reader([CALLS.name], group=f"settling.{secrets.token_hex(8)}", holder=self)
        try:
            self._outage.over()
            while True:
                records = await reader.poll(max_bytes=POLL_BYTES, timeout=POLL)
                await self._spend(records)
                self._done |= {record.place: record.offset + 1 for record in records}
                if records and asyncio.get_running_loop().time() >= self._remembered_at + REMEMBER_S:
                    self._remember()
        finally:
            await reader.close()
            self._remember()

    async def _spend(self, records: Iterable[Record]) -> None:
        """Raises LedgerUnavailable."""
        costly = [record for record in records if HINT in record.message.value]
        ours = await self._ledger.known_as() if costly else ""
        for record in costly:
            for event in decode(CallPriced, record.message)[0].events:
                for spend in event.call.spends:
                    if spend.ledger == ours:
                        await self._spend_one(event, spend)

    async def _spend_one(self, event: CallPriced, spend: Spend) -> None:
        """What cannot be read counts for nobody, and holds up nothing behind it. Raises LedgerUnavailable."""
        try:
            window = Window(bytes.fromhex(spend.window), parse_policy(spend.policy))
            cents = float(Decimal(event.cost_usd or 0) * 100)
        except (BadDirective, ValueError, ArithmeticError) as error:
            log.error("cost_not_counted", call_id=event.call.call_id, error=str(error))
            return
        if event.completed_at.timestamp() + window.policy.window_s + LATE_S < self._clock():
            return
        if event.cost_usd is None:
            self._telemetry.cost_unknown()
        await self._ledger.spend(event.call.call_id, window, cents)

    def _recalled(self) -> dict[Place, int]:
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=list[tuple[str, int, int]])
        except (OSError, msgspec.DecodeError):
            return {}
        return {(topic, partition): offset for topic, partition, offset in found}

    def _remember(self) -> None:
        self._remembered_at = asyncio.get_running_loop().time()
        fresh = self._file.with_suffix(".new")
        with suppress(OSError):
            fresh.write_bytes(msgspec.json.encode([(*place, offset) for place, offset in self._done.items()]))
            fresh.replace(self._file)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 - another process brings it about
        await asyncio.sleep(LOOK_S)


async def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
