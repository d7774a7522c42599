"""`heliograph webhooks …`: who is told of calls, and of which.

A webhook counts within a second; nothing is restarted.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from eventlog.control import Decided, decide, retract
from eventlog.events import DEFAULT_ORGANIZATION, Organization
from eventlog.port import Log
from eventlog.webhooks import Webhook
from runtime.becoming import become_on_kafka
from runtime.keys_cli import with_control
from runtime.options import ALL, DataDir, HealthPort, Host, LogDir
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from runtime.webhook_posting import told_of_test, try_out
from runtime.webhooks import InUse, Unfit, new_webhook, webhooks_of, without_webhook

app = typer.Typer(help="Whom an organization's calls are told, as they are understood.", no_args_is_help=True)

Whose = Annotated[str, typer.Option(help="Whose calls.")]
WhoseAll = Annotated[str, typer.Option(help="Whose: an organization's, or `all`.")]
Id = Annotated[str, typer.Argument(help="Its id; `list` shows them.", show_default=False)]

OPTIONS = {
    "destination": "DESTINATION",
    "config.sampleRate": "--sample-rate",
    "config.propertyFilters": "--filter",
    "name": "NAME",
    "threshold": "--above",
    "time_window_s": "--window",
    "minimum_request_count": "--minimum-calls",
    "cool_down_s": "--cool-down",
    "user_id": "--user",
    "property": "--property",
    "webhook_id": "--webhook",
}
"""Which option says a field."""


@app.command()
def add(
    destination: Annotated[str, typer.Argument(help="An https URL.", show_default=False)],
    sample_rate: Annotated[float, typer.Option(help="Percent of the calls that it hears of.")] = 100,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Only calls with this property: `plan=pro`; of several, all must hold.", show_default=False),
    ] = None,
    data: Annotated[bool, typer.Option(help="Tell model, cost, tokens, latency and a link to the bodies, too.")] = True,
    organization: Whose = DEFAULT_ORGANIZATION,
    data_dir: LogDir = None,
) -> None:
    """Make a webhook. It prints the key that messages are signed with."""
    chosen, filters = settings_by(data_dir=data_dir), [pair("--filter", text) for text in filter_ or []]

    async def work(log: Log, decided: Decided) -> Webhook:
        try:
            webhook = new_webhook(
                decided,
                organization_of(organization),
                destination,
                sample_rate=sample_rate,
                filters=filters,
                include_data=data,
                now=now(),
                allow_private=chosen.allow_private_targets,
            )
        except Unfit as error:
            raise misconfigured(error) from None
        await decide(log, [webhook])
        return webhook

    webhook = with_control(data_dir, work)
    typer.echo(f"{webhook.id} of organization {webhook.organization}; its messages are signed with:", err=True)
    typer.echo(webhook.hmac_key)


@app.command("list")
def list_(organization: WhoseAll = ALL, data_dir: LogDir = None) -> None:
    """Print the webhooks, without their keys."""

    async def work(_log: Log, decided: Decided) -> list[Webhook]:
        return list(webhooks_of(decided, organization_or_all(organization)).values())

    found = with_control(data_dir, work)
    if not found:
        typer.echo("There is no webhook. `heliograph webhooks add https://…` makes one.")
        return
    show(
        ("id", "organization", "destination", "percent", "filters", "data", "made"),
        [
            (
                each.id,
                each.organization,
                each.destination,
                f"{each.sample_rate:g}",
                "\n".join(f"{one.key}={one.value}" for one in each.property_filters),
                "yes" if each.include_data else "no",
                f"{each.created_at:%Y-%m-%d %H:%M}",
            )
            for each in found
        ],
    )


@app.command()
def remove(which: Id, data_dir: LogDir = None) -> None:
    """Take a webhook away. What waits for it is not delivered."""

    async def work(log: Log, decided: Decided) -> None:
        try:
            await retract(log, without_webhook(decided, _webhook(decided, which)))
        except InUse as error:
            raise Misconfigured(str(error)) from None

    with_control(data_dir, work)
    typer.echo(f"{which} hears of nothing any more.")


@app.command("test")
def try_(which: Id, data_dir: LogDir = None) -> None:
    """Send a webhook a message about a call that never was, once, now."""

    async def work(_log: Log, decided: Decided) -> Webhook:
        return _webhook(decided, which)

    webhook = with_control(data_dir, work)
    tried = asyncio.run(try_out(settings_by(data_dir=data_dir), webhook))
    typer.echo(told_of_test(tried), err=not tried.taken)
    if not tried.taken:
        raise typer.Exit(1)


def _webhook(decided: Decided, which: str) -> Webhook:
    if (webhook := decided.webhooks.get(which)) is None:
        raise Misconfigured(f"There is no webhook {which!r}. `heliograph webhooks list` shows those there are.")
    return webhook


def organization_of(said: str) -> Organization:
    if not said.strip():
        raise Misconfigured("--organization needs a name that is not empty.")
    return Organization(said)


def organization_or_all(said: str) -> Organization | None:
    return None if said == ALL else organization_of(said)


def pair(option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Misconfigured(f"{option} {text[:60]!r}: expected KEY=VALUE, such as plan=pro.")
    return key, value


def misconfigured(error: Unfit) -> Misconfigured:
    return Misconfigured(f"{OPTIONS[error.field]} {error.fault}.")


def show(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*(Column(name, overflow="fold") for name in names))
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@app.command("run")
def run_webhooks(host: Host = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run one role on Kafka that tells webhooks of calls and watches alerts. Several share the partitions. `up` runs it by itself."""
    become_on_kafka("webhooks", settings_by(host=host, health_port=health_port, data_dir=data_dir))
