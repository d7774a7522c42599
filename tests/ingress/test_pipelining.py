"""Several requests on one connection: in order, in bounded memory, and one that cannot be understood spoils none before it."""

import asyncio
import re

import pytest

from eventlog.events import Outcome
from ingress.config import ClientLimits
from ingress.exchange import Exchange
from ingress.server import ClientProtocol
from tests.fakes.ingress import HOST, running, serving
from tests.fakes.provider import ANSWER, EVENTS, Answering, sized, streamed
from tests.fakes.raw_server import Peer

GET = b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def after(gate: asyncio.Event, answer: Answering) -> Answering:
    async def answering(peer: Peer, request: bytes) -> None:
        await gate.wait()
        await answer(peer, request)

    return answering


def answers_in(received: bytes) -> list[bytes]:
    return re.split(rb"HTTP/1\.1 (?=\d{3} )", received)[1:]


async def test_what_waits_is_bounded_however_much_is_sent() -> None:
    connections: list[ClientProtocol] = []
    waiting: list[int] = []
    answered = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        waiting.append(len(connections[0].pipeline))
        await asyncio.sleep(0)  # the loop reads what it may
        exchange.answer(200, [], b"")
        if len(waiting) == 200:
            answered.set()

    async with serving(handle, connections) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(reader.read())
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 300_000)
        async with asyncio.timeout(20):
            await answered.wait()
        writer.transport.abort()
        reading.cancel()
    assert max(waiting) <= waiting[1] + 1


LATE_FAULTS = {
    "no HTTP": b"nonsense\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a bad body": CHUNKED + b"zz\r\n",
}


@pytest.mark.parametrize("ours", [False, True], ids=["a call", "a route of our own"])
@pytest.mark.parametrize("fault", LATE_FAULTS.values(), ids=LATE_FAULTS)
async def test_a_refusal_comes_after_the_answers_before_it(fault: bytes, ours: bool) -> None:
    gate = asyncio.Event()
    first = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n" if ours else GET
    async with running(after(gate, streamed())) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(first + GET + fault)
        await asyncio.sleep(0.05)
        gate.set()
        async with asyncio.timeout(30):
            answers = answers_in(await reader.read())
        writer.close()
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"400"]
    assert answers[1].endswith(b"0\r\n\r\n")
    assert answers[1].count(b"data: ") == len(EVENTS)


async def test_a_refusal_in_the_middle_of_a_stream_waits_for_its_end() -> None:
    async with running(streamed(EVENTS * 20)) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(GET)
        async with asyncio.timeout(30):
            seen = await reader.readuntil(EVENTS[0])
            writer.write(b"nonsense\r\n\r\n")
            seen += await reader.read()
        writer.close()
    stream, refusal = answers_in(seen)
    assert stream.count(b"data: ") == len(EVENTS) * 20
    assert stream.endswith(b"0\r\n\r\n")
    assert refusal.startswith(b"400 ")


async def test_a_body_that_cannot_be_read_on_ends_its_own_call() -> None:
    async with running() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(GET + CHUNKED)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(ANSWER)
            while not any(b"POST" in peer.received for peer in world.provider.peers):  # the second call is under way
                await asyncio.sleep(0.005)
            writer.write(b"2\r\n{}\r\nzz\r\n")
            answer += await reader.read()
        writer.close()
        first, second = await world.responses(2)
    assert [answer[:3] for answer in answers_in(answer)] == [b"200", b"400"]
    assert (first.outcome, second.outcome) == (Outcome.COMPLETED, Outcome.INTERRUPTED_BY_CLIENT)


async def test_one_slow_answer_does_not_lose_the_rest_of_a_pipelined_head() -> None:
    """While we do not read, a client cannot complete its head: that time is not held against it."""
    gate = asyncio.Event()
    async with running(after(gate, sized()), clients=ClientLimits(head_s=0.2)) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(GET + GET + GET[:20])
        await asyncio.sleep(0.05)
        writer.write(GET[20:-2] + b"Connection: close\r\n\r\n")
        asyncio.get_running_loop().call_later(0.5, gate.set)
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
    assert answer.count(ANSWER) == 3
    assert len(answers_in(answer)) == 3
