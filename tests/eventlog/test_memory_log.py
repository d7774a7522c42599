"""The fake breaks as it is told to; all else about it is the contract's."""

import asyncio

import pytest

from eventlog.port import LogUnavailable
from eventlog.topics import RESPONSES
from tests.eventlog.contract import NOW, message, sequences
from tests.fakes.memory_log import MemoryLog


def kept(log: MemoryLog) -> list[int]:
    return sequences(log.records(RESPONSES.name))


async def test_it_fails_as_often_as_told() -> None:
    log = MemoryLog()
    writer = await log.writer()
    log.fail_with(LogUnavailable("away"), times=2)
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="away"):
            await writer.append([message(1)])
    await writer.append([message(2)])
    assert (kept(log), log.appends) == ([2], 1)


async def test_it_fails_until_it_is_healed() -> None:
    log = MemoryLog()
    writer, reader = await log.writer(), await log.reader([RESPONSES.name], group="g")
    log.fail_with(LogUnavailable("away"))
    log.fail_reads_with(LogUnavailable("blind"))
    for _ in range(3):
        with pytest.raises(LogUnavailable, match="away"):
            await writer.append([message(1)])
    with pytest.raises(LogUnavailable, match="blind"):
        await reader.poll(max_bytes=1, timeout=NOW)
    log.heal()
    await writer.append([message(2)])
    assert sequences(await reader.poll(max_bytes=1, timeout=NOW)) == [2]


async def test_a_lost_acknowledgement_leaves_the_message() -> None:
    log = MemoryLog()
    writer = await log.writer()
    log.lose_acknowledgements()
    with pytest.raises(LogUnavailable):
        await writer.append([message(1)])
    await writer.append([message(1)])
    assert kept(log) == [1, 1]


async def test_a_stalled_append_waits_and_a_cancelled_one_is_not_kept() -> None:
    log = MemoryLog()
    writer = await log.writer()
    log.stall()
    waiting, cancelled = (asyncio.create_task(writer.append([message(n)])) for n in (1, 2))
    await asyncio.sleep(0)
    assert not waiting.done()
    cancelled.cancel()
    log.heal()
    await waiting
    assert kept(log) == [1]


async def test_after_a_crash_what_was_not_committed_comes_again() -> None:
    log = MemoryLog()
    writer, reader = await log.writer(), await log.reader([RESPONSES.name], group="g")
    await writer.append([message(1), message(2)])
    await reader.poll(max_bytes=1000, timeout=NOW)
    await reader.commit({(RESPONSES.name, 0): 1})
    log.crash()
    with pytest.raises(RuntimeError, match="closed"):
        await writer.append([message(3)])
    with pytest.raises(RuntimeError, match="closed"):
        await reader.commit({(RESPONSES.name, 0): 2})
    again = await log.reader([RESPONSES.name], group="g")
    assert sequences(await again.poll(max_bytes=1000, timeout=NOW)) == [2]
    assert log.committed("g") == {(RESPONSES.name, 0): 1}
