"""`heliograph redaction …`: what is replaced in all that is stored of an organization's calls.

A rule counts in every running ingress within a second; nothing is restarted.
"""

import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from eventlog.control import Decided, decide, retract
from eventlog.events import DEFAULT_ORGANIZATION, Organization
from eventlog.port import Log
from eventlog.redaction import Detector, Redaction
from ingress.budget import GivenUp
from ingress.detectors import BadPattern, Rule
from ingress.redaction import Cut, redacted
from runtime.keys_cli import with_control
from runtime.options import LogDir
from runtime.settings import Misconfigured
from runtime.topics_cli import WIDE

app = typer.Typer(help="What is replaced in all that is stored of an organization's calls.", no_args_is_help=True)

Detect = Annotated[list[Detector] | None, typer.Option(help="What is looked for; may be said several times.", show_default=False)]
Pattern = Annotated[
    list[str] | None,
    typer.Option(help="A pattern of RE2 and the name in its place: `employee=EMP-[0-9]+`; may be said several times.", show_default=False),
]
Whose = Annotated[str, typer.Option(help="Whose calls it is for.")]


@app.command("set")
def set_(detect: Detect = None, pattern: Pattern = None, organization: Whose = DEFAULT_ORGANIZATION, data_dir: LogDir = None) -> None:
    """Say what is redacted, in the place of what was said before. What is stored already stays as it is."""
    rule = _rule(organization, detect or [], pattern or [])
    with_control(data_dir, lambda log, _: decide(log, [rule]))
    typer.echo(f"Redacted for {organization} from now on: {', '.join((*rule.detectors, *rule.patterns))}.")


@app.command("list")
def list_(data_dir: LogDir = None) -> None:
    """Print what is redacted, for each organization."""

    async def work(_log: Log, decided: Decided) -> list[Redaction]:
        return sorted(decided.redactions.values(), key=lambda each: each.organization)

    rules = with_control(data_dir, work)
    if not rules:
        typer.echo("Nothing is redacted. `heliograph redaction set --detect email` begins.")
        return
    table = Table(*(Column(name, overflow="fold") for name in ("organization", "detectors", "patterns", "set")))
    for each in rules:
        patterns = "\n".join(f"{name}={source}" for name, source in each.patterns.items())
        table.add_row(each.organization, ", ".join(each.detectors), patterns, f"{each.set_at:%Y-%m-%d %H:%M}")
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)


@app.command()
def remove(organization: Whose = DEFAULT_ORGANIZATION, data_dir: LogDir = None) -> None:
    """Redact nothing of an organization's calls any more. What was replaced is gone for good."""

    async def work(log: Log, decided: Decided) -> None:
        rule = decided.redactions.get(Organization(organization))
        if rule is None:
            raise Misconfigured(f"Nothing is redacted for {organization}. `heliograph redaction list` shows for whom something is.")
        await retract(log, [rule])

    with_control(data_dir, work)
    typer.echo(f"Nothing is redacted for {organization} any more.")


@app.command("try")
def try_(
    detect: Detect = None,
    pattern: Pattern = None,
    organization: Annotated[str | None, typer.Option(help="Whose rule to try, in the place of one said here.", show_default=False)] = None,
    data_dir: LogDir = None,
) -> None:
    """Read a body from standard input and print it as it would be stored: JSON, a stream of events, or any text. Nothing is kept."""
    if organization is None:
        said = _rule(DEFAULT_ORGANIZATION, detect or [], pattern or [])
    elif detect or pattern:
        raise Misconfigured("--organization tries the rule that is set; leave it out to try another, or leave out --detect and --pattern.")
    else:
        said = _set_for(Organization(organization), data_dir)
    counts: Counter[str] = Counter()
    try:
        shown = redacted(sys.stdin.buffer.read(), _ready(said), None, Cut.NOWHERE, counts)
    except GivenUp as error:
        raise Misconfigured(f"Such a body is not kept ({error.reason}): its search takes more time or memory than it may.") from None
    sys.stdout.buffer.write(shown)
    sys.stdout.buffer.flush()
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    typer.echo(told or "nothing found", err=True)


def _set_for(organization: Organization, data_dir: LogDir) -> Redaction:
    async def work(_log: Log, decided: Decided) -> Redaction | None:
        return decided.redactions.get(organization)

    found = with_control(data_dir, work)
    if found is None:
        raise Misconfigured(f"Nothing is redacted for {organization}. `heliograph redaction list` shows for whom something is.")
    return found


def _rule(organization: str, detect: list[Detector], pattern: list[str]) -> Redaction:
    """Raises Misconfigured."""
    if not organization.strip():
        raise Misconfigured("--organization needs a name that is not empty.")
    if not detect and not pattern:
        raise Misconfigured(f"Say what is redacted: --detect {'|'.join(each.value for each in Detector)}, or --pattern NAME=REGEX.")
    patterns: dict[str, str] = {}
    for text in pattern:
        name, equals, source = text.partition("=")
        if not equals:
            raise Misconfigured(f"--pattern {text[:60]!r}: expected NAME=REGEX, such as employee=EMP-[0-9]+.")
        if name in patterns:
            raise Misconfigured(f"--pattern {name[:40]!r} is there twice; put both into one, A|B, or give them two names.")
        patterns[name] = source
    rule = Redaction(
        organization=Organization(organization),
        detectors=tuple(dict.fromkeys(each.value for each in detect)),
        patterns=patterns,
        set_at=datetime.fromtimestamp(time.time(), UTC),
    )
    _ready(rule)
    return rule


def _ready(rule: Redaction) -> Rule:
    """Raises Misconfigured."""
    try:
        return Rule(rule)
    except BadPattern as error:
        raise Misconfigured(f"--pattern: {error}.") from None
