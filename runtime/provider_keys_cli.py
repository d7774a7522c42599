"""`heliograph provider-keys …`: providers' keys that are filled in for callers who send only their Heliograph key."""

import re
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
from eventlog.vault import ProviderKey
from ingress.routes import Router
from runtime.deciding import vault_of
from runtime.keys_cli import with_control
from runtime.options import LogDir
from runtime.settings import Misconfigured, Settings, settings_by
from runtime.topics_cli import WIDE

SHOWN = 4
KEY = re.compile(r"[\x21-\x7e]{8,4096}")

app = typer.Typer(help="Providers' keys, kept here for callers who send only their Heliograph key.", no_args_is_help=True)

Provider = Annotated[str, typer.Argument(help="Its name, as in routes: openai, anthropic, …", show_default=False)]
Whose = Annotated[str, typer.Option(help="Whose calls it is for.")]


@app.command("set")
def set_(provider: Provider, organization: Whose = DEFAULT_ORGANIZATION, data_dir: LogDir = None) -> None:
    """Keep a key of a provider, sealed. It is read from standard input, or asked for: an argument could be seen by others."""
    chosen = settings_by(data_dir=data_dir)
    vault, name = vault_of(chosen), _known(chosen, provider)
    if vault is None:
        raise Misconfigured(
            "HELIOGRAPH_VAULT_SECRET is not set: the key could not be sealed. `openssl rand -hex 32` makes one; ingresses need the same."
        )
    key = (typer.prompt(f"Key of {name}", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()).strip()
    if KEY.fullmatch(key) is None:
        raise Misconfigured("That is no key: from 8 to 4096 letters, digits and signs without blanks are expected.")
    kept = ProviderKey(
        organization=Organization(organization),
        provider=name,
        sealed=vault.seal(Organization(organization), name, key),
        shown=key[-SHOWN:],
        set_at=datetime.fromtimestamp(time.time(), UTC),
    )
    with_control(data_dir, lambda log, _: decide(log, [kept]))
    typer.echo(f"The key of {name} for {organization}, …{kept.shown}, is kept.")


@app.command("list")
def list_(data_dir: LogDir = None) -> None:
    """Print which keys are kept, and their last characters."""

    async def work(_log: Log, decided: Decided) -> list[ProviderKey]:
        return sorted(decided.provider_keys.values(), key=lambda each: (each.organization, each.provider))

    kept = with_control(data_dir, work)
    if not kept:
        typer.echo("There are none. `heliograph provider-keys set PROVIDER` keeps one.")
        return
    table = Table(*(Column(name, overflow="fold") for name in ("organization", "provider", "ends with", "set")))
    for each in kept:
        table.add_row(each.organization, each.provider, each.shown, f"{each.set_at:%Y-%m-%d %H:%M}")
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


@app.command()
def remove(provider: Provider, organization: Whose = DEFAULT_ORGANIZATION, data_dir: LogDir = None) -> None:
    """Forget a provider's key: calls that relied on it are sent without one from then on."""

    async def work(log: Log, decided: Decided) -> None:
        kept = decided.provider_keys.get((Organization(organization), provider))
        if kept is None:
            raise Misconfigured(f"No key of {provider} is kept for {organization}. `heliograph provider-keys list` shows those that are.")
        await retract(log, [kept])

    with_control(data_dir, work)
    typer.echo(f"The key of {provider} for {organization} is forgotten.")


def _known(chosen: Settings, provider: str) -> str:
    names = Router(chosen.ingress()).names
    if provider not in names:
        raise Misconfigured(f"No provider is named {provider[:40]!r}. Use one of {', '.join(names)}; HELIOGRAPH_UPSTREAMS__NAME adds one.")
    return provider
