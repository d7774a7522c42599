"""`heliograph backup` of a running Heliograph, and a new one that starts from it."""

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.fakes.small_lake import SmallLake
from tests.fakes.stack import Stack

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


def command(made: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "runtime.cli", *arguments]
    return subprocess.run(words, env=made.environment(), capture_output=True, text=True, timeout=60, check=False)


@dataclass
class Load:
    """One caller after another, until it is told to stop."""

    stack: Stack
    answered: list[str] = field(default_factory=list)
    over: bool = False

    def run(self) -> None:
        while not self.over:
            answer = httpx.post(f"{self.stack.proxy}/v1/chat/completions", json=BODY, timeout=20)
            self.answered.append(answer.headers["helicone-id"])


def test_a_backup_under_load_is_put_back_and_goes_on(tmp_path: Path) -> None:
    first = Stack(folder=tmp_path, env={"HELIOGRAPH_SINK__FLUSH_SECONDS": "0.2"})
    first.start_provider()
    first.start()
    load = Load(first)
    caller = threading.Thread(target=load.run)
    caller.start()
    first.rows("true", count=30)
    before = list(load.answered)
    made = command(first, "backup", str(tmp_path / "copy"), "--data-dir", str(first.data_dir))
    assert made.returncode == 0, made.stderr
    load.over = True
    caller.join()
    first.stop()
    (tmp_path / "second").mkdir()
    second = Stack(folder=tmp_path / "second", provider_port=first.provider_port)
    put_back = command(second, "restore", str(tmp_path / "copy"), "--data-dir", str(second.data_dir))
    assert put_back.returncode == 0, put_back.stderr
    refused = command(second, "restore", str(tmp_path / "copy"), "--data-dir", str(second.data_dir))
    assert refused.returncode == 2
    assert "holds an event log" in refused.stderr
    second.start()
    after = httpx.post(f"{second.proxy}/v1/chat/completions", json=BODY, timeout=20).headers["helicone-id"]
    second.row(f"request_id = '{after}'")
    found = [row["request_id"] for row in second.query("SELECT request_id FROM calls")]
    second.stop()
    first.stop("provider")
    assert len(found) == len(set(found))
    assert set(before) | {after} <= set(found) <= {*load.answered, after}


def test_what_is_no_backup_and_what_has_no_lake_is_said(tmp_path: Path) -> None:
    made = Stack(folder=tmp_path)
    nothing = command(made, "backup", str(tmp_path / "copy"), "--data-dir", str(tmp_path / "nowhere"))
    assert nothing.returncode == 2
    assert "holds no lake" in nothing.stderr
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "nowhere").exists()
    SmallLake(tmp_path / "small" / "lake")
    unmade = command(made, "backup", "/proc/nope", "--data-dir", str(tmp_path / "small"))
    assert unmade.returncode == 2
    assert "DIR /proc/nope cannot be made" in unmade.stderr
    no_backup = command(made, "restore", str(tmp_path), "--data-dir", str(tmp_path / "nowhere"))
    assert no_backup.returncode == 2
    assert "backup.json is missing" in no_backup.stderr
