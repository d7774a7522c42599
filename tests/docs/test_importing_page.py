"""What docs/importing.md shows is true: its script exports, page by page, and what it writes can be imported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime import import_cli
from runtime.cli import app
from tests.fakes.helicone_export import CALLS, KEY, helicone

TEXT = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
(SCRIPT,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [1, 7, 500])
def test_its_script_writes_each_call_once_with_its_bodies(tmp_path: Path, page: int) -> None:
    (tmp_path / "export.py").write_text(SCRIPT.replace("PAGE = 500", f"PAGE = {page}"))
    with helicone() as api:
        environment = os.environ | {"HELICONE_API": api, "HELICONE_API_KEY": KEY}
        command = [sys.executable, "export.py", "2025-01-01T00:00:00Z"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60)
    assert done.stderr == b""
    written = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(each["request_id"] for each in written) == sorted(each["request_id"] for each in CALLS)
    (elsewhere,) = [each for each in written if each["request_id"] == CALLS[19]["request_id"]]
    assert (elsewhere["request_body"], elsewhere["response_body"]) == (CALLS[0]["request_body"], CALLS[0]["response_body"])
    (tmp_path / "helicone.jsonl").write_bytes(done.stdout)
    dry = CliRunner().invoke(app, ["import", str(tmp_path / "helicone.jsonl"), "--dry-run"])
    assert (dry.exit_code, "30 calls read, 30 would be brought in" in dry.stdout) == (0, True), dry.output


def test_its_exit_codes_are_those() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d) \|", TEXT.split("| exit code |")[1], re.MULTILINE)}
    assert told == {0, 2, import_cli.STOPPED, import_cli.SOME_REJECTED}
