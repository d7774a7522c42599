"""`heliograph saved …`: SQL under a name."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from runtime.options import LogDir
from runtime.saved import SavedQueries
from runtime.settings import Misconfigured, settings_by
from runtime.topics_cli import WIDE
from storage.formats import Format

app = typer.Typer(help="Queries under a name, each organization's own. `heliograph query --saved NAME` asks one.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name.", show_default=False)]
Whose = Annotated[str, typer.Option(help="Whose: written on the log of the data directory. Left out: those that one's key sees.")]
ApiPort = Annotated[int | None, typer.Option(help="Port of the query side (HELIOGRAPH_API_PORT).")]


def _of(organization: str, api_port: int | None, data_dir: LogDir) -> SavedQueries:
    found = settings_by(api_port=api_port, data_dir=data_dir)
    return SavedQueries(found, organization=organization, here=data_dir is not None, there=api_port is not None)


@app.command("list")
def list_(
    form: Annotated[Format, typer.Option("--format", help="`table` or `json`.")] = Format.TABLE,
    organization: Whose = "",
    api_port: ApiPort = None,
    data_dir: LogDir = None,
) -> None:
    """Print them, by name."""
    if form not in {Format.TABLE, Format.JSON}:
        raise Misconfigured(f"--format {form.value}: saved queries are listed as table or json.")
    found = _of(organization, api_port, data_dir).all()
    if form is Format.JSON:
        typer.echo(
            json.dumps([{"name": each.name, "sql": each.sql, "updated_at": each.updated_at.isoformat()} for each in found], indent=2)
        )
    elif not found:
        typer.echo('There are none. `heliograph saved add NAME "SELECT …"` begins.')
    else:
        table = Table("name", "changed", Column("sql", overflow="fold"))
        for each in found:
            table.add_row(each.name, f"{each.updated_at:%Y-%m-%d %H:%M}", each.sql)
        Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)


@app.command()
def show(name: Name, organization: Whose = "", api_port: ApiPort = None, data_dir: LogDir = None) -> None:
    """Print the SQL of one."""
    typer.echo(_of(organization, api_port, data_dir).named(name).sql)


@app.command()
def add(
    name: Name,
    sql: Annotated[str, typer.Argument(help="One SELECT; `-`: read from standard input.", show_default=False)],
    organization: Whose = "",
    api_port: ApiPort = None,
    data_dir: LogDir = None,
) -> None:
    """Save a query. The same name again replaces it."""
    text = (sys.stdin.read() if sql == "-" else sql).strip()
    if not name.strip() or not text:
        raise Misconfigured("Say a name and a query, neither of them empty.")
    _of(organization, api_port, data_dir).save(name, text)
    typer.echo(f"{name} is saved. `heliograph query --saved {name}` asks it.")


@app.command()
def remove(name: Name, organization: Whose = "", api_port: ApiPort = None, data_dir: LogDir = None) -> None:
    """Take one away."""
    _of(organization, api_port, data_dir).remove(name)
    typer.echo(f"{name} is gone.")
