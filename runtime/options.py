"""What several commands are asked, and how one answers what was typed wrongly."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

ALL = "all"
"""What a question says that is about every organization."""
DEMO_PORT = 9010

Host = Annotated[str | None, typer.Option(help="Address to listen on (HELIOGRAPH_HOST).")]
Port = Annotated[int | None, typer.Option(help="Port of the proxy (HELIOGRAPH_PORT).")]
ApiPort = Annotated[int | None, typer.Option(help="Port of the query side (HELIOGRAPH_API_PORT).")]
HealthPort = Annotated[int | None, typer.Option(help="Port of /healthz, /readyz and /metrics (HELIOGRAPH_HEALTH_PORT).")]
Whose = Annotated[str, typer.Option(help="Whose rows: an organization's, or `all`. A running Heliograph asks for a key of the operator.")]
DataDir = Annotated[Path | None, typer.Option(help="Where log and lake lie (HELIOGRAPH_DATA_DIR).")]
LogDir = Annotated[Path | None, typer.Option(help="Where the embedded log lies (HELIOGRAPH_DATA_DIR).")]


def fail(message: str, code: int = 2) -> NoReturn:
    """Says it on standard error, and ends the command."""
    typer.echo(f"heliograph: {message}", err=True)
    raise typer.Exit(code)
