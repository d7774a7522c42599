"""What Arrow would load for others is not loaded in our own processes."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import pyarrow as pa

assert __name__ == "__main__"
print(pa.table({"a": [1, 2]}).to_pylist()[1]["a"], *sys.argv[1:], *(name for name in ("numpy", "pandas") if name in sys.modules))
"""


def test_a_module_runs_with_its_arguments_and_without_them(tmp_path: Path) -> None:
    (tmp_path / "some_program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "storage.lean", "some_program", "an", "argument"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["2", "an", "argument"]
