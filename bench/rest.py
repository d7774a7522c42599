"""`python -m bench.rest`: what the REST API takes over a million calls of thirty days, beside `SELECT count(*)` on the same port, by turns.

Each day is one file, as compaction leaves it; every fiftieth call has a rating and a score. The lake is made first, which takes a minute.

    python -m bench.rest [--calls 1000000] [--rounds 30]
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from bench.ingress import Row, table
from ingress.recording import call_id_of
from storage.api import create_api
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits
from storage.rest.links import Links
from storage.rest.routes import router
from storage.schema import TABLES

DAYS = 30
BEGAN = datetime(2026, 10, 1)  # noqa: DTZ001 as the lake has times
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"))
FAILED_LARGE = {"request_response_rmt": {"model": {"contains": "gpt-4o"}, "status": {"gte": 400}}}
OF_A_PLAN = {"left": FAILED_LARGE, "operator": "and", "right": {"request_response_rmt": {"properties": {"plan": {"equals": "pro"}}}}}
SPAN = {"start": "2026-10-01T00:00:00Z", "end": "2026-10-31T00:00:00Z"}
QUESTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "SELECT count(*)": ("/v1/query", {"sql": "SELECT count(*) FROM calls"}, ""),
    "requests, first page": ("/v1/request/query-clickhouse", {"filter": "all"}, "≤ 120 ms"),
    "requests by model and status, first page": ("/v1/request/query-clickhouse", {"filter": FAILED_LARGE}, "≤ 120 ms"),
    "and by a property": ("/v1/request/query-clickhouse", {"filter": OF_A_PLAN}, "≤ 120 ms"),
    "count of those": ("/v1/request/count/query", {"filter": OF_A_PLAN}, ""),
    "cost over time, by hour": ("/v1/metrics/costOverTime", {"filter": "all", "timeFilter": SPAN}, "≤ 200 ms"),
    "failed of a model over time, by day": (
        "/v1/metrics/requestOverTime",
        {"filter": FAILED_LARGE, "timeFilter": SPAN, "dbIncrement": "day"},
        "≤ 200 ms",
    ),
    "latency quantiles, by day": ("/v1/metrics/quantiles", {"filter": "all", "timeFilter": SPAN, "dbIncrement": "day"}, "≤ 200 ms"),
    "sessions, first page": ("/v1/session/query", {"filter": "all"}, ""),
    "users, first page": ("/v1/user/metrics/query", {"filter": "all", "limit": 10}, ""),
}


def day_of(number: int, calls: int, chance: random.Random) -> dict[str, Sequence[Any]]:
    """The columns of one day's calls, in the order of their times."""
    day = BEGAN + timedelta(days=number)
    at = sorted(chance.randrange(86_400_000) for _ in range(calls))
    midnight = day.replace(tzinfo=UTC).timestamp()
    ids = [call_id_of(midnight + each / 1000, f"{chance.getrandbits(76):019x}") for each in at]
    models = chance.choices(MODELS, k=calls)
    statuses = [200 if chance.random() > 0.03 else 500 for _ in range(calls)]
    prompts, answers = ([chance.randrange(5, most) for _ in range(calls)] for most in (4000, 900))
    return {
        "call_id": ids,
        "request_id": ids,
        "revision": [0] * calls,
        "organization": ["default"] * calls,
        "created_at": [day + timedelta(milliseconds=each) for each in at],
        "completed_at": [day + timedelta(milliseconds=each + 900) for each in at],
        "provider": [provider for provider, _ in models],
        "model": [model for _, model in models],
        "request_model": [model for _, model in models],
        "path": ["/v1/chat/completions"] * calls,
        "target_url": ["https://api.openai.com/v1/chat/completions"] * calls,
        "status": statuses,
        "outcome": ["completed" if status == 200 else "provider_error" for status in statuses],
        "user_id": [f"user-{chance.randrange(5000)}" for _ in range(calls)],
        "session_id": [f"s-{number}-{chance.randrange(4000)}" if chance.random() < 0.5 else None for _ in range(calls)],
        "latency_ms": [float(chance.randrange(100, 9000)) for _ in range(calls)],
        "ttft_ms": [float(chance.randrange(50, 900)) for _ in range(calls)],
        "properties": [[("feature", f"f{chance.randrange(10)}"), ("plan", chance.choice(("pro", "free", "free")))] for _ in range(calls)],
        "prompt_tokens": prompts,
        "completion_tokens": answers,
        "total_tokens": [sum(both) for both in zip(prompts, answers, strict=True)],
        "cost_usd": [Decimal(sum(both)) / 1_000_000 for both in zip(prompts, answers, strict=True)],
        "cache_hit": [False] * calls,
        "day": [day.date()] * calls,
    }


def judged(ids: Sequence[str], chance: random.Random) -> dict[str, Sequence[Any]]:
    count, at = len(ids), BEGAN + timedelta(days=DAYS)
    return {
        "feedback_id": [str(UUID(int=chance.getrandbits(128))) for _ in ids],
        "request_id": ids,
        "organization": ["default"] * count,
        "given_at": [at] * count,
        "rating": [chance.random() < 0.7 for _ in ids],
        "scores": [[("helpful", chance.random())] for _ in ids],
        "properties": [[]] * count,
        "property_count": [0] * count,
        "day": [at.date()] * count,
    }


def write(lake: Lake, name: str, columns: dict[str, Sequence[Any]]) -> None:
    schema, rows = TABLES[name], len(columns["day"])
    filled = pa.table([pa.array(columns.get(field.name, [None] * rows), field.type) for field in schema], schema=schema)
    write_deltalake(DeltaTable(lake.uri_of(name)), filled, mode="append")


def make(config: StorageConfig, calls: int) -> None:
    lake, chance, rated = Lake.open(config), random.Random(1), list[str]()
    for number in range(DAYS):
        day = day_of(number, calls // DAYS, chance)
        rated += day["call_id"][::50]
        write(lake, "calls", day)
    write(lake, "feedback", judged(rated, chance))


async def measured(config: StorageConfig, rounds: int) -> list[Row]:
    app = create_api(config, limits=Limits())
    app.state.links = Links()
    app.include_router(router)
    took: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h", timeout=60) as client,
    ):
        for turn in range(rounds + 2):
            for name, (path, body, _) in QUESTIONS.items():
                began = time.perf_counter()
                answer = await client.post(path, json=body)
                answer.raise_for_status()
                if turn > 1:
                    took[name].append((time.perf_counter() - began) * 1000)
    beside = statistics.median(next(iter(took.values())))
    rows = [("", "p50 ms / p95 ms", "of a count", "goal, p95")]
    for name, times in took.items():
        half, most = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        rows.append((name, f"{half:,.0f} / {most:,.0f}", f"{half / beside:.1f}", QUESTIONS[name][2]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--lake", help="One that was made before; else it is made, and removed at the end.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = StorageConfig(lake_uri=chosen.lake or folder)
        if chosen.lake is None:
            make(config, chosen.calls)
        sys.stdout.write(table(asyncio.run(measured(config, chosen.rounds))) + "\n")


if __name__ == "__main__":
    main()
