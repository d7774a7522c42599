"""The whole app of the query port behind its guard, in this process, over an embedded log and a lake of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from runtime.deciding import Control, beside
from runtime.emitting import LateEmitter
from runtime.guard import Guard, GuardedApp
from runtime.prices import Prices, price_file
from runtime.query_side import query_app
from runtime.settings import Settings


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    chosen = Settings(data_dir=folder, **settings)
    control, file, judging = Control(chosen), price_file(chosen), LateEmitter(chosen)
    app = query_app(chosen, control, Prices(file, lambda: control.own_prices), judging)
    transport = httpx.ASGITransport(GuardedApp(app, Guard()), raise_app_exceptions=False)
    async with (
        control.following(),
        beside(file.follow(), "prices_file"),
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client
    await judging.close()


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}
