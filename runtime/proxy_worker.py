"""The role of a proxy worker."""

import asyncio
import gc
import os
import socket
import ssl
from collections.abc import Callable

from eventlog.spill import SpillingWriter
from ingress.app import create_app
from ingress.outgoing import OutgoingUpstream, outgoing_proxy_wanted
from ingress.server import serve
from ingress.telemetry import Telemetry
from ingress.upstream import Sender, Upstream
from runtime.deciding import Control
from runtime.emitting import open_emitter
from runtime.guard import Guard, GuardedApp
from runtime.refusals import refusing, with_cors
from runtime.settings import Misconfigured, Settings
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


def sender(chosen: Settings) -> Sender:
    """Our own connections, or an outgoing HTTP proxy's where the environment asks for one. Raises Misconfigured."""
    try:
        return _sender(chosen, str(chosen.ca_file) if chosen.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        if chosen.ca_file is None:
            raise
        why = error.strerror or str(error) or type(error).__name__
        raise Misconfigured(f"HELIOGRAPH_CA_FILE={chosen.ca_file}: {why}. Name a readable file of certificates in PEM form.") from error


def _sender(chosen: Settings, ca_file: str | None) -> Sender:
    if outgoing_proxy_wanted(os.environ):
        return OutgoingUpstream(limits=chosen.time_limits(), caps=chosen.caps(), target_hosts=chosen.target_hosts, ca_file=ca_file)
    return Upstream(limits=chosen.time_limits(), caps=chosen.caps(), allow_private_targets=chosen.allow_private_targets, ca_file=ca_file)
