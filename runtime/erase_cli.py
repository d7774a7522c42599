"""`heliograph erase`: people's right to be forgotten, with a proof at the end."""

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import msgspec
import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Column, Table

from eventlog.erasure import About
from eventlog.events import DEFAULT_ORGANIZATION, Organization
from eventlog.topics import NEEDED
from ingress.cache_store import CacheUnavailable
from runtime.asking import existing_lake
from runtime.bars import bar
from runtime.compacting import roll_up_all
from runtime.erasing import Eraser, Report, Wish
from runtime.moments import now
from runtime.observing import observed
from runtime.options import ALL, LogDir
from runtime.settings import Misconfigured, Settings, settings_by
from runtime.topics_cli import WIDE
from storage.lake import Lake
from storage.lake_state import state_of
from storage.whose import EVERY


def erase(
    user: Annotated[str | None, typer.Option(help="All calls of this user id.", show_default=False)] = None,
    request: Annotated[str | None, typer.Option(help="All calls of this request id.", show_default=False)] = None,
    session: Annotated[str | None, typer.Option(help="All calls of this session id, and what was said of it.", show_default=False)] = None,
    organization: Annotated[
        str | None,
        typer.Option(
            help="Whose user, request or session that is, `default` where it is left away; alone: all it has.", show_default=False
        ),
    ] = None,
    property_: Annotated[
        list[str] | None,
        typer.Option("--property", help="A property whose value names the user too; may be said several times.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what there is, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    at_once: Annotated[
        bool,
        typer.Option("--now", help="Remove the lake's old files at once instead of after an hour: questions that read them fail."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    data_dir: LogDir = None,
) -> None:
    """Remove all that was kept of a user, a request, a session or an organization until now, and prove it. It cannot be undone."""
    wish = wished(user, request, session, organization, property_ or [], at_once=at_once)
    chosen = settings_by(data_dir=data_dir)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise Misconfigured("Nobody is there to be asked: say --yes to erase, or --dry-run to see what would go.")
    try:
        with bar() as shown:
            report = asyncio.run(_erase(chosen, wish, shown, asks=not yes, dry=dry_run))
    except CacheUnavailable as error:
        raise Misconfigured(f"The cache cannot be asked now, and may hold answers: {error}. Give the command again.") from error
    except (OSError, pa.ArrowException) as error:
        raise Misconfigured(_unreadable(chosen, error)) from error
    if report is None:
        typer.echo("Nothing was erased.")
        raise typer.Exit(1)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        show(report)
    if report.left and not dry_run:
        raise typer.Exit(1)


def _unreadable(chosen: Settings, error: Exception) -> str:
    """Which files of the lake cannot be read, where that is what went wrong."""
    found = state_of(Lake(chosen.storage()), now(), check=True).problems
    what = " ".join(found) if found else f"The lake cannot be read: {str(error).splitlines()[0]}."
    return f"{what} What was removed until now stays removed, and nothing is proven: put the files back, and give the command again."


def wished(
    user: str | None, request: str | None, session: str | None, organization: str | None, properties: list[str], *, at_once: bool
) -> Wish:
    """Raises Misconfigured."""
    said = {About.USER: user, About.REQUEST: request, About.SESSION: session}
    named = [(about, value) for about, value in said.items() if value is not None]
    if organization in {ALL, EVERY} or (organization is not None and not organization.strip()):
        raise Misconfigured(f"--organization {organization!r}: name one organization.")
    if len(named) > 1:
        raise Misconfigured("Say one of --user, --request and --session; what they have in common cannot be erased alone.")
    if not named and organization is None:
        raise Misconfigured("Say what is to be erased: --user, --request, --session, or --organization alone for all it has.")
    about, value = named[0] if named else (About.ORGANIZATION, "")
    if named and not value:
        raise Misconfigured(f"--{about.value} needs an id that is not empty.")
    if properties and about is not About.USER:
        raise Misconfigured("--property says where a user's id stands too: it goes with --user.")
    keys = tuple(key.lower() for key in properties)
    whose = Organization(organization or DEFAULT_ORGANIZATION)
    return Wish(about=about, organization=whose, value=value, properties=keys, at=now(), now=at_once)


async def _erase(chosen: Settings, wish: Wish, shown: Progress, *, asks: bool, dry: bool) -> Report | None:
    """None where somebody said no."""
    async with observed(chosen, topics=NEEDED) as log:
        lake = await asyncio.to_thread(existing_lake, chosen)
        eraser = Eraser(chosen, log, lake, wish, _step(shown), now)
        if dry:
            return await eraser.dry(await eraser.look())
        if asks:
            look = await eraser.look()
            shown.stop()
            show(await eraser.dry(look))
            if not typer.confirm("Erase all of this?"):
                return None
            shown.start()
        report = await eraser.carry_out()
        await asyncio.to_thread(roll_up_all, Lake.open(lake.config), now().date(), shown)  # the sums of before named its calls
        return report


def _step(shown: Progress) -> Callable[[str, int, int | None], None]:
    tasks: dict[str, TaskID] = {}

    def step(place: str, done: int, whole: int | None) -> None:
        if place not in tasks:
            tasks[place] = shown.add_task(place, total=whole)
        shown.update(tasks[place], completed=done, total=whole)

    return step


def show(report: Report) -> None:
    """As tables, and what they come to."""
    console = Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False)
    dry = report.erasure is None
    places = Table(*(Column(name, overflow="fold") for name in ("place", "found", *(() if dry else ("removed", "left")))))
    for place in report.places:
        places.add_row(place.place, str(place.found), *(() if dry else (str(place.found - place.left), str(place.left))))
    console.print(places)
    remains = Table(*(Column(name, overflow="fold") for name in ("remains", "until", "why")))
    for each in report.remains:
        remains.add_row(each.what, "" if each.until is None else f"{each.until:%Y-%m-%d %H:%M} UTC", each.why)
    console.print(remains)
    what = f"{report.calls} calls of {report.about} in {report.organization}, made until {report.before:%Y-%m-%d %H:%M:%S} UTC"
    if dry:
        console.print(f"{what}: nothing was removed.")
        return
    if not any(place.found for place in report.places):
        console.print(f"No such {report.about} was found in {report.organization}: is it spelt as its calls have it?")
    left = "nothing is left" if not report.left else f"{report.left} are left: give the command again"
    console.print(f"{what}: erased, and looked for again at {report.checked_at:%H:%M:%S} UTC: {left}.")
    console.print(f"erasure {report.erasure}, report SHA-256 {report.digest}")
