"""Whatever goes wrong, and wherever: the client is told, and the call is one row that says what happened."""

import asyncio
import contextlib
import json
from collections.abc import Callable

import pytest

from eventlog.events import Outcome
from ingress.upstream import TimeLimits
from tests.fakes.ingress import HOST, World, running
from tests.fakes.memory_log import MemoryLog
from tests.fakes.provider import ANSWER, EVENTS, Answering, raw, sized, streamed
from tests.fakes.raw_server import Peer

SHORT = TimeLimits(connect_s=1, first_byte_s=0.3, idle_s=0.3)
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

ENDS: dict[str, tuple[Answering, Outcome, int, str | None]] = {
    "an answer": (sized(), Outcome.COMPLETED, 200, None),
    "a stream": (streamed(), Outcome.COMPLETED, 200, None),
    "a redirect": (sized(status=b"302 Found"), Outcome.COMPLETED, 302, None),
    "an error of the provider": (sized(status=b"500 Oops"), Outcome.PROVIDER_ERROR, 500, None),
    "too many requests": (sized(status=b"429 Slow down", headers=b"Retry-After: 3\r\n"), Outcome.PROVIDER_ERROR, 429, None),
    "a reset before the answer": (raw(b"", then="reset"), Outcome.INTERRUPTED_BY_PROVIDER, 502, "upstream_interrupted"),
    "an end before the answer": (raw(b"", then="close"), Outcome.INTERRUPTED_BY_PROVIDER, 502, "upstream_interrupted"),
    "no HTTP": (raw(b"hello\r\n\r\n", then="close"), Outcome.INTERRUPTED_BY_PROVIDER, 502, "upstream_interrupted"),
    "silence": (raw(b"", then="stall"), Outcome.TIMED_OUT, 504, "upstream_timed_out"),
    "half an answer": (raw(SIZED + b"half", then="reset"), Outcome.INTERRUPTED_BY_PROVIDER, 200, "upstream_interrupted"),
    "half a stream": (raw(CHUNKED + b"5\r\nhello\r\n", then="close"), Outcome.INTERRUPTED_BY_PROVIDER, 200, "upstream_interrupted"),
    "a stream that stalls": (raw(CHUNKED + b"5\r\nhello\r\n", then="stall"), Outcome.TIMED_OUT, 200, "upstream_timed_out"),
    "a bad chunk": (raw(CHUNKED + b"5\r\nhello\r\nxyz\r\n", then="close"), Outcome.INTERRUPTED_BY_PROVIDER, 200, "upstream_interrupted"),
}


@pytest.mark.parametrize("durability", ["buffered", "strict"])
@pytest.mark.parametrize(("answering", "outcome", "status", "code"), ENDS.values(), ids=ENDS)
async def test_each_end_is_one_row(answering: Answering, outcome: Outcome, status: int, code: str | None, durability: str) -> None:
    async with running(answering, limits=SHORT, durability=durability) as world:
        answer = await world.post()
        (received,), (completed,) = await world.requests(), await world.responses()
    assert (completed.outcome, completed.status) == (outcome, status)
    assert completed.call.call_id == received.call.call_id
    assert (completed.error or "").startswith(code or "")
    assert bool(completed.error) == bool(code)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status in {502, 504}:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == code
        assert b"Helicone-Status: failed" in answer


SETTINGS = {
    "silence": (raw(b"", then="stall"), "HELIOGRAPH_LIMITS__FIRST_BYTE_S"),
    "a stream that stalls": (raw(CHUNKED + b"5\r\nhello\r\n", then="stall"), "HELIOGRAPH_LIMITS__IDLE_S"),
}


@pytest.mark.parametrize(("answering", "setting"), SETTINGS.values(), ids=SETTINGS)
async def test_a_limit_that_passed_is_named(answering: Answering, setting: str) -> None:
    async with running(answering, limits=SHORT) as world:
        await world.post()
        (completed,) = await world.responses()
    assert f"0.3 s ({setting})" in (completed.error or "")


async def test_what_was_seen_of_a_broken_answer_is_kept_and_reaches_the_client() -> None:
    async with running(raw(CHUNKED + b"5\r\nhello\r\n", then="reset")) as world:
        answer = await world.post()
        (completed,) = await world.responses()
    assert completed.response.text == "hello"
    assert answer.endswith(b"5\r\nhello\r\n")  # and no last chunk


async def test_an_answer_until_the_end_that_breaks_off_resets_an_old_client() -> None:
    async with running(raw(CHUNKED + b"5\r\nhello\r\n", then="reset")) as world:
        with pytest.raises(ConnectionResetError):
            await world.talk(b"POST /v1/x HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")


async def test_nobody_listens() -> None:
    async with running(upstreams={"openai": "http://127.0.0.1:1"}) as world:
        answer = await world.post()
        (completed,) = await world.responses()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (completed.outcome, completed.status) == (Outcome.UNREACHABLE, 502)
    assert (completed.error or "").startswith("upstream_refused: ")


async def leave(world: World, sent: bytes, until: Callable[[], bool], *, received: bytes = b"") -> None:
    """A client that sends, waits for bytes of the answer and for the provider to be somewhere, and hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(sent)
    async with asyncio.timeout(30):
        if received:
            await reader.readuntil(received)
        while not until():
            await asyncio.sleep(0.005)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def gone(world: World, ended: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await ended.wait()


LEAVING = {
    "before the answer": (b"", b"", True),
    "after the answer's head": (CHUNKED, b"\r\n\r\n", True),
    "in the middle of a stream": (CHUNKED + b"5\r\nhello\r\n", b"hello", True),
    "before the body's end": (b"", b"", False),
}


@pytest.mark.parametrize("durability", ["buffered", "strict"])
@pytest.mark.parametrize(("answered", "seen", "whole"), LEAVING.values(), ids=LEAVING)
async def test_a_client_that_leaves_ends_the_upstream_call(answered: bytes, seen: bytes, whole: bool, durability: str) -> None:
    ended = asyncio.Event()

    async def answer(peer: Peer, request: bytes) -> None:
        await peer.send(answered)
        await peer.gone()
        ended.set()

    async with running(answer, durability=durability) as world:
        body = POST + b"\r\n{}" if whole else b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 500_000
        began = (lambda: len(world.provider.requests) == 1) if whole else (lambda: len(world.provider.peers) == 1)
        await leave(world, body, began, received=seen)
        if whole:
            await gone(world, ended)
        (completed,) = await world.responses()
        assert len(await world.requests()) == 1
    assert completed.outcome is Outcome.INTERRUPTED_BY_CLIENT
    assert completed.status == (200 if answered else None)
    assert completed.error


DONE = {
    "after the end marker of a stream": (streamed(EVENTS, end=False), b"data: [DONE]\n\n"),
    "after all of a sized body": (sized(), ANSWER),
}


@pytest.mark.parametrize(("answering", "until"), DONE.values(), ids=DONE)
async def test_a_client_that_leaves_with_the_whole_answer_has_it(answering: Answering, until: bytes) -> None:
    async with running(answering) as world:
        await leave(world, POST + b"\r\n{}", lambda: True, received=until)
        (completed,) = await world.responses()
    assert completed.outcome is Outcome.COMPLETED
    assert completed.status == 200


async def test_half_a_close_is_leaving() -> None:
    async with running(raw(b"", then="stall"), limits=SHORT) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(POST + b"\r\n{}")
        await writer.drain()
        while not world.provider.requests:
            await asyncio.sleep(0.005)
        writer.write_eof()
        (completed,) = await world.responses()
        writer.close()
    assert completed.outcome is Outcome.INTERRUPTED_BY_CLIENT


async def test_a_slow_reader_holds_the_provider_back() -> None:
    written = 0

    async def answer(peer: Peer, request: bytes) -> None:
        nonlocal written
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(64):
            await peer.send(b"x" * (1 << 20))
            written += 1

    async with running(answer) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1 << 16)
        writer.write(b"GET /v1/x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        assert written < 40
        size = 0
        async with asyncio.timeout(20):
            while piece := await reader.read(1 << 20):
                size += len(piece)
        writer.close()
        (completed,) = await world.responses()
    assert size == 64 << 20
    assert completed.response.truncated
    assert completed.response.size == 64 << 20


async def test_strict_asks_nobody_when_the_log_takes_nothing() -> None:
    log = MemoryLog()
    log.fail_with(OSError("disk full"))
    async with running(log=log, durability="strict") as world:
        answer = await world.post()
        assert world.provider.requests == []
        ready = await world.talk(b"GET /readyz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        log.heal()
        (completed,) = await world.responses()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"log_unavailable" in answer
    assert ready.startswith(b"HTTP/1.1 503 ")
    assert (completed.outcome, completed.status) == (Outcome.REJECTED, 503)


STRICT = {
    "a sized answer": (sized(), ANSWER[-1:]),
    "a stream": (streamed(), b"[DONE]"),
    "a stream of messages": (
        streamed([b"event: ping\ndata: {}\n\n", b'event: message_stop\ndata: {"type":"message_stop"}\n\n'], end=False),
        b"message_stop",
    ),
    "a chunked answer": (streamed([b'{"a"', b":1}"], headers=b"Content-Type: application/json\r\n"), b"0\r\n\r\n"),
    "an answer cut anywhere": (raw(CHUNKED + b"8\r\ndata: [D\r\n7\r\nONE]\n\n\r\n0\r\n\r\n"), b"ONE]"),
}


@pytest.mark.parametrize(("answering", "end"), STRICT.values(), ids=STRICT)
async def test_strict_holds_the_end_back_until_it_is_written_down(answering: Answering, end: bytes) -> None:
    log = MemoryLog()
    async with running(answering, log=log, durability="strict", limits=TimeLimits(idle_s=60)) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        log_stalls_after_the_request(log)
        writer.write(POST + b"\r\n{}")
        seen = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                while True:
                    seen += await reader.read(65536)
        assert end not in seen
        assert len(await world.requests()) == 1
        log.heal()
        async with asyncio.timeout(30):
            while end not in seen:
                seen += await reader.read(65536)
            assert len(await world.responses()) == 1
        writer.close()


def log_stalls_after_the_request(log: MemoryLog) -> None:
    take = log.take

    async def taking(run: int, messages: object) -> None:
        await take(run, messages)  # type: ignore[arg-type]
        log.stall()
        log.take = take  # type: ignore[method-assign]

    log.take = taking  # type: ignore[method-assign,assignment]


async def test_strict_delivers_when_the_log_breaks_in_the_middle() -> None:
    log = MemoryLog()
    async with running(log=log, durability="strict") as world:
        log_stalls_after_the_request(log)
        answer = await world.post()
        log.heal()
        (completed,) = await world.responses()
    assert answer.endswith(ANSWER)
    assert completed.outcome is Outcome.COMPLETED


async def test_strict_writes_a_large_request_down_without_its_body() -> None:
    content = b'{"model": "gpt-4o", "x": "' + b"x" * 5_000 + b'"}'
    async with running(durability="strict", strict_body_bytes=2_000) as world:
        await world.post(body=content)
        (received,), (completed,) = await world.requests(), await world.responses()
        assert world.provider.requests[0].endswith(content)
    assert received.request.text is None
    assert (received.request.truncated, received.request.size) == (True, len(content))
    assert completed.call.model == "gpt-4o"
    assert completed.request_bytes == len(content)
