"""docker-compose.yml without Docker: each service's own command, environment and health check, as processes of this machine.

What is replaced is where things are: service names and ports become loopback and free ports, `/data` and the volumes become folders.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.stack import free_port

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
OURS = "heliograph"
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:?-)([^}]*))?\})")


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """As Compose does it: `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `$$`. Raises KeyError for one that has no value."""

    def value(match: re.Match[str]) -> str:
        name, operator, default = match.groups()
        if name is None:
            return "$"
        found = variables.get(name)
        if operator and (found is None or (operator == ":-" and not found)):
            return str(default)
        return variables[name]

    return VARIABLE.sub(value, text)


def compose(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file as Compose understands it, with these variables in `.env`."""

    def walk(value: Any) -> Any:
        match value:
            case str():
                return interpolated(value, variables or {})
            case dict():
                return {key: walk(inner) for key, inner in value.items()}
            case list():
                return [walk(inner) for inner in value]
            case _:
                return value

    found: dict[str, Any] = walk(yaml.safe_load(FILE.read_text()))
    return found


def is_ours(service: Mapping[str, Any]) -> bool:
    return str(service["image"]).partition(":")[0] == OURS


@dataclass
class Local:
    """The services of the file that are ours, on this machine. `dotenv` is what stands in `.env`."""

    folder: Path
    kafka: str
    dotenv: dict[str, str]
    services: dict[str, Any] = field(init=False)
    ports: dict[tuple[str, str], int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = {name: each for name, each in compose(self.dotenv)["services"].items() if is_ours(each)}

    def port(self, copy: str, inside: str) -> int:
        """What a port inside of a container is here. `copy` is a service, or one of its replicas."""
        return self.ports.setdefault((copy, inside), free_port())

    def copies(self, name: str) -> list[str]:
        replicas = self.services[name].get("deploy", {}).get("replicas", 1)
        return [name] if replicas == 1 else [f"{name}-{number}" for number in range(1, replicas + 1)]

    def environment(self, name: str, copy: str) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HELIOGRAPH_")}
        said = {key: str(value) for key, value in self.services[name]["environment"].items()}
        settings = {key: value for key, value in self.dotenv.items() if key.startswith("HELIOGRAPH_")} | said
        for key in ("HELIOGRAPH_PORT", "HELIOGRAPH_API_PORT", "HELIOGRAPH_HEALTH_PORT"):
            settings[key] = str(self.port(copy, settings[key]))
        assert settings["HELIOGRAPH_HOST"] == "0.0.0.0"
        settings["HELIOGRAPH_HOST"] = "127.0.0.1"
        settings["HELIOGRAPH_DATA_DIR"] = str(self.data(name, copy))
        servers = settings["HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"]
        settings["HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"] = servers.replace("kafka:9092", self.kafka)
        return inherited | settings

    def data(self, name: str, copy: str) -> Path:
        """The folder that is `/data` there, its volumes where others find them too."""
        mounts = dict(volume.split(":")[1::-1] for volume in self.services[name].get("volumes", []))
        if "/data" in mounts:
            folder = self.folder / "volumes" / mounts["/data"]
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        folder = self.folder / copy
        folder.mkdir(exist_ok=True)
        for inside, volume in mounts.items():
            target = self.folder / "volumes" / volume
            target.mkdir(parents=True, exist_ok=True)
            place = folder / Path(inside).relative_to("/data")
            if not place.exists():
                place.symlink_to(target)
        return folder

    def start(self, name: str) -> None:
        """Once those that it depends on are as it asks."""
        for needed, how in self.services[name].get("depends_on", {}).items():
            if needed in self.services and how["condition"] == "service_completed_successfully":
                assert [self.processes[copy].wait(60) for copy in self.copies(needed)] == [0], self.log(needed)
            elif needed in self.services and how["condition"] == "service_healthy":
                self.wait_healthy(needed)
        for copy in self.copies(name):
            with (self.folder / f"{copy}.log").open("ab") as log:
                self.processes[copy] = subprocess.Popen(
                    [sys.executable, "-m", "runtime.cli", *self.services[name]["command"]],
                    env=self.environment(name, copy),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def is_healthy(self, name: str, copy: str) -> bool:
        """Its health check's own command, as it would run within the container."""
        kind, program, *arguments = self.services[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        local = [re.sub(r"127\.0\.0\.1:(\d+)", lambda match: f"127.0.0.1:{self.port(copy, match[1])}", each) for each in arguments]
        return subprocess.run([sys.executable, *local], capture_output=True, timeout=30, check=False).returncode == 0

    def wait_healthy(self, name: str, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        for copy in self.copies(name):
            while not self.is_healthy(name, copy):
                assert self.processes[copy].poll() is None, f"{copy} ended:\n{self.log(copy)}"
                assert time.monotonic() < deadline, f"{copy} is not healthy:\n{self.log(copy)}"
                time.sleep(0.1)

    def log(self, copy: str) -> str:
        return (self.folder / f"{copy}.log").read_text()[-4000:]

    def stop(self, copy: str) -> int:
        process = self.processes.pop(copy)
        process.send_signal(signal.SIGTERM)
        return process.wait(40)


@contextmanager
def local(folder: Path, kafka: str, dotenv: dict[str, str]) -> Iterator[Local]:
    made = Local(folder, kafka, dotenv)
    try:
        yield made
    finally:
        for copy in list(made.processes):
            made.stop(copy)
