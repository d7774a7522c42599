"""`python -m bench.headers`: what a call without any header of ours costs now, beside an earlier commit, by turns in one run.

Both proxies run at once, on the same core, from their own sources and with the same installed packages; only one is asked at a time, and
who goes first changes with every round. A ratio is of two neighbouring spans of one round, so that a slow minute falls on both. Beside it
stands the time that the core itself spent on a call, in the spans that others disturbed least.

    python -m bench.headers [--base COMMIT] [--seconds 1] [--rounds 40]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from msgspec import Struct

from bench import peers
from bench.ingress import Row, heliograph_command, heliograph_env, table

BASE = "c556f5a"
"""The last commit before calls could ask for anything by header."""
ASKED = 0.95
HERE = Path(__file__).resolve().parent.parent


@contextmanager
def sources_of(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit, until the block ends. Ends the benchmark with the remedy where git does not know it."""
    made = git("worktree", "add", "--detach", str(folder), commit)
    if made.returncode:
        sys.exit(f"--base {commit}: git cannot lay it out, name another commit. It says: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(HERE), *words], capture_output=True, text=True, timeout=60, check=False)


def env_of(sources: Path, provider: int) -> dict[str, str]:
    """The proxy of these sources, whatever the directory it starts in and wherever the package is installed from."""
    return heliograph_env(provider) | {"PYTHONPATH": str(sources), "PYTHONSAFEPATH": "1"}


class Span(Struct, frozen=True):
    """Some seconds of one proxy."""

    rate: float
    """Calls a second."""
    core_us: float
    """Of the core for a call, in microseconds."""


Round = tuple[Span, Span]
"""Of the base, and of the present tree."""


def rounds_of(folder: Path, base: Path, seconds: int, rounds: int) -> list[Round]:
    provider, then, now = peers.free_port(), peers.free_port(), peers.free_port()
    with (
        peers.nginx(folder, "provider", peers.provider_block(provider), provider, core=peers.CLIENT_CORE),
        proxy(folder, "then", base, then, provider) as before,
        proxy(folder, "now", HERE, now, provider) as after,
    ):
        processes = {then: psutil.Process(before.pid), now: psutil.Process(after.pid)}

        def span(port: int) -> Span:
            began = core_s(processes[port])
            rate = peers.throughput(folder, port, seconds=seconds)
            return Span(rate, (core_s(processes[port]) - began) / (rate * seconds) * 1e6)

        for port in (then, now):
            span(port)
        found = []
        for number in range(rounds):
            order = (then, now) if number % 2 == 0 else (now, then)
            spans = {port: span(port) for port in order}
            found.append((spans[then], spans[now]))
        return found


def core_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def proxy(folder: Path, name: str, sources: Path, port: int, provider: int):  # type: ignore[no-untyped-def]
    command = heliograph_command(port, folder / f"{name}-data")
    return peers.running(command, port, core=peers.PROXY_CORE, env=env_of(sources, provider), log=folder / f"{name}.log")


def rows_of(base: str, found: list[Round]) -> list[Row]:
    then, now = (statistics.median(span.rate for span in spans) for spans in zip(*found, strict=True))
    calm_then, calm_now = (undisturbed(span.core_us for span in spans) for spans in zip(*found, strict=True))
    rates = [after.rate / before.rate for before, after in found]
    return [
        (f"calls/s without a header of ours, {base}", f"{then:,.0f}", "1.00", ""),
        ("calls/s without a header of ours, now", f"{now:,.0f}", f"{statistics.median(rates):.3f}", f"≥ {ASKED}"),
        (f"the middle half of {len(found)} rounds", "", spread(rates), ""),
        (f"µs of the core for a call, undisturbed, {base}", f"{calm_then:.1f}", "1.00", ""),
        ("µs of the core for a call, undisturbed, now", f"{calm_now:.1f}", f"{calm_then / calm_now:.3f}", f"≥ {ASKED}"),
    ]


def undisturbed(core_us: Iterable[float]) -> float:
    """Whoever else uses the machine only ever adds to it: the tenth of the spans that had least."""
    return statistics.quantiles(core_us, n=10)[0]


def spread(ratios: list[float]) -> str:
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{low:.3f} to {high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    chosen = parser.parse_args()
    if chosen.rounds < 2:
        parser.error("--rounds: a spread needs 2 or more")
    peers.require("nginx", "wrk", "taskset", "git")
    os.environ.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as name, sources_of(chosen.base, Path(name) / "base") as base:
        found = rounds_of(Path(name), base, chosen.seconds, chosen.rounds)
    print(table([("", "figure", "ratio", "asked"), *rows_of(chosen.base, found)]))


if __name__ == "__main__":
    main()
