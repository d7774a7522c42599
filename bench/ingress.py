"""`make bench-ingress`: what the proxy costs, beside nginx `proxy_pass` in the same run.

One core for the proxy, one for provider and client; 1 KB bodies over kept connections, a provider that answers at once. Heliograph
writes both events of every call into its embedded log meanwhile; the pipeline that reads them runs elsewhere in life, and is off here.

    python -m bench.ingress [--seconds 8] [--rounds 3] [--streams] [--litellm]
"""

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench import peers
from bench.streaming import streams_per_second

Row = tuple[str, str, str, str]


def heliograph_command(port: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "runtime.cli", "ingress", "--port", str(port), "--data-dir", str(folder)]


def heliograph_env(provider: int) -> dict[str, str]:
    return os.environ | {"HELIOGRAPH_UPSTREAMS__OPENAI": f"http://127.0.0.1:{provider}", "HELIOGRAPH_LOG_FORMAT": "json"}


def calls(folder: Path, seconds: int, rounds: int) -> list[Row]:
    """Throughput by turns, so that a slow minute of the machine falls on both; then latency at half of ours."""
    provider, nginx, ours = peers.free_port(), peers.free_port(), peers.free_port()
    with (
        peers.nginx(folder, "provider", peers.provider_block(provider), provider, core=peers.CLIENT_CORE),
        peers.nginx(folder, "proxy", peers.proxy_block(nginx, provider), nginx, core=peers.PROXY_CORE),
        peers.running(
            heliograph_command(ours, folder / "data"), ours, core=peers.PROXY_CORE, env=heliograph_env(provider), log=folder / "ours.log"
        ) as process,
    ):
        peers.throughput(folder, ours, seconds=2)
        pairs = [(peers.throughput(folder, nginx, seconds=seconds), peers.throughput(folder, ours, seconds=seconds)) for _ in range(rounds)]
        theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
        (_, direct), (load, through) = (peers.latency(folder, port, seconds=seconds) for port in (provider, ours))
        memory = psutil.Process(process.pid).memory_info().rss / 2**20
    return [
        ("requests/s, nginx proxy_pass", f"{theirs:,.0f}", "1.00", ""),
        ("requests/s, heliograph, logging on", f"{mine:,.0f}", f"{mine / theirs:.2f}", "≥ 0.20, goal 0.30"),
        ("one connection back to back, requests/s", f"{load:,.0f}", f"{load / mine:.2f}", "about half of the load above"),
        ("added latency p50, ms", f"{through.p50 - direct.p50:.2f}", "", "≤ 0.4"),
        ("added latency p99, ms", f"{through.p99 - direct.p99:.2f}", "", "≤ 2"),
        ("memory of the worker, MB", f"{memory:.0f}", "", "≤ 120"),
    ]


def streams(folder: Path, seconds: int) -> list[Row]:
    provider, ours = peers.free_port(), peers.free_port()
    command = [sys.executable, "-m", "bench.streaming", "--port", str(provider)]
    data = folder / "stream-data"
    with (
        peers.running(command, provider, core=peers.CLIENT_CORE, log=folder / "streams.log"),
        peers.running(heliograph_command(ours, data), ours, core=peers.PROXY_CORE, env=heliograph_env(provider), log=folder / "ours-2.log"),
    ):
        os.sched_setaffinity(0, {peers.CLIENT_CORE})
        direct = asyncio.run(streams_per_second(provider, seconds=seconds))
        through = asyncio.run(streams_per_second(ours, seconds=seconds))
    return [
        ("streams of 100 chunks/s, no proxy", f"{direct:,.0f}", "", ""),
        ("streams of 100 chunks/s, heliograph", f"{through:,.0f}", f"{through / direct:.2f}", "≥ 1,500/s"),
    ]


def table(rows: list[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    peers.require("nginx", "wrk", "taskset")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = calls(Path(folder), chosen.seconds, chosen.rounds) + streams(Path(folder), chosen.seconds)
    print(table([("", "figure", "ratio", "asked"), *rows]))
    print(f"({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
