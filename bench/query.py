"""How long a question takes: over the 300 small files of five busy minutes, and over the same rows compacted.

    python bench/query.py [--files 300] [--rows 200] [--rounds 15]

Prints milliseconds, the median and the slowest of the rounds, of a question asked in a warm process. Stops by itself within a minute.
"""

import argparse
import statistics
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Questions
from storage.schema import CALLS

QUESTIONS = {
    "count": "SELECT count(*) FROM calls",
    "cost by model": "SELECT model, sum(cost_usd) FROM calls GROUP BY 1",
    "cost by property": "SELECT properties['feature'], sum(cost_usd) FROM calls GROUP BY 1",
    "p99 by minute": "SELECT date_trunc('minute', created_at), quantile_cont(latency_ms, 0.99) FROM calls GROUP BY 1",
    "the last minute": "SELECT count(*), sum(cost_usd) FROM calls WHERE created_at > TIMESTAMP '2026-01-02 00:04:00'",
    "one call": "SELECT * FROM calls WHERE call_id = 'c-7-7'",
    "the newest 50": "SELECT * FROM calls ORDER BY created_at DESC LIMIT 50",
}

START = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)


def batch(number: int, rows: int) -> pa.Table:
    """One second's commit."""
    given = {
        "call_id": [f"c-{number}-{row}" for row in range(rows)],
        "request_id": [f"c-{number}-{row}" for row in range(rows)],
        "revision": [0] * rows,
        "organization": ["default"] * rows,
        "created_at": [START + timedelta(seconds=number, milliseconds=row) for row in range(rows)],
        "model": [("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5")[row % 3] for row in range(rows)],
        "provider": ["openai"] * rows,
        "status": [200] * rows,
        "outcome": ["completed"] * rows,
        "latency_ms": [float(row % 997) for row in range(rows)],
        "properties": [[("feature", f"f{row % 10}")] for row in range(rows)],
        "prompt_tokens": list(range(rows)),
        "cost_usd": [Decimal(row) / 1_000_000 for row in range(rows)],
        "day": [date(2026, 1, 2)] * rows,
    }
    return pa.table([pa.array(given.get(field.name, [None] * rows), field.type) for field in CALLS], schema=CALLS)


def measured(questions: Questions, sql: str, rounds: int) -> tuple[float, float]:
    """Median and slowest, in milliseconds, after one round that does not count."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        questions.ask(sql)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[1:]), max(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(StorageConfig(lake_uri=folder))
        table = DeltaTable(lake.uri_of("calls"))
        for number in range(chosen.files):
            write_deltalake(table, batch(number, chosen.rows), mode="append")
        questions = Questions(lake)
        small = {name: measured(questions, sql, chosen.rounds) for name, sql in QUESTIONS.items()}
        table.optimize.compact()
        whole = {name: measured(questions, sql, chosen.rounds) for name, sql in QUESTIONS.items()}
        questions.close()
        size = sum(Path(file).stat().st_size for file in lake.files("calls"))
    print(f"{chosen.files * chosen.rows} calls; compacted {size / 1e6:.1f} MB\n")
    print(f"{'milliseconds':<20}{f'{chosen.files} files':>18}{'compacted':>18}")
    for name in QUESTIONS:
        (median, slowest), (median_whole, slowest_whole) = small[name], whole[name]
        print(f"{name:<20}{f'{median:.1f} (max {slowest:.0f})':>18}{f'{median_whole:.1f} (max {slowest_whole:.0f})':>18}")


if __name__ == "__main__":
    main()
