"""`heliograph prices explain`: a call's cost as an invoice, from nothing but what its row keeps."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from eventlog.events import PriceBasis
from processors.pricing.again import UNPRICED
from processors.pricing.cards import plain
from processors.pricing.invoice import Booked, Invoice, NotExplained, invoice_of
from runtime.asking import Wish, ask
from runtime.keys_cli import ALL, DataDir
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.engine import literal
from storage.formats import Format
from storage.rows import COUNT_COLUMNS, money, usage_in
from storage.whose import EVERY

CENTS, KEPT = 2, 12
"""Digits behind the point: at the least, and in the lake."""
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
    data_dir: DataDir = None,
) -> None:
    """Print the arithmetic of a call's cost: each unit, count, rate, and where the rate comes from."""
    row = _row(call, organization, data_dir)
    seen = Booked(
        cost=None if row["cost_usd"] is None else Decimal(row["cost_usd"]),
        source=row["price_source"],
        basis=None if row["price_basis"] is None else PriceBasis(row["price_basis"]),
        rates=row["rates"] or {},
        usage=usage_in(row),
    )
    try:
        invoice: Invoice | None = invoice_of(seen)
        reason = None
    except NotExplained as error:
        invoice, reason = None, str(error)
    if form is Format.JSON:
        typer.echo(json.dumps(_invoice_as_json(row, invoice, reason), indent=2))
        return
    _print(row, seen, invoice, reason)


def _print(row: dict[str, Any], seen: Booked, invoice: Invoice | None, reason: str | None) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False)
    console.print(f"Call     {row['call_id']}, {row['created_at']}, {row['outcome']}")
    console.print(f"Model    {row['model'] or 'unknown'} of {row['provider']}, organization {row['organization']}")
    console.print(f"Price    {row['price_source']}")
    if row["price_context"]:
        console.print("Context  " + ", ".join(f"{name} {value}" for name, value in row["price_context"].items()))
    if row["usage_source"] is not None and seen.basis is not PriceBasis.CACHE:
        console.print("Counted  by the provider" if row["usage_method"] is None else f"Counted  here, an estimate: {row['usage_method']}")
    if row["price_note"]:
        console.print(f"Note     {row['price_note']}")
    if row["revision"] > 0:
        console.print(f"Revision {row['revision']}: an earlier figure was replaced; the table cost_history has it")
    if invoice is None:
        console.print(
            f"\nNo cost is booked: {(reason or '').removeprefix(UNPRICED)}."
            if seen.cost is None
            else f"\n{seen.cost:f} USD are booked: {reason}"
        )
        return
    table = Table("for", _figures("count"), "unit", _figures("USD"), "for each", _figures("amount USD"))
    digits = min(KEPT, max(CENTS, _digits(invoice.total), *(_digits(line.amount) for line in invoice.lines)))
    for line in invoice.lines:
        table.add_row(line.label, f"{line.count:,}", line.unit, plain(line.rate), line.per, f"{line.amount:.{digits}f}")
    table.add_section()
    table.add_row("total", "", "", "", "", f"{invoice.total:.{digits}f}")
    table.add_row("booked", "", "", "", "", f"{seen.cost:.{digits}f}")
    console.print(table)
    if row["cost_saved_usd"] is not None:
        saved = plain(Decimal(row["cost_saved_usd"]))
        console.print(f"The cache saved {saved} USD, which call {row['cache_reference_id']} would have cost again.")
    if money(f"{invoice.total:f}") != seen.cost:
        raise Misconfigured(f"{invoice.total:f} and {seen.cost:f} differ: the row was changed by something else than Heliograph.")
    if invoice.total != seen.cost:
        console.print(f"The lake keeps {KEPT} digits behind the point.")


def _digits(amount: Decimal) -> int:
    """Behind the point, less the zeros at their end."""
    return len(plain(amount).partition(".")[2])


def _figures(name: str) -> Column:
    return Column(name, justify="right")


def _invoice_as_json(row: dict[str, Any], invoice: Invoice | None, reason: str | None) -> dict[str, Any]:
    about = ("call_id", "organization", "created_at", "provider", "model", "price_source", "price_basis", "price_context", "price_note")
    lines = [] if invoice is None else invoice.lines
    return {
        **{name: row[name] for name in about},
        "lines": [
            {
                "for": line.label,
                "count": str(line.count),
                "unit": line.unit,
                "rate_usd": plain(line.rate),
                "per": line.per,
                "amount_usd": plain(line.amount),
            }
            for line in lines
        ],
        "total_usd": None if invoice is None else plain(invoice.total),
        "cost_usd": row["cost_usd"],
        "reason": reason,
    }


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
