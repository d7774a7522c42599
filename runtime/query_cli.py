"""`heliograph query` and `heliograph sql`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runtime.asking import Wish, ask_into, told_of_cut, told_of_unread
from runtime.options import ALL, ApiPort, DataDir, Whose, fail
from runtime.outlet import Outlet
from runtime.saved import SavedQueries
from runtime.settings import settings_by
from storage.formats import BINARY, Format
from storage.whose import EVERY


def query(
    sql: Annotated[str | None, typer.Argument(help="One SELECT over calls, bodies, feedback, dead_letters.")] = None,
    saved: Annotated[str | None, typer.Option(help="Ask the query that is saved under this name.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the answer looks.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option(help="Write the answer to this file.")] = None,
    organization: Whose = "",
    api_port: ApiPort = None,
    data_dir: DataDir = None,
) -> None:
    """Ask in SQL: the running Heliograph when there is one, else the lake itself. With --data-dir, the lake there."""
    found = settings_by(api_port=api_port, data_dir=data_dir)
    here, there = data_dir is not None, api_port is not None
    if (sql is None) == (saved is None):
        fail("say one SELECT, or --saved NAME.")
    if form in BINARY and output is None and sys.stdout.isatty():
        fail(f"{form.value.capitalize()} is not for a terminal; say --output FILE.")
    if sql is None:
        sql = SavedQueries(found, here=here, there=there).named(saved or "").sql
    width = Console().width if output is None and sys.stdout.isatty() else None
    named = EVERY if organization == ALL else organization
    out = Outlet(output)
    try:
        told = ask_into(found, Wish(sql=sql, form=form, width=width, organization=named, here=here, there=there), out.write)
        out.end(line=form not in BINARY)
    except OSError as error:
        if output is None:
            raise
        fail(f"--output {output}: {error.strerror}. Choose a file that can be written.", 1)
    finally:
        out.close()
    if told.truncated:
        typer.echo(f"heliograph: {told_of_cut(told)}", err=True)
    if told.unread:
        typer.echo(f"heliograph: {told_of_unread(told)}", err=True)


def sql_shell(
    organization: Whose = "",
    form: Annotated[Format, typer.Option("--format", help="How answers look, at first.")] = Format.TABLE,
    api_port: ApiPort = None,
    data_dir: DataDir = None,
) -> None:
    """Ask in SQL, question by question, in a shell that completes and remembers. From a pipe it reads statements, each up to its `;`."""
    from runtime.sql_shell import shell  # noqa: PLC0415 - no other command needs what a terminal needs

    found = settings_by(api_port=api_port, data_dir=data_dir)
    named = EVERY if organization == ALL else organization
    raise typer.Exit(shell(found, organization=named, form=form, here=data_dir is not None, there=api_port is not None))
