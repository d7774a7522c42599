"""A Kafka in memory that goes away, answers late, loses acknowledgements, and finds messages too large: what stands behind a spill.

`Cluster().writer()` raises what `KafkaWriter` raises. `first_arrivals` is what readers make of what arrived.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from eventlog import spill_folder
from eventlog.codec import BatchId, Message
from eventlog.port import NotAcknowledged, Place
from eventlog.spill import SpillingWriter
from eventlog.topics import REQUESTS
from tests.fakes.memory_log import MemoryLog


class Cluster:
    def __init__(self, partitions: int = 4) -> None:
        self.log = MemoryLog(partitions)
        self.up = True
        self.largest = 1 << 30
        """Bytes of a message; a larger one is refused."""
        self.appends = 0
        self._faults: list[tuple[int, int]] = []
        self._gate = asyncio.Event()
        self._gate.set()

    def writer(self) -> "ClusterWriter":
        return ClusterWriter(self)

    def fail_once(self, acknowledged: int, kept: int) -> None:
        """The next append acknowledges so many messages; so many behind them arrive, and nobody says so."""
        self._faults.append((acknowledged, kept))

    def hold(self) -> None:
        """Appends are in flight until `let_go`."""
        self._gate.clear()

    def let_go(self) -> None:
        self._gate.set()

    async def take(self, messages: Sequence[Message]) -> None:
        self.appends += 1
        await self._gate.wait()
        await asyncio.sleep(0)
        if not self.up:
            raise NotAcknowledged("the cluster is away", messages)
        acknowledged, kept = self._faults.pop(0) if self._faults else (len(messages), 0)
        by_place = in_turns(messages)
        for number, message in enumerate(by_place[: acknowledged + kept]):
            if len(message.value) > self.largest:
                raise NotAcknowledged("too large", by_place[min(number, acknowledged) :], [message])
            await self._keep(message)
        if acknowledged < len(by_place):
            raise NotAcknowledged("not acknowledged in time", by_place[acknowledged:])

    async def _keep(self, message: Message) -> None:
        writer = await self.log.writer()
        await writer.append([message])


class ClusterWriter:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def append(self, messages: Sequence[Message]) -> None:
        await self._cluster.take(messages)

    async def close(self) -> None: ...


def in_turns(messages: Sequence[Message]) -> list[Message]:
    """The first of each partition, then the second of each, …: partitions are independent, each keeps its order."""
    places: dict[Place, list[Message]] = {}
    for message in messages:
        places.setdefault((message.topic, message.partition), []).append(message)
    longest = max(map(len, places.values()), default=0)
    return [own[turn] for turn in range(longest) for own in places.values() if turn < len(own)]


def batch(number: int, partition: int = 0, *, topic: str = REQUESTS.name, epoch: str = "e", size: int = 10) -> Message:
    line = b'{"n":%d,"x":"%s"}\n' % (number, b"x" * size)
    return Message(topic=topic, partition=partition, batch_id=BatchId(epoch, number), count=1, value=line)


def first_arrivals(log: MemoryLog, topic: str = REQUESTS.name) -> dict[tuple[str, int], list[int]]:
    """By epoch and partition: the numbers, less those that are not above the highest before them. A hole in them is a loss."""
    found: dict[tuple[str, int], list[int]] = {}
    for message in log.messages(topic):
        seen = found.setdefault((message.batch_id.epoch, message.partition), [])
        if not seen or message.batch_id.sequence > seen[-1]:
            seen.append(message.batch_id.sequence)
    return found


async def kill(writer: SpillingWriter) -> None:
    """What kill -9 leaves: files as they are, and free locks."""
    for task in writer._tasks:
        task.cancel()
    await asyncio.gather(*writer._tasks, return_exceptions=True)
    if writer._orphans._ending is not None:
        await writer._orphans._ending
    spills: list[Any] = [spill for spill in (writer._own, writer._orphans.open) if spill is not None]
    for spill in spills:
        await spill.close()
        spill_folder.release(spill.claim)
    for claim, _ in writer._orphans._claims:
        spill_folder.release(claim)
