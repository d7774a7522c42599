"""The query port as people meet it: a process of its own over a lake, asked over HTTP, and what its processes take of memory meanwhile."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx2 as httpx
import psutil

from bench import peers

AT_ONCE = 4
"""Panels that a page fetches side by side."""
LOOK_S = 0.1
PATIENCE_S = 120.0
_PANEL = re.compile(r'\bdata-src="([^"]+)"')


@contextmanager
def query_port(lake_uri: str) -> Iterator[tuple[str, int]]:
    """The role `api` over the lake, until the block ends: its address and its process id."""
    port = peers.free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "api.log").open("wb") as log:
        command = [sys.executable, "-m", "runtime.cli", "api", "--api-port", str(port), "--data-dir", folder]
        process = subprocess.Popen(command, env=os.environ | {"HELIOGRAPH_LAKE_URI": lake_uri}, stdout=log, stderr=log)
        try:
            peers.wait_for(port, PATIENCE_S)
            peers.wait_until_ready(port, PATIENCE_S)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait(30)


class Memory:
    """The most that a process and its children took at once while the block ran, in bytes.

    `proportional` counts what they share once; `resident` is the sum that `ps` shows.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.proportional = self.resident = 0

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        proportional = resident = 0
        for process in (self._root, *self._root.children(recursive=True)):
            with suppress(psutil.Error):
                taken = process.memory_full_info()
                proportional += taken.pss
                resident += taken.rss
        self.proportional, self.resident = max(self.proportional, proportional), max(self.resident, resident)


def asked(client: httpx.Client, sql: str) -> float:
    """Milliseconds of one question, until its answer is there whole; or until it is refused because its time was over."""
    began = time.perf_counter()
    _answered(client.post("/v1/query", json={"sql": sql}))
    return (time.perf_counter() - began) * 1000


def _answered(answer: httpx.Response) -> bool:
    """Not, where it was refused because its time was over. Raises what httpx raises for any other failure."""
    if answer.status_code == httpx.codes.GATEWAY_TIMEOUT:
        return False
    answer.raise_for_status()
    return True


async def together(base: str, questions: Sequence[str]) -> tuple[float, int]:
    """Milliseconds until all are answered, asked as a page asks for its panels; and how many were, the others being refused as too slow."""
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as client:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(sql: str) -> bool:
            async with turns:
                return _answered(await client.post("/v1/query", json={"sql": sql}))

        began = time.perf_counter()
        answered = await asyncio.gather(*map(one, questions))
        return (time.perf_counter() - began) * 1000, sum(answered)


async def page_complete(base: str, path: str) -> tuple[float, int]:
    """Milliseconds until a page of the dashboard and everything that it fetches are there, and how many panels those are."""
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_S, follow_redirects=True) as client:
        turns = asyncio.Semaphore(AT_ONCE)

        async def fetch(address: str) -> str:
            async with turns:
                answer = await client.get(address)
                answer.raise_for_status()
                return answer.text

        began = time.perf_counter()
        panels = panels_of(await fetch(path), path)
        await asyncio.gather(*map(fetch, panels))
        return (time.perf_counter() - began) * 1000, len(panels)


def panels_of(page: str, path: str) -> list[str]:
    """The addresses of what the page fetches once it is there."""
    return [urljoin(path, unescape(found)) for found in _PANEL.findall(page)]


def megabytes(taken: Iterable[int]) -> list[str]:
    return [f"{each / 2**20:,.0f} MiB" for each in taken]
