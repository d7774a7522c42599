"""The README's roles by hand: its lines as they stand there, its own calls, its own question. Only addresses differ."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.test_readme import block_with, blocks
from tests.fakes import kafka
from tests.fakes.stack import Stack

BOOTSTRAP = "HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS"


def lines() -> list[str]:
    return block_with("sh", "heliograph topics create").splitlines()


def started(line: str, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A line of the README, as a shell would run it; a port that it names is another, free one."""
    program, *arguments = line.split()
    assert program == ".venv/bin/heliograph"
    free = [str(kafka.free_port()) if word.isdecimal() else word for word in arguments]
    with log.open("ab") as output:
        command = [sys.executable, "-m", "runtime.cli", *free]
        return subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent, start_new_session=True)


def test_the_roles_by_hand_answer_the_readmes_question(broker: str, tmp_path: Path) -> None:
    assert lines()[0] == f"export {BOOTSTRAP}=127.0.0.1:9092"  # what `make kafka` prints
    provider = Stack(folder=tmp_path)
    env = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")} | {
        BOOTSTRAP: broker,
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": kafka.config(broker).topic_prefix,
        "HELIOGRAPH_PORT": str(provider.port),
        "HELIOGRAPH_API_PORT": str(provider.api_port),
        "HELIOGRAPH_HEALTH_PORT": str(kafka.free_port()),
        "HELIOGRAPH_UPSTREAMS__OPENAI": provider.provider,
    }
    roles: dict[str, subprocess.Popen[bytes]] = {}
    try:
        provider.start_provider()
        for line in lines()[1:]:
            name = "create" if "create" in line else line.split()[1]
            roles[name] = started(line, env, tmp_path / f"{name}.log")
            if name == "create":
                assert roles.pop(name).wait(60) == 0, (tmp_path / "create.log").read_text()
        assert set(roles) == {"ingress", "processors", "sink", "webhooks", "api"}
        _answering(provider, tmp_path)
        code = block_with("python", "from openai").replace("localhost:8787", f"127.0.0.1:{provider.port}")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        (question,) = [line for block in blocks("sh") for line in block.splitlines() if " query " in line]
        deadline = time.monotonic() + 60
        while "gpt-4o-mini" not in (told := _asked(question, env, tmp_path)):
            assert time.monotonic() < deadline, told + "".join(path.read_text()[-1500:] for path in tmp_path.glob("*.log"))
            time.sleep(1)
    finally:
        for process in roles.values():
            process.send_signal(signal.SIGTERM)
        ended = {name: process.wait(40) for name, process in roles.items()}
        if "provider" in provider.processes:
            provider.stop("provider")
    assert ended == dict.fromkeys(roles, 0)


def _answering(stack: Stack, folder: Path) -> None:
    deadline = time.monotonic() + 60
    for port in (stack.port, stack.api_port):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "".join(path.read_text()[-1500:] for path in folder.glob("*.log"))
                time.sleep(0.1)


def _asked(line: str, env: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-m", "runtime.cli", *shlex.split(line)[1:]]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr
