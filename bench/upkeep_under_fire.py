"""`make soak`: a lake under fire of kill -9, whose every answer is checked, then the account of every row.

python -m bench.upkeep_under_fire [--minutes 10] [--seed N] [--now]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.fakes.under_fire import fought

GRACE_S = 30.0
"""How long a file stays for those who read it. In the product it is an hour."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--now", action="store_true", help="remove files at once after each erasure, as `heliograph erase --now`")
    chosen = parser.parse_args()
    print(f"upkeep under fire: {chosen.minutes:g} minutes, seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        until = time.monotonic() + chosen.minutes * 60
        grace = None if chosen.now else GRACE_S
        account = asyncio.run(fought(Path(folder), seed=chosen.seed, goes_on=lambda *_: time.monotonic() < until, grace_s=grace))
    print(account.line())
    sys.exit(1 if account.wrong else 0)


if __name__ == "__main__":
    main()
