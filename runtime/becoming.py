"""How a command turns into the role that it starts."""

import os
import socket
import sys
from typing import NoReturn

from runtime.cluster import kafka_config
from runtime.settings import Settings
from runtime.sockets import listen


def become(role: str, sockets: list[socket.socket], *kept: int) -> NoReturn:
    """Turns this process into a role, which loads less than the commands do. The descriptors `kept` stay open."""
    fds = [each.fileno() for each in sockets]
    for fd in (*fds, *kept):
        os.set_inheritable(fd, True)
    os.execv(sys.executable, [sys.executable, "-m", "runtime.roles", role, "--fds", ",".join(map(str, fds))])  # noqa: S606 - ourselves


def become_on_kafka(role: str, chosen: Settings) -> NoReturn:
    """Likewise, a role that has a port for its health alone. Raises Misconfigured where no Kafka is named."""
    kafka_config(chosen)
    become(role, listen(chosen.host, chosen.health_port, setting="HELIOGRAPH_HEALTH_PORT (--health-port)"))
