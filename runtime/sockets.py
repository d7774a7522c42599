"""The two ports: bound once, by the supervisor, and handed to the processes that serve them."""

import errno
import socket

from runtime.settings import Misconfigured

BACKLOG = 4096


def listen(host: str, port: int, *, setting: str) -> list[socket.socket]:
    """Listening sockets for `port`: of this machine over IPv4 and IPv6 when `host` is 127.0.0.1 or localhost, else of that address.

    Listening here, before any process serves, means that a call that comes while a worker is restarted waits instead of failing.
    Raises Misconfigured naming port and setting.
    """
    if host not in {"127.0.0.1", "localhost"}:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_bound(family, host.strip("[]"), port, setting)]
    first = _bound(socket.AF_INET, "127.0.0.1", port, setting)
    port = first.getsockname()[1]
    try:
        return [first, _bound(socket.AF_INET6, "::1", port, setting)]
    except NoIpv6:
        return [first]
    except Misconfigured:
        first.close()
        raise


class NoIpv6(Exception):
    """Only IPv4 is there on this machine."""


def _bound(family: socket.AddressFamily, host: str, port: int, setting: str) -> socket.socket:
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise NoIpv6 from error
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family is socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if family is socket.AF_INET6 and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise NoIpv6 from error
        raise Misconfigured(_explained(error, host, port, setting)) from error
    made.setblocking(False)
    return made


def _explained(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use. Stop what listens there, or choose another port with {setting}."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} needs privileges. Choose one above 1023 with {setting}."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Look at HELIOGRAPH_HOST and {setting}."
