"""Prompts that are kept for applications: each has versions, which never change, and environments, each of which stands for one version.

They are records of a compacted topic: a record replaces the one before of the same key, an empty one takes it away. Whatever belongs to
one prompt lies on one partition, so everybody reads it in one order.

A version's number is the next one that its writer knows of. Of two that wrote the same number at once the first on the log has it, and
the other counts for nothing until its writer, who reads that, has written it again with another number. So no number is there twice.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, NewType
from zlib import crc32

import msgspec
import structlog
from msgspec import Raw, Struct

from eventlog.events import Instant, Organization

log = structlog.get_logger()

PromptId = NewType("PromptId", str)
"""Six letters and digits, as Helicone's ids of prompts: its clients find `{{hcp:<id>:…}}` in a template by that."""
VersionId = NewType("VersionId", str)
"""A UUID."""

PRODUCTION = "production"


class Number(NamedTuple):
    """Of a version: `2.1`. Majors begin at 1, minors at 0."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


FIRST = Number(1, 0)


class Prompt(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="prompt"):
    """What people call it. What was said last counts."""

    organization: Organization
    id: PromptId
    name: str
    tags: tuple[str, ...] = ()
    created_at: Instant


class PromptVersion(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="version"):
    """One state of a prompt, without its body."""

    organization: Organization
    prompt: PromptId
    id: VersionId
    major: int
    minor: int
    model: str = ""
    """The body's; empty where it names none."""
    message: str = ""
    """What its writer says of it."""
    created_at: Instant
    deleted: bool = False
    """Only its number is left, so that no other version gets it."""

    @property
    def number(self) -> Number:
        return Number(self.major, self.minor)


class WrittenVersion(PromptVersion, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="version"):
    """A version as it is written."""

    body: Raw
    """What is sent to a model, with `{{hc:name:type}}` where inputs go: a JSON object."""


class Placement(Struct, frozen=True, kw_only=True, tag_field="record", tag="environment"):
    """Which version an environment stands for. What was said last counts."""

    organization: Organization
    prompt: PromptId
    environment: str
    version: VersionId


PromptRecord = Prompt | PromptVersion | Placement
_decoder = msgspec.json.Decoder(PromptRecord)
_encoder = msgspec.json.Encoder()


def key_of(record: PromptRecord) -> str:
    """What a later record has to bear to take its place. No part but the last, the organization, has a slash in it."""
    match record:
        case Prompt(id=prompt):
            return f"prompt/{prompt}/{record.organization}"
        case PromptVersion(id=version):
            return f"version/{version}/{record.organization}"
        case Placement(prompt=prompt, environment=environment):
            return f"environment/{prompt}/{environment}/{record.organization}"


def partition_of(record: PromptRecord, partitions: int) -> int:
    return crc32(f"{prompt_of(record)}/{record.organization}".encode()) % partitions


def prompt_of(record: PromptRecord) -> PromptId:
    return record.id if isinstance(record, Prompt) else record.prompt


def encoded(record: PromptRecord) -> bytes:
    """One line."""
    return _encoder.encode(record) + b"\n"


class _Bodied(Struct):
    body: Raw


def body_in(line: bytes) -> bytes:
    """The body in the line of a version that has one."""
    return bytes(msgspec.json.decode(line, type=_Bodied).body)


def next_number(taken: Iterable[Number], base: Number, *, major: bool) -> Number:
    """The one after those that are taken: of a new major version, or of the base's."""
    if major:
        return Number(max(each.major for each in (*taken, base)) + 1, 0)
    return Number(base.major, max(each.minor for each in (*taken, base) if each.major == base.major) + 1)


class _Folder:
    """What is known of one prompt. It is none while it has no name: the rest may come first, or stay behind."""

    def __init__(self) -> None:
        self.prompt: Prompt | None = None
        self.versions: dict[VersionId, PromptVersion] = {}
        """In the order of the log."""
        self.environments: dict[str, VersionId] = {}

    def by_number(self) -> Mapping[Number, PromptVersion]:
        """Of each number the version that has it; deleted ones too."""
        found = {each.number: each for each in self.versions.values() if each.deleted}
        for each in self.versions.values():
            found.setdefault(each.number, each)
        return found

    def standing(self) -> list[PromptVersion]:
        return [each for each in self.by_number().values() if not each.deleted]


class Library:
    """All prompts of all organizations, as the records say, without bodies."""

    def __init__(self) -> None:
        self._records: dict[str, PromptRecord] = {}
        self._folders: dict[tuple[Organization, PromptId], _Folder] = {}

    def take(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """Keys and what was written under them, in the order of the log. What is not understood is told and passed over."""
        for key, line in lines:
            self._drop(key)
            if not line.strip():
                continue
            try:
                self._put(key, _decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                log.warning("prompt_not_understood", key=key, error=str(error))

    def record(self, key: str) -> PromptRecord | None:
        return self._records.get(key)

    def records_of(self, prompt: Prompt) -> list[PromptRecord]:
        """All that belongs to it."""
        folder = self._folder(prompt.organization, prompt.id)
        placed = [
            Placement(organization=prompt.organization, prompt=prompt.id, environment=each, version=version)
            for each, version in folder.environments.items()
        ]
        return [prompt, *folder.versions.values(), *placed]

    def prompts(self, organization: Organization) -> list[Prompt]:
        """Newest first."""
        own = (folder.prompt for (whose, _), folder in self._folders.items() if whose == organization)
        return sorted((each for each in own if each is not None), key=lambda each: (each.created_at, each.id), reverse=True)

    def prompt(self, organization: Organization, id_: str) -> Prompt | None:
        return self._folder(organization, PromptId(id_)).prompt

    def versions(self, prompt: Prompt) -> list[PromptVersion]:
        """Newest first."""
        standing = self._folder(prompt.organization, prompt.id).standing()
        return sorted(standing, key=lambda each: (each.created_at, each.number), reverse=True)

    def numbers(self, prompt: Prompt) -> Iterable[Number]:
        """Those that are taken, or were."""
        return self._folder(prompt.organization, prompt.id).by_number()

    def version(self, organization: Organization, id_: str) -> PromptVersion | None:
        """One that stands."""
        found = self._records.get(f"version/{id_}/{organization}")
        if not isinstance(found, PromptVersion) or (found.organization, found.id) != (organization, id_):
            return None
        return found if self._stands(found) else None

    def at(self, prompt: Prompt, environment: str) -> PromptVersion | None:
        """What the environment stands for."""
        version = self._folder(prompt.organization, prompt.id).environments.get(environment)
        return None if version is None else self.version(prompt.organization, version)

    def environments(self, version: PromptVersion) -> list[str]:
        """Those that stand for it."""
        placed = self._folder(version.organization, version.prompt).environments
        return sorted(name for name, each in placed.items() if each == version.id)

    def _stands(self, version: PromptVersion) -> bool:
        folder = self._folder(version.organization, version.prompt)
        holder = folder.by_number().get(version.number)
        return folder.prompt is not None and not version.deleted and holder is not None and holder.id == version.id

    def _folder(self, organization: Organization, prompt: PromptId) -> _Folder:
        return self._folders.get((organization, prompt)) or _Folder()

    def _put(self, key: str, record: PromptRecord) -> None:
        self._records[key] = record
        folder = self._folders.setdefault((record.organization, prompt_of(record)), _Folder())
        match record:
            case Prompt():
                folder.prompt = record
            case PromptVersion(id=version):
                folder.versions[version] = record
            case Placement(environment=environment, version=version):
                folder.environments[environment] = version

    def _drop(self, key: str) -> None:
        record = self._records.pop(key, None)
        if record is None:
            return
        place = (record.organization, prompt_of(record))
        folder = self._folders[place]
        match record:
            case Prompt():
                folder.prompt = None
            case PromptVersion(id=version):
                del folder.versions[version]
            case Placement(environment=environment):
                del folder.environments[environment]
        if folder.prompt is None and not folder.versions and not folder.environments:
            del self._folders[place]
