"""`heliograph reprice`: what stored calls cost by the prices that are known today."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from deltalake.exceptions import DeltaError
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from eventlog.events import AFTERWARDS, Organization, Outcome, PriceBasis
from eventlog.own_prices import OwnPrices
from processors.calls import ANSWERED
from processors.pricing.cards import plain
from processors.pricing.rates import RateBook
from processors.pricing.stored import Stored, priced_again
from runtime.asking import existing_lake
from runtime.bars import bar
from runtime.moments import moment
from runtime.options import LogDir
from runtime.prices_cli import sources_of
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.lake import Lake
from storage.repricing import WRITTEN_AT_ONCE, Change, Chosen, Day, Moved, Repricing, Row
from storage.rows import money, usage_in

TRIES = 50
"""So often a day is read again because others wrote meanwhile."""
SHOWN = 40
"""Lines of the table; the rest are one."""


class Difference(Struct):
    """What a price that is known today changes."""

    calls: int = 0
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    priced: int = 0
    """Calls whose cost was not known, and is."""
    unpriced: int = 0
    """The other way."""
    saved: Decimal = Decimal(0)
    """More that answers from the cache would have cost."""

    def add(self, row: Row, change: Change) -> None:
        self.calls += 1
        self.before += row["cost_usd"] or 0
        self.after += change.cost or 0
        self.priced += row["cost_usd"] is None and change.cost is not None
        self.unpriced += row["cost_usd"] is not None and change.cost is None
        self.saved += (change.saved or 0) - (row["cost_saved_usd"] or 0)

    def plus(self, other: "Difference") -> "Difference":
        return Difference(
            self.calls + other.calls,
            self.before + other.before,
            self.after + other.after,
            self.priced + other.priced,
            self.unpriced + other.unpriced,
            self.saved + other.saved,
        )


class Found(Struct):
    """What was looked at."""

    rows: int = 0
    early: int = 0
    """Rows that were written before they kept what a price is worked out from."""
    differences: dict[tuple[date, str], Difference] = {}
    """By day and model."""

    def total(self) -> Difference:
        whole = Difference()
        for each in self.differences.values():
            whole = whole.plus(each)
        return whole


def reprice(
    since: Annotated[str, typer.Option("--from", help="Calls that began then or later: 2026-03-01, UTC.", show_default=False)],
    before: Annotated[str | None, typer.Option("--to", help="Calls that began before then.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Only calls of this model, or pattern with * and ?.", show_default=False)] = None,
    provider: Annotated[str | None, typer.Option(help="Only calls to this provider.", show_default=False)] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, and write nothing.")] = False,
    data_dir: LogDir = None,
) -> None:
    """Work out anew what stored calls cost, show the difference by day and model, then replace their rows.

    The figures before stay in the table `cost_history`. What was interrupted is taken up again by the same command.
    """
    begin = moment(since, "--from")
    assert begin is not None  # noqa: S101 - it is said
    end = moment(before, "--to")
    if end is not None and end <= begin:
        raise Misconfigured(f"--to {before}: it has to lie after --from.")
    chosen = Chosen(since=begin, before=end, organization=organization, provider=provider and provider.lower(), model=model)
    lake, rates = _opened(data_dir), RateBook.bundled(OwnPrices(*sources_of(data_dir)).find)
    try:
        with closing(Repricing(lake, chosen)) as repricing, bar() as shown:
            found = look(repricing, rates, shown)
            shown.stop()
            tell(found)
            if not dry_run and found.differences:
                written = write(repricing, rates, sorted({day for day, _ in found.differences}), shown)
                typer.echo(f"{written} rows are replaced. The figures before are in the table cost_history.")
    except Moved as error:
        raise Misconfigured(
            f"Others write to this lake all the time: {error}. What was written stands; give the same command again."
        ) from None
    except (duckdb.Error, DeltaError, OSError) as error:
        raise Misconfigured(
            f"The lake could not be read or written to its end: {str(error).rstrip('.')}. The same command takes it up again."
        ) from None


def _opened(data_dir: Path | None) -> Lake:
    """Brought up to date, as a start would. Raises Misconfigured where there is none."""
    chosen = settings_by(data_dir=data_dir)
    existing_lake(chosen)
    return Lake.open(chosen.storage())


def look(repricing: Repricing, rates: RateBook, shown: Progress) -> Found:
    """What would change."""
    found, days = Found(differences={}), repricing.days()
    task = shown.add_task("calls looked at", total=sum(rows for _, rows in days))
    for number, _ in days:
        for rows, changes in changes_of(repricing.day(number), rates):
            found.rows += len(rows)
            found.early += sum(1 for row in rows if row["price_basis"] is None)
            for row, change in changes:
                found.differences.setdefault((number, row["model"] or ""), Difference()).add(row, change)
            shown.advance(task, len(rows))
    return found


def write(repricing: Repricing, rates: RateBook, days: list[date], shown: Progress) -> int:
    """Replaces the rows; how many. Raises Moved."""
    written, task = 0, shown.add_task("days written", total=len(days))
    shown.start()
    for number in days:
        written += _write_day(repricing, number, rates)
        shown.advance(task)
    return written


def _write_day(repricing: Repricing, number: date, rates: RateBook) -> int:
    """What was written before others did is standing when the day is read again, and is not written twice."""
    written, tries = 0, 0
    while True:
        try:
            for changes in _parts(repricing.day(number), rates):
                written += len(changes)
            return written
        except Moved:
            tries += 1
            if tries == TRIES:
                raise


def _parts(day: Day, rates: RateBook) -> Iterator[list[Change]]:
    """What is written, commit by commit. Raises Moved."""
    waiting: list[Change] = []
    for _, changes in changes_of(day, rates):
        waiting += [change for _, change in changes]
        if len(waiting) >= WRITTEN_AT_ONCE:
            day.write(waiting, _now())
            yield waiting
            waiting = []
    if waiting:
        day.write(waiting, _now())
        yield waiting


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def changes_of(day: Day, rates: RateBook) -> Iterator[tuple[list[Row], list[tuple[Row, Change]]]]:
    """All rows that are chosen, and those whose cost is another, some thousands at a time."""
    references: dict[str, Row] | None = None
    for rows in day.rows():
        if references is None and any(row["price_basis"] == PriceBasis.CACHE for row in rows):
            references = day.references()
        pairs = ((row, change_of(row, (references or {}).get(row["cache_reference_id"]), rates)) for row in rows)
        yield rows, [(row, change) for row, change in pairs if change is not None]


def change_of(row: Row, reference: Row | None, rates: RateBook) -> Change | None:
    """None where the cost stays what it is, to the last digit that the lake keeps."""
    price = priced_again(_stored(row), rates, None if reference is None else _stored(reference))
    if price is None:
        return None
    hit = row["price_basis"] == PriceBasis.CACHE
    figure = None if price.cost is None else money(f"{price.cost:f}")
    cost, saved = (row["cost_usd"], figure) if hit else (figure, row["cost_saved_usd"])
    if (cost, saved) == (row["cost_usd"], row["cost_saved_usd"]):
        return None
    return Change(
        call_id=row["call_id"],
        revision=max(0, row["revision"]) + 1,
        cost=cost,
        saved=saved,
        source=row["price_source"] if hit else price.source,
        basis=PriceBasis.CACHE if hit else price.basis,
        rates=price.rates,
    )


def _stored(row: Row) -> Stored:
    outcome = Outcome(row["outcome"])
    return Stored(
        organization=Organization(row["organization"]),
        provider=row["provider"],
        model=row["model"],
        created_at=row["created_at"].replace(tzinfo=UTC),
        target_url=row["target_url"] or "",
        known=row["dialect"] is not None and outcome in ANSWERED,
        outcome=outcome,
        usage=usage_in(row),
        basis=None if row["price_basis"] is None else PriceBasis(row["price_basis"]),
        source=row["price_source"] or "",
        note=row["price_note"],
        context=dict(row["price_context"] or ()),
        stated_cost=row["stated_cost_usd"],
        logged=row["source"] in AFTERWARDS,
    )


def tell(found: Found) -> None:
    total = found.total()
    if found.early:
        typer.echo(
            f"{found.early} of {found.rows} calls stay as they are: an earlier version wrote them, and kept too little."
            " `heliograph replay` writes anew what the log still has.",
            err=True,
        )
    if not found.differences:
        typer.echo(f"{found.rows} calls, and the cost of none changes.")
        return
    figures = ("calls", "before USD", "after USD", "difference", "newly priced")
    table = Table("day", "model", *(Column(name, justify="right") for name in figures))
    largest = sorted(found.differences.items(), key=lambda each: abs(each[1].after - each[1].before), reverse=True)
    for (day, model), each in sorted(largest[:SHOWN]):
        table.add_row(f"{day}", model or "unknown", *_cells(each))
    if rest := largest[SHOWN:]:
        others = Difference()
        for _, each in rest:
            others = others.plus(each)
        table.add_row("", f"{len(rest)} more", *_cells(others))
    table.add_section()
    table.add_row("total", "", *_cells(total))
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False).print(table)
    if total.saved:
        typer.echo(f"What the cache saved becomes {plain(abs(total.saved))} USD {'more' if total.saved > 0 else 'less'}.")
    if total.unpriced:
        typer.echo(f"{total.unpriced} calls lose their cost: nobody knows it any more.", err=True)


def _cells(each: Difference) -> tuple[str, ...]:
    change = each.after - each.before
    return f"{each.calls:,}", plain(each.before), plain(each.after), f"{'+' if change > 0 else ''}{plain(change)}", f"{each.priced:,}"
