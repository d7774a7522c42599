"""`heliograph retention …`: how long an organization's calls, and what was said in them, stay in the lake.

What is decided here is carried out by whoever keeps the lake tidy, within a minute and then every hour.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from eventlog.control import Decided, decide, retract
from eventlog.events import Organization
from eventlog.lifetimes import EVERYBODY, FOREVER, MOST_DAYS, BadRetention, Lifetimes, Span, decided_anew, lifetimes, told
from eventlog.port import Log
from runtime.keys_cli import with_control
from runtime.moments import now
from runtime.options import ALL, LogDir
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.whose import EVERY

app = typer.Typer(help="How long rows stay in the lake.", no_args_is_help=True)

KEEP = "keep"
"""In the place of days: for ever."""

Days = Annotated[str | None, typer.Option(help=f"Days that calls and feedback stay, or `{KEEP}`.", show_default=False)]
BodyDays = Annotated[str | None, typer.Option(help="The same of bodies and dead letters: no longer than facts.", show_default=False)]
Whose = Annotated[str, typer.Option(help=f"Whose rows: an organization's, or `{ALL}`: of all that have no retention of their own.")]


@app.command("list")
def list_(data_dir: LogDir = None) -> None:
    """Print how long rows stay, for each organization."""
    usual = settings_by(data_dir=data_dir).kept_in_lake()

    async def work(_log: Log, decided: Decided) -> Lifetimes:
        return lifetimes(decided.retentions.values(), usual)

    found = with_control(data_dir, work)
    table = Table(*(Column(name, overflow="fold") for name in ("organization", "facts", "bodies")))
    for name, span in [(ALL, found.usual), *sorted(found.own.items())]:
        table.add_row(name, told(span.days(bodies=False)), told(span.days(bodies=True)))
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)


@app.command("set")
def set_(facts_days: Days = None, bodies_days: BodyDays = None, organization: Whose = ALL, data_dir: LogDir = None) -> None:
    """Say how long rows stay. What is not said stays as it was said before."""
    if facts_days is None and bodies_days is None:
        raise Misconfigured(f"Say how long: --facts-days DAYS, --bodies-days DAYS, or `{KEEP}` in the place of days.")
    facts, bodies = days_of(facts_days, "--facts-days"), days_of(bodies_days, "--bodies-days")
    whose, usual = _named(organization), settings_by(data_dir=data_dir).kept_in_lake()

    async def work(log: Log, decided: Decided) -> Span:
        try:
            new, span = decided_anew(decided.retentions, usual, whose, Span(facts, bodies), now())
        except BadRetention as error:
            raise Misconfigured(f"--bodies-days: {error}. Say as many days for bodies, or fewer.") from None
        await decide(log, [new])
        return span

    span = with_control(data_dir, work)
    days = f"facts {told(span.days(bodies=False))}, bodies {told(span.days(bodies=True))}"
    typer.echo(f"From now on for {organization}: {days}. What is older is removed within the hour, for good.")


@app.command()
def clear(organization: Whose = ALL, data_dir: LogDir = None) -> None:
    """Take away what was said: what holds for all counts, else what the settings say."""
    whose = _named(organization)

    async def work(log: Log, decided: Decided) -> None:
        said = decided.retentions.get(whose)
        if said is None:
            raise Misconfigured(f"Nothing was said for {organization}. `heliograph retention list` shows what counts.")
        await retract(log, [said])

    with_control(data_dir, work)
    typer.echo(f"For {organization} nothing of its own counts any more.")


def days_of(text: str | None, option: str) -> int | None:
    """Days, or 0 for ever. Raises Misconfigured."""
    if text is None:
        return None
    if text.strip() == KEEP:
        return FOREVER
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MOST_DAYS):
        raise Misconfigured(f"{option} {text[:40]}: say whole days from 1 to {MOST_DAYS}, or `{KEEP}`.")
    return int(text)


def _named(organization: str) -> Organization:
    if organization in {ALL, EVERY}:
        return EVERYBODY
    if not organization.strip():
        raise Misconfigured("--organization needs a name that is not empty.")
    return Organization(organization)
