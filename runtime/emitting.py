"""Where what enters goes: an emitter over the log that the settings mean."""

import asyncio

from eventlog.embedded import EmbeddedLog
from eventlog.events import FeedbackGiven
from eventlog.kafka_spill import open_ground
from eventlog.port import LogUnavailable
from eventlog.spill import SpillingWriter
from ingress.emitter import Emitter
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
    return Emitter(ground.writer, ground.partitions, limits=limits, telemetry=telemetry), ground.writer


class LateEmitter:
    """For whoever seldom has something to say: nothing is opened before the first event."""

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._telemetry = Telemetry()
        self._opening = asyncio.Lock()
        self._open: tuple[Emitter, EmbeddedLog | SpillingWriter] | None = None

    async def emit_durably(self, event: FeedbackGiven) -> bool:
        """False when the log does not take it now."""
        async with self._opening:
            if self._open is None:
                try:
                    self._open = await open_emitter(self._chosen, self._telemetry)
                except LogUnavailable:
                    return False
        taken = await self._open[0].emit_durably(event)
        self._telemetry.publish()
        return taken

    async def close(self) -> None:
        if self._open is not None:
            emitter, events = self._open
            await emitter.drain(self._chosen.shutdown_s)
            await events.close()
