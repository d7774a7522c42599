"""Processes of ours without the libraries that Arrow looks for: `python -m storage.lean MODULE …` in place of `python -m MODULE …`.

Arrow loads numpy and pandas wherever they are installed. Nothing here needs them, and they are half of what it takes to start a process
that answers questions: 0.3 s and 55 MB.
"""

import os
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

UNNEEDED = frozenset({"numpy", "pandas"})


class _Hidden(MetaPathFinder):
    """For this process they are not installed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname in UNNEEDED:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def command(module: str) -> list[str]:
    """Runs a module of ours so."""
    return [sys.executable, "-m", "storage.lean", module]


def environment() -> dict[str, str]:
    """Of such a process: without the folder of metrics, as it counts nothing and would only leave files there."""
    return {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}


def lean() -> None:
    """From now on, in the whole process."""
    sys.meta_path.insert(0, _Hidden())


if __name__ == "__main__":
    lean()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
