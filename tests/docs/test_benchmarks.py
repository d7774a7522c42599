"""Every benchmark can be started: a module that another has taken the name of is found here, not by whoever measures."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "bench").glob("*.py"))
WITHOUT_ARGUMENTS = {"peers", "streams", "dialects"}
"""Parts of others."""


@pytest.mark.parametrize("name", MODULES)
def test_it_can_be_loaded(name: str) -> None:
    module = importlib.import_module(f"bench.{name}")
    assert module.__doc__
    assert hasattr(module, "main") or name in WITHOUT_ARGUMENTS


def test_the_newest_tells_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.logging", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--rounds" in done.stdout
