"""The processes of `heliograph up`, each a role: `python -m runtime.roles ROLE …`, started by the supervisor with the sockets it bound.

A role says `ready` on a pipe when it can work, ends in order on SIGTERM, and ends as well when its supervisor is gone. Each loads only what
it needs: a proxy worker without DuckDB and Arrow is half the size.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

import structlog
import uvloop

from eventlog.port import LogCorrupt, LogUnavailable, OffsetOutOfRange
from runtime import logs
from runtime.leaving import leave
from runtime.settings import LogFormat, Misconfigured, Settings, settings
from storage.lean import lean

log = structlog.get_logger()

Ready = Callable[[], None]
Role = Callable[[Settings, list[socket.socket], asyncio.Event, Ready], Coroutine[Any, Any, None]]

OPERATORS = (Misconfigured, LogCorrupt, LogUnavailable, OffsetOutOfRange)
"""What an operator must mend: told in a line, with the remedy."""

ROLES = {
    "ingress": "runtime.proxy_worker",
    "pipeline": "runtime.pipeline",
    "processors": "runtime.processors_side",
    "sink": "runtime.sink_side",
    "webhooks": "runtime.webhooks_side",
    "api": "runtime.query_side",
    "demo": "runtime.demo_side",
}
"""The module of each; its `run` lives the role."""


def role_named(name: str) -> Role:
    role: Role = import_module(ROLES[name]).run
    return role


async def _live(role: Role, chosen: Settings, sockets: list[socket.socket], ready_fd: int | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if ready_fd is None:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    else:
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal sends it to all: the supervisor decides the order
        watch_supervisor(loop, stop)

    told = False

    def ready() -> None:
        nonlocal ready_fd, told
        if ready_fd is None:
            if sockets and not told:
                log.info("listening", at=address_of(sockets[0]))
            told = True
        else:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)
            ready_fd, told = None, True

    await role(chosen, sockets, stop, ready)


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def watch_supervisor(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Standard input is a pipe that only the supervisor holds: its end is the supervisor's."""

    def ended() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, ended)


def run(name: str, sockets: list[socket.socket], ready_fd: int | None = None) -> int:
    """Lives the role until it is told to stop. Answers the exit code; what the operator must change is said in a line."""
    text = logs.is_text(LogFormat.AUTO)
    try:
        chosen = settings()
        text = logs.is_text(chosen.log_format)
        logs.configure(chosen.log_format, chosen.log_level, role=name)
        uvloop.run(_live(role_named(name), chosen, sockets, ready_fd))
    except OPERATORS as error:
        return _refused(name, error, text=text)
    except BaseExceptionGroup as group:
        cause = root_of(group)
        if not isinstance(cause, OPERATORS):
            raise
        return _refused(name, cause, text=text)
    return 0


def _refused(name: str, error: BaseException, *, text: bool) -> int:
    """What is to be mended may take several lines: a log line would escape them."""
    if text:
        sys.stderr.write(f"heliograph {name}: {error}\n")
    else:
        log.error("cannot_start", role=name, reason=str(error))
    return 2


def root_of(error: BaseException) -> BaseException:
    """What went wrong, out of the groups that tasks wrap it in; the group itself where several things did."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--fds", default="")
    parser.add_argument("--ready-fd", type=int)
    chosen = parser.parse_args()
    lean()
    sockets = [socket.socket(fileno=int(fd)) for fd in chosen.fds.split(",") if fd]
    for each in sockets:
        each.setblocking(False)
    leave(run(chosen.role, sockets, chosen.ready_fd))


if __name__ == "__main__":
    main()
