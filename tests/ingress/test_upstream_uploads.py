"""Streamed request bodies: in constant memory, ended early when the provider has answered, never framed wrongly."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingress.errors import BadRequest, Interrupted, TimedOut
from ingress.upstream import Answer, Origin, TimeLimits, Upstream
from tests.fakes.calling import EMPTY, OK, answering, ask, counts, stall, until, upstream, whole
from tests.fakes.raw_server import Peer, raw_server

MIB = 1 << 20
PATIENT = TimeLimits(connect_s=5, first_byte_s=20, idle_s=20)


async def of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Endless:
    """A body without end; it knows how many pieces were taken, and whether it was closed."""

    def __init__(self, size: int = 10_000) -> None:
        self.taken = 0
        self.closed = False
        self._size = size

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.taken += 1
                yield b"x" * self._size
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def put(up: Upstream, port: int, body: AsyncIterator[bytes], length: int | None = None) -> Answer:
    return await up.send(Origin("http", "127.0.0.1", port), b"PUT", b"/", [], body, content_length=length)


async def test_an_early_refusal_ends_the_upload() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await peer.gone()

    body = Endless()
    async with raw_server(refuse) as server, upstream() as up:
        answer = await ask(up, server.port, b"POST", body.pieces())
        await until(lambda: body.closed)
        assert (answer.status, await whole(answer)) == (413, b"no")
        assert counts(up, server) == (0, 0)


async def test_a_whole_upload_is_not_spoilt_by_a_refusal() -> None:
    async with raw_server(answering(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n")) as server, upstream() as up:
        for _ in range(2):
            answer = await put(up, server.port, of(b"abc"), 3)
            await until(lambda answer=answer: answer._connection._upload is None)  # type: ignore[misc]
            assert answer.status == 429
            answer.close()
    assert len(server.peers) == 1


async def test_an_answer_may_begin_before_the_upload_ends() -> None:
    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(2):
            await peer.send(b"5\r\n" + (await peer.reader.readexactly(5)) + b"\r\n")
        await peer.send(b"0\r\n\r\n")
        await peer.gone()

    async def speaking() -> AsyncIterator[bytes]:
        yield b"first"
        await heard.wait()
        yield b"other"

    heard = asyncio.Event()
    async with raw_server(echo) as server, upstream() as up:
        answer = await put(up, server.port, speaking(), 10)
        assert await answer.read() == b"first"
        heard.set()
        assert await whole(answer) == b"other"
        assert counts(up, server) == (1, 1)


async def test_a_complete_answer_before_the_uploads_end_is_not_reused() -> None:
    async def hasty(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nok")
        await peer.gone()

    body = Endless()
    async with raw_server(hasty) as server, upstream(limits=PATIENT) as up:
        answer = await put(up, server.port, body.pieces())
        assert await whole(answer) == b"ok"
        assert counts(up, server) == (0, 0)
        await until(lambda: body.closed)


async def test_a_body_that_fails_to_be_read_fails_the_call() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("the client left")

    async with raw_server(stall) as server, upstream() as up:
        with pytest.raises(LookupError):
            await ask(up, server.port, b"POST", failing())
        assert counts(up, server) == (0, 0)


LENGTHS = {
    "too short": (of(b"abc"), 5),
    "too long": (of(b"abc", b"def"), 5),
    "nothing at all": (of(), 1),
    "more than nothing": (of(b"a"), 0),
}


@pytest.mark.parametrize(("body", "length"), LENGTHS.values(), ids=LENGTHS)
async def test_a_body_of_another_length_than_announced_is_never_passed_off(body: AsyncIterator[bytes], length: int) -> None:
    async with raw_server(stall) as server, upstream() as up:
        with pytest.raises(BadRequest) as caught:
            await put(up, server.port, body, length)
        assert caught.value.field == "Content-Length"
        assert counts(up, server) == (0, 0)


async def test_a_cancelled_upload_leaves_nothing() -> None:
    body = Endless()
    async with raw_server(stall) as server, upstream(limits=PATIENT) as up:
        before = asyncio.all_tasks()
        call = asyncio.create_task(put(up, server.port, body.pieces()))
        await until(lambda: body.taken > 3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert counts(up, server) == (0, 0)
        await until(lambda: body.closed)
        await until(lambda: len(asyncio.all_tasks() - before - {server.peers[0].task}) == 0)


async def test_a_provider_that_takes_no_more_times_out() -> None:
    async def full(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    body = Endless(MIB)
    async with raw_server(full) as server, upstream(limits=TimeLimits(first_byte_s=20, idle_s=0.2)) as up:
        with pytest.raises(TimedOut, match=r"took no more of the request.*HELIOGRAPH_LIMITS__IDLE_S") as caught:
            await put(up, server.port, body.pieces())
        assert not caught.value.begun
        await until(lambda: body.closed)
    assert body.taken < 64


async def test_a_slow_client_is_no_silent_provider() -> None:
    async def pausing() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.3)
        yield b"b"

    limits = TimeLimits(first_byte_s=0.1, idle_s=0.1)
    async with raw_server(answering(EMPTY)) as server, upstream(limits=limits) as up:
        (await put(up, server.port, pausing(), 2)).close()


async def test_an_answer_that_stalls_during_the_upload_times_out() -> None:
    async def half(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK + b"Content-Length: 5\r\n\r\nab")
        await peer.gone()

    async def silent() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async with raw_server(half) as server, upstream() as up:
        answer = await put(up, server.port, silent())
        with pytest.raises(TimedOut):
            await whole(answer)


async def test_a_provider_that_resets_during_the_upload_is_an_interruption() -> None:
    async def leave(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(10_000)
        peer.reset()

    body = Endless()
    async with raw_server(leave) as server, upstream(limits=PATIENT) as up:
        with pytest.raises(Interrupted) as caught:
            await put(up, server.port, body.pieces())
        assert not caught.value.begun
        await until(lambda: body.closed)


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_a_large_upload_waits_for_the_provider(chunked: bool) -> None:
    total, taken, ahead = 50 * MIB, 0, 0

    async def slow(peer: Peer) -> None:
        nonlocal taken
        await peer.head()
        while piece := await peer.reader.read(MIB):
            taken += len(piece)
            if taken >= total + (50 * 10 + 5 if chunked else 0):  # "100000\r\n" and "\r\n" for each, and the last chunk
                break
        await peer.send(EMPTY)

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal ahead
        for number in range(50):
            ahead = max(ahead, number * MIB - taken)
            yield b"x" * MIB

    async with raw_server(slow) as server, upstream(limits=PATIENT) as up:
        answer = await put(up, server.port, pieces(), None if chunked else total)
        answer.close()
    assert taken >= total
    assert ahead < 20 * MIB
