"""`heliograph compact`."""

import typer

from runtime.asking import existing_lake
from runtime.bars import bar
from runtime.compacting import compact_lake
from runtime.moments import now
from runtime.options import LogDir
from runtime.settings import settings_by
from storage.lake import Lake
from storage.schema import TABLES


def compact(data_dir: LogDir = None) -> None:
    """Merge small files, settle days that are over, add calls up and remove what nobody reads any more, at once. Beside whatever runs."""
    lake = Lake.open(existing_lake(settings_by(data_dir=data_dir)).config)
    before = _files(lake)
    with bar() as shown:
        made = compact_lake(lake, now(), shown)
    left = f" Others changed {made.left} of the days meanwhile; they are left for the next time." if made.left else ""
    if not made.done and not left:
        typer.echo(f"There was nothing to do: {before} files.")
        return
    typer.echo(f"{before} files became {_files(lake)}: {made.done} steps.{left}")


def _files(lake: Lake) -> int:
    """Of what was told; what was added up of it is left out."""
    return sum(len(lake.files(name)) for name in TABLES if name != "rollups")
