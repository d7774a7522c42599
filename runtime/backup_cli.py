"""`heliograph backup` and `heliograph restore`."""

from pathlib import Path
from typing import Annotated

import typer

from runtime.backup import back_up, restore
from runtime.bars import bar
from runtime.options import DataDir
from runtime.settings import settings_by


def backup(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory for the copy.")], data_dir: DataDir = None) -> None:
    """Copy the lake, and the event log or on Kafka the topics of decisions and prompts, while everything runs."""
    with bar() as shown:
        made = back_up(settings_by(data_dir=data_dir), folder, shown)
    rows = ", ".join(f"{table.rows} {table.name}" for table in made.tables if table.rows)
    typer.echo(f"{folder}: {rows or 'no rows yet'}{'' if made.log_bytes is None else f', a log of {made.log_bytes} bytes'}.")


def restore_backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `heliograph backup` wrote.")], data_dir: DataDir = None
) -> None:
    """Put a backup back, into a data directory (and lake) where nothing is yet. Then start as always."""
    with bar() as shown:
        made = restore(settings_by(data_dir=data_dir), folder, shown)
    typer.echo(f"The backup of {made.at:%Y-%m-%d %H:%M:%S} UTC is in place.")
