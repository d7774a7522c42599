"""A process that spills and says so: `python -m tests.eventlog.spiller DIRECTORY EPOCH APPENDS`. Its cluster is away.

Each append is three messages, on three partitions. After each its number is written out. SIGTERM ends it in order.
"""

import asyncio
import signal
import sys
from pathlib import Path

from eventlog.spill import SpillingWriter
from eventlog.spill_state import SpillConfig
from tests.fakes.cluster import Cluster, batch


async def spill(directory: Path, epoch: str, appends: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    cluster = Cluster()
    cluster.up = False
    writer = await SpillingWriter.open(cluster.writer(), SpillConfig(directory=directory))
    for number in range(1, appends + 1):
        await writer.append([batch(number, partition, epoch=epoch, size=number % 7 * 1000) for partition in range(3)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if stop.is_set():
            break
    await writer.close()


if __name__ == "__main__":
    asyncio.run(spill(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
