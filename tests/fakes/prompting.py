"""The query port with its prompts, in this process: asked directly, or over a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from runtime.deciding import Control, beside
from runtime.emitting import LateEmitter
from runtime.prices import Prices, price_file
from runtime.query_side import query_app
from runtime.serving import serve_asgi
from runtime.settings import Settings

BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You greet in {{hc:language:string}}."},
        {"role": "user", "content": "{{ hc:name:string }}"},
    ],
    "temperature": 0.7,
}


@asynccontextmanager
async def prompting(folder: Path, **settings: Any) -> AsyncIterator[FastAPI]:
    """Over an embedded log and a lake of its own; started once it knows which prompts there are."""
    chosen = Settings(data_dir=folder, **settings)
    control, judging = Control(chosen), LateEmitter(chosen)
    app = query_app(chosen, control, Prices(price_file(chosen), lambda: control.own_prices), judging)
    async with control.following(), beside(app.state.prompts.follower.run(), "prompts"), app.router.lifespan_context(app):
        await app.state.prompts.follower.heard.wait()
        yield app
    await judging.close()


def asking(app: FastAPI, key: str | None = None) -> httpx.AsyncClient:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """Its address."""
    bound = socket.create_server(("127.0.0.1", 0))
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve_asgi(_started(app), [bound], stop, ready.set, drain_s=1))
    await ready.wait()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        stop.set()
        await serving
        bound.close()


def _started(app: FastAPI) -> Any:
    """The app, whose lifespan is somebody else's."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    return serve
