"""What `up` says can be pasted."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import Settings
from runtime.welcome import address_of, program, query_of, welcome


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


QUERIES = {
    "all by default": ({}, 8585, "query"),
    "another port": ({"api_port": 9595}, 9595, "query --api-port 9595"),
    "any port": ({"api_port": 0}, 41234, "query --api-port 41234"),
    "the default, said where a file of settings may say otherwise": ({"api_port": 8585}, 8585, "query --api-port 8585"),
    "another directory, which the port knows": ({"data_dir": "/a b"}, 8585, "query"),
    "everywhere": ({"host": "0.0.0.0", "api_port": 9595}, 9595, "query --api-port 9595"),
    "an address that is not this machine's own": ({"host": "10.0.0.7", "data_dir": "/a b"}, 8585, "query --data-dir '/a b'"),
    "IPv6 alone": ({"host": "::1", "data_dir": "/data"}, 8585, "query --data-dir /data"),
}


@pytest.mark.parametrize(("said", "port", "words"), QUERIES.values(), ids=QUERIES)
def test_the_question_to_paste_finds_what_runs(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], port: int, words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["runtime/cli.py"])
    chosen = Settings(**said)
    assert query_of(chosen, port) == f"{program()} {words}"
    assert f'  {program()} {words} "SELECT' in welcome(chosen, 8787, port, demo=False)


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("::", "localhost"), ("10.0.0.7", "10.0.0.7"), ("fd00::7", "[fd00::7]")],
)
def test_urls_to_paste_name_where_it_listens(host: str, address: str) -> None:
    assert address_of(host) == address
    said = welcome(Settings(host=host), 8787, 8585, demo=True)
    assert said.count(f"http://{address}:8787") == 3
    assert f"http://{address}:8585" in said
