"""Changes to prompts by several processes at once, on a log of several partitions, and while the log is away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventlog import prompt_changes
from eventlog.following import Opened
from eventlog.port import Log, LogUnavailable
from eventlog.prompt_changes import PromptGone
from eventlog.topics import PROMPTS
from tests.fakes.memory_log import MemoryLog
from tests.fakes.prompt_processes import ACME, process


def opening(log: MemoryLog) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Log]:
        yield log

    return opened


@pytest.mark.parametrize("partitions", [1, 5])
async def test_no_number_is_there_twice_whoever_writes_at_once(tmp_path: Path, partitions: int) -> None:
    log = MemoryLog(partitions)
    opened = opening(log)
    async with process(opened, tmp_path, "a") as a, process(opened, tmp_path, "b") as b, process(opened, tmp_path, "c") as c:
        prompt, first = await a.made()
        for each in (b, c):
            await each.sees(first)
        made = await asyncio.gather(*(each.add(prompt, first) for each in (a, b, c) * 5))
        assert sorted(each.number for each in made) == [(1, minor) for minor in range(1, 16)]
        for each in (a, b, c):
            await each.sees(*made)
            assert len(each.follower.kept.library.versions(prompt)) == 16
        keys = Counter(message.key for message in log.messages(PROMPTS.name))
        assert max(count for key, count in keys.items() if key and key.startswith("version/")) > 1  # a number was lost, and another taken


async def test_a_version_of_a_prompt_that_is_deleted_meanwhile_is_none(tmp_path: Path) -> None:
    log = MemoryLog()
    async with process(opening(log), tmp_path, "a") as a, process(opening(log), tmp_path, "b") as b:
        prompt, first = await a.made()
        await b.sees(first)
        log.stall()  # b has not heard yet when it writes
        deleting, adding = asyncio.create_task(a.changes.delete(prompt)), asyncio.create_task(b.add(prompt, first))
        await asyncio.sleep(0)
        log.heal()
        await deleting
        with pytest.raises(PromptGone):
            await adding
        await b.follower.until(lambda kept: kept.library.prompts(ACME) == [])
        newest = {message.key: message.value for message in log.messages(PROMPTS.name)}
        assert set(newest.values()) == {b""}


async def test_a_log_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_changes, "PATIENCE_S", 0.05)
    log = MemoryLog()
    async with process(opening(log), tmp_path, "a") as a:
        prompt, first = await a.made()
        log.fail_with(LogUnavailable("away"))
        with pytest.raises(LogUnavailable, match="away"):
            await a.changes.rename(prompt, "Hello")
        log.heal()
        log.stall()
        with pytest.raises(LogUnavailable, match="did not take the change"):
            await a.changes.place(first, "staging")
        log.heal()
        monkeypatch.undo()
        await a.changes.place(first, "staging")
        assert a.follower.kept.library.environments(first) == ["production", "staging"]
