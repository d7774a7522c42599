"""`heliograph import`: calls with their history, from Helicone's request API or our own, into a running Heliograph."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from runtime.bars import bar
from runtime.export_files import STDIN, ExportFile, Unreadable
from runtime.import_target import Lost, Target
from runtime.importing import DryRun, Heliograph, Importing, Rejected, Stopped, Tally
from runtime.query_port import key_said
from runtime.settings import Misconfigured, Settings, settings
from storage.refusal import Refused

SHOWN = 10
"""So many rejected elements are told of where no file takes them."""
STOPPED, SOME_REJECTED = 1, 3
"""Exit codes, beside 0 and the 2 of what was typed wrong."""


def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="JSONL, or a JSON array, plain, .gz or .zst; `-`: standard input.")],
    url: Annotated[
        str | None, typer.Option(help="The query port of a running Heliograph; the one of this machine.", show_default=False)
    ] = None,
    from_line: Annotated[int, typer.Option(help="Pass over all before this line (of an array: this element).", min=1)] = 1,
    rejects: Annotated[
        Path | None, typer.Option(help="Write what is rejected to this file, with the reason: a JSON object a line.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, say what would be rejected, send nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the calls are in the lake.")] = True,
) -> None:
    """Bring in calls that Helicone's request API told, or our own, with their times, ids, costs, scores. What is there is left out."""
    if from_line > 1 and len(files) > 1:
        raise Misconfigured("--from-line is about one file: name that one alone.")
    chosen = settings()
    rejected = 0
    with _target(chosen, url, dry_run=dry_run) as target, _rejecting(rejects) as reject:
        for name in files:
            tally = _import_file(name, target, reject, from_line=from_line, wait=wait or dry_run)
            typer.echo(f"{name}: {told(tally, dry_run=dry_run)}")
            rejected += tally.rejected
    if rejected:
        raise typer.Exit(SOME_REJECTED)


@contextlib.contextmanager
def _target(chosen: Settings, url: str | None, *, dry_run: bool) -> Iterator[Heliograph]:
    """Raises Refused and Misconfigured."""
    if dry_run:
        yield DryRun(time.time())
        return
    key = None if chosen.api_key is None else key_said(chosen.api_key.get_secret_value())
    target = Target(url or f"http://127.0.0.1:{chosen.api_port}", key)
    try:
        target.check()
        yield target
    except Lost as error:
        raise Misconfigured(f"{url}: it does not answer as Heliograph does: {error}") from None
    finally:
        target.close()


@contextlib.contextmanager
def _rejecting(file: Path | None) -> Iterator[Callable[[str, Rejected], None]]:
    """What is done with an element that is not brought. Raises Misconfigured."""
    told = 0

    def show(name: str, rejected: Rejected) -> None:
        nonlocal told
        told += 1
        if told <= SHOWN:
            typer.echo(f"{name}, line {rejected.line}: {rejected.reason}", err=True)
        if told == SHOWN + 1:
            typer.echo("… and more; --rejects FILE takes them all.", err=True)

    if file is None:
        yield show
        return
    try:
        opened = file.open("w", encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"--rejects {file}: {error.strerror}. Choose a file that can be written.") from None
    with opened:
        yield lambda name, rejected: _write(opened, name, rejected)


def _write(file: TextIO, name: str, rejected: Rejected) -> None:
    told = {"file": name, "line": rejected.line, "reason": rejected.reason, "element": rejected.element}
    file.write(msgspec.json.encode(told).decode() + "\n")


def _import_file(name: str, target: Heliograph, reject: Callable[[str, Rejected], None], *, from_line: int, wait: bool) -> Tally:
    """Raises Misconfigured, and typer.Exit where it could not go on."""
    try:
        export = ExportFile(name)
    except OSError as error:
        raise Misconfigured(f"{name}: {error.strerror}.") from None
    with contextlib.closing(export), _bar() as shown:
        size = None if name == STDIN else Path(name).stat().st_size
        task = shown.add_task(name, total=size)
        importing = Importing(target, lambda each: reject(name, each), lambda _: shown.update(task, completed=export.read))
        elements = (element for element in export.elements() if element.number >= from_line)
        with contextlib.closing(importing):
            try:
                importing.bring(elements)
                if wait:
                    importing.wait()
            except KeyboardInterrupt:
                _stop(name, importing.tally, "interrupted", from_line)
            except (Stopped, Unreadable, OSError) as error:
                _stop(name, importing.tally, str(error), from_line)
            except Refused as error:
                _stop(name, importing.tally, f"{error.refusal.message} {error.refusal.fix}", from_line)
        return importing.tally


def _stop(name: str, tally: Tally, why: str, from_line: int) -> None:
    """Raises typer.Exit."""
    typer.echo(f"heliograph: {name}: {why.rstrip('.')}.", err=True)
    done = max(tally.durable, from_line - 1)
    typer.echo(f"All up to line {done} is durable ({told(tally)}). To go on: heliograph import {name} --from-line {done + 1}", err=True)
    raise typer.Exit(STOPPED)


def told(tally: Tally, *, dry_run: bool = False) -> str:
    """What came of it, in words."""
    parts = [f"{tally.read} calls read", f"{tally.logged} {'would be brought in' if dry_run else 'brought in'}"]
    if tally.bodiless:
        parts.append(f"{tally.bodiless} of them without a body that the export has not")
    if tally.known:
        parts.append(f"{tally.known} there already")
    return ", ".join([*parts, f"{tally.rejected} rejected"])


def _bar() -> Progress:
    """Of the bytes of a file."""
    shown = bar()
    shown.columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return shown
