"""`heliograph settings`."""

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from runtime.settings import origin_of, settings, value_of, variables


class SettingsFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


def show_settings(
    form: Annotated[SettingsFormat, typer.Option("--format", help="How they are printed.")] = SettingsFormat.TABLE,
) -> None:
    """Print every setting, its value, and where the value comes from."""
    found = settings()
    rows = [(variable, _shown(value_of(found, variable)), origin_of(variable), about) for variable, _, about in variables()]
    if form is SettingsFormat.JSON:
        typer.echo(json.dumps({variable: {"value": value, "origin": origin} for variable, value, origin, _ in rows}, indent=2))
        return
    table = Table("setting", "value", "from", "what it is for")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return "" if value is None else str(getattr(value, "value", value))
