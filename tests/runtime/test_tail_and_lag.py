"""`heliograph tail` and `heliograph lag` beside a running Heliograph, over the embedded log."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running
from tests.runtime.test_cli import typed

COMMAND = [sys.executable, "-m", "runtime.cli"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("tail")) as made:
        call(made, "first")
        made.rows("user_id = 'first'")
        yield made


def call(stack: Stack, user: str) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": "Bearer sk-do-not-show", "helicone-user-id": user}
    assert httpx.post(f"{stack.proxy}/v1/chat/completions", json=body, headers=headers).status_code == 200


def here(stack: Stack) -> dict[str, str]:
    return {"HELIOGRAPH_DATA_DIR": str(stack.data_dir)}


def following(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    return subprocess.Popen(
        [*COMMAND, "tail", *arguments], env=clean | here(stack), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_events_are_shown_as_they_come(stack: Stack) -> None:
    process = following(stack, "calls", "--filter", "user_id=live", "--format", "json", "--count", "1")
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:  # it begins at the end, whenever that is
        call(stack, "other")
        call(stack, "live")
        time.sleep(0.3)
    out, _ = process.communicate(timeout=30)
    (line,) = out.splitlines()
    told = json.loads(line)
    assert (told["topic"], told["event"]["call"]["user_id"]) == ("llm.calls.v1", "live")
    assert process.returncode == 0


def test_what_is_there_already(stack: Stack) -> None:
    out = typed("tail", "--last", "1000", "--filter", "user_id=first", "--count", "3", **here(stack)).stdout
    assert {line.split()[1] for line in out.splitlines()} == {"requests", "responses", "calls"}
    assert "tokens" in out
    assert "sk-do-not-show" not in out


def test_it_ends_in_order_when_it_is_told_to(stack: Stack) -> None:
    with following(stack, "--last", "1") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_it_ends_quietly_when_nobody_reads_it_any_more(stack: Stack) -> None:
    process = following(stack, "--last", "1000")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        call(stack, "more")
        time.sleep(0.3)
    with process.stderr:
        assert (process.wait(1), process.stderr.read()) == (0, "")


WRONG = {
    "a topic that is none": (["tail", "nothing"], "there are requests, responses"),
    "a filter that is none": (["tail", "--filter", "usr_id=a"], "--filter: No event has a field 'usr_id'. Did you mean user_id?"),
    "a folder without a log": (["tail", "--data-dir", "/nowhere"], "There is no event log in /nowhere/log"),
    "the same for lag": (["lag", "--data-dir", "/nowhere"], "HELIOGRAPH_DATA_DIR"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_clear_line(stack: Stack, words: list[str], message: str) -> None:
    done = typed(*words, **here(stack))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("/nowhere").exists()


def test_lag_of_every_reader(stack: Stack) -> None:
    stack.rows("user_id = 'first'")
    told = json.loads(typed("lag", "--format", "json", **here(stack)).stdout)
    assert {(each["role"], each["topic"]) for each in told["lags"]} >= {
        ("processors", "llm.responses.v1"),
        ("sink", "llm.requests.v1"),
        ("sink", "llm.calls.v1"),
    }
    assert all(each["messages"] >= 0 for each in told["lags"])
    table = typed("lag", **here(stack)).stdout
    assert "llm.responses.v1" in table
    assert "processors" in table


def test_lag_counts_what_nobody_reads(stack: Stack, tmp_path: Path) -> None:
    """Of a log that was left behind: its readers stand still."""
    with running(tmp_path) as other:
        call(other, "x")
        other.rows("user_id = 'x'")
        before = json.loads(typed("lag", "--format", "json", **here(other)).stdout)
        pipeline = [child for child in children(other) if "pipeline" in cmdline(child)]
        assert pipeline
        for pid in pipeline:
            os.kill(pid, signal.SIGSTOP)
        try:
            call(other, "y")
            time.sleep(0.5)
            after = json.loads(typed("lag", "--format", "json", **here(other)).stdout)
        finally:
            for pid in pipeline:
                os.kill(pid, signal.SIGCONT)
    assert before["messages"] == 0
    assert after["messages"] >= 2
    assert after["seconds"] > 0


def children(stack: Stack) -> list[int]:
    parent = stack.processes["up"].pid
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def cmdline(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_lag_on_a_terminal_is_a_view_until_ctrl_c(stack: Stack) -> None:
    mine, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    process = subprocess.Popen(
        [*COMMAND, "lag", "--every", "0.2"],
        env=clean | here(stack) | {"TERM": "xterm-256color", "COLUMNS": "140"},
        stdout=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 30
    while shown.count(b"messages behind") < 2 and time.monotonic() < deadline:
        if select.select([mine], [], [], 1)[0]:
            shown += os.read(mine, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    os.close(mine)
    assert shown.count(b"messages behind") >= 2
    assert b"processors" in shown
    assert "━".encode() in shown
