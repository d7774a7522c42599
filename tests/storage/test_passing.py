"""Long answers, passed on while they are found: that they come whole, in bounded memory, and that one that broke off is seen to have."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from storage.api import create_api
from storage.query import Limits
from storage.spool import MEMORY_BYTES, Room, Spool
from tests.fakes.query_port import on_a_port
from tests.fakes.small_lake import SmallLake

LIMITS = Limits(timeout_s=60, rows=30_000, result_bytes=32 << 20, at_once=1)
LONG = "SELECT range AS n, repeat('x', 300) AS text FROM range({})"
ENDS_BADLY = "SELECT if(range < 25_000, repeat('x', 990) || range, error('no more')) AS text FROM range(30_000)"
"""Twenty-five megabytes come well, of which the engine finds ten ahead of whoever takes them."""


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with on_a_port(create_api(SmallLake(tmp_path / "lake").config, limits=LIMITS)) as client:
        yield client


def asking(sql: str, form: str) -> dict[str, Any]:
    return {"method": "POST", "url": "/v1/query", "json": {"sql": sql, "format": form}}


READ = {
    "csv": lambda body: [int(line.partition(b",")[0]) for line in body.splitlines()[1:]],
    "jsonl": lambda body: [json.loads(line)["n"] for line in body.splitlines()],
    "arrow": lambda body: pa.ipc.open_stream(io.BytesIO(body)).read_all().column("n").to_pylist(),
}


async def test_what_is_long_comes_whole_without_its_length_in_front(port: httpx.AsyncClient) -> None:
    for form, read in READ.items():
        short = await port.request(**asking(LONG.format(3), form))
        assert read(short.content) == [0, 1, 2]
        assert (short.headers["heliograph-rows"], short.headers["content-length"]) == ("3", str(len(short.content)))
        long = await port.request(**asking(LONG.format(15_000), form))
        assert read(long.content) == list(range(15_000))
        assert "content-length" not in long.headers
        assert long.headers["heliograph-limits"] == f"rows=30000, bytes={32 << 20}, seconds=60"
        assert long.headers["content-type"] == short.headers["content-type"]


BROKEN = {
    "a fault": (ENDS_BADLY, "invalid_sql"),
    "more rows than the limit": (LONG.format(30_001), "rows"),
    "more bytes than the limit": (LONG.format(30_000).replace("300", "2000"), "result_too_large"),
}


async def test_what_goes_wrong_in_the_midst_breaks_the_connection_off(port: httpx.AsyncClient) -> None:
    async def taken(sql: str, form: str) -> int:
        size = 0
        async with port.stream(**asking(sql, form)) as answer:
            assert answer.status_code == 200
            pieces = answer.aiter_raw()
            try:
                async for piece in pieces:
                    size += len(piece)
            except httpx.RemoteProtocolError:
                return size
        raise AssertionError("it ended as if it were whole")

    for form in READ:
        for sql, reason in BROKEN.values():
            with capture_logs() as logged:
                assert await taken(sql, form) > MEMORY_BYTES
            assert [line["reason"] for line in logged if line["event"] == "answer_broken_off"] == [reason]
            assert (await port.request(**asking("SELECT 1 AS n", form))).status_code == 200


async def test_what_goes_wrong_before_is_told(port: httpx.AsyncClient) -> None:
    for form in READ:
        refused = await port.request(**asking("SELECT if(range < 10, 1, error('no more')) AS n FROM range(5000)", form))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_sql")
        cut = await port.request(**asking("SELECT 1 AS n FROM range(30_001)", form))
        assert (cut.headers["heliograph-rows"], cut.headers["heliograph-truncated"]) == ("30000", "true")


async def test_a_client_that_takes_its_time_holds_up_nobody(port: httpx.AsyncClient) -> None:
    async with port.stream(**asking(LONG.format(30_000), "jsonl")) as answer:
        assert answer.status_code == 200
        assert (await port.request(**asking("SELECT 1", "json"))).json()["rows"] == [[1]]  # there is one process for all
        read = b"".join([piece async for piece in answer.aiter_bytes()])
    assert READ["jsonl"](read) == list(range(30_000))


async def test_a_client_that_leaves_ends_its_question(port: httpx.AsyncClient) -> None:
    endless = LONG.format(100_000_000_000).replace("300", "1000") + " WHERE range < 25_000"
    async with port.stream(**asking(endless, "csv")) as answer:
        assert answer.status_code == 200
    assert (await port.request(**asking("SELECT 1", "json"))).json()["rows"] == [[1]]


async def test_the_query_port_holds_little_of_a_long_answer(tmp_path: Path) -> None:
    limits = Limits(timeout_s=60, rows=1_000_000, result_bytes=512 << 20, at_once=1)
    async with on_a_port(create_api(SmallLake(tmp_path / "lake").config, limits=limits)) as port:
        await port.request(**asking("SELECT 1", "csv"))
        process = psutil.Process()
        before = most = process.memory_info().rss
        size = 0
        async with port.stream(**asking(LONG.format(60_000).replace("300", "1000"), "csv")) as answer:
            async for piece in answer.aiter_bytes():
                size += len(piece)
                most = max(most, process.memory_info().rss)
        assert size > 60_000_000
        assert most - before < 30 << 20


ACCEPTED = {
    "text/csv": "text/csv; charset=utf-8",
    "application/x-ndjson": "application/x-ndjson",
    "text/html, application/vnd.apache.arrow.stream;q=0.9": "application/vnd.apache.arrow.stream",
    "*/*": "application/json",
}


async def test_the_form_may_be_named_by_the_header(port: httpx.AsyncClient) -> None:
    for accept, media in ACCEPTED.items():
        answer = await port.post("/v1/query", json={"sql": "SELECT 1"}, headers={"accept": accept})
        assert answer.headers["content-type"] == media


class TestSpool:
    """Pieces of a mebibyte: two are held in memory, two have room on disk."""

    PIECES = tuple(bytes([number]) * (1 << 20) for number in range(6))

    async def test_order_and_room(self) -> None:
        room = Room(4 << 20)
        spool = Spool(room, patience_s=60)
        putting = asyncio.create_task(asyncio.to_thread(lambda: [spool.put(piece) for piece in self.PIECES]))
        await spool.full()
        taken: list[bytes] = []
        while len(taken) < len(self.PIECES):
            if (piece := spool.taken()) is None:
                await spool.stirred()
            else:
                taken.append(piece)
        await putting
        assert tuple(taken) == self.PIECES
        assert spool.taken() is None
        assert room.take(2 << 20, None)

    async def test_what_nobody_takes_is_lost_and_says_so(self) -> None:
        room = Room(4 << 20)
        spool = Spool(room, patience_s=0.1)
        await asyncio.to_thread(lambda: [spool.put(piece) for piece in self.PIECES])
        assert spool.lost
        spool.close()
        assert room.take(2 << 20, None)

    async def test_closing_lets_whoever_puts_go(self) -> None:
        spool = Spool(Room(0), patience_s=600)
        putting = asyncio.create_task(asyncio.to_thread(lambda: [spool.put(piece) for piece in self.PIECES]))
        spool.close()
        await putting
        assert not spool.lost
