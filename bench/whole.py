"""`python -m bench.whole`: everything of `heliograph up` under load: memory over many calls, and how soon an answer is a row.

The load is wrk's on a provider that answers at once; afterwards calls at a gentle pace are looked for in SQL until they are there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil

from bench import peers

ROLES = ("ingress", "pipeline", "api")


def memory_of(supervisor: int) -> dict[str, int]:
    """MB of each role."""
    found = {}
    for child in psutil.Process(supervisor).children():
        words = child.cmdline()
        role = next((role for role in ROLES if role in words), None)
        if role is not None:
            found[role] = child.memory_info().rss >> 20
    return found


def query(port: int, sql: str) -> list[list[object]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/query", json.dumps({"sql": sql}).encode(), {"content-type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        rows: list[list[object]] = json.load(answer)["rows"]
    return rows


def one_call(port: int) -> str:
    headers = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{peers.PATH}", peers.REQUEST.encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
        return str(answer.headers["helicone-id"])


def under_load(folder: Path, port: int, supervisor: int, seconds: int) -> list[dict[str, int]]:
    """Memory at the start, and after each quarter of the load."""
    seen = [memory_of(supervisor)]
    load = threading.Thread(target=lambda: peers.throughput(folder, port, seconds=seconds))
    load.start()
    for _ in range(4):
        time.sleep(seconds / 4)
        seen.append(memory_of(supervisor))
    load.join()
    return seen


def settle(api_port: int) -> int:
    """The rows, once they have stopped coming."""
    last = -1
    while True:
        (row,) = query(api_port, "SELECT count(*) FROM calls")
        if row[0] == last:
            return last
        last = int(str(row[0]))
        time.sleep(4)


def freshness(port: int, api_port: int, calls: int) -> list[float]:
    """Seconds from each answer until SQL shows its row."""
    waited = []
    for _ in range(calls):
        call_id = one_call(port)
        answered = time.monotonic()
        while not query(api_port, f"SELECT 1 FROM calls WHERE request_id = '{call_id}' AND created_at > now() - INTERVAL 5 MINUTE"):
            time.sleep(0.02)
        waited.append(time.monotonic() - answered)
    return waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=60)
    chosen = parser.parse_args()
    peers.require("nginx", "wrk", "taskset")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        provider, port, api_port = peers.free_port(), peers.free_port(), peers.free_port()
        command = [
            sys.executable,
            "-m",
            "runtime.cli",
            "up",
            "--port",
            str(port),
            "--api-port",
            str(api_port),
            "--data-dir",
            str(folder / "data"),
        ]
        env = os.environ | {"HELIOGRAPH_UPSTREAMS__OPENAI": f"http://127.0.0.1:{provider}"}
        with (
            peers.nginx(folder, "provider", peers.provider_block(provider), provider, core=peers.CLIENT_CORE),
            (folder / "up.log").open("wb") as log,
            subprocess.Popen(command, env=env, stdout=log, stderr=log) as up,
        ):
            try:
                peers.wait_for(port)
                peers.wait_for(api_port)
                time.sleep(3)
                seen = under_load(folder, port, up.pid, chosen.seconds)
                rows = settle(api_port)
                seen.append(memory_of(up.pid))
                waited = freshness(port, api_port, chosen.calls)
            finally:
                up.terminate()
    for role, limit in (("ingress", 120), ("pipeline", 400), ("api", 0)):
        course = " → ".join(str(each.get(role, 0)) for each in seen)
        print(f"memory of {role:9} {course} MB{f' (asked: {limit})' if limit else ''}")
    cuts = statistics.quantiles(waited, n=100)
    print(f"rows after {chosen.seconds} s of load: {rows:,}")
    print(f"answer to row in SQL: p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s (asked: p99 2 s)")


if __name__ == "__main__":
    main()
