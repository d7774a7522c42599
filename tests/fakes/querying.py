"""The whole app of the query port behind its guard, in this process, over an embedded log and a lake of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from runtime.deciding import Control, beside
from runtime.emitting import LateEmitter
from runtime.guard import Guard, GuardedApp
from runtime.prices import Prices, price_file
from runtime.query_side import query_app
from runtime.settings import Settings
from tests.fakes.query_port import on_a_port


@asynccontextmanager
async def app_of(folder: Path, **settings: Any) -> AsyncIterator[FastAPI]:
    """Running: what follows the log, and the lake, are open."""
    chosen = Settings(data_dir=folder, **settings)
    control, file, judging = Control(chosen), price_file(chosen), LateEmitter(chosen)
    app = query_app(chosen, control, Prices(file, lambda: control.own_prices), judging)
    async with control.following(), beside(file.follow(), "prices_file"), app.router.lifespan_context(app):
        yield app
    await judging.close()


@asynccontextmanager
async def port_of(folder: Path, **settings: Any) -> AsyncIterator[int]:
    """The same on a port of this machine, for those who come by HTTP of their own."""
    chosen = Settings(data_dir=folder, **settings)
    control, file, judging = Control(chosen), price_file(chosen), LateEmitter(chosen)
    app = query_app(chosen, control, Prices(file, lambda: control.own_prices), judging)
    async with control.following(), beside(file.follow(), "prices_file"), on_a_port(app) as client:
        yield client.base_url.port or 0
    await judging.close()


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with app_of(folder, **settings) as app:
        transport = httpx.ASGITransport(GuardedApp(app, Guard()), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}
