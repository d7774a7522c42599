"""`heliograph prices …`: prices of one's own, and what a call's cost is made of.

A price that is set counts in every running pipeline within a second; nothing is restarted. Calls that were priced before keep their
cost: `heliograph reprice` brings them along.
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from eventlog.control import Decided, decide, retract
from eventlog.events import DEFAULT_ORGANIZATION, Organization
from eventlog.own_prices import EVERY, OwnPrice, OwnPrices, checked_price, joined
from eventlog.own_rates import EXAMPLE, UNITS, parse_rates, told
from eventlog.port import Log
from processors.pricing.bill import LOCAL
from processors.pricing.cards import Unpriced
from processors.pricing.invoice import rate_told
from processors.pricing.rates import RateBook
from runtime.explaining import explain
from runtime.keys_cli import with_control
from runtime.moments import moment
from runtime.options import LogDir
from runtime.price_file import BadPrices, PriceFile
from runtime.prices import FILE, By, listed, price_file, shown
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.formats import Format

app = typer.Typer(help="What calls cost: prices of your own, and the arithmetic of a call.", no_args_is_help=True)
app.command()(explain)

Provider = Annotated[str | None, typer.Option(help="Whose models: openai, or a host. Left out: everybody's.", show_default=False)]
Model = Annotated[str, typer.Option(help="A model, or a pattern with * and ?.")]
Whose = Annotated[str | None, typer.Option(help="Whose calls. Left out: everybody's.", show_default=False)]
From = Annotated[str | None, typer.Option("--from", help="Calls that began then or later: 2026-01-01, UTC.", show_default=False)]
Until = Annotated[str | None, typer.Option(help="Calls that began before then.", show_default=False)]
At = Annotated[str | None, typer.Option(help="When the call began. Left out: now.", show_default=False)]


@app.command("set")
def set_(
    rates: Annotated[str, typer.Argument(help=f"{EXAMPLE}: USD for a million tokens. Names: {', '.join(UNITS)}.", show_default=False)],
    provider: Provider = None,
    model: Model = EVERY,
    organization: Whose = None,
    since: From = None,
    until: Until = None,
    data_dir: LogDir = None,
) -> None:
    """Set what calls cost, in the place of the price list. The most specific price counts; the same one again replaces it."""
    price = _price(rates, provider, model, organization, since, until)

    async def work(log: Log, decided: Decided) -> None:
        try:
            joined(decided.own_prices, price)
        except ValueError as error:
            raise Misconfigured(f"It is not set: {error}") from None
        await decide(log, [price])

    with_control(data_dir, work)
    typer.echo(f"{price.id}: {price.name} costs {told(price.rates)}, USD for a million tokens.")


@app.command("list")
def list_(
    form: Annotated[Format, typer.Option("--format", help="`table` or `json`.")] = Format.TABLE,
    data_dir: LogDir = None,
) -> None:
    """Print the prices of your own, the most specific first: those that were set, and those of the file."""
    if form not in {Format.TABLE, Format.JSON}:
        raise Misconfigured(f"--format {form.value}: prices are listed as table or json.")
    found = _listed(data_dir)
    if form is Format.JSON:
        typer.echo(json.dumps([shown(price, source) for price, source in found], indent=2))
        return
    if not found:
        typer.echo(f"There are none: the price list counts. `heliograph prices set {EXAMPLE} --model MODEL` begins, or {FILE}.")
        return
    columns = ("id", "organization", "provider", "model", "from", "until", "rates", "by")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for price, source in found:
        row = shown(price, source)
        table.add_row(*(("" if row[name] is None else told(price.rates) if name == "rates" else str(row[name])) for name in columns))
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)


@app.command()
def remove(
    which: Annotated[str, typer.Argument(metavar="ID", help="As `heliograph prices list` names it.", show_default=False)],
    data_dir: LogDir = None,
) -> None:
    """Take a price away that was set. Calls that were priced by it keep their cost."""

    async def work(log: Log, decided: Decided) -> OwnPrice:
        price = next((each for each in decided.own_prices if each.id == which), None)
        if price is None:
            raise Misconfigured(
                f"No price is set that is named {which!r}. `heliograph prices list` names them; those of a file stand there."
            )
        await retract(log, [price])
        return price

    typer.echo(f"{which}: the price of {with_control(data_dir, work).name} is gone.")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="Left out: the one that would be read.", show_default=False)] = None,
    data_dir: LogDir = None,
) -> None:
    """Read a prices file and say what is wrong with it, or what it says. Nothing is changed."""
    chosen = settings_by(data_dir=data_dir)
    read = PriceFile(file or chosen.prices_file or chosen.data_dir / FILE, must_exist=True)
    try:
        read.read()
    except BadPrices as error:
        raise Misconfigured(f"{read.path}: {str(error).rstrip('.')}.") from None
    for price in OwnPrices(read.prices).all:
        typer.echo(f"{price.name}: {told(price.rates)}")
    typer.echo(f"{read.path} is good: {len(read.prices)} prices, the most specific first.", err=True)


@app.command()
def show(
    provider: Annotated[str, typer.Argument(help="openai, or a host.", show_default=False)],
    model: Annotated[str, typer.Argument(help="As the answer names it.", show_default=False)],
    organization: Annotated[str, typer.Option(help="Whose call.")] = DEFAULT_ORGANIZATION,
    at: At = None,
    data_dir: LogDir = None,
) -> None:
    """Print what a call to a model would be priced by."""
    when = moment(at, "--at") or datetime.fromtimestamp(time.time(), UTC)
    own = OwnPrices(*sources_of(data_dir)).find(Organization(organization), provider.lower(), model, when)
    if own is not None:
        typer.echo(own.source)
        return
    if provider.lower() in LOCAL:
        typer.echo(f"runs locally: {provider.lower()} bills nobody")
        return
    cards = RateBook.bundled().cards_of(provider.lower(), model, when)
    if isinstance(cards, Unpriced):
        typer.echo(f"unpriced: {cards.reason}")
        return
    for card in cards:
        for above in (0, *reversed(card.steps)):
            typer.echo(card.source_of(above + 1))
            for name, rate in card.rates_for(above + 1).items():
                typer.echo(f"  {rate:>12} USD for {rate_told(name)}")


def _price(rates: str, provider: str | None, model: str, organization: str | None, since: str | None, until: str | None) -> OwnPrice:
    """Raises Misconfigured."""
    try:
        said = parse_rates(rates)
    except ValueError as error:
        raise Misconfigured(f"RATES {error}. Such as {EXAMPLE}.") from None
    try:
        return checked_price(
            OwnPrice(
                organization=None if organization is None else Organization(organization),
                provider=provider,
                model=model,
                since=moment(since, "--from"),
                until=moment(until, "--until"),
                rates=said,
            )
        )
    except ValueError as error:
        raise Misconfigured(f"{error}.") from None


async def _set(_log: Log, decided: Decided) -> tuple[OwnPrice, ...]:
    return decided.own_prices


def sources_of(data_dir: Path | None) -> tuple[tuple[OwnPrice, ...], tuple[OwnPrice, ...]]:
    """Of the file, and set."""
    return price_file(settings_by(data_dir=data_dir)).prices, with_control(data_dir, _set)


def _listed(data_dir: Path | None) -> list[tuple[OwnPrice, By]]:
    return listed(*sources_of(data_dir))
