"""A process loads only what it serves: what a role does not need costs memory in every one of its workers."""

import subprocess
import sys

import pytest

HEAVY = ("pyarrow", "deltalake", "duckdb", "faust", "genai_prices", "redis", "fastapi")
NEEDED = {
    "runtime.proxy_worker": {"fastapi"},
    "runtime.webhooks_side": set(),
    "runtime.cluster": set(),
    "runtime.processors_side": {"faust", "genai_prices"},
}


@pytest.mark.parametrize("module", NEEDED)
def test_heavy_libraries_are_loaded_where_they_are_needed(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert set(found) <= NEEDED[module]
