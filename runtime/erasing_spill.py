"""The right to be forgotten, in spills: events that wait on this machine for Kafka, or were kept aside for a person to look at."""

import asyncio
from pathlib import Path

import msgspec

from eventlog.codec import message_of_lines
from eventlog.embedded import EmbeddedLog
from eventlog.embedded_file import FILE_NAME
from eventlog.port import LogCorrupt, LogUnavailable
from eventlog.spill_folder import ASIDE, CORRUPT, Aside
from runtime.erasing_log import ABOUT_CALLS, OF_CALLS, scan, struck
from storage.erasing import Found, Subject


def damaged(directory: Path) -> list[Path]:
    """Spills that cannot be read, so that nobody knows what is in them."""
    return sorted(path for path in directory.glob(f"{CORRUPT}*") if path.is_dir())


def _readable(directory: Path) -> list[Path]:
    return sorted(file.parent for file in directory.glob(f"*/{FILE_NAME}") if not file.parent.name.startswith(CORRUPT))


async def in_spills(directory: Path, subject: Subject, found: Found, *, strike: bool) -> int:
    """How many lines are about the subject; struck, where that is meant. Raises LogUnavailable, OSError."""
    lines = 0
    for folder in await asyncio.to_thread(_readable, directory):
        lines += await _in_spill(folder, subject, found, strike)
    return lines + await asyncio.to_thread(_put_aside, directory / ASIDE, subject, found, strike)


async def _in_spill(folder: Path, subject: Subject, found: Found, strike: bool) -> int:
    """One that somebody else uses may be struck too: its messages keep their places."""
    try:
        spill = await EmbeddedLog.open(folder)
    except LogCorrupt as error:
        raise LogUnavailable(str(error)) from error
    try:
        on_log = await scan(spill, (*OF_CALLS, *ABOUT_CALLS), subject, found, lambda *_: None)
        if strike:
            await spill.strike(on_log.struck, lambda _: None)
    finally:
        await spill.close()
    return on_log.whole


def _put_aside(folder: Path, subject: Subject, found: Found, strike: bool) -> int:
    lines = 0
    for file in sorted(folder.glob("*.json")):
        aside = msgspec.json.decode(file.read_bytes(), type=Aside)
        kept, count = struck(aside.topic, aside.value, subject, found)
        lines += count
        if strike and count and not kept:
            file.unlink()
        elif strike and count:
            message = message_of_lines(aside.topic, aside.partition, aside.batch_id, kept)
            draft = file.with_suffix(".part")
            draft.write_bytes(msgspec.json.encode(msgspec.structs.replace(aside, value=message.value, count=message.count)))
            draft.chmod(0o600)
            draft.replace(file)
    return lines
