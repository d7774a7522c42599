"""The client side towards providers: every framing, every slicing, every way to break."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.errors import HeaderRefused, Interrupted, Refused, TargetRefused, TimedOut, TlsFailed, Unresolved, UpstreamError
from ingress.upstream import Origin, TimeLimits
from tests.fakes.calling import OK, answering, ask, counts, in_turn, stall, stall_midway, until, upstream, whole
from tests.fakes.raw_server import Peer, Script, raw_server

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "sized": (b"GET", OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "empty": (b"GET", OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "chunked": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n", b"hello", True),
    "chunked with trailers": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello", True),
    "until the end of the connection": (b"GET", OK + b"X-B: 2\r\n\r\nhello", b"hello", False),
    "an old server": (b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "after an interim answer": (b"GET", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "HEAD": (b"HEAD", OK + b"Content-Length: 5\r\n\r\n", b"", False),
    "HEAD of nothing": (b"HEAD", OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"", True),
    "304 with a length": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", False),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "many interim answers": (b"GET", b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nab", b"ab", True),
    "interim, then trailers": (b"GET", b"HTTP/1.1 102 P\r\n\r\n" + CHUNKED + b"1\r\na\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", b"a", True),
    "HEAD that would be chunked": (b"HEAD", CHUNKED, b"", False),
    "HEAD of unknown length": (b"HEAD", OK + b"X-A: 1\r\n\r\n", b"", False),
    "304 that would be chunked": (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", b"", False),
    "no reason": (b"GET", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab", b"ab", True),
    "an unknown status": (b"GET", b"HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nab", b"ab", True),
    "an upgrade that is only offered": (b"GET", OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nab", b"ab", True),
    "an old server, chunked": (b"GET", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", b"a", False),
    "coding in capitals": (b"GET", OK + b"transfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", b"a", True),
    "closing": (b"GET", OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
}


@pytest.mark.parametrize("every", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize(("method", "sent", "body", "kept"), ANSWERS.values(), ids=ANSWERS)
async def test_answers_in_every_framing(method: bytes, sent: bytes, body: bytes, kept: bool, every: int | None) -> None:
    async with raw_server(answering(sent, every=every, close=not kept)) as server, upstream() as up:
        for _ in range(2):
            answer = await ask(up, server.port, method)
            assert await whole(answer) == body
    assert len(server.peers) == (1 if kept else 2)


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(1, 120), max_size=8))
async def test_any_slicing_gives_the_same_bytes(cuts: list[int]) -> None:
    sent = OK + b"X-Long: " + b"v" * 40 + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    edges = sorted({min(cut, len(sent)) for cut in cuts} | {0, len(sent)})

    async def script(peer: Peer) -> None:
        await peer.request()
        for start, end in pairwise(edges):
            await peer.send(sent[start:end])
            await asyncio.sleep(0.001)

    async with raw_server(script) as server, upstream() as up:
        assert await whole(await ask(up, server.port)) == b"hello world"


async def test_a_large_body_in_one_piece_with_its_head_is_no_large_head() -> None:
    body = b"x" * 200_000
    async with (
        raw_server(answering(OK + b"X-A: " + b"y" * 60_000 + b"\r\nContent-Length: 200000\r\n\r\n" + body)) as server,
        upstream() as up,
    ):
        assert await whole(await ask(up, server.port)) == body


async def test_a_reason_is_not_taken_from_the_call_before() -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(in_turn(missing, b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")) as server, upstream() as up:
        reasons = []
        for _ in range(2):
            answer = await ask(up, server.port)
            reasons.append(answer.reason)
            answer.close()
    assert reasons == [b"Not Found", b""]


async def test_the_head_is_given_as_it_came_less_hop_by_hop() -> None:
    head = OK + b"X-Case: One\r\nx-case: two\r\nConnection: X-Named\r\nX-Named: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(head)) as server, upstream() as up:
        answer = await ask(up, server.port)
        answer.close()
    assert (answer.status, answer.reason) == (200, b"OK")
    assert answer.headers == [(b"X-Case", b"One"), (b"x-case", b"two"), (b"Content-Length", b"0")]


async def test_what_is_written() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"hel"
        yield b""
        yield b"lo"

    async with raw_server(answering(OK + b"Content-Length: 0\r\n\r\n")) as server, upstream() as up:
        host = f"host: 127.0.0.1:{server.port}\r\n".encode()
        for body, tail in (
            (None, b"\r\n"),
            (b"", b"content-length: 0\r\n\r\n"),
            (b"hello", b"content-length: 5\r\n\r\nhello"),
            (pieces(), b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        ):
            server.peers and server.peers[0].received.clear()
            await whole(await ask(up, server.port, b"POST", body))
            assert bytes(server.peers[0].received) == b"POST /x HTTP/1.1\r\n" + host + b"x-a: 1\r\n" + tail
        server.peers[0].received.clear()
        answer = await up.send(Origin("http", "127.0.0.1", server.port), b"PUT", b"/", [], pieces(), content_length=5)
        await whole(answer)
        assert server.peers[0].received.endswith(b"content-length: 5\r\n\r\nhello")


BROKEN = {
    "closed without an answer": (b"", False),
    "half a head": (OK + b"X-A", False),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", False),
    "both framings": (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", False),
    "a huge head": (OK + b"X-A: " + b"x" * 70_000, False),
    "a protocol nobody asked for": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", False),
    "interim answers without end": (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3_000, False),
    "a status below 100": (b"HTTP/1.1 099 Odd\r\n\r\n", False),
    "HTTP/2 in plain": (b"HTTP/2 200 OK\r\n\r\n", False),
    "two lengths": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", False),
    "a list of lengths": (OK + b"Content-Length: 2, 2\r\n\r\nab", False),
    "a length with a sign": (OK + b"Content-Length: +2\r\n\r\nab", False),
    "a length beyond counting": (OK + b"Content-Length: 99999999999999999999\r\n\r\nab", False),
    "an empty length": (OK + b"Content-Length: \r\n\r\nab", False),
    "a folded header": (OK + b"X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n", False),
    "a bare CR": (OK + b"X-A: a\rX-B: b\r\nContent-Length: 0\r\n\r\n", False),
    "a NUL": (OK + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n", False),
    "a space before the colon": (OK + b"X-A : a\r\nContent-Length: 0\r\n\r\n", False),
    "lines that end in LF alone": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", False),
    "a coding nobody asked for": (OK + b"Transfer-Encoding: gzip\r\n\r\nab", False),
    "two codings": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", False),
    "a coding like chunked": (OK + b"Transfer-Encoding: xchunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", False),
    "chunked twice": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    "a chunk beyond counting": (CHUNKED + b"fffffffffffffffff\r\nab", True),
    "a chunk of LF alone": (CHUNKED + b"2\nab\n0\n\n", True),
    "trailers without end": (CHUNKED + b"2\r\nab\r\n0\r\n" + b"X-A: b\r\n" * 20_000, True),
    "an extension without end": (CHUNKED + b"2;" + b"x" * 300_000, True),
    "half a sized body": (OK + b"Content-Length: 10\r\n\r\nhello", True),
    "half a chunked body": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", True),
    "a bad chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello", True),
}


@pytest.mark.parametrize(("sent", "begun"), BROKEN.values(), ids=BROKEN)
async def test_broken_answers_are_interruptions(sent: bytes, begun: bool) -> None:
    async with raw_server(answering(sent, close=True)) as server, upstream() as up:
        with pytest.raises(Interrupted) as caught:
            await whole(await ask(up, server.port))
        assert caught.value.begun is begun
        assert counts(up, server) == (0, 0)


SURPLUS = {
    "a second answer": (b"GET", OK + b"Content-Length: 2\r\n\r\nab" + OK + b"\r\n", b"ab"),
    "the first letter of one": (b"GET", OK + b"Content-Length: 2\r\n\r\nabH", b"ab"),
    "half a head": (b"GET", OK + b"Content-Length: 2\r\n\r\nab" + OK + b"X-Poison: 1", b"ab"),
    "anything": (b"GET", OK + b"Content-Length: 2\r\n\r\nab!", b"ab"),
    "behind the last chunk": (b"GET", CHUNKED + b"2\r\nab\r\n0\r\n\r\nHTTP/1.1 2", b"ab"),
    "a body where none may be": (b"GET", b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nab", b""),
    "a body upon HEAD": (b"HEAD", OK + b"Content-Length: 2\r\n\r\nab", b""),
    "a chunk upon HEAD": (b"HEAD", CHUNKED + b"2", b""),
}


@pytest.mark.parametrize(("method", "sent", "body"), SURPLUS.values(), ids=SURPLUS)
async def test_surplus_bytes_end_the_connection(method: bytes, sent: bytes, body: bytes) -> None:
    async with raw_server(answering(sent)) as server, upstream() as up:
        for _ in range(2):
            assert await whole(await ask(up, server.port, method)) == body
    assert len(server.peers) == 2


LATE = {
    "HEAD": (b"HEAD", OK + b"Content-Length: 60\r\n\r\n"),
    "chunked HEAD": (b"HEAD", CHUNKED),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n"),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\n\r\n"),
    "chunked 304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
}


@pytest.mark.parametrize(("method", "head"), LATE.values(), ids=LATE)
async def test_a_body_that_comes_late_where_none_may_be_is_not_the_next_caller_s_answer(method: bytes, head: bytes) -> None:
    """The provider sends what it announced only once the next call is on its way."""

    async def late(peer: Peer) -> None:
        await peer.request()
        await peer.send(head if peer is server.peers[0] else OK + b"Content-Length: 4\r\n\r\ntrue")
        await peer.request()
        await peer.send(OK + b"Content-Length: 8\r\n\r\npoisoned")

    async with raw_server(late) as server, upstream() as up:
        assert await whole(await ask(up, server.port, method)) == b""
        assert await whole(await ask(up, server.port)) == b"true"


async def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    async def speak_up(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nab")
        await said.wait()
        await peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await peer.gone()

    said = asyncio.Event()
    async with raw_server(speak_up) as server, upstream() as up:
        await whole(await ask(up, server.port))
        assert counts(up, server) == (1, 1)
        said.set()
        await until(lambda: counts(up, server) == (0, 0))
        assert await whole(await ask(up, server.port)) == b"ab"


@pytest.mark.parametrize(("script", "begun"), [(stall, False), (stall_midway, True)], ids=["before", "midway"])
async def test_a_provider_that_falls_silent_times_out(script: Script, begun: bool) -> None:
    async with raw_server(script) as server, upstream() as up:
        with pytest.raises(TimedOut) as caught:
            await whole(await ask(up, server.port))
        assert caught.value.begun is begun


@pytest.mark.parametrize(
    "head", [OK + b"Content-Length: 10\r\n\r\n", CHUNKED + b"a\r\n", OK + b"X-A: 1\r\n\r\n"], ids=["sized", "chunked", "until EOF"]
)
async def test_a_reader_who_comes_late_still_learns_that_the_time_was_up(head: bytes) -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(head + b"hello")
        await peer.gone()

    async with raw_server(half) as server, upstream() as up:
        answer = await ask(up, server.port)
        await until(lambda: counts(up, server) == (0, 0))
        await asyncio.sleep(0.02)  # the transport tells of the end that we made; that is no end of the answer
        assert await answer.read() == b"hello"
        for _ in range(2):
            with pytest.raises(TimedOut):
                await answer.read()


async def test_an_answer_that_goes_on_may_take_longer_than_any_limit() -> None:
    async def dripping(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.02)
            await peer.send(b"x")
        await peer.gone()

    limits = TimeLimits(first_byte_s=0.1, idle_s=0.1)
    async with raw_server(dripping) as server, upstream(limits=limits) as up:
        assert await whole(await ask(up, server.port)) == b"x" * 10


async def test_pieces_are_handed_on_as_they_come() -> None:
    heard = asyncio.Event()

    async def waiting(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"3\r\none\r\n")
        await heard.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")
        await peer.gone()

    async with raw_server(waiting) as server, upstream() as up:
        answer = await ask(up, server.port)
        assert await answer.read() == b"one"
        assert answer.take() is None
        heard.set()
        assert await answer.read() == b"two"
        assert await answer.read() == b""
        assert answer.take() == b""


async def test_a_reset_is_no_end_of_an_answer_of_unknown_length() -> None:
    async def reset(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"X-A: 1\r\n\r\nhello")
        await taken.wait()
        linger = peer.writer.transport.get_extra_info("socket")
        linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.reset()

    taken = asyncio.Event()
    async with raw_server(reset) as server, upstream() as up:
        answer = await ask(up, server.port)
        assert await answer.read() == b"hello"
        taken.set()
        with pytest.raises(Interrupted):
            await answer.read()


async def test_a_slow_reader_is_no_silent_provider() -> None:
    size = 4 << 20
    async with raw_server(answering(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)) as server, upstream() as up:
        answer = await ask(up, server.port)
        await asyncio.sleep(0.8)
        assert answer._unread <= 1 << 20  # what one read of the loop may bring beyond the limit
        assert len(await whole(answer)) == size


async def test_a_closed_connection_is_not_used_again_and_nothing_is_sent_twice() -> None:
    async with raw_server(answering(OK + b"Content-Length: 2\r\n\r\nab", close=True)) as server, upstream() as up:
        for _ in range(3):
            await whole(await ask(up, server.port))
            await asyncio.sleep(0.02)
    assert len(server.peers) == 3


async def test_a_connection_that_dies_under_a_request_is_an_interruption() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nab")
        await peer.request()
        peer.reset()

    async with raw_server(once) as server, upstream() as up:
        await whole(await ask(up, server.port))
        with pytest.raises(Interrupted):
            await ask(up, server.port)
    assert len(server.peers) == 1


async def test_unreachable_providers() -> None:
    async with upstream() as up:
        with pytest.raises(Refused):
            await up.send(Origin("http", "127.0.0.1", 1), b"GET", b"/", [], None)
        with pytest.raises(Unresolved):
            await up.send(Origin("http", "nowhere.invalid", 80), b"GET", b"/", [], None)


async def test_private_targets_are_refused_unless_trusted() -> None:
    async with raw_server(answering(OK + b"Content-Length: 0\r\n\r\n")) as server, upstream(allow_private_targets=False) as up:
        origin = Origin("http", "localhost", server.port)
        with pytest.raises(TargetRefused, match="HELIOGRAPH_ALLOW_PRIVATE_TARGETS"):
            await up.send(origin, b"GET", b"/", [], None)
        answer = await up.send(Origin("http", "127.0.0.1", server.port), b"GET", b"/", [], None, trusted=True)
        answer.close()
        with pytest.raises(TargetRefused):
            await up.send(Origin("http", "127.0.0.1", server.port), b"GET", b"/", [], None)


INJECTIONS = {
    "CRLF in a value": (b"GET", b"/", (b"x-a", b"1\r\nx-b: 2")),
    "LF in a value": (b"GET", b"/", (b"x-a", b"1\n2")),
    "NUL in a value": (b"GET", b"/", (b"x-a", b"1\x002")),
    "a space in a name": (b"GET", b"/", (b"x a", b"1")),
    "a colon in a name": (b"GET", b"/", (b"x:a", b"1")),
    "an empty name": (b"GET", b"/", (b"", b"1")),
    "CRLF in a path": (b"GET", b"/ HTTP/1.1\r\nx: y\r\n", (b"x-a", b"1")),
    "a space in a path": (b"GET", b"/a b", (b"x-a", b"1")),
    "CRLF in a method": (b"GET / HTTP/1.1\r\n", b"/", (b"x-a", b"1")),
}


@pytest.mark.parametrize(("method", "target", "header"), INJECTIONS.values(), ids=INJECTIONS)
async def test_nothing_breaks_out_of_its_line(method: bytes, target: bytes, header: tuple[bytes, bytes]) -> None:
    async with upstream() as up:
        with pytest.raises(HeaderRefused):
            await up.send(Origin("http", "127.0.0.1", 1), method, target, [header], None)


ORIGINS = {
    "https://api.openai.com": ("https", "api.openai.com", 443, ""),
    "http://127.0.0.1:9000/prefix/": ("http", "127.0.0.1", 9000, "/prefix"),
    "https://[::1]:8443": ("https", "::1", 8443, ""),
    "https://bücher.example": ("https", "xn--bcher-kva.example", 443, ""),
    "https://HOST.example/": ("https", "host.example", 443, ""),
}


@pytest.mark.parametrize(("url", "parts"), ORIGINS.items(), ids=ORIGINS)
def test_origins(url: str, parts: tuple[str, str, int, str]) -> None:
    origin, path = Origin.parse(url)
    assert (origin.scheme, origin.host, origin.port, path) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a",
        "http://",
        "http://a b",
        "https://a:99999",
        "http://a\r\nb",
        "//a",
        "http://a:0",
        "http:\\a",
        "http://[::1",
        f"http://{'ü' * 70}.example",
    ],
)
def test_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Origin.parse(url)


def test_errors_tell_whether_a_retry_may_help() -> None:
    assert Refused.retryable
    assert not TlsFailed.retryable
    assert issubclass(TimedOut, UpstreamError)
