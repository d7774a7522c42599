"""Reading all that a log retains: every message once, and an end."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from eventlog.codec import Record
from eventlog.port import LogUnavailable
from eventlog.retained import retained
from eventlog.topics import RESPONSES
from tests.eventlog.contract import message, write
from tests.fakes.memory_log import MemoryLog, MemoryReader


async def read(log: MemoryLog) -> list[int]:
    return [record.offset async for part in retained(log, RESPONSES.name, group="g") for record in part.records]


async def test_what_is_left_is_read_and_what_comes_meanwhile_is_not() -> None:
    log = MemoryLog()
    await write(log, *map(message, range(5)))
    log.expire(RESPONSES.name, 0, before=2)
    seen: list[int] = []
    async for part in retained(log, RESPONSES.name, group="g"):
        seen += [record.offset for record in part.records]
        assert (part.done, part.whole) == (3, 3)
        await write(log, message(9))
    assert seen == [2, 3, 4]
    assert log.committed("g") == {}


async def test_nothing_is_read_of_an_empty_topic() -> None:
    assert await read(MemoryLog()) == []


async def test_a_log_that_gives_nothing_more_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: MemoryReader, *, max_bytes: int, timeout: timedelta) -> Sequence[Record]:
        return []

    log = MemoryLog()
    await write(log, message(1))
    monkeypatch.setattr(MemoryReader, "poll", nothing)
    with pytest.raises(LogUnavailable, match="has more to give"):
        await read(log)
