"""What `up` says can be pasted."""

import os
import re
import sys
from pathlib import Path

import pytest

from runtime.settings import Settings
from runtime.welcome import program, welcome


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / ".venv" / "bin" / "heliograph"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    return script


@pytest.mark.parametrize("started", [".venv/bin/heliograph", "{script}"])
def test_the_program_is_named_by_a_path_where_its_name_leads_nowhere(
    installed: Path, monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started.format(script=installed)])
    assert program() == ".venv/bin/heliograph"
    monkeypatch.chdir(installed.parent)
    monkeypatch.setattr(sys, "argv", [str(installed)])
    assert program() == str(installed)


def test_the_program_is_named_by_its_name_where_that_leads_to_it(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{installed.parent}{os.pathsep}/usr/bin")
    monkeypatch.setattr(sys, "argv", [str(installed)])
    assert program() == "heliograph"


def test_the_python_to_paste_prints_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["runtime/cli.py"])
    said = welcome(Settings(), 8787, 8585, demo=True)
    (code,) = re.findall(r"^  from openai.*?\n\n", said, re.MULTILINE | re.DOTALL)
    compile(code.replace("\n  ", "\n").strip(), "pasted", "exec")
    assert "print(answer" in code
    assert f"{sys.executable} -m runtime.cli query" in said
