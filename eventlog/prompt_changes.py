"""Changes to prompts: written on their topic, and done once this process has read them there, where the order of everybody's is decided."""

import asyncio
import secrets
import string
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from uuid import UUID

from msgspec import Raw
from msgspec.structs import asdict, replace

from eventlog.control import Saying, say
from eventlog.events import Organization
from eventlog.following import Follower, Opened
from eventlog.port import Log, LogUnavailable
from eventlog.prompts import (
    FIRST,
    PRODUCTION,
    Library,
    Number,
    Placement,
    Prompt,
    PromptId,
    PromptRecord,
    PromptVersion,
    VersionId,
    WrittenVersion,
    encoded,
    key_of,
    next_number,
    partition_of,
)
from eventlog.prompts_kept import PromptsKept
from eventlog.topics import PROMPTS

PATIENCE_S = 15.0
"""So long the log may take to take a change and give it back."""
LETTERS, LENGTH = string.ascii_letters + string.digits, 6
FIRST_MESSAGE = "First version."

Line = tuple[PromptRecord, bytes]
"""A record, and what is written under its key: empty to take it away."""
NextFor = Callable[[Library], Number]


class PromptGone(Exception):
    """Somebody deleted the prompt meanwhile."""


class PromptChanges:
    """Changes what `follower` follows. Every method raises LogUnavailable: then the change may be made nonetheless, or come later."""

    def __init__(self, opened: Opened, follower: Follower[PromptsKept], clock: Callable[[], datetime]) -> None:
        self._opened, self._follower, self._clock = opened, follower, clock
        self._one_at_a_time = asyncio.Lock()

    async def create(self, organization: Organization, name: str, tags: Sequence[str], body: bytes, model: str) -> PromptVersion:
        """A prompt with a first version, which `production` stands for."""
        now = self._clock()
        prompt = Prompt(organization=organization, id=self._new_id(organization), name=name, tags=tuple(tags), created_at=now)
        first = PromptVersion(
            organization=organization,
            prompt=prompt.id,
            id=_version_id(),
            major=FIRST.major,
            minor=FIRST.minor,
            model=model,
            message=FIRST_MESSAGE,
            created_at=now,
        )
        records: list[PromptRecord] = [prompt, _with_body(first, body), _placement(first, PRODUCTION)]
        await self._write(records)
        return first

    async def add(
        self, prompt: Prompt, base: PromptVersion, *, major: bool, message: str, body: bytes, model: str, environment: str | None
    ) -> PromptVersion:
        """A version after `base`; `environment` stands for it then. Raises PromptGone."""
        version = PromptVersion(
            organization=prompt.organization,
            prompt=prompt.id,
            id=_version_id(),
            major=0,
            minor=0,
            model=model,
            message=message,
            created_at=self._clock(),
        )
        async with _in_time(), self._one_at_a_time, self._opened() as log:
            version = await self._numbered(log, prompt, version, body, partial(_after, prompt, base, major))
        if environment is not None:
            await self.place(version, environment)
        return version

    async def place(self, version: PromptVersion, environment: str) -> None:
        """The environment stands for this version, and for no other."""
        await self._write([_placement(version, environment)])

    async def displace(self, version: PromptVersion, environment: str) -> None:
        """The environment stands for nothing."""
        await self._take_away([_placement(version, environment)])

    async def rename(self, prompt: Prompt, name: str) -> None:
        await self._write([replace(prompt, name=name)])

    async def tag(self, prompt: Prompt, tags: Sequence[str]) -> None:
        await self._write([replace(prompt, tags=tuple(tags))])

    async def delete(self, prompt: Prompt) -> None:
        """With all that belongs to it."""
        await self._take_away(self._library.records_of(prompt))

    async def delete_version(self, version: PromptVersion) -> None:
        """The environments that stand for it stand for nothing then. Its number is not given again."""
        mark = replace(version, model="", message="", deleted=True)
        placed = [(_placement(version, each), b"") for each in self._library.environments(version)]
        await self._say([*placed, (mark, encoded(mark))])

    @property
    def _library(self) -> Library:
        return self._follower.kept.library

    async def _numbered(self, log: Log, prompt: Prompt, version: PromptVersion, body: bytes, next_for: NextFor) -> PromptVersion:
        """Written with one number after another, until it has one to itself."""
        while True:
            number = next_for(self._library)
            wanted = replace(version, major=number.major, minor=number.minor)
            await self._say_on(log, [(wanted, encoded(_with_body(wanted, body)))])
            if self._library.prompt(prompt.organization, prompt.id) is None:
                await self._say_on(log, [(wanted, b"")])
                raise PromptGone
            if self._library.version(wanted.organization, wanted.id) is not None:
                return wanted

    async def _write(self, records: Iterable[PromptRecord]) -> None:
        await self._say([(each, encoded(each)) for each in records])

    async def _take_away(self, records: Iterable[PromptRecord]) -> None:
        await self._say([(each, b"") for each in records])

    async def _say(self, lines: Sequence[Line]) -> None:
        async with _in_time(), self._opened() as log:
            await self._say_on(log, lines)

    async def _say_on(self, log: Log, lines: Sequence[Line]) -> None:
        """Returns once this process knows what was written, and what others wrote before."""
        partitions = log.partitions(PROMPTS.name)
        await say(log, [Saying(partition_of(record, partitions), key_of(record), line) for record, line in lines], PROMPTS.name)
        await self._follower.caught_up(log)

    def _new_id(self, organization: Organization) -> PromptId:
        while True:
            drawn = PromptId("".join(secrets.choice(LETTERS) for _ in range(LENGTH)))
            if self._library.prompt(organization, drawn) is None:
                return drawn


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Raises LogUnavailable where it takes too long."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except TimeoutError:
        raise LogUnavailable(f"it did not take the change, and give it back, within {PATIENCE_S:.0f} s") from None


def _after(prompt: Prompt, base: PromptVersion, major: bool, library: Library) -> Number:
    return next_number(library.numbers(prompt), base.number, major=major)


def _with_body(version: PromptVersion, body: bytes) -> WrittenVersion:
    return WrittenVersion(**asdict(version), body=Raw(body))


def _placement(version: PromptVersion, environment: str) -> Placement:
    return Placement(organization=version.organization, prompt=version.prompt, environment=environment, version=version.id)


def _version_id() -> VersionId:
    return VersionId(str(UUID(bytes=secrets.token_bytes(16), version=4)))
