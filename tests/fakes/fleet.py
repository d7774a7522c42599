"""The roles of Heliograph before a real Kafka: two processes of each, killed outright, and started again when they died."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.stack import COMMAND, free_port, wait_until_ready

ROLES = ("ingress", "processors", "sink")
EACH = 2


@dataclass
class Member:
    """One process of a role, in one life after the other."""

    role: str
    folder: Path
    env: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    killed_at: list[float] = field(default_factory=list)
    """By the monotonic clock."""
    died: list[str] = field(default_factory=list)
    """Deaths that nobody asked for, with the end of the log."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def start(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
        own = {
            "HELIOGRAPH_DATA_DIR": str(self.folder),
            "HELIOGRAPH_PORT": str(self.port),
            "HELIOGRAPH_HEALTH_PORT": str(self.port),
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, self.role], env=inherited | dict(self.env) | own, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.killed_at.append(time.monotonic())

    def revive(self) -> None:
        """Starts it again when it is dead, as whatever runs it would."""
        if self.process is not None and self.process.poll() is not None:
            if self.process.returncode != -signal.SIGKILL:
                self.died.append(f"{self.role} ended with {self.process.returncode}: {self.log.read_text()[-1500:]}")
            self.start()

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            process.wait(40)


@dataclass
class Fleet:
    members: list[Member]
    lake: Path

    def of(self, role: str) -> list[Member]:
        return [member for member in self.members if member.role == role]

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for member in self.members:
                member.revive()

    async def stop(self, role: str) -> None:
        await asyncio.gather(*(asyncio.to_thread(member.stop) for member in self.of(role)))


@asynccontextmanager
async def fleet(folder: Path, env: Mapping[str, str]) -> AsyncIterator[Fleet]:
    """Running; everyone is ready. `env` leads to the cluster and the provider."""
    lake = folder / "lake"
    lake.mkdir(parents=True)
    shared = dict(env) | {"HELIOGRAPH_LAKE_URI": str(lake)}
    members = [Member(role, folder / f"{role}-{number}", shared) for role in ROLES for number in range(EACH)]
    made = Fleet(members, lake)
    try:
        for member in members:
            member.start()
        for member in members:
            assert member.process is not None
            await asyncio.to_thread(wait_until_ready, f"{member.url}/readyz", member.process, member.log)
        yield made
    finally:
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                if member.process is not None:
                    member.process.kill()
                    member.process.wait()
