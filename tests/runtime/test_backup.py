"""`heliograph backup` of a running Heliograph, and a new one that starts from it."""

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import pytest

from eventlog.codec import BatchId, Message
from eventlog.topics import CONTROL, PROMPTS
from runtime import backup
from runtime.settings import Misconfigured
from tests.fakes.memory_log import MemoryLog
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


def decided(key: str, value: bytes, sequence: int, topic: str = CONTROL.name) -> Message:
    return Message(topic=topic, partition=0, batch_id=BatchId("a" * 32, sequence), count=1, value=value, headers=(("by", "ü"),), key=key)


async def test_what_people_decided_is_kept_as_it_stands_and_given_back() -> None:
    """The newest of each key, and nothing of one that was taken back."""
    first, second = MemoryLog(), MemoryLog()
    written = [decided("a", b"1", 1), decided("b", b"\x00\xff", 2), decided("a", b"2", 3), decided("c", b"3", 4), decided("c", b"", 5)]
    await (await first.writer()).append(written)
    kept = [msgspec.json.decode(line, type=backup.Kept) for line in await backup._newest(CONTROL.name, first)]
    await backup._give_back({CONTROL.name: kept}, second)
    found = second.messages(CONTROL.name)
    assert [(each.key, each.value, each.headers) for each in found] == [("b", b"\x00\xff", (("by", "ü"),)), ("a", b"2", (("by", "ü"),))]
    assert [each.batch_id.sequence for each in found] == [1, 2]
    with pytest.raises(Misconfigured, match="is not empty on this cluster"):
        await backup._give_back({PROMPTS.name: [], CONTROL.name: []}, second)


async def test_prompts_keep_their_order_and_go_back_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two versions with one number the first is the one: it has to come first again."""
    monkeypatch.setattr(backup, "APPEND_BYTES", 2)
    first, second = MemoryLog(), MemoryLog()
    written = [("lost", b"1.1"), ("won", b"1.2"), ("lost", b"1.2"), ("gone", b"1.3"), ("gone", b"")]
    await (await first.writer()).append([decided(*each, sequence, PROMPTS.name) for sequence, each in enumerate(written, 1)])
    kept = [msgspec.json.decode(line, type=backup.Kept) for line in await backup._newest(PROMPTS.name, first)]
    await backup._give_back({PROMPTS.name: kept}, second)
    assert [(each.key, each.value) for each in second.messages(PROMPTS.name)] == [("won", b"1.2"), ("lost", b"1.2")]
    assert second.appends == 2
