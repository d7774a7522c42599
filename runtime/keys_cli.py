"""`heliograph keys …`: keys made, listed, revoked, replaced. They count in every running role within a second; nothing is restarted.

A key is shown once, when it is made. What is kept of it is its digest, on the control topic.
"""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Column, Table

from eventlog.control import Decided, decide
from eventlog.events import DEFAULT_ORGANIZATION, Organization
from eventlog.keys import ApiKey, OrganizationDefaults, Scope
from eventlog.port import Log
from ingress.asking import check
from ingress.cache import CACHE_CONTROL, ttl_of
from ingress.directives import parse_directives
from ingress.errors import BadDirective
from ingress.header_table import BY_NAME, shown
from ingress.hops import CONTROLS
from ingress.policies import parse_policy
from runtime.deciding import decided_on
from runtime.made_keys import changed, made, revoked, rotated
from runtime.observing import observed
from runtime.options import ALL, LogDir
from runtime.settings import Misconfigured, Settings, settings_by
from runtime.topics_cli import WIDE
from storage.whose import EVERY

T = TypeVar("T")

PROPERTY = "helicone-property-"
PROPERTY_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

app = typer.Typer(help="Keys of Heliograph: who may call, and whose calls they are.", no_args_is_help=True)

Limit = Annotated[list[str] | None, typer.Option(help="A policy that holds for all its calls: `1000;w=3600`.", show_default=False)]
Default = Annotated[
    list[str] | None,
    typer.Option(help="A header that its calls have unless they say otherwise: `Helicone-Cache-Enabled: true`.", show_default=False),
]
Which = Annotated[str, typer.Argument(help="Its id, or its name where only one key has it.", show_default=False)]


def check_organization(name: str) -> None:
    """Raises Misconfigured for what no organization can be called."""
    if not name.strip():
        raise Misconfigured("--organization: it needs a name that is not empty.")
    if name.strip() in {EVERY, ALL}:
        raise Misconfigured(f"--organization {name}: questions mean all of them by that. Choose another name.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What people call it.", show_default=False)],
    organization: Annotated[str, typer.Option(help="Whose calls are made with it.")] = DEFAULT_ORGANIZATION,
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be said several times.")] = [Scope.WRITE, Scope.READ],  # noqa: B006 typer's way
    expires_days: Annotated[
        float | None, typer.Option(help="Days until it is nobody's; never by itself.", min=0, show_default=False)
    ] = None,
    limit: Limit = None,
    default: Default = None,
    data_dir: LogDir = None,
) -> None:
    """Make a key and print it. It is shown this once."""
    if not name.strip() or not organization.strip():
        raise Misconfigured("A key needs a name and an organization that are not empty.")
    check_organization(organization)
    now = _now()
    ends = None if expires_days is None else now + timedelta(days=expires_days)
    text, key = made(name, Organization(organization), tuple(scope), now, ends)
    key = replace(key, limits=_limits(limit or []), defaults=_defaults(default or []))

    async def work(log: Log, decided: Decided) -> bool:
        await decide(log, [key])
        return any(other.name == key.name and other.ended(now) is None for other in decided.keys.values())

    if with_control(data_dir, work):
        typer.echo(f"There is a key called {key.name!r} already: commands need the id of either.", err=True)
    _show(text, key)


@app.command("list")
def list_(data_dir: LogDir = None) -> None:
    """Print every key: what it is called, whose it is, what it may, how it stands. The keys themselves are kept nowhere."""
    keys = sorted(with_control(data_dir, _keys), key=lambda key: key.created_at)
    if not keys:
        typer.echo("There are no keys. `heliograph keys create NAME` makes one.")
        return
    now = _now()
    columns = ("id", "name", "begins with", "organization", "scopes", "made", "stands", "limits and defaults")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for key in keys:
        scopes = ", ".join(scope.value for scope in key.scopes)
        more = "\n".join([*key.limits, *(f"{name}: {value}" for name, value in key.defaults.items())])
        table.add_row(key.id, key.name, key.shown, key.organization, scopes, f"{key.created_at:%Y-%m-%d %H:%M}", _stands(key, now), more)
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


@app.command()
def revoke(which: Which, data_dir: LogDir = None) -> None:
    """Take a key away from whoever has it. Revoking it again changes nothing."""
    now = _now()

    async def work(log: Log, decided: Decided) -> ApiKey:
        key = _chosen(decided, which)
        await decide(log, revoked(key, now))
        return key

    key = with_control(data_dir, work)
    typer.echo(f"{key.id} ({key.name}) is revoked.")


@app.command("set")
def set_(
    which: Which,
    limit: Limit = None,
    default: Default = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take away what it had of these before.")] = False,
    data_dir: LogDir = None,
) -> None:
    """Give a key limits, and headers that its calls have unless they say otherwise. A header said again replaces the one before."""
    limits, defaults = _limits(limit or []), _defaults(default or [])

    async def work(log: Log, decided: Decided) -> ApiKey:
        new = changed(_chosen(decided, which), limits, defaults, clear=clear)
        await decide(log, [new])
        return new

    key = with_control(data_dir, work)
    typer.echo(f"{key.id} ({key.name})")
    for text in key.limits:
        typer.echo(f"  limit    {text}")
    for name, value in key.defaults.items():
        typer.echo(f"  default  {name}: {value}")


@app.command()
def defaults(
    organization: Annotated[str, typer.Argument(help="Whose calls have them.", show_default=False)],
    default: Default = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take away what it had before.")] = False,
    data_dir: LogDir = None,
) -> None:
    """Give all keys of an organization headers that their calls have unless they, or their key, say otherwise."""
    headers = _defaults(default or [])

    async def work(log: Log, decided: Decided) -> OrganizationDefaults:
        before = decided.defaults.get(Organization(organization))
        kept = {} if clear or before is None else before.headers
        new = OrganizationDefaults(organization=Organization(organization), headers=kept | headers)
        await decide(log, [new])
        return new

    typer.echo(f"organization {organization}")
    for name, value in with_control(data_dir, work).headers.items():
        typer.echo(f"  default  {name}: {value}")


@app.command()
def rotate(
    which: Which,
    overlap_minutes: Annotated[float, typer.Option(help="For so long the old one is still good.", min=0)] = 60,
    data_dir: LogDir = None,
) -> None:
    """Make another key of the same name, organization and scopes, and let the old one end."""
    now = _now()

    async def work(log: Log, decided: Decided) -> tuple[str, ApiKey]:
        old = _chosen(decided, which)
        if (ended := old.ended(now)) is not None:
            raise Misconfigured(f"{old.id} ({old.name}) is {ended} already. Make a new one: heliograph keys create.")
        text, new, ending = rotated(old, now, timedelta(minutes=overlap_minutes))
        await decide(log, [new, ending])
        return text, new

    text, new = with_control(data_dir, work)
    _show(text, new)
    typer.echo(f"The old key ends in {overlap_minutes:g} minutes.", err=True)


def _limits(said: list[str]) -> tuple[str, ...]:
    """Raises Misconfigured."""
    try:
        policies = [parse_policy(text) for text in said]
    except BadDirective as error:
        raise Misconfigured(f"--limit: {error}") from None
    return tuple(map(str, policies))


def _defaults(said: list[str]) -> dict[str, str]:
    """Raises Misconfigured."""
    found = {}
    for text in said:
        name, colon, value = text.partition(":")
        known = _known(name.strip()) if colon else None
        if known is None:
            raise Misconfigured(
                f"--default {text[:60]!r}: expected a header that is obeyed, `Name: value`. GET :8787/v1/directives lists them."
            )
        if CONTROLS.search(value) or not _encodable(value):
            raise Misconfigured(f"--default {known}: its value has control characters, or is no UTF-8; no header may have those.")
        try:
            _read(known, value.strip())
        except BadDirective as error:
            raise Misconfigured(f"--default: {error}") from None
        found[known] = value.strip()
    if "Helicone-Request-Id" in found:
        raise Misconfigured("--default Helicone-Request-Id: every call would have the same. Leave it to those who call.")
    tried = {"Helicone-Retry-Enabled": "true"} | found if any(name.startswith("Helicone-Retry-") for name in found) else found
    together = parse_directives([(name.lower().encode(), value.encode()) for name, value in tried.items()])
    if any(fallback.headers for fallback in together.fallbacks):
        raise Misconfigured(
            "--default Helicone-Fallbacks: its headers would lie in clear text where keys are kept. `heliograph provider-keys set` keeps"
            " a provider's key sealed, and fills it in."
        )
    try:
        check(together, settings_by().ingress().attempts)  # what cannot be obeyed is refused here, not at every call
    except BadDirective as error:
        raise Misconfigured(f"--default: {error}") from None
    return found


def _known(name: str) -> str | None:
    """A header that may be a default, as people write it; None for any other."""
    if name.lower() == CACHE_CONTROL.lower():
        return CACHE_CONTROL
    if name.lower().startswith(PROPERTY) and len(name) > len(PROPERTY) and PROPERTY_NAME.fullmatch(name):
        return shown(name.lower())
    header = BY_NAME.get(name.lower().encode())
    return None if header is None else header.name


def _read(name: str, value: str) -> None:
    """Raises BadDirective."""
    if name == CACHE_CONTROL:
        ttl_of(value)
    elif (header := BY_NAME.get(name.lower().encode())) is not None:
        header.read(name.lower(), value)


def _encodable(text: str) -> bool:
    """A terminal hands on bytes that are no text as halves of characters."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _show(text: str, key: ApiKey) -> None:
    typer.echo(f"{key.id} ({key.name}) of organization {key.organization}; keep it now, it is not shown again:", err=True)
    typer.echo(text)


def _stands(key: ApiKey, now: datetime) -> str:
    ended = key.ended(now)
    if ended is not None or key.expires_at is None:
        return ended or "good"
    return f"good until {key.expires_at:%Y-%m-%d %H:%M}"


def _chosen(decided: Decided, which: str) -> ApiKey:
    """Raises Misconfigured when there is none, or are several."""
    now = _now()
    keys = [key for key in decided.keys.values() if which == key.id] or [key for key in decided.keys.values() if which == key.name]
    good = [key for key in keys if key.ended(now) is None] or keys
    if not keys:
        raise Misconfigured(f"There is no key {which!r}. `heliograph keys list` shows those there are.")
    lasting = [key for key in good if key.expires_at is None] or good  # one that is being replaced is not meant
    if len(lasting) == 1:
        return lasting[0]
    if len(good) > 1:
        raise Misconfigured(f"{len(good)} keys are called {which!r}: name one by its id, {', '.join(sorted(key.id for key in good))}.")
    return good[0]


async def _keys(_log: Log, decided: Decided) -> list[ApiKey]:
    return list(decided.keys.values())


def with_control(data_dir: Path | None, work: Callable[[Log, Decided], Awaitable[T]]) -> T:
    """What was decided until now, and the log to decide more on. Raises Misconfigured."""
    return asyncio.run(_working(settings_by(data_dir=data_dir), work))


async def _working(chosen: Settings, work: Callable[[Log, Decided], Awaitable[T]]) -> T:
    async with observed(chosen, makes=True) as log:
        return await work(log, await decided_on(log))
