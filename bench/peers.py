"""Programs that a benchmark runs beside ours: nginx as provider and as the peer proxy, wrk and h2load as clients.

Every program is started here, pinned to a core, and ended here. Nothing listens beyond loopback.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROXY_CORE, CLIENT_CORE = 0, 1
REQUEST = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * 900}]})
ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "y" * 700}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 300},
    }
)
PATH = "/v1/chat/completions"
UNIQUE = """
local number, whole = 0, wrk.body
request = function()
  number = number + 1
  return wrk.format(nil, nil, nil, whole:sub(1, -2) .. ',"seed":"BEGAN-' .. number .. '"}')
end
"""
PROGRAMS = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux", "git": "git"}


def require(*programs: str) -> None:
    """Ends the benchmark with the remedy when a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        packages = " ".join(PROGRAMS[name] for name in missing)
        sys.exit(f"This benchmark needs {', '.join(missing)}. On Debian: apt-get install {packages}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port} after {seconds} s")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def wait_until_ready(port: int, seconds: float = 60) -> None:
    """Until `/readyz` says so."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            get(f"http://127.0.0.1:{port}/readyz")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


@contextmanager
def running(command: list[str], port: int, *, core: int, env: dict[str, str] | None = None, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program pinned to `core`, from the moment it listens on `port` until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(port)
        yield process
    except TimeoutError as error:
        raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}") from error
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nginx(folder: Path, name: str, server: str, port: int, *, core: int):  # type: ignore[no-untyped-def]
    """One nginx worker with `server` as its server block."""
    home = folder / name
    home.mkdir()
    temporary = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary} {server} }}\n"
    )
    return running(["nginx", "-e", str(home / "error.log"), "-c", str(home / "nginx.conf")], port, core=core, log=home / "out.log")


def provider_block(port: int) -> str:
    """A provider that answers at once."""
    return f"server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{ANSWER}'; }} }}"


def proxy_block(port: int, upstream: int) -> str:
    """The peer: nginx passing everything on over kept connections, holding nothing back."""
    return (
        f"upstream provider {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://provider; proxy_http_version 1.1;"
        f" proxy_set_header Connection ''; proxy_buffering off; }} }}"
    )


def throughput(
    folder: Path,
    port: int,
    *,
    seconds: int,
    connections: int = 32,
    headers: Mapping[str, str] | None = None,
    unique: bool = False,
    path: str = PATH,
    body: str = REQUEST,
    method: str = "POST",
) -> float:
    """Requests per second that wrk gets out of `port`; refuses a run with failed calls. `unique`: no request is like another."""
    script = folder / "post.lua"
    body = body.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    script.write_text(
        f"wrk.method='{method}'\nwrk.headers['Content-Type']='application/json'\n"
        f"wrk.headers['Authorization']='Bearer sk-bench'\nwrk.body='{body}'\n"
        + "".join(f"wrk.headers['{name}']='{value}'\n" for name, value in (headers or {}).items())
        + (UNIQUE.replace("BEGAN", str(time.time_ns())) if unique else "")
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(["taskset", "-c", str(CLIENT_CORE), *command], capture_output=True, text=True, timeout=seconds + 30, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"calls failed during the benchmark:\n{done.stdout}")
    found = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout)
    return float(found[1])


@dataclass(frozen=True)
class Latency:
    """Milliseconds, measured by the client."""

    p50: float
    p99: float


def latency(folder: Path, port: int, *, seconds: int) -> tuple[float, Latency]:
    """One connection that asks again as soon as it is answered: about half of the load that the proxy can take, without a queue.

    Answers requests/s and latency as wrk saw them. `throughput` has written the script.
    """
    command = ["wrk", "-t1", "-c1", f"-d{seconds}s", "--latency", "-s", str(folder / "post.lua"), f"http://127.0.0.1:{port}{PATH}"]
    done = subprocess.run(["taskset", "-c", str(CLIENT_CORE), *command], capture_output=True, text=True, timeout=seconds + 30, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"calls failed during the benchmark:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    p50, p99 = (re.search(rf"^\s*{part}%\s+([\d.]+)(us|ms|s)", done.stdout, re.MULTILINE) for part in (50, 99))
    if rate is None or p50 is None or p99 is None:
        raise RuntimeError(done.stdout)
    return float(rate[1]), Latency(p50=milliseconds(p50), p99=milliseconds(p99))


def milliseconds(found: re.Match[str]) -> float:
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]
