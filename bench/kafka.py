"""`python -m bench.kafka`: what it costs to write events to Kafka instead of the embedded log, and how long until they are asked.

One core for the proxy, one for provider, client and broker. By turns the same worker writes into its embedded log and into a real broker
of this machine. Then `heliograph processors`, `sink` and `api` run as roles, and calls at a gentle pace are looked for in SQL: with the
roles' default flush, and with one of a second.

    python -m bench.kafka [--seconds 8] [--rounds 3] [--calls 50]
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from bench import peers
from bench.ingress import Row, heliograph_command, table
from bench.whole import freshness
from eventlog.kafka import KafkaLog
from eventlog.kafka_config import KafkaConfig
from eventlog.topics import REQUESTS, RESPONSES

ASKERS = 5
"""So many callers wait for their rows at once; each call's row is asked for until it is there."""
HELIOGRAPH = [sys.executable, "-m", "runtime.cli"]


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """The address of a broker with our topics."""
    port, controller = peers.free_port(), peers.free_port()
    command = [sys.executable, "-m", "runtime.local_kafka", "--port", str(port), "--controller-port", str(controller)]
    with peers.running([*command, "--data-dir", str(folder / "broker")], port, core=peers.CLIENT_CORE, log=folder / "broker.log"):
        address = f"127.0.0.1:{port}"
        make_topics(environment(address))
        yield address


def make_topics(env: Mapping[str, str]) -> None:
    deadline = time.monotonic() + 60
    while (made := subprocess.run([*HELIOGRAPH, "topics", "create"], env=env, capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the topics could not be made: {made.stderr}")
        time.sleep(1)


def environment(address: str | None, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    kafka = {} if address is None else {"HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS": address}
    return inherited | {"HELIOGRAPH_LOG_FORMAT": "json"} | kafka | more


def writing(folder: Path, address: str, seconds: int, rounds: int) -> list[Row]:
    provider, embedded, cluster = peers.free_port(), peers.free_port(), peers.free_port()
    upstream = {"HELIOGRAPH_UPSTREAMS__OPENAI": f"http://127.0.0.1:{provider}"}
    with ExitStack() as stack:
        stack.enter_context(peers.nginx(folder, "provider", peers.provider_block(provider), provider, core=peers.CLIENT_CORE))
        process = {}
        for name, port, where in (("embedded", embedded, None), ("cluster", cluster, address)):
            process[name] = stack.enter_context(
                peers.running(
                    heliograph_command(port, folder / name),
                    port,
                    core=peers.PROXY_CORE,
                    env=environment(where, **upstream),
                    log=folder / f"{name}.log",
                )
            )
            peers.throughput(folder, port, seconds=2)
        before = asyncio.run(messages(address)), emitted(cluster)
        pairs = [
            (peers.throughput(folder, embedded, seconds=seconds), peers.throughput(folder, cluster, seconds=seconds)) for _ in range(rounds)
        ]
        time.sleep(2)
        made, events = asyncio.run(messages(address)) - before[0], emitted(cluster) - before[1]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        memory = psutil.Process(process["cluster"].pid).memory_info().rss / 2**20
    return [
        ("requests/s, into the embedded log", f"{ours:,.0f}", "1.00", ""),
        ("requests/s, into Kafka", f"{theirs:,.0f}", f"{theirs / ours:.2f}", "≥ 0.65"),
        ("events in a message, on average", f"{events / max(made, 1):,.0f}", "", "linger 20 ms"),
        ("memory of the worker, MB", f"{memory:.0f}", "", "≤ 120"),
    ]


def emitted(port: int) -> float:
    """Events that a proxy's log took."""
    lines = peers.get(f"http://127.0.0.1:{port}/metrics").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("heliograph_events_emitted_total"))


async def messages(address: str) -> int:
    """Of calls' beginnings and ends, on the cluster."""
    log = await KafkaLog.open(KafkaConfig(bootstrap_servers=address))
    try:
        return sum([sum((await log.ends(topic.name)).values()) for topic in (REQUESTS, RESPONSES)])
    finally:
        await log.close()


@contextmanager
def roles(folder: Path, address: str, provider: int, **more: str) -> Iterator[tuple[int, int]]:
    """Every role as a process of its own, on topics of their own: they have no backlog. The ports of proxy and query side."""
    proxy, api, processors, sink = (peers.free_port() for _ in range(4))
    more |= {"HELIOGRAPH_DATA_DIR": str(folder / "data"), "HELIOGRAPH_KAFKA__TOPIC_PREFIX": f"{folder.name}."}
    env = environment(address, HELIOGRAPH_UPSTREAMS__OPENAI=f"http://127.0.0.1:{provider}", **more)
    make_topics(env)
    wanted: Mapping[str, tuple[int, list[str]]] = {
        "sink": (sink, ["--health-port", str(sink)]),
        "api": (api, ["--api-port", str(api)]),
        "processors": (processors, ["--health-port", str(processors)]),
        "ingress": (proxy, ["--port", str(proxy), "--data-dir", str(folder / "proxy")]),
    }
    with ExitStack() as stack:
        for role, (port, options) in wanted.items():
            command = [*HELIOGRAPH, role, *options]
            stack.enter_context(peers.running(command, port, core=peers.PROXY_CORE, env=env, log=folder / f"{role}.log"))
        for port in (processors, sink):
            peers.wait_until_ready(port)
        yield proxy, api


def asking(folder: Path, address: str, calls: int) -> list[Row]:
    provider = peers.free_port()
    rows: list[Row] = []
    with peers.nginx(folder, "asked", peers.provider_block(provider), provider, core=peers.CLIENT_CORE):
        for name, more, asked in (("default", {}, "≤ 12"), ("1 s", {"HELIOGRAPH_SINK__FLUSH_SECONDS": "1"}, "≤ 3")):
            home = folder / f"roles-{name.replace(' ', '')}"
            home.mkdir()
            with roles(home, address, provider, **more) as (proxy, api), ThreadPoolExecutor(ASKERS) as askers:
                waited = [each for found in askers.map(lambda _: freshness(proxy, api, calls // ASKERS), range(ASKERS)) for each in found]
            cuts = statistics.quantiles(waited, n=100)
            rows.append((f"answer to row in SQL, flush {name}, p50, s", f"{cuts[49]:.2f}", "", ""))
            rows.append((f"answer to row in SQL, flush {name}, p99, s", f"{cuts[98]:.2f}", "", asked))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=50)
    chosen = parser.parse_args()
    peers.require("nginx", "wrk", "taskset")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with broker(folder) as address:
            rows = writing(folder, address, chosen.seconds, chosen.rounds) + asking(folder, address, chosen.calls)
    print(table([("", "figure", "ratio", "asked"), *rows]))
    print(f"({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
