"""`heliograph dead-letters` and `heliograph replay`: what could not be understood, and another try."""

import asyncio
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eventlog.port import LogCorrupt, LogUnavailable
from eventlog.replay import Replays
from runtime.asking import Wish, ask
from runtime.deciding import decided_on
from runtime.moments import moment_of
from runtime.observing import observed
from runtime.replaying import Selection, Sent, at_rest, replay_calls, replay_letters
from runtime.settings import Misconfigured, Settings
from storage.amendments import newest_revision
from storage.engine import literal
from storage.formats import Format
from storage.lake import Lake

WAIT_S = 60.0
"""How long nothing may come to rest before we stop waiting for it."""

BY_REASON = """
SELECT reason, topic, count(*) AS letters, min("at") AS first, max("at") AS last, arg_max(error, "at") AS "last error"
FROM dead_letters{where} GROUP BY reason, topic ORDER BY letters DESC, reason, topic"""
EACH = """
SELECT "at", topic, partition, "offset", index, reason, call_id, error
FROM dead_letters{where} ORDER BY "at" DESC, topic, partition, "offset", index LIMIT {limit}"""


class Listed(Struct, frozen=True):
    """Which dead letters are listed, and how."""

    reason: str | None
    each: bool
    limit: int


def dead_letters(chosen: Settings, form: Format, listed: Listed, *, here: bool, there: bool) -> bytes:
    """The answer in the form asked for: by reason, or each of them. Raises Refused."""
    where = "" if listed.reason is None else f" WHERE reason = {literal(listed.reason)}"
    by_one = listed.each or listed.reason is not None
    sql = EACH.format(where=where, limit=listed.limit) if by_one else BY_REASON.format(where=where)
    width = Console().width if sys.stdout.isatty() else None
    found = ask(chosen, Wish(sql=sql, form=form, width=width, here=here, there=there))
    return b"No dead letters.\n" if form is Format.TABLE and not found.told.rows else found.body


def replay(chosen: Settings, selection: Selection, *, letters: bool, wait: bool) -> None:
    """Sends events through again, and tells what became of them. Raises Misconfigured for what an operator can change."""
    with bar() as shown:
        lake, revision, sent = asyncio.run(_send(chosen, selection, letters, shown))
    typer.echo(told(sent, revision))
    if sent.calls and wait:
        _wait(lake, revision, sent.calls)


async def _send(chosen: Settings, selection: Selection, letters: bool, shown: Progress) -> tuple[Lake, int, Sent]:
    """The lake, the revision that rows get there, and what was sent."""
    task = shown.add_task("dead letters" if letters else "messages read", total=None)
    async with observed(chosen) as events:
        lake = await asyncio.to_thread(Lake.open, chosen.storage())
        revision = newest_revision(lake) + 1
        replays, name = Replays(secrets.token_hex(16), revision), secrets.token_hex(8)
        try:
            if letters:
                return lake, revision, await replay_letters(events, lake, selection, replays, name, _step(shown, task))
            erasures = (await decided_on(events)).erasures
            return lake, revision, await replay_calls(events, selection, replays, name, _step(shown, task), erasures)
        except (LogUnavailable, LogCorrupt) as error:
            raise Misconfigured(f"{error} What was sent until then is sent; the same command may be given again.") from error


def _step(shown: Progress, task: Any) -> Callable[[int, int], None]:
    return lambda done, whole: shown.update(task, completed=done, total=whole)


def bar() -> Progress:
    """Of how far a command is; silent where nobody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def told(sent: Sent, revision: int) -> str:
    """What a replay did, in words."""
    lines = [f"{sent.calls} calls sent through again; their rows get revision {revision}."] if sent.calls else []
    if sent.others:
        lines.append(f"{sent.others} requests and feedbacks sent that the lake lacks.")
    if sent.at_rest:
        lines.append(f"{sent.at_rest} requests and feedbacks left: the lake has them by now.")
    if sent.unreadable:
        lines.append(f"{sent.unreadable} events left: they would be dead letters again.")
    if sent.gone:
        lines.append(f"{sent.gone} dead letters left: their events are cut off in the lake, and no longer on the log.")
    return "\n".join(lines or ["Nothing to replay."])


def _wait(lake: Lake, revision: int, calls: int) -> None:
    """Until all are at rest, or nothing moves any more, or Ctrl-C."""
    done, moved = 0, time.monotonic()
    with suppress(KeyboardInterrupt), bar() as shown:
        task = shown.add_task("rows at rest", total=calls)
        while done < calls and time.monotonic() - moved < WAIT_S:
            time.sleep(0.5)
            found = at_rest(lake, revision)
            moved, done = (time.monotonic() if found > done else moved), found
            shown.update(task, completed=done)
    if done >= calls:
        typer.echo(f"{done} rows are at rest.")
    else:
        typer.echo(f"{done} of {calls} rows are at rest; the rest follow as soon as a pipeline runs.", err=True)


def moment(text: str | None, option: str) -> datetime | None:
    """A time as people write it: ISO 8601, UTC unless it says otherwise. Raises Misconfigured naming the option."""
    if text is None:
        return None
    try:
        return moment_of(text)
    except ValueError as error:
        raise Misconfigured(f"{option} {text}: {error}.") from None
