"""`python -m bench.features`: what the cache, rate limits and redaction cost, beside the same proxy without them, by turns in one run.

One core for the proxy, one for provider and client; a provider that answers at once. A miss is a request that was never asked before.

    python -m bench.features [--seconds 5] [--rounds 3]
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench import peers
from bench.ingress import Row, heliograph_command, heliograph_env, table
from eventlog.events import DEFAULT_ORGANIZATION, Body
from eventlog.redaction import Detector, Redaction
from ingress.config import RedisConfig
from ingress.detectors import Rule
from ingress.ledger import Ledger, SharedLedger, Window
from ingress.policies import parse_policy
from ingress.redaction import redacted_body
from ingress.redis_ledger import RedisLedger
from ingress.redis_link import RedisLink
from tests.fakes.redis import RedisServer

CACHED = {"Helicone-Cache-Enabled": "true"}
LIMITED = {"Helicone-RateLimit-Policy": "100000000;w=60;s=user", "Helicone-User-Id": "user-123"}
RETRIED = {"Helicone-Retry-Enabled": "true"}
JUDGED = 50_000
SEARCHED = 8 << 20
"""Bytes that each kind of body comes to, searched again and again."""
ASKING = """
import asyncio, sys
from pathlib import Path
from ingress.ledger import SharedLedger, Window
from ingress.policies import parse_policy
async def main():
    ledger, number = SharedLedger(Path(sys.argv[1])), 0
    print("counting", flush=True)
    while True:
        number += 1
        await ledger.judge([Window(b"%016d" % (number % 1000), parse_policy("10;w=1;s=user"))])
asyncio.run(main())
"""


def calls(folder: Path, seconds: int, rounds: int) -> list[Row]:
    provider, ours = peers.free_port(), peers.free_port()
    with (
        peers.nginx(folder, "provider", peers.provider_block(provider), provider, core=peers.CLIENT_CORE),
        peers.running(
            heliograph_command(ours, folder / "data"), ours, core=peers.PROXY_CORE, env=heliograph_env(provider), log=folder / "ours.log"
        ),
    ):

        def rate(headers: Mapping[str, str], *, unique: bool = False) -> float:
            return peers.throughput(folder, ours, seconds=seconds, headers=headers, unique=unique)

        rate({})
        found = [(rate({}), rate(CACHED, unique=True), rate(CACHED), rate(LIMITED), rate(RETRIED)) for _ in range(rounds)]
        plain, miss, hit, limited, retried = (statistics.median(column) for column in zip(*found, strict=True))
        rate(CACHED)
        _, latency = peers.latency(folder, ours, seconds=seconds)
    return [
        ("calls/s, passed on", f"{plain:,.0f}", "1.00", ""),
        ("calls/s, cache on, miss", f"{miss:,.0f}", f"{miss / plain:.2f}", ""),
        ("calls/s, cache on, hit", f"{hit:,.0f}", f"{hit / miss:.2f} of a miss", "≥ 1.3 of a miss"),
        ("latency of a hit, p50, ms", f"{latency.p50:.2f}", "", "≤ 0.5"),
        ("calls/s, limited by user", f"{limited:,.0f}", f"{limited / plain:.2f}", ""),
        ("calls/s, retries allowed", f"{retried:,.0f}", f"{retried / plain:.2f}", ""),
    ]


async def judging(ledger: Ledger, count: int = JUDGED) -> float:
    """Microseconds of one judgement."""
    policy = parse_policy("10;w=60;s=user")
    began = time.perf_counter()
    for number in range(count):
        await ledger.judge([Window(b"%016d" % (number % 5_000), policy)])
    return (time.perf_counter() - began) / count * 1e6


async def judging_there(url: str) -> tuple[float, float]:
    """Microseconds of one judgement in Redis, and of one that only asks for a value."""
    link = RedisLink(RedisConfig(url=url, timeout_s=10))
    ledger = RedisLedger(link)
    await judging(ledger, 100)
    judged = await judging(ledger, JUDGED // 10)
    began = time.perf_counter()
    for _ in range(JUDGED // 10):
        await link.get("nothing")
    asked = (time.perf_counter() - began) / (JUDGED // 10) * 1e6
    await link.aclose()
    return judged, asked


def limits(folder: Path) -> list[Row]:
    alone = SharedLedger(folder / "alone")
    shared = SharedLedger(folder / "shared")
    one = asyncio.run(judging(alone))
    with subprocess.Popen([sys.executable, "-c", ASKING, str(folder / "shared")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        two = asyncio.run(judging(shared))
        other.kill()
    server = RedisServer(folder)
    there, asked = asyncio.run(judging_there(server.url))
    server.kill()
    return [
        ("a limit's judgement, one worker, µs", f"{one:.0f}", "", "≤ 30"),
        ("a limit's judgement, another worker counting all the time, µs", f"{two:.0f}", "", "≤ 150"),
        ("a limit's judgement in Redis, µs", f"{there:.0f}", f"{there / asked:.2f} of a GET", "one round trip"),
    ]


def body(filler: str, size: int) -> Body:
    message = {"role": "user", "content": filler * 8}
    messages = [message] * (size // len(json.dumps(message)))
    text = json.dumps({"model": "gpt-4o-mini", "messages": messages})
    return Body(text=text, size=len(text), content_type="application/json")


def stream(events: int) -> Body:
    said = {"id": "chatcmpl-123", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": " word"}}]}
    text = f"data: {json.dumps(said)}\n\n" * events + "data: [DONE]\n\n"
    return Body(text=text, size=len(text), content_type="text/event-stream")


def searching(rule: Rule, searched: Body) -> float:
    """Microseconds of one search."""
    times = max(3, SEARCHED // searched.size)
    began = time.perf_counter()
    for _ in range(times):
        redacted_body(searched, rule)
    return (time.perf_counter() - began) / times * 1e6


def redaction() -> list[Row]:
    at = datetime.fromtimestamp(0, UTC)
    rule = Rule(Redaction(organization=DEFAULT_ORGANIZATION, detectors=tuple(Detector), patterns={"employee": "EMP-[0-9]+"}, set_at=at))
    plain, found = "a few words, and some more of them. ", "a few words, and bob@example.com too. "
    asked = {
        "a body of 2 KB, nothing found": (body(plain, 2 << 10), "≤ 50 µs"),
        "a body of 2 KB, 48 found": (body(found, 2 << 10), ""),
        "a body of 4 MB, nothing found": (body(plain, 4 << 20), ""),
        "a body of 4 MB, all messages with something": (body(found, 4 << 20), ""),
        "a stream of 100 events": (stream(100), ""),
        "a stream of 10,000 events": (stream(10_000), ""),
    }
    rows: list[Row] = []
    for name, (searched, goal) in asked.items():
        took = searching(rule, searched)
        rows.append((f"redaction of {name}, µs", f"{took:,.0f}", f"{searched.size / took:,.0f} MB/s", goal))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    peers.require("nginx", "wrk", "taskset", "redis-server")
    with tempfile.TemporaryDirectory() as folder:
        rows = calls(Path(folder), chosen.seconds, chosen.rounds) + limits(Path(folder)) + redaction()
    print(table([("", "figure", "ratio", "asked"), *rows]))


if __name__ == "__main__":
    main()
