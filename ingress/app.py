"""The ingress as a whole: the proxy, and beside it our own routes, which FastAPI serves and describes."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from msgspec import Struct, to_builtins
from starlette.exceptions import HTTPException

from eventlog.admission import Admission
from eventlog.spill_state import SpillState
from eventlog.topics import REQUESTS, RESPONSES
from ingress.async_log_routes import PATHS as LOG_PATHS
from ingress.async_log_routes import async_log_routes
from ingress.cache_store import CacheStore
from ingress.config import IngressConfig
from ingress.directives import listed
from ingress.emitter import Emitter, now
from ingress.exchange import Handler
from ingress.feedback import LEGACY_PATHS, OF_REQUESTS, OF_SESSIONS, feedback_routes
from ingress.ledger import Ledger
from ingress.otlp.routes import PATHS as SPAN_PATHS
from ingress.otlp.routes import otlp_routes
from ingress.provided import KeyFor, no_key
from ingress.proxy import Guard, Proxy, everyone
from ingress.redactor import RedactionFor, nothing_redacted
from ingress.stored_prompts import StoredFor, no_prompts
from ingress.telemetry import Telemetry, exposition
from ingress.upstream import Sender

OUR_PATHS = frozenset({b"/healthz", b"/readyz", b"/metrics", b"/openapi.json", b"/v1/directives"}) | LOG_PATHS | SPAN_PATHS | LEGACY_PATHS
OUR_PREFIXES = (OF_REQUESTS, OF_SESSIONS)
NAMING_HEADERS = frozenset({b"helicone-target-url", b"helicone-openai-api-base", b"helicone-fallbacks"})
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"

Asgi = Callable[..., Any]
Spilling = Callable[[], SpillState]
"""How a spill fares now."""


class SpillReady(Struct, frozen=True, kw_only=True):
    """What waits on disk for Kafka, and what did not come through. Worth an alert: `oldest_seconds`, and anything but 0 below it."""

    since: float | None
    """Seconds since 1970; null while nothing is spilled."""
    messages: int
    bytes: int
    oldest_seconds: float
    dropped_bodies: int
    put_aside: int
    """Messages that Kafka refuses for good: files in `put-aside`, in the spill's directory."""
    corrupt: int
    """Spills that could not be read: folders in the spill's directory."""
    reason: str
    """What Kafka, or the disk, said last, with the setting and the remedy."""


class Ready(Struct, frozen=True, kw_only=True):
    """Whether this process can do its work, and what it lost since it started."""

    status: str
    log: str
    """`taking`; `spilling`: Kafka takes nothing, the disk does; or `refusing`: calls go on, and their events wait in memory."""
    waiting_events: int
    waiting_bytes: int
    shed_bodies: int
    lost_events: int
    spill: SpillReady | None = None
    """On Kafka."""


class Ingress:
    """What a server serves: `handle` for calls, `asgi` for our own routes. Whoever stands before either puts itself in its place."""

    def __init__(
        self,
        config: IngressConfig,
        emitter: Emitter,
        proxy: Proxy,
        telemetry: Telemetry,
        spill: Spilling | None,
        admission: Admission,
    ) -> None:
        self.config = config
        self.emitter = emitter
        self.handle: Handler = proxy.handle
        self._proxy = proxy
        self.telemetry = telemetry
        routes = _our_routes(config, emitter, telemetry, spill)
        routes.include_router(feedback_routes(emitter.emit_durably, admission, now))
        log = proxy.redactor.emit_calls_durably
        routes.include_router(async_log_routes(log, admission, now, body_limit=config.body_limit))
        routes.include_router(otlp_routes(log, admission, now, body_limit=config.body_limit))
        self.asgi: Asgi = routes

    async def drain(self, timeout: float) -> None:
        """Sends what was emitted to the log; each of its two parts has `timeout` seconds."""
        await self._proxy.drain(timeout)
        await self.emitter.drain(timeout)


def create_app(
    config: IngressConfig,
    emitter: Emitter,
    upstream: Sender,
    *,
    telemetry: Telemetry | None = None,
    guard: Guard = everyone,
    spill: Spilling | None = None,
    admission: Admission | None = None,
    ledger: Ledger | None = None,
    cache: CacheStore | None = None,
    key_for: KeyFor = no_key,
    redaction_for: RedactionFor = nothing_redacted,
    stored_for: StoredFor = no_prompts,
) -> Ingress:
    """Call on the running event loop. `guard` judges proxied calls, and only those. Give the emitter and this the same `telemetry`.

    `admission` judges who may call and judge; `ledger` counts what is limited, `cache` keeps answers, `key_for` the keys of providers,
    `redaction_for` what is redacted, `stored_for` finds the prompts that calls are to be made of.
    `spill` tells how the spill fares that the emitter's writer has in front of Kafka.
    """
    counted, admitting = telemetry or Telemetry(), admission or Admission()
    if spill is not None:
        counted.watch(spill)
    proxy = Proxy(
        config,
        emitter,
        upstream,
        telemetry=counted,
        guard=guard,
        admission=admitting,
        ledger=ledger,
        cache=cache,
        key_for=key_for,
        redaction_for=redaction_for,
        stored_for=stored_for,
    )
    counted.expect(proxy.providers, (REQUESTS.name, RESPONSES.name))
    return Ingress(config, emitter, proxy, counted, spill, admitting)


def is_ours(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request is for a route of our own. Where a caller names a target, none is."""
    path = target.partition(b"?")[0] if b"?" in target else target
    return (path in OUR_PATHS or path.startswith(OUR_PREFIXES)) and not any(name in NAMING_HEADERS for name, _ in headers)


def _our_routes(config: IngressConfig, emitter: Emitter, telemetry: Telemetry, spill: Spilling | None) -> FastAPI:
    app = FastAPI(title="Heliograph proxy", docs_url=None, redoc_url=None)
    app.add_exception_handler(405, _other_method)

    @app.get("/healthz", summary="Alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Can do its work; what was lost")
    async def readyz(response: Response) -> dict[str, Any]:
        ready = readiness(config, emitter, None if spill is None else spill())
        response.status_code = 200 if ready.status == "ready" else 503
        found: dict[str, Any] = to_builtins(ready)
        return found

    @app.get("/v1/directives", summary="Every header, its grammar, an example, what it does")
    async def directives() -> dict[str, Any]:
        """`obeyed` is false of those that are let through with a warning. `Helicone-Property-NAME` is one for each property."""
        return {"headers": to_builtins(listed())}

    @app.get("/metrics", summary="Prometheus metrics of all processes", response_class=Response)
    def metrics() -> Response:
        telemetry.publish()
        return Response(exposition(), media_type=EXPOSITION)

    return app


async def _other_method(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 the handler of this class
    allowed = ", ".join(dict(error.headers or {}).values())
    told = {"code": "method_not_allowed", "message": f"{request.method} is not answered here.", "fix": f"Use {allowed}."}
    return JSONResponse({"error": told}, 405, error.headers)


def readiness(config: IngressConfig, emitter: Emitter, spill: SpillState | None = None) -> Ready:
    """A log that takes nothing makes only a strict ingress unready: buffered, calls go on without it. A spill is a log that takes."""
    state = emitter.state
    spilling = spill is not None and spill.spilling
    return Ready(
        status="ready" if state.log_taking or not config.strict else "unready",
        log="refusing" if not state.log_taking else "spilling" if spilling else "taking",
        waiting_events=state.waiting_events,
        waiting_bytes=state.waiting_bytes,
        shed_bodies=state.shed_bodies,
        lost_events=state.lost_events,
        spill=None if spill is None else _told(spill),
    )


def _told(spill: SpillState) -> SpillReady:
    return SpillReady(
        since=spill.since,
        messages=spill.messages,
        bytes=spill.bytes,
        oldest_seconds=round(spill.oldest_s, 1),
        dropped_bodies=spill.dropped_bodies,
        put_aside=spill.put_aside,
        corrupt=spill.corrupt,
        reason=spill.reason,
    )
