"""`make soak`: kill -9 of ingress workers, the pipeline and the whole tree under load, then the account of every row.

python -m bench.soak [--rounds 60] [--seed N] [--durability strict|buffered]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.fakes.soak import make, soak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--durability", choices=("strict", "buffered"), default="strict")
    chosen = parser.parse_args()
    print(f"soak: {chosen.rounds} kills, seed {chosen.seed}, {chosen.durability}")
    with tempfile.TemporaryDirectory() as folder:
        stack = make(Path(folder), chosen.durability)
        try:
            stack.start_provider()
            stack.start()
            account = asyncio.run(soak(stack, rounds=chosen.rounds, seed=chosen.seed))
        finally:
            for name in list(stack.processes):
                stack.stop(name)
    print(account.line())
    lost = len(account.missing) if chosen.durability == "strict" else 0
    sys.exit(1 if lost or account.doubled or account.unexplained else 0)


if __name__ == "__main__":
    main()
