"""`make parity`: two of each role on a real Kafka, each killed with kill -9 at random, and the account of every row.

python -m bench.parity [--calls 100000] [--seed N] [--trials running stopped killed] [--gap 20] [--away 60]

Three trials, each of so many calls: with the broker running, with the broker stopped for a minute, with the broker killed. Kills of one
role are `--gap` seconds apart or more. Strict durability. Ends with 1 when an answer that was seen completed has no row, or a call has
two, or a row is of a call that was not open at a kill; a tenth of the calls are scored, and each score answered 201 is there once.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.fakes import kafka
from tests.fakes.fleet import fleet
from tests.fakes.parity import STRICT, Parity, Trial, either, load, settle
from tests.fakes.provider import provider
from tests.fakes.proxy import environment_of


async def run(folder: Path, chosen: argparse.Namespace) -> bool:
    broker, account = kafka.local_broker(folder / "broker"), Parity()
    await asyncio.to_thread(broker.start)
    try:
        config = kafka.config(broker.address, partitions=chosen.partitions)
        await kafka.create_topics(config)
        async with provider(either) as behind:
            env = environment_of(config, HELIOGRAPH_UPSTREAMS__OPENAI=behind.url, **STRICT)
            async with fleet(folder / "fleet", env) as running:
                for turn, trial in enumerate(chosen.trials):
                    began = time.monotonic()
                    seed = chosen.seed + turn
                    await load(running, broker, account, trial, calls=chosen.calls, seed=seed, gap_s=chosen.gap, away_s=chosen.away)
                    loaded = time.monotonic()
                    await settle(running, config, account)
                    print(f"broker {trial.value}: {loaded - began:.0f} s of load, {time.monotonic() - loaded:.0f} s until all was at rest")
                    print(f"  {account.line()}", flush=True)
    finally:
        broker.stop()
    for told in (*account.faults[:5], *account.died[:5]):
        print(told)
    return account.holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--trials", type=Trial, nargs="+", default=list(Trial))
    parser.add_argument("--gap", type=float, default=20)
    parser.add_argument("--away", type=float, default=60)
    parser.add_argument("--partitions", type=int, default=12)
    chosen = parser.parse_args()
    print(f"parity: {chosen.calls} calls in each of {len(chosen.trials)} trials, seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if asyncio.run(run(Path(folder), chosen)) else 1)


if __name__ == "__main__":
    main()
