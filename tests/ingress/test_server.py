"""What is accepted as HTTP, for how long it is waited for, and how a worker ends."""

import asyncio
import contextlib
import json
import re
import time

import pytest

from eventlog.events import Outcome
from ingress.config import ClientLimits
from tests.fakes.ingress import HOST, running
from tests.fakes.provider import ANSWER, raw, sized
from tests.fakes.raw_server import Peer

POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
GET = b"GET /v1/models HTTP/1.1\r\n" + HOST
AMBIGUOUS = {
    "both framings": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET + b"\r\n", 400),
    "both framings, the other way": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    "a length twice": (POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "two lengths in one": (POST + b"Content-Length: 4, 5\r\n\r\nabcde", 400),
    "a length with a sign": (POST + b"Content-Length: +4\r\n\r\nabcd", 400),
    "a length that is none": (POST + b"Content-Length: 4x\r\n\r\nabcd", 400),
    "a folded header": (POST + b"X-One: a\r\n b\r\nContent-Length: 0\r\n\r\n", 400),
    "a folded first header": (b"POST / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "a space before the colon": (POST + b"Content-Length : 4\r\n\r\nabcd", 400),
    "an unknown transfer coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "a known one that is not done here": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked not last": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (b"POST /v1/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "a bad chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n", 400),
    "an endless chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n", 400),
    "chunks by line feed": (POST + b"Transfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n", 400),
    "a chunk longer than it said": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n", 400),
    "lines by line feed": (b"POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n", 400),
    "a NUL in a value": (POST + b"X-One: a\0b\r\nContent-Length: 0\r\n\r\n", 400),
    "a bare CR in a value": (POST + b"X-One: a\rb\r\nContent-Length: 0\r\n\r\n", 400),
    "a header name that is none": (POST + b"X One: a\r\nContent-Length: 0\r\n\r\n", 400),
    "a space in the path": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no host": (b"POST /v1/x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
    "two hosts": (POST + HOST + b"Content-Length: 0\r\n\r\n", 400),
    "two hosts in HTTP/1.0": (b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60, 400),
    "HTTP/3": (b"POST /v1/x HTTP/3.0\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 400),
    "HTTP/2": (b"GET /v1/x HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "a URL of another scheme": (b"GET ftp://localhost/v1/x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URL without a host": (b"GET http:///v1/x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URL with a user and no host": (b"GET http://me@/v1/x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an asterisk": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_ambiguous_requests_get_one_answer_and_the_connection_ends(sent: bytes, status: int) -> None:
    async with running() as world:
        answer = await world.talk(sent)
        statuses = re.findall(rb"HTTP/1\.1 (\d\d\d)", answer)
        await world.post()
        assert [request.split(b" ")[0] for request in world.provider.requests] == [b"POST"]
        assert len(await world.responses()) == 1
    assert statuses == [b"%d" % status], answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


async def test_byte_by_byte_is_ambiguous_too() -> None:
    sent = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd"
    async with running() as world:
        answer = await world.talk(*(sent[start : start + 7] for start in range(0, len(sent), 7)))
        (completed,) = await world.responses()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert completed.outcome is Outcome.INTERRUPTED_BY_CLIENT


async def test_what_follows_a_good_request_does_not_spoil_its_answer() -> None:
    async with running() as world:
        answer = await world.talk(GET + b"\r\nnonsense\r\n\r\n")
    first, second = re.split(rb"HTTP/1\.1 (?=\d)", answer)[1:]
    assert first.startswith(b"200 OK")
    assert first.endswith(ANSWER)
    assert second.startswith(b"400 ")


async def test_trailers_are_no_headers() -> None:
    sent = (
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        + b"X-Late: 1\r\nHelicone-User-Id: evil\r\nHost: evil\r\n\r\n"
    )
    async with running() as world:
        await world.talk(sent)
        (completed,) = await world.responses()
        assert b"x-late" not in world.provider.requests[0]
    assert completed.call.user_id is None


@pytest.mark.parametrize("line", [b"SOURCE /v1/x ICE/1.0", b"SOURCE /v1/x ICE/1.1", b"DESCRIBE /v1/x RTSP/1.0"])
async def test_protocols_that_the_parser_takes_for_http_are_not_proxied(line: bytes) -> None:
    async with running() as world:
        answer = await world.talk(line + b"\r\nConnection: close\r\n" + HOST + b"\r\n")
        assert world.provider.requests == []
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["param"] == "method"


ABSOLUTE = {
    "with a path": (b"http://localhost/v1/models?x=1", b"/v1/models?x=1"),
    "without": (b"http://groq.example", b"/"),
    "a query alone": (b"HTTP://groq.example?x=1", b"/?x=1"),
    "https": (b"https://groq.example:80/v1/x", b"/v1/x"),
    "a user": (b"http://me:secret@groq.example/v1/x", b"/v1/x"),
}


@pytest.mark.parametrize(("target", "path"), ABSOLUTE.values(), ids=ABSOLUTE)
async def test_the_absolute_form_of_a_target(target: bytes, path: bytes) -> None:
    async with running() as world:
        await world.talk(b"GET %b HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n" % target)
        assert world.provider.requests[0].startswith(b"GET %b HTTP/1.1\r\n" % path)


@pytest.mark.parametrize(
    "sent", [b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\nxx", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"]
)
async def test_targets_that_are_no_paths(sent: bytes) -> None:
    async with running() as world:
        answer = await world.talk(sent)
    assert re.match(rb"HTTP/1\.1 (501|404) ", answer)
    assert world.provider.requests == []


LARGE = {
    "one header": POST + b"X-Large: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "many headers": POST + b"".join(b"X-%d: %b\r\n" % (number, b"v" * 100) for number in range(700)) + b"Content-Length: 0\r\n\r\n",
    "a long path": b"GET /v1/" + b"x" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a head without end": POST + b"X-Large: " + b"x" * 400_000,
}


@pytest.mark.parametrize("sent", LARGE.values(), ids=LARGE)
async def test_a_head_that_is_too_large(sent: bytes) -> None:
    async with running() as world:
        answer = await world.talk(*(sent[start : start + 60_000] for start in range(0, len(sent), 60_000)))
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert world.provider.requests == []


async def test_a_large_head_within_the_limit_passes_before_a_large_body_and_after_it() -> None:
    head = POST + b"X-Large: " + b"x" * 60_000 + b"\r\nContent-Length: 200000\r\n"
    async with running() as world:
        body = b"y" * 200_000
        answer = await world.talk(head + b"\r\n" + body + head + b"Connection: close\r\n\r\n" + body)
        assert [len(request) > 260_000 for request in world.provider.requests] == [True, True]
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_a_head_that_is_too_slow() -> None:
    limits = ClientLimits(head_s=0.1)
    async with running(clients=limits) as world:
        began = time.monotonic()
        answer = await world.talk(POST + b"X-Slow: ")
        assert time.monotonic() - began < 2
        assert answer.startswith(b"HTTP/1.1 408 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        reading = asyncio.create_task(reader.read())
        for byte in POST:  # every byte in time, the head not
            if not reading.done():
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
        assert (await reading).startswith(b"HTTP/1.1 408 ")
        writer.close()
        assert (await world.post()).endswith(ANSWER)


async def test_a_silent_connection_is_closed_in_silence() -> None:
    async with running(clients=ClientLimits(keep_alive_s=1)) as world:
        assert await world.talk() == b""
        assert (await world.talk(GET + b"\r\n")).endswith(ANSWER)


async def test_a_client_that_stops_sending_has_left() -> None:
    async with running(clients=ClientLimits(stalled_s=0.2)) as world:
        with contextlib.suppress(ConnectionError):
            await world.talk(POST + b"Content-Length: 100\r\n\r\nabc")
        (completed,) = await world.responses()
    assert completed.outcome is Outcome.INTERRUPTED_BY_CLIENT


async def test_expect_is_answered_before_the_body_is_sent() -> None:
    async with running() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(30):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"{}")
            assert (await reader.read()).endswith(ANSWER)
        writer.close()
        assert b"expect" not in world.provider.requests[0].lower()


async def test_a_hundred_megabytes_pass_in_constant_memory() -> None:
    total, piece = 100 << 20, b"x" * (1 << 20)

    async def answer(peer: Peer, request: bytes) -> None: ...

    async with running() as world:
        world.provider.requests.clear()
        sizes: list[int] = []

        async def swallow(peer: Peer) -> None:
            left = total
            while left:
                left -= len(await peer.reader.read(1 << 20))
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        from tests.fakes.raw_server import raw_server  # noqa: PLC0415

        async def script(peer: Peer) -> None:
            await peer.head()
            await swallow(peer)

        async with raw_server(script) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            head = b"POST /v1/x HTTP/1.1\r\n%bHelicone-Target-URL: http://127.0.0.1:%d\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % (HOST, server.port, total))
            for _ in range(100):
                writer.write(piece)
                await writer.drain()
                sizes.append(memory())
            async with asyncio.timeout(20):
                assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            writer.close()
        (completed,) = await world.responses()
    assert completed.request_bytes == total
    assert max(sizes) - sizes[0] < 60 << 20


def memory() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


async def test_a_worker_that_is_told_to_stop_lets_calls_end_and_empties_the_emitter() -> None:
    release = asyncio.Event()

    async def answer(peer: Peer, request: bytes) -> None:
        await release.wait()
        await sized()(peer, request)

    async with running(answer) as world:
        calling = asyncio.create_task(world.talk(GET + b"\r\n"))
        while not world.provider.requests:
            await asyncio.sleep(0.005)
        log = world.log
        asyncio.get_running_loop().call_later(0.2, release.set)
    assert (await calling).endswith(ANSWER)  # after stop was set
    assert b"\r\nconnection: close\r\n" in await calling
    assert len(log.messages("llm.responses.v1")) == 1


async def test_calls_that_outlast_the_drain_are_cut_and_written_down() -> None:
    async with running(raw(b"", then="stall"), clients=ClientLimits(drain_s=0)) as world:
        calling = asyncio.create_task(world.talk(GET + b"\r\n"))
        while not world.provider.requests:
            await asyncio.sleep(0.005)
        log = world.log
    with contextlib.suppress(ConnectionError):
        assert await calling == b""
    assert b'"outcome":"abandoned"' in log.messages("llm.responses.v1")[0].value


STRAY = {"a blank line": b"\r\n", "blank lines": b"\r\n" * 40, "a call and a blank line": GET + b"\r\n\r\n"}


@pytest.mark.parametrize("sent", STRAY.values(), ids=STRAY)
async def test_a_connection_that_sends_no_request_is_idle_whatever_it_sends(sent: bytes) -> None:
    async with running(clients=ClientLimits(keep_alive_s=1)) as world:
        await world.talk(sent)


async def test_blank_lines_now_and_then_keep_no_connection_open() -> None:
    async with running(clients=ClientLimits(keep_alive_s=1)) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        reading = asyncio.create_task(reader.read())
        async with asyncio.timeout(30):
            while not reading.done():
                writer.write(b"\r\n")
                await asyncio.sleep(0.05)
        writer.close()
        assert reading.result() == b""


async def test_a_call_that_begins_late_is_not_idle() -> None:
    async def slow(peer: Peer, request: bytes) -> None:
        await asyncio.sleep(1.5)
        await sized()(peer, request)

    async with running(slow, clients=ClientLimits(keep_alive_s=1)) as world:
        answer = await world.talk(b"\r\n", GET[:10], GET[10:] + b"Connection: close\r\n\r\n")
    assert answer.endswith(ANSWER)


AFTER_A_BODY = {
    "many trailers": [b"0\r\n", *[b"X-%d: %b\r\n" % (number, b"v" * 1_000) for number in range(200)]],
    "one without end": [b"0\r\nX-Late: ", *[b"v" * 10_000] * 20],
    "a chunk extension without end": [b"1;a=", *[b"v" * 10_000] * 20],
    "blank lines without end": [b"0\r\n\r\n", *[b"\r\n" * 5_000] * 20],
}


@pytest.mark.parametrize("pieces", AFTER_A_BODY.values(), ids=AFTER_A_BODY)
async def test_what_is_no_body_may_not_go_on_for_ever(pieces: list[bytes]) -> None:
    async with running() as world:
        answer = await world.talk(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", *pieces)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer)[-1] == b"431"


async def test_a_long_body_of_small_chunks_is_no_trailer() -> None:
    chunk = b"1;x=%b\r\n{\r\n" % (b"y" * 50)
    async with running() as world:
        sent = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await world.talk(sent, *[chunk * 500] * 10, b"0\r\nX-Late: 1\r\n\r\n")
        assert world.provider.requests[0].count(b"{") >= 1
    assert answer.endswith(ANSWER)


TOLD = {
    "no host": (b"POST /v1/x HTTP/1.1\r\n", "Host"),
    "a transfer coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding"),
    "a target": (b"POST ftp://h/x HTTP/1.1\r\n" + HOST, "path"),
}


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
@pytest.mark.parametrize(("sent", "field"), TOLD.values(), ids=TOLD)
async def test_refusals_name_what_is_wrong_in_the_dialect_of_the_client(sent: bytes, field: str, anthropic: bool) -> None:
    async with running() as world:
        answer = await world.talk(sent + (b"anthropic-version: 2023-06-01\r\n\r\n" if anthropic else b"\r\n"))
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert told["error"]["param"] == field
    assert told.get("type") == ("error" if anthropic else None)
