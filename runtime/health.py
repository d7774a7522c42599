"""`/healthz`, `/readyz` and `/metrics` of a role that serves nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from eventlog.outages import Outage
from eventlog.port import Place
from runtime.settings import Settings

log = structlog.get_logger()


class Membership:
    """How a member of a consumer group stands with its cluster."""

    def __init__(self) -> None:
        self._places: frozenset[Place] | None = None
        """None until the group has handed them out."""
        self.outage = Outage()

    def hear(self, places: frozenset[Place]) -> None:
        """These partitions are ours now."""
        if places != self._places:
            log.info("ready", partitions=len(places))
        self._places = places

    def holds(self, place: Place) -> bool:
        return self._places is not None and place in self._places

    @property
    def readiness(self) -> str:
        if self.outage.reason:
            return f"waiting for Kafka: {self.outage.reason}"
        return "ready" if self._places is not None else "waiting for Kafka to hand out partitions"


@contextlib.asynccontextmanager
async def health_served(chosen: Settings, sockets: Sequence[socket.socket], readiness: Callable[[], str]) -> AsyncIterator[None]:
    """For as long as the role works, its end included. Without sockets, as in `up`, the two ports tell of everyone."""
    if not sockets:
        yield
        return
    from runtime.health_app import serve_health  # noqa: PLC0415 - a web framework: half of what such a role loads

    over = asyncio.Event()
    serving = asyncio.create_task(serve_health(chosen, sockets, readiness, over))
    try:
        yield
    finally:
        over.set()  # a server that is cancelled instead prints a stack trace
        await serving
