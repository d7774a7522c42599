"""Partitions that change hands while somebody waits for the next message: none is left out."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from eventlog.kafka import KafkaLog
from eventlog.port import LogReader, NotAssigned
from eventlog.topics import REQUESTS
from tests.fakes import kafka
from tests.fakes.cluster import batch

WAIT = timedelta(milliseconds=300)
PARTITIONS = 3
LONG_S = 20
"""More than a change of hands takes."""


async def test_what_comes_while_partitions_change_hands_is_read_by_somebody(broker: str) -> None:
    config = kafka.config(broker, partitions=PARTITIONS, session_timeout_s=6.0)
    await kafka.create_topics(config)
    log, stop = await KafkaLog.open(config), asyncio.Event()
    read: set[tuple[int, int]] = set()

    async def take(reader: LogReader) -> None:
        records = await reader.poll(max_bytes=1 << 20, timeout=WAIT)
        read.update((record.message.partition, record.offset) for record in records)
        reached = {record.place: record.offset + 1 for record in records}
        try:
            await reader.commit(reached)
        except NotAssigned:
            return  # somebody else reads them again

    async def write() -> None:
        writer, number = await log.writer(), 0
        while not stop.is_set():
            number += 1
            await writer.append([batch(number, partition) for partition in range(PARTITIONS)])
            await asyncio.sleep(0.005)

    async def stay(reader: LogReader) -> None:
        while not stop.is_set():
            await take(reader)

    try:
        first = await log.reader([REQUESTS.name], group="group")
        tasks = [asyncio.create_task(write()), asyncio.create_task(stay(first))]
        for _ in range(4):
            other = await log.reader([REQUESTS.name], group="group")
            for _ in range(3):
                await take(other)
            await other.close()
        stop.set()
        await asyncio.gather(*tasks)
        ends = await log.ends(REQUESTS.name)
        wanted = {(partition, offset) for partition, end in ends.items() for offset in range(end)}
        ends = await log.ends(REQUESTS.name)
        wanted = {(partition, offset) for partition, end in ends.items() for offset in range(end)}
        quiet = 0
        while quiet < 4:
            before = len(read)
            await take(first)
            quiet = quiet + 1 if len(read) == before else 0
        with suppress(TimeoutError):
            async with asyncio.timeout(LONG_S):
                while wanted - read:
                    await take(first)
        assert wanted - read == set()
    finally:
        await log.close()
