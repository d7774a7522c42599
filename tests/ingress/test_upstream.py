"""The client side towards providers: every framing, every slicing, every way to break."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.errors import HeaderRefused, Interrupted, Overloaded, Refused, TargetRefused, TimedOut, TlsFailed, Unresolved, UpstreamError
from ingress.upstream import Answer, Caps, Origin, TimeLimits, Upstream
from tests.fakes.raw_server import Peer, Script, raw_server

QUICK = TimeLimits(connect_s=2, first_byte_s=0.3, idle_s=0.3, pool_s=0.3, keep_alive_s=30)


@asynccontextmanager
async def upstream(**options: object) -> AsyncIterator[Upstream]:
    made = Upstream(**({"limits": QUICK, "allow_private_targets": True} | options))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.aclose()


def answering(answer: bytes, *, every: int | None = None, close: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer, every=every)
            if close:
                return

    return script


async def ask(up: Upstream, port: int, method: bytes = b"GET", body: bytes | AsyncIterator[bytes] | None = None) -> Answer:
    return await up.send(Origin("http", "127.0.0.1", port), method, b"/x", [(b"x-a", b"1")], body)


async def whole(answer: Answer) -> bytes:
    body = b""
    while piece := await answer.read():
        body += piece
    answer.close()
    return body


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "sized": (b"GET", OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "empty": (b"GET", OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "chunked": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n", b"hello", True),
    "chunked with trailers": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello", True),
    "until the end of the connection": (b"GET", OK + b"X-B: 2\r\n\r\nhello", b"hello", False),
    "an old server": (b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "after an interim answer": (b"GET", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "HEAD": (b"HEAD", OK + b"Content-Length: 5\r\n\r\n", b"", True),
    "304 with a length": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
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


@settings(max_examples=30, deadline=None)
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
        assert up.connections()[f"http://127.0.0.1:{server.port}"] == (0, 0)


async def test_surplus_bytes_taint_the_connection() -> None:
    async with raw_server(answering(OK + b"Content-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n")) as server, upstream() as up:
        assert await whole(await ask(up, server.port)) == b"ab"
        assert await whole(await ask(up, server.port)) == b"ab"
    assert len(server.peers) == 2


async def stall(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


async def stall_midway(peer: Peer) -> None:
    await peer.request()
    await peer.send(OK + b"Content-Length: 10\r\n\r\nhello")
    await peer.gone()


@pytest.mark.parametrize(("script", "begun"), [(stall, False), (stall_midway, True)], ids=["before", "midway"])
async def test_a_provider_that_falls_silent_times_out(script: Script, begun: bool) -> None:
    async with raw_server(script) as server, upstream() as up:
        with pytest.raises(TimedOut) as caught:
            await whole(await ask(up, server.port))
        assert caught.value.begun is begun


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


async def test_the_cap_and_its_queue() -> None:
    async with raw_server(stall_midway) as server, upstream(caps=Caps(connections=1, waiting=1)) as up:
        first = await ask(up, server.port)
        waiting = asyncio.create_task(ask(up, server.port))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="busy"):
            await ask(up, server.port)
        first.close()
        second = await waiting
        with pytest.raises(Overloaded, match="became free"):
            await ask(up, server.port)
        second.close()
        await asyncio.sleep(0.02)
        assert up.connections()[f"http://127.0.0.1:{server.port}"] == (0, 0)


async def test_a_cancelled_call_drops_its_connection() -> None:
    async with raw_server(stall) as server, upstream() as up:
        task = asyncio.create_task(ask(up, server.port))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)
        assert up.connections()[f"http://127.0.0.1:{server.port}"] == (0, 0)


async def test_an_early_answer_ends_the_upload() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await peer.gone()

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000
            await asyncio.sleep(0.001)

    async with raw_server(refuse) as server, upstream() as up:
        answer = await ask(up, server.port, b"POST", endless())
        assert (answer.status, await whole(answer)) == (413, b"no")
        after = sent
        await asyncio.sleep(0.02)
        assert sent == after
        assert up.connections()[f"http://127.0.0.1:{server.port}"][1] == 0


async def test_a_body_that_fails_to_be_read_fails_the_call() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("the client left")

    async with raw_server(stall) as server, upstream() as up:
        with pytest.raises(LookupError):
            await ask(up, server.port, b"POST", failing())


async def test_a_large_upload_waits_for_the_provider() -> None:
    total, taken, ahead = 50 << 20, 0, 0

    async def slow(peer: Peer) -> None:
        nonlocal taken
        await peer.head()
        while piece := await peer.reader.read(1 << 20):
            taken += len(piece)
            if taken >= total:
                break
        await peer.send(OK + b"Content-Length: 0\r\n\r\n")

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal ahead
        for number in range(50):
            ahead = max(ahead, (number << 20) - taken)
            yield b"x" * (1 << 20)

    async with raw_server(slow) as server, upstream(limits=TimeLimits()) as up:
        answer = await up.send(Origin("http", "127.0.0.1", server.port), b"POST", b"/", [], pieces(), content_length=total)
        answer.close()
    assert taken == total
    assert ahead < 20 << 20


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    named = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *named, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    return folder


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.mark.needs("openssl")
async def test_tls_is_verified(certificate: Path) -> None:
    script = answering(OK + b"Content-Length: 2\r\n\r\nab")
    async with raw_server(script, tls=server_tls(certificate)) as server:
        async with upstream(ca_file=str(certificate / "cert.pem")) as up:
            assert await whole(await up.send(Origin("https", "localhost", server.port), b"GET", b"/", [], None)) == b"ab"
            with pytest.raises(TlsFailed):
                await up.send(Origin("https", "127.0.0.1", server.port), b"GET", b"/", [], None)
        async with upstream() as up:
            with pytest.raises(TlsFailed):
                await up.send(Origin("https", "localhost", server.port), b"GET", b"/", [], None)


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
    "https://HOST.example/": ("https", "host.example", 443, ""),
}


@pytest.mark.parametrize(("url", "parts"), ORIGINS.items(), ids=ORIGINS)
def test_origins(url: str, parts: tuple[str, str, int, str]) -> None:
    origin, path = Origin.parse(url)
    assert (origin.scheme, origin.host, origin.port, path) == parts


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a", "http://", "http://a b", "https://a:99999", "http://a\r\nb", "//a", "http://a:0", "http:\\a"]
)
def test_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Origin.parse(url)


def test_errors_tell_whether_a_retry_may_help() -> None:
    assert Refused.retryable
    assert not TlsFailed.retryable
    assert issubclass(TimedOut, UpstreamError)
