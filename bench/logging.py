"""`python -m bench.logging`: calls that are logged after the fact, and feedback, beside the same server's `GET /healthz`, by turns.

One core for Heliograph on its embedded log, one for wrk. A call is 1 KB in all. Each is durable before it is answered.

    python -m bench.logging [--seconds 4] [--rounds 3]
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from bench import peers
from bench.ingress import Row, heliograph_command, heliograph_env, table

LINES = 500
"""Calls of a batch."""
CALL = json.dumps(
    {
        "providerRequest": {
            "url": "https://api.openai.com/v1/chat/completions",
            "json": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * 300}]},
            "meta": {"Helicone-User-Id": "user-123", "Helicone-Property-Plan": "pro"},
        },
        "providerResponse": {
            "status": 200,
            "headers": {},
            "json": {
                "model": "gpt-4o-mini-2024-07-18",
                "choices": [{"message": {"role": "assistant", "content": "y" * 200}}],
                "usage": {"prompt_tokens": 8, "completion_tokens": 9, "total_tokens": 17},
            },
        },
        "timing": {
            "startTime": {"seconds": 1764000000, "milliseconds": 0},
            "endTime": {"seconds": 1764000001, "milliseconds": 250},
            "timeToFirstToken": 120,
        },
    }
)
FEEDBACK = "/v1/request/019ac1f2-0000-7000-8000-000000000001/feedback"
WAYS = {
    "calls/s, POST /v1/log/batch": ("/v1/log/batch", "\n".join([CALL] * LINES), LINES, 4, "≥ 15,000"),
    "calls/s, POST /oai/v1/log": ("/oai/v1/log", CALL, 1, 64, "≥ 4,000"),
    "feedback/s": (FEEDBACK, '{"rating": true}', 1, 64, "≥ 3,000"),
}
"""Path, body, how many it tells of, connections, and the goal."""


def measured(folder: Path, seconds: int, rounds: int) -> list[Row]:
    port = peers.free_port()
    command, env = heliograph_command(port, folder / "data"), heliograph_env(peers.free_port())
    with peers.running(command, port, core=peers.PROXY_CORE, env=env, log=folder / "ours.log"):

        def rate(path: str, body: str, many: int, connections: int, method: str = "POST") -> float:
            return many * peers.throughput(folder, port, seconds=seconds, connections=connections, path=path, body=body, method=method)

        def nothing() -> float:
            return rate("/healthz", "", 1, 64, "GET")

        nothing()
        found = [[nothing(), *(rate(*way[:4]) for way in WAYS.values())] for _ in range(rounds)]
    idle, *rates = (statistics.median(column) for column in zip(*found, strict=True))
    rows = [("requests/s, nothing done", f"{idle:,.0f}", "1.00", "")]
    return rows + [(name, f"{each:,.0f}", f"{each / idle:.2f}", way[4]) for (name, way), each in zip(WAYS.items(), rates, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    peers.require("wrk", "taskset")
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(table(measured(Path(folder), chosen.seconds, chosen.rounds)) + "\n")


if __name__ == "__main__":
    main()
