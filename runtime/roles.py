"""The processes of `heliograph up`, each a role: `python -m runtime.roles ROLE …`, started by the supervisor with the sockets it bound.

A role says `ready` on a pipe when it can work, ends in order on SIGTERM, and ends as well when its supervisor is gone.
"""

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

import structlog
import uvicorn
import uvloop

from eventlog.embedded import EmbeddedLog
from eventlog.port import LogCorrupt, LogUnavailable
from ingress.app import create_app
from ingress.emitter import Emitter
from ingress.outgoing import OutgoingUpstream, outgoing_proxy_wanted
from ingress.server import serve
from ingress.telemetry import Telemetry
from ingress.upstream import Sender, Upstream
from runtime import logs, pipeline
from runtime.demo import application
from runtime.guard import Guard, GuardedApp
from runtime.refusals import refusing
from runtime.settings import Misconfigured, Settings, settings
from storage.api import create_api
from storage.migration import LakeTooNew

log = structlog.get_logger()

Ready = Callable[[], None]
Role = Callable[[Settings, list[socket.socket], asyncio.Event, Ready], Coroutine[Any, Any, None]]


async def ingress(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Ready) -> None:
    """One proxy worker."""
    events = await EmbeddedLog.open(chosen.log_dir, fsync=chosen.ingress().strict)
    telemetry, config = Telemetry(), chosen.ingress()
    emitter = Emitter(await events.writer(), limits=config.emitter, telemetry=telemetry)
    upstream = sender(chosen)
    guard = Guard(chosen.allowed_hosts, chosen.allowed_origins)
    app = create_app(config, emitter, upstream, telemetry=telemetry, guard=refusing(guard))
    app.asgi = GuardedApp(app.asgi, guard)
    gc.collect()
    gc.freeze()  # what was made until here stays: no collection need look at it again
    try:
        await serve(app, sockets, stop=stop, on_started=ready)
    finally:
        await upstream.aclose()
        await events.close()


def sender(chosen: Settings) -> Sender:
    """Our own connections, or an outgoing HTTP proxy's where the environment asks for one."""
    ca_file = str(chosen.ca_file) if chosen.ca_file else None
    if outgoing_proxy_wanted(os.environ):
        return OutgoingUpstream(limits=chosen.time_limits(), caps=chosen.caps(), target_hosts=chosen.target_hosts, ca_file=ca_file)
    return Upstream(limits=chosen.time_limits(), caps=chosen.caps(), allow_private_targets=chosen.allow_private_targets, ca_file=ca_file)


async def api(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Ready) -> None:
    """The query side."""
    app = create_api(chosen.storage(), limits=chosen.query_limits(), organization=chosen.organization)
    guarded = GuardedApp(app, Guard(chosen.allowed_hosts, chosen.allowed_origins))
    await serve_asgi(guarded, sockets, stop, ready, drain_s=chosen.shutdown_s)


async def demo_provider(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Ready) -> None:
    """The provider of `up --demo`."""
    await serve_asgi(application(faults=False), sockets, stop, ready, drain_s=chosen.shutdown_s)


async def serve_asgi(app: Any, sockets: Sequence[socket.socket], stop: asyncio.Event, ready: Ready, *, drain_s: float) -> None:
    """Serves an ASGI app until `stop` is set; requests in flight have `drain_s` to end."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", server_header=False, date_header=False, timeout_graceful_shutdown=int(drain_s)
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=list(sockets))
    if server.should_exit:
        raise SystemExit(1)
    ready()
    await stop.wait()
    await server.shutdown(sockets=list(sockets))


async def run_pipeline(chosen: Settings, sockets: list[socket.socket], stop: asyncio.Event, ready: Ready) -> None:
    """Processors, sink, maintenance and log retention in one process."""
    await pipeline.run(chosen, stop, ready)


ROLES: dict[str, Role] = {"ingress": ingress, "pipeline": run_pipeline, "api": api, "demo": demo_provider}


async def _live(role: Role, chosen: Settings, sockets: list[socket.socket], ready_fd: int | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if ready_fd is None:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    else:
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal sends it to all: the supervisor decides the order
        watch_supervisor(loop, stop)

    def ready() -> None:
        if ready_fd is not None:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)

    await role(chosen, sockets, stop, ready)


def watch_supervisor(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Standard input is a pipe that only the supervisor holds: its end is the supervisor's."""

    def ended() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, ended)


def run(name: str, sockets: list[socket.socket], ready_fd: int | None = None) -> int:
    """Lives the role until it is told to stop. Answers the exit code; what the operator must change is said in a line."""
    try:
        chosen = settings()
        logs.configure(chosen.log_format, chosen.log_level, role=name)
        uvloop.run(_live(ROLES[name], chosen, sockets, ready_fd))
    except (Misconfigured, LogCorrupt, LogUnavailable, LakeTooNew) as error:
        log.error("cannot_start", role=name, reason=str(error))
        return 2
    return 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--fds", default="")
    parser.add_argument("--ready-fd", type=int)
    chosen = parser.parse_args()
    sockets = [socket.socket(fileno=int(fd)) for fd in chosen.fds.split(",") if fd]
    for each in sockets:
        each.setblocking(False)
    leave(run(chosen.role, sockets, chosen.ready_fd))


def leave(code: int) -> NoReturn:
    """Ends the process at once. All work is done by now, and the native libraries' own endings print riddles, or abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
