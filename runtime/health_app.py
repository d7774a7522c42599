"""`/healthz`, `/readyz` and `/metrics` of a role that serves nothing else, as an app."""

import asyncio
import socket
from collections.abc import Callable, Sequence

from fastapi import FastAPI, Response

from ingress.app import EXPOSITION
from ingress.telemetry import exposition
from runtime.guard import Guard, GuardedApp
from runtime.serving import serve_asgi
from runtime.settings import Settings


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


async def serve_health(chosen: Settings, sockets: Sequence[socket.socket], readiness: Callable[[], str], over: asyncio.Event) -> None:
    """Until `over` is set."""
    guarded = GuardedApp(health_app(readiness), Guard(chosen.allowed_hosts, chosen.allowed_origins))
    await serve_asgi(guarded, sockets, over, lambda: None, drain_s=1, limits=chosen.ingress().clients)
