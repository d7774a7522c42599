"""`/healthz`, `/readyz` and `/metrics` of a role that serves nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from fastapi import FastAPI, Response

from eventlog.outages import Outage
from eventlog.port import Place
from ingress.app import EXPOSITION
from ingress.telemetry import exposition
from runtime.guard import Guard, GuardedApp
from runtime.serving import serve_asgi
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


def health_app(readiness: Callable[[], str]) -> FastAPI:
    """`readiness` answers `ready`, or why the role cannot do its work now."""
    app = FastAPI(title="Heliograph", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, str]:
        told = readiness()
        response.status_code = 200 if told == "ready" else 503
        return {"status": told}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(), media_type=EXPOSITION)

    return app


@contextlib.asynccontextmanager
async def health_served(chosen: Settings, sockets: Sequence[socket.socket], readiness: Callable[[], str]) -> AsyncIterator[None]:
    """For as long as the role works, its end included. Without sockets, as in `up`, the two ports tell of everyone."""
    if not sockets:
        yield
        return
    guarded, over = GuardedApp(health_app(readiness), Guard(chosen.allowed_hosts, chosen.allowed_origins)), asyncio.Event()
    serving = asyncio.create_task(serve_asgi(guarded, sockets, over, lambda: None, drain_s=1, limits=chosen.ingress().clients))
    try:
        yield
    finally:
        over.set()  # a server that is cancelled instead prints a stack trace
        await serving
