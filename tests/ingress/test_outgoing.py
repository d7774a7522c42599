"""Calls that leave through an outgoing HTTP proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ingress.connection import Answer
from ingress.errors import BadRequest, BadTarget, Interrupted, Refused, TargetRefused, TimedOut
from ingress.outgoing import OutgoingUpstream, outgoing_proxy_wanted
from ingress.upstream import Caps, Origin, TimeLimits
from tests.fakes.raw_server import Peer, Script, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-Case: kept\r\nContent-Length: 5\r\n\r\n\x1f\x8bxyz"
LIMITS = TimeLimits(connect_s=2, first_byte_s=0.3, idle_s=0.3)


@asynccontextmanager
async def outgoing(monkeypatch: pytest.MonkeyPatch, proxy_port: int, **options: object) -> AsyncIterator[OutgoingUpstream]:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy_port}")
    monkeypatch.setenv("NO_PROXY", "")
    made = OutgoingUpstream(limits=LIMITS, caps=Caps(), **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.aclose()


def answering(answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    return script


async def test_a_call_passes_the_proxy_undecoded_and_unadorned(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answering(OK)) as proxy, outgoing(monkeypatch, proxy.port, target_hosts=("far.example",)) as up:
        headers = [(b"x-a", b"1"), (b"content-type", b"application/json"), (b"cookie", b"k=sk-helicone-abc")]
        answer = await up.send(Origin("http", "far.example", 80), b"POST", b"/a%2Fb?q=1", headers, b"{}")
        body = await whole(answer)
        answer.close()
    sent = bytes(proxy.peers[0].received).lower()
    assert sent.startswith(b"post http://far.example/a%2fb?q=1 http/1.1\r\n")
    assert b"user-agent" not in sent
    assert b"helicone" not in sent
    assert b"accept-encoding" not in sent
    assert sent.endswith(b"\r\n\r\n{}")
    assert (answer.status, body) == (200, b"\x1f\x8bxyz")
    assert (b"X-Case", b"kept") in answer.headers


async def test_a_streamed_body_has_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    async with raw_server(answering(OK)) as proxy, outgoing(monkeypatch, proxy.port) as up:
        answer = await up.send(Origin("http", "a.example", 80), b"POST", b"/", [], pieces(), content_length=3, trusted=True)
        answer.close()
    assert proxy.peers[0].received.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("target", [b"/../a/./b", b'/a|b"<>`{}', b"/%zz?q=%2F&&", b"//double//slash", b"/a?b?c"])
async def test_the_path_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, target: bytes) -> None:
    async with raw_server(answering(OK)) as proxy, outgoing(monkeypatch, proxy.port) as up:
        (await up.send(Origin("http", "a.example", 80), b"GET", target, [], None, trusted=True)).close()
    assert proxy.peers[0].received.startswith(b"GET http://a.example" + target + b" HTTP/1.1\r\n")


async def test_bytes_beyond_ascii_are_percent_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answering(OK)) as proxy, outgoing(monkeypatch, proxy.port) as up:
        (await up.send(Origin("http", "a.example", 80), b"GET", b"/\xc3\xa4", [], None, trusted=True)).close()
    assert proxy.peers[0].received.startswith(b"GET http://a.example/%C3%A4 HTTP/1.1\r\n")


async def test_cookies_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(cookie)) as proxy, outgoing(monkeypatch, proxy.port) as up:
        for _ in range(2):
            (answer := await up.send(Origin("http", "a.example", 80), b"GET", b"/", [], None, trusted=True)).close()
            assert (b"Set-Cookie", b"a=b; Path=/") in answer.headers
    assert not any(b"cookie" in peer.received.lower() for peer in proxy.peers)


@pytest.mark.parametrize("location", [b"http://elsewhere.example/", b"ftp://x", b"http://[", b"\xff\xfe"])
async def test_redirects_are_passed_on(monkeypatch: pytest.MonkeyPatch, location: bytes) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(moved)) as proxy, outgoing(monkeypatch, proxy.port) as up:
        (answer := await up.send(Origin("http", "a.example", 80), b"GET", b"/", [], None, trusted=True)).close()
    assert answer.status == 302
    assert (b"Location", location) in answer.headers
    assert len(proxy.peers) == 1


async def test_what_cannot_go_through_a_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with outgoing(monkeypatch, 1) as up:
        with pytest.raises(BadRequest):
            await up.send(Origin("http", "a.example", 80), b"OPTIONS", b"*", [], None, trusted=True)
        with pytest.raises(BadTarget):
            await up.send(Origin("http", "a{b.example", 80), b"GET", b"/", [], None, trusted=True)


async def test_an_answer_closed_midway_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = asyncio.Event()

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await peer.gone()
        gone.set()

    async with raw_server(endless) as proxy, outgoing(monkeypatch, proxy.port) as up:
        answer = await up.send(Origin("http", "a.example", 80), b"GET", b"/", [], None, trusted=True)
        assert await answer.read() == b"ab"
        answer.close()
        answer.close()
        await asyncio.wait_for(gone.wait(), 30)


async def test_a_callers_target_needs_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    async with outgoing(monkeypatch, 1) as up:
        with pytest.raises(TargetRefused, match="HELIOGRAPH_TARGET_HOSTS"):
            await up.send(Origin("http", "far.example", 80), b"GET", b"/", [], None)


async def whole(answer: Answer) -> bytes:
    body = b""
    while piece := await answer.read():
        body += piece
    return body


async def stall(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


async def half(peer: Peer) -> None:
    await peer.request()
    await peer.send(OK[:-3])


async def test_failures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = Origin("http", "a.example", 80)
    async with outgoing(monkeypatch, 1) as up:
        with pytest.raises(Refused):
            await up.send(origin, b"GET", b"/", [], None, trusted=True)
    async with raw_server(stall) as proxy, outgoing(monkeypatch, proxy.port) as up:
        with pytest.raises(TimedOut, match="HELIOGRAPH_LIMITS__FIRST_BYTE_S"):
            await up.send(origin, b"GET", b"/", [], None, trusted=True)
    async with raw_server(half) as proxy, outgoing(monkeypatch, proxy.port) as up:
        answer = await up.send(origin, b"GET", b"/", [], None, trusted=True)
        with pytest.raises(Interrupted):
            await whole(answer)
        answer.close()
        await asyncio.sleep(0)


def test_when_it_is_wanted() -> None:
    assert outgoing_proxy_wanted({"https_proxy": "http://p:1"})
    assert not outgoing_proxy_wanted({"HTTPS_PROXY": "", "NO_PROXY": "*"})
