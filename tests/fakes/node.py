"""Node and what it runs for tests: our client, built and packed once, and the packages that others published."""

import functools
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "node"
PUBLISHED = ROOT / "tests" / "clients" / "published"
OLDEST = 18
PATIENCE_S = 300
"""For what a registry has to be asked for."""


@functools.cache
def missing() -> str | None:
    """Why none can be run here, with the remedy; None when it can."""
    remedy = f"install Node.js {OLDEST} or newer, with npm"
    if shutil.which("node") is None or shutil.which("npm") is None:
        return remedy
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout  # v20.20.2
    return None if int(said.lstrip("v").split(".")[0] or 0) >= OLDEST else remedy


def run(*command: str, cwd: Path, seconds: float = 60, **env: str) -> str:
    """What it printed. Raises with all that was said when it fails."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("HELIOGRAPH_", "OPENAI_", "ANTHROPIC_"))}
    done = subprocess.run(command, cwd=cwd, env=plain | env, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def script(path: Path, **env: str) -> Any:
    """What it printed last, as JSON; None when it printed nothing."""
    printed = run("node", str(path), cwd=path.parent, **env).strip()
    return json.loads(printed.splitlines()[-1]) if printed else None


def installed(folder: Path) -> Path:
    """The folder, with the packages of its lock: they are asked for once, and when the lock changes."""
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--prefer-offline", cwd=folder, seconds=PATIENCE_S)
    return folder


def packed(into: Path) -> Path:
    """The archive that would be published."""
    installed(CLIENT)
    names = json.loads(run("npm", "pack", "--json", "--pack-destination", str(into), cwd=CLIENT))
    return into / names[0]["filename"]


def unpacked(archive: Path, folder: Path) -> None:
    """As `npm install` of the archive would lay it into the folder, without asking anybody."""
    packages = folder / "node_modules"
    shutil.rmtree(packages / "heliograph-client", ignore_errors=True)
    with tarfile.open(archive) as files:
        files.extractall(packages, filter="data")
    (packages / "package").replace(packages / "heliograph-client")
