"""The role of a proxy worker."""

import asyncio
import gc
import socket
from collections.abc import Callable

from eventlog.spill import SpillingWriter
from ingress.app import create_app
from ingress.server import serve
from ingress.telemetry import Telemetry
from runtime.deciding import Control
from runtime.emitting import open_emitter
from runtime.guard import Guard, GuardedApp
from runtime.outward import sender
from runtime.refusals import refusing, with_cors
from runtime.settings import Settings
from runtime.sharing import Shared
from runtime.stored_prompts import StoredPrompts

YOUNG, MIDDLE, OLD = 20_000, 20, 50
"""Thresholds of the garbage collector. A call leaves no cycles behind; the usual 700 would look for them at every few calls."""


async def run(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serves calls until `stop` is set, then drains."""
    telemetry, config = Telemetry(), chosen.ingress()
    upstream = sender(chosen)
    emitter, events = await open_emitter(chosen, telemetry)
    guard = Guard(chosen.allowed_hosts, chosen.allowed_origins)
    spill = (lambda: events.state) if isinstance(events, SpillingWriter) else None
    control = Control(chosen)
    prompts = StoredPrompts(chosen)
    shared = await Shared.open(chosen, telemetry)
    app = create_app(
        config,
        emitter,
        upstream,
        telemetry=telemetry,
        guard=refusing(guard),
        spill=spill,
        admission=control.admission,
        ledger=shared.ledger,
        cache=shared.cache,
        key_for=control.key_for,
        redaction_for=control.redaction_for,
        stored_for=prompts.find,
    )
    app.asgi = GuardedApp(app.asgi, guard)
    if chosen.allowed_origins:
        app.handle = with_cors(app.handle, guard)
    try:
        async with control.following(), shared.settling(chosen, control.opened, telemetry):
            gc.collect()
            gc.set_threshold(YOUNG, MIDDLE, OLD)
            gc.freeze()  # what was made until here stays: no collection need look at it again
            await serve(app, sockets, stop=stop, on_started=ready)
    finally:
        await prompts.aclose()
        await shared.aclose()
        await upstream.aclose()
        await events.close()
