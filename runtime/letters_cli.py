"""`heliograph dead-letters` and `heliograph replay`: what could not be understood, and another try."""

import asyncio
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from eventlog.port import LogCorrupt, LogUnavailable
from eventlog.replay import Replays
from runtime.asking import Wish, ask
from runtime.bars import bar
from runtime.deciding import decided_on
from runtime.moments import moment
from runtime.observing import observed
from runtime.options import ApiPort, DataDir, fail
from runtime.replaying import Selection, Sent, at_rest, replay_calls, replay_letters
from runtime.settings import Misconfigured, Settings, settings_by
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


def dead_letters(
    reason: Annotated[str | None, typer.Option(help="Only those put aside for this reason, each of them.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Each of them, newest first, instead of how many of each reason.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    form: Annotated[Format, typer.Option("--format", help="How the answer looks.")] = Format.TABLE,
    api_port: ApiPort = None,
    data_dir: DataDir = None,
) -> None:
    """List the events that could not be understood, by reason."""
    found = settings_by(api_port=api_port, data_dir=data_dir)
    where = "" if reason is None else f" WHERE reason = {literal(reason)}"
    sql = EACH.format(where=where, limit=limit) if each or reason is not None else BY_REASON.format(where=where)
    width = Console().width if sys.stdout.isatty() else None
    answer = ask(found, Wish(sql=sql, form=form, width=width, here=data_dir is not None, there=api_port is not None))
    sys.stdout.buffer.write(b"No dead letters.\n" if form is Format.TABLE and not answer.told.rows else answer.body)


def replay(
    letters: Annotated[bool, typer.Option("--dead-letters", help="The events of dead letters that can be understood now.")] = False,
    since: Annotated[str | None, typer.Option("--from", help="Calls that began then or later; dead letters of then or later.")] = None,
    before: Annotated[str | None, typer.Option("--to", help="Calls that began before then; dead letters of before then.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only dead letters put aside for this reason.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the rows are at rest.")] = True,
    data_dir: DataDir = None,
) -> None:
    """Send events that are still on the log through the pipeline again. Their rows are replaced, never doubled."""
    if not letters and since is None and before is None:
        fail("say what is to be replayed: --dead-letters, or --from and --to.")
    if reason is not None and not letters:
        fail("--reason chooses among dead letters; say --dead-letters too.")
    span = moment(since, "--from"), moment(before, "--to")
    selection = Selection(since=span[0], before=span[1], organization=organization, reason=reason)
    with bar() as shown:
        lake, revision, sent = asyncio.run(_send(settings_by(data_dir=data_dir), selection, letters, shown))
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
