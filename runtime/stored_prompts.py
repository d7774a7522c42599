"""The prompts that the proxy fills in for calls that name one."""

import asyncio
import contextlib
from functools import partial

from eventlog.events import Organization
from eventlog.following import Follower
from eventlog.prompts import PRODUCTION, Library, Prompt, PromptVersion
from eventlog.prompts_kept import PromptsKept
from eventlog.topics import PROMPTS
from ingress.stored_prompts import PromptsUnknown, Stored, UnknownPrompt, Wish
from runtime.deciding import opened_log
from runtime.settings import Settings

PATIENCE_S = 5.0
"""So long the first call that asks for a prompt waits to hear which there are."""


class StoredPrompts:
    """The prompts as a proxy knows them: from the first call on that asks for one, all in memory. Close it."""

    def __init__(self, chosen: Settings) -> None:
        self._follower = Follower(partial(opened_log, chosen, (PROMPTS.name,)), PROMPTS.name, "stored_prompts", PromptsKept())
        self._running: asyncio.Task[None] | None = None

    async def find(self, organization: Organization, wish: Wish) -> Stored:
        """Raises UnknownPrompt, PromptsUnknown."""
        if self._running is None:
            self._running = asyncio.create_task(self._follower.run())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._follower.known.wait(), PATIENCE_S)
        kept = self._follower.kept
        if not self._follower.known.is_set():
            raise PromptsUnknown("Which prompts there are is not known yet: the event log is not reached. Try again in a moment.")
        prompt = kept.library.prompt(organization, wish.prompt)
        if prompt is None:
            raise UnknownPrompt(f"There is no prompt {wish.prompt[:100]!r}; POST /v1/prompt-2025/query lists them.", field="prompt_id")
        version = _version(kept.library, prompt, wish)
        return Stored(version.id, kept.body(version) or b"{}")

    async def aclose(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])


def _version(library: Library, prompt: Prompt, wish: Wish) -> PromptVersion:
    """An environment goes before a version, as it does for Helicone's packages."""
    if wish.environment or not wish.version:
        environment = wish.environment or PRODUCTION
        found, what, field = library.at(prompt, environment), f"for {environment[:100]!r}", "environment"
    else:
        found, what, field = library.version(prompt.organization, wish.version), wish.version[:100], "version_id"
    if found is None or found.prompt != prompt.id:
        raise UnknownPrompt(f"The prompt {prompt.id} has no version {what}.", field=field)
    return found
