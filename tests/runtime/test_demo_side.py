"""The demo provider as a role of `heliograph up --demo`."""

import asyncio
import socket

import httpx
import pytest

from runtime import demo_side
from runtime.settings import settings

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}


async def test_it_breaks_connections_when_it_is_asked_to() -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"
        role = asyncio.create_task(demo_side.run(settings(), [listening], stop, ready.set))
        await ready.wait()
        async with httpx.AsyncClient() as client:
            assert (await client.post(url, json=BODY)).status_code == 200
            with pytest.raises(httpx.ReadError):
                await client.post(url, json=BODY, headers={"x-demo-fault": "reset-before"})
            with pytest.raises(httpx.ReadError):
                await client.post(url, json=BODY, headers={"x-demo-fault": "reset-after=20"})
        stop.set()
        await role
