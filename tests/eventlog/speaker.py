"""A process that appends to an embedded log and says so: `python -m tests.eventlog.speaker DIRECTORY NUMBER APPENDS PARTITIONS`.

Each append is three messages, on two partitions and two topics. After each acknowledgement its number is written out.
"""

import asyncio
import sys
from pathlib import Path

from eventlog.codec import BatchId, Message
from eventlog.embedded import EmbeddedLog
from eventlog.topics import REQUESTS, RESPONSES


def said(number: int, n: int) -> list[Message]:
    """The n-th append of speaker `number`."""
    places = ((RESPONSES.name, 0), (RESPONSES.name, 1), (REQUESTS.name, 0))
    value = b"%d/%d\n" % (number, n) * (1 + n % 7 * 100)
    return [
        Message(topic=topic, partition=partition, batch_id=BatchId(f"{number:032x}", n), count=1, value=value)
        for topic, partition in places
    ]


async def speak(directory: Path, number: int, appends: int, partitions: int) -> None:
    log = await EmbeddedLog.open(directory, partitions=partitions)
    writer = await log.writer()
    for n in range(1, appends + 1):
        await writer.append(said(number, n))
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()
    await log.close()


if __name__ == "__main__":
    asyncio.run(speak(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
