"""A whole Heliograph as processes of this machine: the demo provider with its faults, and `heliograph up` before it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "runtime.cli"]
PROVIDER = [sys.executable, str(Path(__file__).with_name("demo_provider.py"))]
"""It is there in a third of the time of `heliograph demo provider`."""
POLL_S = 0.15


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            get(url)
            return
        time.sleep(0.05)
    raise RuntimeError(f"{url} was not ready (exit {process.poll()}):\n{log.read_text()[-4000:]}")


@dataclass
class Stack:
    """`heliograph up` on free ports, with the demo provider for both dialects."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    provider_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    key: str = ""
    """Of Heliograph, to ask with. Empty where nobody has to say who they are."""

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def provider(self) -> str:
        return f"http://127.0.0.1:{self.provider_port}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def environment(self) -> dict[str, str]:
        upstreams = {f"HELIOGRAPH_UPSTREAMS__{name}": self.provider for name in ("OPENAI", "ANTHROPIC", "GROQ")}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        return inherited | upstreams | {"HELIOGRAPH_ALLOW_PRIVATE_TARGETS": "true", "HELIOGRAPH_LOG_FORMAT": "json"} | self.env

    def spawn(self, name: str, *arguments: str, command: Sequence[str] = COMMAND) -> subprocess.Popen[bytes]:
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*command, *arguments], env=self.environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.processes[name] = process
        return process

    def start_provider(self) -> None:
        process = self.spawn("provider", str(self.provider_port), command=PROVIDER)
        wait_until_ready(f"{self.provider}/healthz", process, self.folder / "provider.log")

    def start(self) -> None:
        process = self.spawn(
            "up",
            "up",
            "--port",
            str(self.port),
            "--api-port",
            str(self.api_port),
            "--data-dir",
            str(self.data_dir),
            "--workers",
            str(self.workers),
        )
        for url in (f"{self.proxy}/readyz", f"{self.api}/readyz"):
            wait_until_ready(url, process, self.folder / "up.log")

    def stop(self, name: str = "up", *, seconds: float = 40) -> int:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds)

    def kill_tree(self, name: str = "up") -> None:
        """kill -9 of the supervisor and all its children at one instant."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def query(self, sql: str) -> list[dict[str, Any]]:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(f"{self.api}/v1/query", json.dumps({"sql": sql}).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]

    def rows(self, where: str, *, count: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """The rows of `calls` that fit, as soon as there are `count`. `seconds` is patience, long enough for a machine that is busy."""
        deadline = time.monotonic() + seconds
        while (found := self.query(f"SELECT count(*) AS n FROM calls WHERE {where}")[0]["n"]) < count:  # cheaper than the rows
            if time.monotonic() > deadline:
                raise AssertionError(f"{found} rows instead of {count} where {where}; log:\n{self.log('up')[-3000:]}")
            time.sleep(POLL_S)
        return self.query(f"SELECT * FROM calls WHERE {where} ORDER BY created_at")

    def row(self, where: str) -> dict[str, Any]:
        found = self.rows(where)
        assert len(found) == 1, found
        return found[0]

    def call(self, call_id: str) -> dict[str, Any]:
        """One call with its bodies, from the REST side."""
        return json.loads(get(f"{self.api}/v1/calls/{call_id}"))


@contextlib.contextmanager
def stack(folder: Path, *, workers: int = 1, **env: str) -> Iterator[Stack]:
    """A running Stack; settings as keyword arguments (`HELIOGRAPH_DURABILITY="strict"`)."""
    made = Stack(folder=folder, env=env, workers=workers)
    try:
        made.start_provider()
        made.start()
        yield made
    finally:
        for name in list(made.processes):
            made.stop(name)
