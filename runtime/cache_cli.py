"""`heliograph cache …`: what the cache holds, and emptying it. Whoever uses it sees that at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.filesize import decimal

from ingress.cache_store import CacheStore, CacheUnavailable, SharedCache
from runtime.settings import Misconfigured, Settings, settings_by

app = typer.Typer(help="Answers that are kept to be given again.", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Where the cache lies (HELIOGRAPH_DATA_DIR).")]
T = TypeVar("T")


@app.command()
def stats(data_dir: DataDir = None) -> None:
    """Print how many answers are kept, and how much of the room for them is taken."""
    found = _with_cache(data_dir, lambda cache: cache.stats())
    share = found.bytes / found.limit_bytes
    Console().print(f"{found.entries} answers, {decimal(found.bytes)} of {decimal(found.limit_bytes)} ({share:.1%})", highlight=False)


@app.command()
def clear(data_dir: DataDir = None) -> None:
    """Forget all answers, of every organization."""
    entries = _with_cache(data_dir, lambda cache: cache.clear())
    typer.echo(f"{entries} answers are forgotten.")


def _with_cache(data_dir: Path | None, work: Callable[[CacheStore], Awaitable[T]]) -> T:
    """Raises Misconfigured where there is none."""
    chosen = settings_by(data_dir=data_dir)

    async def working() -> T:
        async with opened_cache(chosen) as cache:
            return await work(cache)

    try:
        return asyncio.run(working())
    except CacheUnavailable as error:
        raise Misconfigured(f"The cache cannot be asked now. {error}") from error


@asynccontextmanager
async def opened_cache(chosen: Settings) -> AsyncIterator[CacheStore]:
    """The one that the settings name. Raises Misconfigured where there is none."""
    shared_state = chosen.shared_state()
    if shared_state is not None:
        from ingress.redis_cache import RedisCache  # noqa: PLC0415 - its client takes as long to load as all commands that never ask it
        from ingress.redis_link import RedisLink  # noqa: PLC0415

        link = RedisLink(shared_state)
        try:
            yield RedisCache(link, limit_bytes=chosen.cache.bytes)
        finally:
            await link.aclose()
        return
    if not chosen.cache_dir.is_dir():
        raise Misconfigured(
            f"There is no cache in {chosen.data_dir}. Start `heliograph up`, or name its folder with --data-dir (HELIOGRAPH_DATA_DIR);"
            " where the ingresses share one in Redis, set HELIOGRAPH_REDIS_URL as they have it."
        )
    cache = SharedCache(chosen.cache_dir, limit_bytes=chosen.cache.bytes)
    try:
        yield cache
    finally:
        cache.close()
