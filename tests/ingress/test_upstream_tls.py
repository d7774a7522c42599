"""TLS towards providers: verified, with the host's name, and its failures named."""

import asyncio

import pytest

from ingress.errors import Interrupted, TlsFailed
from ingress.upstream import Answer, Origin, TimeLimits, Upstream, tls_context
from tests.fakes.calling import OK, answering, stall, until, upstream, whole
from tests.fakes.certificates import Authority
from tests.fakes.raw_server import Peer, raw_server

pytestmark = pytest.mark.needs("openssl")
ANSWER = OK + b"Content-Length: 2\r\n\r\nab"
PATIENT = TimeLimits(connect_s=5, first_byte_s=10, idle_s=10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


async def call(up: Upstream, host: str, port: int, body: bytes | None = None) -> Answer:
    return await up.send(Origin("https", host, port), b"POST", b"/", [], body)


async def test_a_certificate_of_a_trusted_authority_for_this_name(authority: Authority) -> None:
    heard: list[str | None] = []
    async with (
        raw_server(answering(ANSWER), tls=authority.server("localhost", heard=heard)) as server,
        upstream(ca_file=authority.file) as up,
    ):
        for _ in range(2):
            assert await whole(await call(up, "localhost", server.port)) == b"ab"
    assert heard == ["localhost"]  # once: the connection was used again


async def test_an_address_in_a_certificate(authority: Authority) -> None:
    async with raw_server(answering(ANSWER), tls=authority.server("127.0.0.1")) as server, upstream(ca_file=authority.file) as up:
        assert await whole(await call(up, "127.0.0.1", server.port)) == b"ab"


async def test_another_name_is_refused(authority: Authority) -> None:
    async with raw_server(answering(ANSWER), tls=authority.server("localhost")) as server, upstream(ca_file=authority.file) as up:
        with pytest.raises(TlsFailed, match=r"127\.0\.0\.1") as caught:
            await call(up, "127.0.0.1", server.port)
    assert not caught.value.begun
    assert not any(peer.received for peer in server.peers)


async def test_an_unknown_authority_is_refused(authority: Authority) -> None:
    async with raw_server(answering(ANSWER), tls=authority.server("localhost")) as server, upstream() as up:
        with pytest.raises(TlsFailed, match=r"certificate.*HELIOGRAPH_CA_FILE"):
            await call(up, "localhost", server.port)


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    context = authority.server("localhost", days=0)
    async with raw_server(answering(ANSWER), tls=context) as server, upstream(ca_file=authority.file) as up:
        with pytest.raises(TlsFailed, match="expired"):
            await call(up, "localhost", server.port)


async def test_a_server_that_speaks_no_tls() -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(100)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await peer.gone()

    async with raw_server(plain) as server, upstream() as up:
        with pytest.raises(TlsFailed):
            await call(up, "localhost", server.port)


async def test_a_server_that_hangs_up_during_the_handshake() -> None:
    async def leave(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.reset()

    async with raw_server(leave) as server, upstream() as up:
        with pytest.raises(TlsFailed, match="closed the connection"):
            await call(up, "localhost", server.port)


async def test_our_authority_comes_beside_the_well_known_ones(authority: Authority) -> None:
    assert len(tls_context(authority.file).get_ca_certs()) == len(tls_context(None).get_ca_certs()) + 1 > 50
    with pytest.raises(OSError, match="No such file"):
        tls_context(str(authority.folder / "missing.pem"))


async def test_a_large_answer_to_a_slow_reader(authority: Authority) -> None:
    size = 4 << 20
    script = answering(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    async with raw_server(script, tls=authority.server("localhost")) as server, upstream(ca_file=authority.file, limits=PATIENT) as up:
        answer = await call(up, "localhost", server.port)
        await until(lambda: answer._unread > 256 << 10)
        await asyncio.sleep(0.05)
        assert answer._unread <= 1 << 20
        assert len(await whole(answer)) == size
        assert up.connections()[f"https://localhost:{server.port}"] == (1, 1)


async def test_a_large_request(authority: Authority) -> None:
    body = b"y" * (4 << 20)
    async with (
        raw_server(answering(ANSWER), tls=authority.server("localhost")) as server,
        upstream(ca_file=authority.file, limits=PATIENT) as up,
    ):
        assert await whole(await call(up, "localhost", server.port, body)) == b"ab"
    assert server.peers[0].received.endswith(body)


async def test_breaking_off_is_an_interruption(authority: Authority) -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(ANSWER[:-1])
        peer.reset()

    async with raw_server(half, tls=authority.server("localhost")) as server, upstream(ca_file=authority.file, limits=PATIENT) as up:
        with pytest.raises(Interrupted):
            await whole(await call(up, "localhost", server.port))


async def test_an_idle_connection_that_its_provider_closes_is_not_used_again(authority: Authority) -> None:
    script = answering(ANSWER, close=True)
    async with raw_server(script, tls=authority.server("localhost")) as server, upstream(ca_file=authority.file, limits=PATIENT) as up:
        for _ in range(3):
            assert await whole(await call(up, "localhost", server.port)) == b"ab"
            await until(lambda: up.connections()[f"https://localhost:{server.port}"] == (0, 0))


async def test_a_cancelled_call_is_gone(authority: Authority) -> None:
    async with raw_server(stall, tls=authority.server("localhost")) as server, upstream(ca_file=authority.file, limits=PATIENT) as up:
        task = asyncio.create_task(call(up, "localhost", server.port))
        await until(lambda: any(peer.received for peer in server.peers))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert up.connections()[f"https://localhost:{server.port}"] == (0, 0)
