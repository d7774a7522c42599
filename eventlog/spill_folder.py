"""Where spills lie: a folder for each run, owned by a lock, and what is done with folders whose owner is gone. Everything here blocks.

- `<spill>/spills.lock` is held for a moment by whoever makes, claims or removes a folder.
- `<spill>/<run>/owner.lock` is held by a run for as long as it lives; the system frees it when the process is killed.
- `<spill>/<run>/log.sqlite` and its companions hold the messages: an embedded log.
- `<spill>/corrupt-<run>/`, `<spill>/too-old-<run>/` and `<spill>/unknown-topics-<run>/` were not drained, and are kept for a person to
  look at.
- `<spill>/put-aside/*.json` are messages that Kafka refuses for good, each with the reason.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec
from msgspec import Struct

from eventlog.codec import BatchId, Message
from eventlog.port import LogUnavailable

REGISTER, OWNER, ASIDE = "spills.lock", "owner.lock", "put-aside"
CORRUPT, TOO_OLD, UNKNOWN = "corrupt-", "too-old-", "unknown-topics-"
"""Before the name of a spill that cannot be drained."""


class Claim(NamedTuple):
    """A spill's folder, and the lock that makes it ours."""

    folder: Path
    lock: int

    def size_bytes(self) -> int:
        """What it takes on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("log.sqlite*"))


def new(directory: Path) -> Claim:
    """A folder for this run. Raises LogUnavailable."""
    with _naming(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with _registering(directory):
            folder = directory / uuid4().hex
            folder.mkdir(mode=0o700)
            lock = _lock(folder)
        if lock is None:
            raise LogUnavailable(f"{folder}: somebody else holds a new spill; see what else uses HELIOGRAPH_SPILL__DIR")
        return Claim(folder, lock)


def orphans(directory: Path) -> list[Claim]:
    """The spills whose owners are gone, oldest first: ours from now on. Raises LogUnavailable."""
    if not directory.is_dir():
        return []
    with _naming(directory), _registering(directory):
        found = [path for path in directory.iterdir() if (path / OWNER).exists() and not path.name.startswith((CORRUPT, TOO_OLD, UNKNOWN))]
        found.sort(key=lambda path: ((path / OWNER).stat().st_mtime, path.name))
        return [Claim(path, lock) for path in found if (lock := _lock(path)) is not None]


def release(claim: Claim) -> None:
    """Whoever comes next may have it."""
    os.close(claim.lock)


def remove(claim: Claim) -> None:
    """Raises LogUnavailable; the claim is released even so."""
    try:
        with _naming(claim.folder), _registering(claim.folder.parent):
            shutil.rmtree(claim.folder)
    finally:
        os.close(claim.lock)


def set_aside(claim: Claim, mark: str) -> Path:
    """Keeps a spill where nobody takes it for one to drain. Raises LogUnavailable; the claim is released even so."""
    kept = claim.folder.with_name(mark + claim.folder.name)
    try:
        with _naming(claim.folder), _registering(claim.folder.parent):
            claim.folder.rename(kept)
    finally:
        os.close(claim.lock)
    return kept


class Aside(Struct, frozen=True, kw_only=True):
    """A message that Kafka refuses for good, as it lies in its file."""

    reason: str
    topic: str
    partition: int
    batch_id: BatchId
    count: int
    key: str | None
    headers: tuple[tuple[str, str], ...]
    value: bytes
    """NDJSON; in the file as base64."""


def put_aside(directory: Path, message: Message, reason: str, limit_bytes: int) -> Path:
    """Writes `message` into a file of its own; the same message again replaces it. Raises LogUnavailable; also above `limit_bytes`."""
    folder = directory / ASIDE
    batch = message.batch_id
    path = folder / f"{message.topic}-{message.partition}-{batch.epoch}-{batch.sequence}.json"
    with _naming(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = msgspec.json.encode(
            Aside(
                reason=reason,
                topic=message.topic,
                partition=message.partition,
                batch_id=batch,
                count=message.count,
                key=message.key,
                headers=message.headers,
                value=message.value,
            )
        )
        taken = sum(each.stat().st_size for each in folder.iterdir() if each != path)
        if taken + len(content) > limit_bytes:
            raise LogUnavailable(f"{folder} holds {taken} bytes, and its limit is {limit_bytes}; look at it, and empty it")
        draft = path.with_suffix(".part")
        draft.write_bytes(content)
        draft.chmod(0o600)
        draft.replace(path)
    return path


@contextmanager
def _registering(directory: Path) -> Iterator[None]:
    """Nobody else makes, claims or removes a folder meanwhile."""
    register = os.open(directory / REGISTER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(register, fcntl.LOCK_EX)
        yield
    finally:
        os.close(register)


def _lock(folder: Path) -> int | None:
    """The lock of a folder's owner; None when somebody has it."""
    lock = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return lock


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LogUnavailable(
            f"{path}: {error.strerror}; make the directory writable for this user, with space left, or choose another with"
            " HELIOGRAPH_SPILL__DIR"
        ) from error
