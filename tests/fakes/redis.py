"""A real server that speaks Redis's protocol, for tests: one process of our own, on loopback, that can be stopped, killed and paused."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from ingress.config import RedisConfig
from tests.fakes.kafka import free_port

PROGRAMS = ("redis-server", "valkey-server")
READY_S = 10.0


def missing() -> str | None:
    """Why there can be none here, with the remedy; None when there can."""
    return None if any(map(shutil.which, PROGRAMS)) else "install redis-server, or valkey"


class RedisServer:
    """Nothing of it outlives it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._folder, self._options = folder, options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def config(self, prefix: str, timeout_s: float = 5.0) -> RedisConfig:
        return RedisConfig(url=self.url, prefix=prefix, timeout_s=timeout_s)

    def start(self) -> None:
        program = next(found for found in map(shutil.which, PROGRAMS) if found)
        wanted = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen([program, *wanted, *self._options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < until, "the server did not come up"
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
