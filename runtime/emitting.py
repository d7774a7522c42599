"""Where what enters goes: an emitter over the log that the settings mean."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from eventlog.codec import BatchId
from eventlog.embedded import EmbeddedLog
from eventlog.events import FeedbackGiven
from eventlog.kafka_spill import open_ground
from eventlog.port import LogUnavailable
from eventlog.spill import SpillingWriter
from ingress.emitter import Emitter
from ingress.redactor import Pair, RedactionFor, Redactor, nothing_redacted
from ingress.telemetry import Telemetry
from runtime.cluster import kafka_config
from runtime.settings import Settings


async def open_emitter(chosen: Settings, telemetry: Telemetry) -> tuple[Emitter, EmbeddedLog | SpillingWriter]:
    """The emitter, and what is to be closed after it. Kafka need not be there yet: until it is, events wait on disk."""
    limits = chosen.ingress().emitter
    if not chosen.on_kafka:
        events = await EmbeddedLog.open(chosen.log_dir, fsync=chosen.ingress().strict)
        return Emitter(await events.writer(), limits=limits, telemetry=telemetry), events
    ground = await open_ground(kafka_config(chosen), chosen.spilling())
    spilling = ground.writer
    return Emitter(spilling, ground.partitions, limits=limits, telemetry=telemetry, straight=spilling.append_straight), spilling


class LateEmitter:
    """For whoever seldom has something to say: nothing is opened before the first event."""

    def __init__(self, chosen: Settings, redaction_for: RedactionFor = nothing_redacted) -> None:
        self._chosen, self._redaction_for = chosen, redaction_for
        self._telemetry = Telemetry()
        self._opening = asyncio.Lock()
        self._open: _Open | None = None

    async def emit_durably(self, event: FeedbackGiven) -> bool:
        """False when the log does not take it now."""
        opened = await self._opened()
        if opened is None:
            return False
        taken = await opened.emitter.emit_durably(event)
        self._telemetry.publish()
        return taken

    async def emit_calls_durably(self, calls: Sequence[Pair], batch: BatchId | None = None) -> bool:
        """Calls that are told of afterwards, redacted as others are. False when the log does not take them now. Raises TooMuch."""
        opened = await self._opened()
        if opened is None:
            return False
        taken = await opened.redactor.emit_calls_durably(calls, batch)
        self._telemetry.publish()
        return taken

    async def _opened(self) -> "_Open | None":
        async with self._opening:
            if self._open is None:
                try:
                    emitter, events = await open_emitter(self._chosen, self._telemetry)
                except LogUnavailable:
                    return None
                waiting_bytes = self._chosen.ingress().emitter.waiting_bytes
                redactor = Redactor(emitter, self._redaction_for, self._telemetry, waiting_bytes=waiting_bytes)
                self._open = _Open(emitter, events, redactor)
            return self._open

    async def close(self) -> None:
        if self._open is not None:
            await self._open.redactor.drain(self._chosen.shutdown_s)
            await self._open.emitter.drain(self._chosen.shutdown_s)
            await self._open.events.close()


class _Open(NamedTuple):
    emitter: Emitter
    events: EmbeddedLog | SpillingWriter
    redactor: Redactor
