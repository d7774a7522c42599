"""Short pieces of a stream go out with the next one: its bytes stay, its end waits for nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from ingress.cache_store import SharedCache
from ingress.connection import Answer
from ingress.errors import Interrupted
from ingress.joining import JoinedAnswer
from tests.fakes.ingress import World, headers_of, running
from tests.fakes.provider import EVENTS, Answering, streamed
from tests.fakes.raw_server import Peer

FORCED = b"Helicone-Stream-Force-Format: true\r\n"
DONE = b"data: [DONE]\n\n"


class Pieces(Answer):
    """An answer that comes in these pieces, one at a time; then it ends, or breaks off."""

    def __init__(self, pieces: Sequence[bytes], error: Interrupted | None = None) -> None:
        self.status, self.reason, self.headers, self.content_length = 200, b"", [], None
        self.complete, self.framed = False, True
        self.left = list(pieces)
        self.error = error
        self.closed = False

    def take(self) -> bytes | None:
        if self.left:
            return self.left.pop(0)
        if self.error is not None:
            raise self.error
        self.complete = True
        return b""

    async def read(self) -> bytes:
        return self.take() or b""

    def close(self) -> None:
        self.closed = True


async def by_reading(answer: Answer) -> list[bytes]:
    found = []
    while piece := await answer.read():
        found.append(piece)
    return found


async def by_taking(answer: Answer) -> list[bytes]:
    """As the relay does: what is there, else what comes."""
    found = []
    while piece := answer.take() or await answer.read():
        found.append(piece)
    return found


LONG = b"x" * 50
JOINED: dict[str, tuple[list[bytes], list[bytes]]] = {
    "long ones": ([LONG, LONG], [LONG, LONG]),
    "short ones": ([b"a", b"b", b"c"], [b"abc"]),
    "until they are long enough": ([b"a" * 30, b"b" * 30, b"c" * 30], [b"a" * 30 + b"b" * 30, b"c" * 30]),
    "just too short": ([b"a" * 49, LONG], [b"a" * 49 + LONG]),
    "the end marker": ([b"data: a\n\n", DONE, b"\n"], [b"data: a\n\n" + DONE, b"\n"]),
    "the end marker in two": ([b"data: [DO", b"NE]\n\n", b"\n"], [DONE, b"\n"]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("pieces", "joined"), JOINED.values(), ids=JOINED)
@pytest.mark.parametrize("reading", [by_reading, by_taking])
async def test_pieces(pieces: list[bytes], joined: list[bytes], reading: Callable[[Answer], Awaitable[list[bytes]]]) -> None:
    answer = JoinedAnswer(Pieces(pieces))
    assert await reading(answer) == joined
    assert answer.complete


async def test_what_came_before_it_broke_off_is_the_clients() -> None:
    for taking in (True, False):
        inner = Pieces([b"short"], Interrupted("x", begun=True))
        answer = JoinedAnswer(inner)
        assert (answer.take() if taking else None) is None
        assert await answer.read() == b"short"
        with pytest.raises(Interrupted):
            answer.take()
        with pytest.raises(Interrupted):
            await answer.read()
        answer.close()
        assert (answer.complete, inner.closed) == (False, True)


def chunks_in(answer: bytes) -> list[bytes]:
    rest, found = answer.partition(b"\r\n\r\n")[2], []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return [chunk for chunk in found if chunk]


SMALL = [b"data: %d\n\n" % number for number in range(20)]


@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_through_the_ingress(durability: str) -> None:
    async with running(streamed([*SMALL, *EVENTS]), durability=durability) as world:
        plain, joined = [chunks_in(await world.post(headers=headers)) for headers in (b"", FORCED)]
        assert b"".join(plain) == b"".join(joined) == b"".join([*SMALL, *EVENTS])
        assert len(joined) < len(plain)
        assert all(len(chunk) >= 50 for chunk in joined if DONE not in chunk)
        for response in await world.responses(2):
            assert response.response.text == b"".join(plain).decode()


@pytest.mark.parametrize("durability", ["buffered", "strict"])
async def test_what_is_kept_is_what_came(durability: str, cache: SharedCache) -> None:
    """Whoever asks for joined pieces says nothing of those who ask next."""
    async with running(streamed([*SMALL, *EVENTS]), durability=durability, cache=cache) as world:
        enabled = b"Helicone-Cache-Enabled: true\r\n"
        first, plain, again = [await world.post(headers=enabled + headers) for headers in (FORCED, b"", FORCED)]
        assert [headers_of(answer)["helicone-cache"] for answer in (first, plain, again)] == ["MISS", "HIT", "HIT"]
        assert chunks_in(plain) == [*SMALL, *EVENTS]
        for joined in map(chunks_in, (first, again)):
            assert b"".join(joined) == b"".join([*SMALL, *EVENTS])
            assert len(joined) < len(SMALL)
        assert len(world.provider.requests) == 1


async def first_chunk_of(world: World) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + FORCED + b"Content-Length: 2\r\n\r\n{}")
    try:
        async with asyncio.timeout(30):
            await reader.readuntil(b"\r\n\r\n")
            return await reader.readuntil(DONE)
    finally:
        writer.close()


async def test_the_end_marker_does_not_wait_for_the_connections_end() -> None:
    async def answer(peer: Peer, request: bytes) -> None:
        await streamed([b"data: a\n\n", DONE], end=False)(peer, request)
        await peer.gone()

    async with running(answer) as world:
        assert (await first_chunk_of(world)).endswith(b"data: a\n\n" + DONE)


ALONE: dict[str, Answering] = {
    "no stream": streamed(SMALL, headers=b"Content-Type: text/plain\r\n"),
    "an encoded one": streamed(SMALL, headers=b"Content-Type: text/event-stream\r\nContent-Encoding: br\r\n"),
}


@pytest.mark.parametrize("answer", ALONE.values(), ids=ALONE)
async def test_what_is_left_alone(answer: Answering) -> None:
    async with running(answer) as world:
        assert len(chunks_in(await world.post(headers=FORCED))) > 5
