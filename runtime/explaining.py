"""`heliograph prices explain`: a call's cost as an invoice, from nothing but what its row keeps."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from eventlog.events import PriceBasis, UsageSource
from processors.pricing.cards import plain
from processors.pricing.stored import UNPRICED
from runtime.asking import Wish, ask
from runtime.invoices import Explained, explained, invoice_json
from runtime.options import ALL, LogDir
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.engine import literal
from storage.formats import Format
from storage.rows import COUNT_COLUMNS, money
from storage.whose import EVERY

CENTS, KEPT, SHOWN = 2, 12, 20
"""Digits behind the point: at the least, in the lake, and at most, where a rate by the hour makes no end of them."""
EXPLAINED = (
    *(
        "call_id",
        "organization",
        "created_at",
        "provider",
        "model",
        "outcome",
        "usage_source",
        "usage_method",
        "audio_seconds",
        "price_source",
    ),
    *("price_basis", "price_context", "price_note", "rates", "cache_reference_id", "revision", *COUNT_COLUMNS),
)


def explain(
    call: Annotated[str, typer.Argument(metavar="CALL_ID", help="A call id; or a request id: the newest call of it.", show_default=False)],
    organization: Annotated[str, typer.Option(help="Whose call: an organization's, or `all`.")] = "",
    form: Annotated[Format, typer.Option("--format", help="`table` or `json`.")] = Format.TABLE,
    data_dir: LogDir = None,
) -> None:
    """Print the arithmetic of a call's cost: each unit, count, rate, and where the rate comes from."""
    row = _row(call, organization, data_dir)
    found = explained(row)
    if form is Format.JSON:
        typer.echo(json.dumps(invoice_json(row, found), indent=2))
        return
    _print(row, found)


def _print(row: dict[str, Any], found: Explained) -> None:
    seen, invoice = found.booked, found.invoice
    console = Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False)
    console.print(f"Call     {row['call_id']}, {row['created_at']}, {row['outcome']}")
    console.print(f"Model    {row['model'] or 'unknown'} of {row['provider']}, organization {row['organization']}")
    console.print(f"Price    {row['price_source']}")
    if row["price_context"]:
        console.print("Context  " + ", ".join(f"{name} {value}" for name, value in row["price_context"].items()))
    if row["usage_source"] is not None and seen.basis is not PriceBasis.CACHE:
        console.print(f"Counted  {_counted(row)}")
    if row["price_note"] and seen.basis is not PriceBasis.STATED:
        console.print(f"Note     {row['price_note']}")
    if row["revision"] > 0:
        console.print(f"Revision {row['revision']}: an earlier figure was replaced; the table cost_history has it")
    if invoice is None:
        if seen.cost is None:
            console.print(f"\nNo cost is booked: {(found.reason or '').removeprefix(UNPRICED)}.")
        else:
            console.print(f"\n{seen.cost:f} USD are booked: {found.reason}")
        return
    table = Table("for", _figures("count"), "unit", _figures("USD"), "for each", _figures("amount USD"))
    digits = min(SHOWN, max(CENTS, _digits(invoice.total), *(_digits(line.amount) for line in invoice.lines)))
    for line in invoice.lines:
        table.add_row(line.label, f"{line.count:,}", line.unit, plain(line.rate), line.per, f"{line.amount:.{digits}f}")
    table.add_section()
    table.add_row("total", "", "", "", "", f"{invoice.total:.{digits}f}")
    table.add_row("booked", "", "", "", "", f"{seen.cost:.{min(digits, KEPT)}f}")
    console.print(table)
    if row["cost_saved_usd"] is not None:
        saved = plain(Decimal(row["cost_saved_usd"]))
        console.print(f"The cache saved {saved} USD, which call {row['cache_reference_id']} would have cost again.")
    if money(f"{invoice.total:f}") != seen.cost:
        raise Misconfigured(f"{invoice.total:f} and {seen.cost:f} differ: the row was changed by something else than Heliograph.")
    if invoice.total != seen.cost:
        console.print(f"The lake keeps {KEPT} digits behind the point.")


def _counted(row: dict[str, Any]) -> str:
    """By whom, and how."""
    method = row["usage_method"]
    if row["usage_source"] == UsageSource.ESTIMATED:
        return f"here, an estimate: {method}"
    return "by the provider" if method is None else f"by the provider, {method}"


def _digits(amount: Decimal) -> int:
    """Behind the point, less the zeros at their end."""
    return len(plain(amount).partition(".")[2])


def _figures(name: str) -> Column:
    return Column(name, justify="right")


def _row(call: str, organization: str, data_dir: Path | None) -> dict[str, Any]:
    """Raises Refused and Misconfigured."""
    chosen = settings_by(data_dir=data_dir)
    columns = ", ".join((*EXPLAINED, "cost_usd::VARCHAR AS cost_usd", "cost_saved_usd::VARCHAR AS cost_saved_usd"))
    key = literal(call)
    sql = f"SELECT {columns} FROM calls WHERE call_id = {key} OR request_id = {key} ORDER BY call_id = {key} DESC, created_at DESC LIMIT 1"  # noqa: S608 literals
    whose = EVERY if organization == ALL else organization
    answer = json.loads(ask(chosen, Wish(sql=sql, form=Format.JSON, organization=whose, here=data_dir is not None)).body, parse_float=str)
    if not answer["rows"]:
        raise Misconfigured(
            f"There is no call {call[:100]!r}. A new call appears within two seconds of its answer; --organization names another's."
        )
    return dict(zip(answer["columns"], answer["rows"][0], strict=True))
