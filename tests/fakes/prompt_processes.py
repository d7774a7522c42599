"""Processes that follow and change the prompts of one log, in this one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from eventlog.events import Organization
from eventlog.following import Follower, Opened
from eventlog.prompt_changes import PromptChanges
from eventlog.prompts import Prompt, PromptVersion
from eventlog.prompts_kept import PromptsKept
from eventlog.topics import PROMPTS

ACME = Organization("acme")


class Process(NamedTuple):
    follower: Follower[PromptsKept]
    changes: PromptChanges

    async def sees(self, *versions: PromptVersion) -> None:
        await self.follower.until(lambda kept: all(kept.library.version(ACME, each.id) is not None for each in versions))

    async def made(self) -> tuple[Prompt, PromptVersion]:
        first = await self.changes.create(ACME, "Greeting", ["a"], b"{}", "gpt-4o")
        prompt = self.follower.kept.library.prompt(ACME, first.prompt)
        assert prompt is not None
        return prompt, first

    async def add(self, prompt: Prompt, base: PromptVersion) -> PromptVersion:
        return await self.changes.add(prompt, base, major=False, message="m", body=b"{}", model="", environment="production")


@asynccontextmanager
async def process(opened: Opened, folder: Path, name: str) -> AsyncIterator[Process]:
    """Once it has heard what there is."""
    follower = Follower(opened, PROMPTS.name, name, PromptsKept(folder / f"{name}.sqlite"))
    running = asyncio.create_task(follower.run())
    await follower.heard.wait()
    try:
        yield Process(follower, PromptChanges(opened, follower, lambda: datetime(2026, 11, 26, tzinfo=UTC)))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
