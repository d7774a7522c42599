"""The role of the query side."""

import asyncio
import socket
from collections.abc import Callable

from fastapi import FastAPI

from ingress.async_log_routes import PATHS as LOG_PATHS
from ingress.async_log_routes import async_log_routes
from ingress.emitter import now
from ingress.feedback import feedback_routes
from ingress.otlp.routes import PATHS as SPAN_PATHS
from ingress.otlp.routes import otlp_routes
from ingress.secrets import presented
from runtime.deciding import Control, beside
from runtime.emitting import LateEmitter
from runtime.guard import Guard, GuardedApp
from runtime.invoices import explained, invoice_json
from runtime.kept_routes import hidden_in, kept_routes
from runtime.key_routes import key_routes
from runtime.lakes import lake_opened
from runtime.model_routes import model_routes
from runtime.price_desk import PriceDesk
from runtime.price_routes import invoice_routes, price_routes
from runtime.prices import Prices, price_file
from runtime.prompts import prompt_desk
from runtime.query_limits import limits_of
from runtime.retention_routes import retention_routes
from runtime.serving import serve_asgi
from runtime.settings import Settings
from runtime.webhook_routes import webhook_routes
from storage.api import create_api, end_questions
from storage.dashboard.config import DashboardConfig
from storage.dashboard.routes import install_dashboard
from storage.rest.links import Links
from storage.rest.prompt_writes import router as prompt_writes_router
from storage.rest.prompts import router as prompts_router
from storage.rest.routes import router as rest_router
from storage.session_tag import router as session_tag_router

TOLD = frozenset(path.decode() for path in LOG_PATHS | SPAN_PATHS)
"""Where calls are told of: such bodies are longer than questions, and not all of them are JSON."""
QUESTIONS_S = 5.0
"""At the end, a question under way has so long: the end does not wait for one that takes its time."""


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Answers questions until `stop` is set."""
    control = Control(chosen)
    file = await asyncio.to_thread(price_file, chosen)
    judging = LateEmitter(chosen, control.redaction_for)
    app = query_app(chosen, control, Prices(file, lambda: control.own_prices), judging)
    guarded = GuardedApp(app, Guard(chosen.allowed_hosts, chosen.allowed_origins))
    try:
        async with control.following(), beside(file.follow(), "prices_file"), beside(app.state.prompts.follower.run(), "prompts"):
            with lake_opened():
                await serve_asgi(
                    guarded,
                    sockets,
                    stop,
                    ready,
                    drain_s=chosen.shutdown_s,
                    limits=chosen.ingress().clients,
                    before_end=lambda: end_questions(app, min(QUESTIONS_S, chosen.shutdown_s / 2)),
                )
    finally:
        await judging.close()


def query_app(chosen: Settings, control: Control, prices: Prices, judging: LateEmitter) -> FastAPI:
    """All that the query port answers."""
    limits = limits_of(chosen)
    app = create_api(
        chosen.storage(),
        limits=limits,
        admission=control.admission,
        presented=presented,
        of_calls=[invoice_routes],
        own_bodies=TOLD,
    )
    app.include_router(feedback_routes(judging.emit_durably, control.admission, now))
    log, body_limit = judging.emit_calls_durably, chosen.ingress().body_limit
    app.include_router(async_log_routes(log, control.admission, now, body_limit=body_limit))
    app.include_router(otlp_routes(log, control.admission, now, body_limit=body_limit))
    app.include_router(session_tag_router)
    secret = chosen.vault_secret
    app.state.links = Links(None if secret is None else secret.get_secret_value(), public_url=chosen.public_url, key_of=control.link_key_of)
    app.include_router(rest_router)
    app.state.prompts = prompt_desk(chosen)
    app.include_router(prompts_router)
    app.include_router(prompt_writes_router)
    app.include_router(price_routes(prices, control))
    app.include_router(key_routes(control, now))
    app.include_router(retention_routes(control, chosen.kept_in_lake(), now))
    app.include_router(model_routes(now))
    app.include_router(webhook_routes(chosen, control))
    app.state.hidden_properties = lambda organization: hidden_in(control.decided, organization)
    app.include_router(kept_routes(control))
    app.state.pricing = PriceDesk(prices, lambda: control.known)
    dashboard = DashboardConfig(
        proxy_port=chosen.port,
        secret=None if secret is None else secret.get_secret_value(),
        public_url=chosen.public_url,
        invoice=lambda row: invoice_json(row, explained(row)),
    )
    install_dashboard(app, dashboard, now)
    return app
