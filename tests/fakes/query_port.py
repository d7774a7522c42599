"""The query port on a socket of its own, as a role serves it: what a client sees of an answer's end can be seen only there."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from runtime.serving import serve_asgi


@asynccontextmanager
async def on_a_port(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(100)
        bound.setblocking(False)
        stop, ready = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(serve_asgi(app, [bound], stop, ready.set, drain_s=5))
        await ready.wait()
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as client:
                yield client
        finally:
            stop.set()
            await serving
