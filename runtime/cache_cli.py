"""`heliograph cache …`: what the cache holds, and emptying it. The workers that run on the same data directory see it at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ingress.cache_store import CacheUnavailable, SharedCache
from runtime.settings import Misconfigured, settings_by

app = typer.Typer(help="Answers that are kept to be given again.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Where the cache lies (HELIOGRAPH_DATA_DIR).")]


@app.command()
def stats(data_dir: DataDir = None) -> None:
    """Print how many answers are kept, and how much of the room for them is taken."""
    with _cache(data_dir) as cache:
        found = cache.stats
    share = found.bytes / found.limit_bytes
    Console().print(f"{found.entries} answers, {decimal(found.bytes)} of {decimal(found.limit_bytes)} ({share:.1%})", highlight=False)


@app.command()
def clear(data_dir: DataDir = None) -> None:
    """Forget all answers, of every organization."""
    with _cache(data_dir) as cache:
        entries = cache.stats.entries
        cache.clear()
    typer.echo(f"{entries} answers are forgotten.")


@contextmanager
def _cache(data_dir: Path | None) -> Iterator[SharedCache]:
    """Raises Misconfigured where there is none."""
    chosen = settings_by(data_dir=data_dir)
    if not chosen.cache_dir.is_dir():
        raise Misconfigured(
            f"There is no cache in {chosen.data_dir}. Start `heliograph up`, or name its folder with --data-dir (HELIOGRAPH_DATA_DIR)."
        )
    try:
        cache = SharedCache(chosen.cache_dir, limit_bytes=chosen.cache.bytes)
    except CacheUnavailable as error:
        raise Misconfigured(str(error)) from error
    try:
        yield cache
    finally:
        cache.close()
