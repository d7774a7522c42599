"""The client is for Python 3.8 and newer, and needs nothing but its standard library."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.fakes.log_taker import log_taker
from tests.fakes.telling import CLIENT, FORK, by_epoch, run

SOURCES = sorted((CLIENT / "heliograph_client").glob("*.py"))
OTHERS = ("3.8", "3.9", "3.10", "3.12", "3.13")


def interpreter(version: str) -> str | None:
    """On the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    return next((each for each in found if each and _runs(each)), None)


def _runs(python: str) -> bool:
    return subprocess.run([python, "--version"], capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_its_syntax_and_its_imports(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"heliograph_client"}


@pytest.mark.parametrize("version", OTHERS)
def test_it_runs(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    with log_taker() as taker:
        run(f"assert sys.version.startswith('{version}.')\nlogger.feedback(log('m'), True)\n{FORK}", taker.url, python=python)
    assert sorted(by_epoch(taker).values()) == [["child"], ["m", "before", "stream", "after"]]


def test_its_wheel_is_the_package_and_its_types(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CLIENT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert names == {f"heliograph_client/{source.name}" for source in [*SOURCES, Path("py.typed")]}


def test_what_it_says_of_itself() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert (project["requires-python"], project["dependencies"]) == (">=3.8", [])
    assert (CLIENT / "heliograph_client" / "py.typed").exists()
    assert (CLIENT / "LICENSE").read_text() == (CLIENT.parents[1] / "LICENSE").read_text()
