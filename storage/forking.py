"""The asker's side of the fork server: started when the first process is wanted, and again where it has ended."""

import os
import select
import signal
import socket
import struct
import subprocess
from array import array
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from storage import lean
from storage.forkserver import REPLY, REQUEST, Errand

COMMAND = lean.command("storage.forkserver")
KILLED = -signal.SIGKILL
"""What a process is said to have ended with whose server is gone: where memory is lacking, the system ends more than one."""
REAPED_S = 10.0
"""To tell how a process ended that has."""
_ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's own reserves 1 GiB at its first use, which the system counts as taken, and ends the process when it is refused more."""


class ForkServer:
    """Forks answerers, for any thread. Close it once all of them have been waited for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._server: _Server | None = None

    def fork(self, line: socket.socket, patience_s: float) -> "Child":
        """One that has `line`. Raises OSError."""
        ended, end = os.pipe()
        try:
            with self._lock:
                server, pid = self._forked(line.fileno(), end, patience_s)
        except BaseException:
            os.close(ended)
            raise
        finally:
            os.close(end)
        return Child(server, pid, ended)

    def close(self) -> None:
        """What is asked of it later starts it anew."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def _forked(self, line: int, end: int, patience_s: float) -> tuple["_Server", int]:
        """Asked once: of a server that ends meanwhile nobody knows whether it has forked one that holds them."""
        if self._server is not None and not self._server.alive:
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = _Server()
        return self._server, self._server.fork(line, end, patience_s)


class Child:
    """A process that was forked. `wait` blocks; `kill` and `alive` are for any thread meanwhile."""

    def __init__(self, server: "_Server", pid: int, ended: int) -> None:
        self.pid = pid
        self._server, self._ended = server, ended
        self._lock = Lock()
        self._over = False
        self._exit_code: int | None = None

    @property
    def alive(self) -> bool:
        with self._lock:
            return self._is_alive()

    def kill(self) -> None:
        """At once. Nothing where it has ended."""
        with self._lock:
            if self._is_alive():
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Until it has ended: its exit code, as `subprocess` tells it. One thread at a time."""
        if self._exit_code is None:
            os.read(self._ended, 1)
            with self._lock:
                self._over = True
                os.close(self._ended)
            self._exit_code = self._server.reap(self.pid)
        return self._exit_code

    def _is_alive(self) -> bool:
        """Nobody writes to the pipe: all that can be there is its end. Only then is it reaped, and its number another's."""
        if self._over:
            return False
        looking = select.poll()
        looking.register(self._ended, 0)
        return not looking.poll(0)


class _Server:
    """One life of it."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._control, theirs = socket.socketpair()
        self._lock = Lock()
        try:
            with theirs:
                self._process = _started(theirs.fileno())
        except OSError:
            self._control.close()
            raise

    def fork(self, line: int, end: int, patience_s: float) -> int:
        """Raises OSError; where the server does not answer, ConnectionError."""
        told = self._told(Errand.FORK, patience_s=patience_s, descriptors=[line, end])
        if told < 0:
            raise OSError(-told, os.strerror(-told))
        return told

    @property
    def alive(self) -> bool:
        """Not, where it did not answer once."""
        return self._control.fileno() >= 0 and self._process.poll() is None

    def reap(self, pid: int) -> int:
        with suppress(ConnectionError):
            return self._told(Errand.REAP, pid, patience_s=REAPED_S)
        return KILLED

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _told(self, errand: Errand, pid: int = 0, *, patience_s: float, descriptors: Sequence[int] = ()) -> int:
        given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        with self._lock:
            try:
                self._control.settimeout(patience_s)
                self._control.sendmsg([REQUEST.pack(errand, pid)], given)
                reply = self._control.recv(REPLY.size, socket.MSG_WAITALL)
                told: int = REPLY.unpack(reply)[0]
            except (OSError, struct.error) as error:
                self._control.close()  # what it says later would be taken for what somebody else is told
                raise ConnectionError("the fork server does not answer") from error
        return told


def _started(control: int) -> subprocess.Popen[bytes]:
    environment = lean.environment() | _ALLOCATOR
    return subprocess.Popen([*COMMAND, str(control)], stdin=subprocess.DEVNULL, pass_fds=[control], env=environment)  # noqa: S603 - ourselves
