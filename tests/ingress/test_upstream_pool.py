"""Connections kept, shared and given up: no call is starved, no place is lost, nothing is written to a dead connection."""

import asyncio
import socket
import threading

import pytest

from ingress.errors import Interrupted, Overloaded, Refused, TimedOut
from ingress.upstream import Caps, Origin, TimeLimits, Upstream
from tests.fakes.calling import EMPTY, OK, QUICK, answering, ask, counts, stall, stall_midway, until, upstream, whole
from tests.fakes.raw_server import Peer, raw_server

ONE = Caps(connections=1, waiting=1)
CLOSING = OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
PATIENT = TimeLimits(connect_s=2, first_byte_s=5, idle_s=5, pool_s=5, keep_alive_s=30)


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with raw_server(answering(EMPTY)) as server, upstream() as up:
        for _ in range(5):
            await whole(await ask(up, server.port))
        assert counts(up, server) == (1, 1)
    assert len(server.peers) == 1


async def test_calls_at_once_have_a_connection_each() -> None:
    async with raw_server(answering(EMPTY)) as server, upstream() as up:
        for answer in await asyncio.gather(*(ask(up, server.port) for _ in range(5))):
            answer.close()
        assert counts(up, server) == (5, 5)


async def test_the_cap_and_its_queue() -> None:
    limits = TimeLimits(first_byte_s=5, idle_s=5, pool_s=0.1)  # the call in the way must not time out before the one that waits
    async with raw_server(stall_midway) as server, upstream(caps=ONE, limits=limits) as up:
        first = await ask(up, server.port)
        waiting = asyncio.create_task(ask(up, server.port))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match=r"busy.*HELIOGRAPH_LIMITS__CONNECTIONS"):
            await ask(up, server.port)
        first.close()
        second = await waiting
        with pytest.raises(Overloaded, match=r"became free.*HELIOGRAPH_LIMITS__POOL_S"):
            await ask(up, server.port)
        second.close()
        assert counts(up, server) == (0, 0)


async def test_a_call_that_gave_up_waiting_leaves_its_place_in_the_queue() -> None:
    async with raw_server(stall_midway) as server, upstream(caps=ONE) as up:
        first = await ask(up, server.port)
        for _ in range(3):
            waiting = asyncio.create_task(ask(up, server.port))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        waiting = asyncio.create_task(ask(up, server.port))
        await asyncio.sleep(0)
        first.close()
        (await waiting).close()


@pytest.mark.parametrize("kept", [True, False], ids=["a connection", "a place"])
async def test_whoever_waited_longest_is_next(kept: bool) -> None:
    script = answering(EMPTY if kept else CLOSING)
    async with raw_server(script) as server, upstream(caps=Caps(connections=1, waiting=10), limits=PATIENT) as up:
        first = await ask(up, server.port)
        order: list[int] = []

        async def call(number: int) -> None:
            (answer := await ask(up, server.port)).close()
            assert answer.status == 200
            order.append(number)

        waiting = [asyncio.create_task(call(number)) for number in range(3)]
        await asyncio.sleep(0)
        first.close()
        late = asyncio.create_task(call(3))  # it comes when the connection is free, and must not overtake
        await asyncio.gather(*waiting, late)
        assert order == [0, 1, 2, 3]


async def test_a_call_whose_connection_died_on_the_way_is_still_next() -> None:
    async with raw_server(answering(EMPTY)) as server, upstream(caps=Caps(connections=1, waiting=2), limits=PATIENT) as up:
        first = await ask(up, server.port)
        order: list[int] = []

        async def call(number: int) -> None:
            await whole(await ask(up, server.port))
            order.append(number)

        waiting = [asyncio.create_task(call(number)) for number in range(2)]
        await asyncio.sleep(0)
        connection = first._connection
        first.close()
        connection.drop()  # as if its end were seen now, after it was handed on
        await asyncio.gather(*waiting)
        assert len(server.peers) == 2
        assert sorted(order) == [0, 1]


@pytest.mark.parametrize("kept", [True, False], ids=["a connection", "a place"])
async def test_what_a_cancelled_call_was_given_goes_to_the_next(kept: bool) -> None:
    script = answering(EMPTY if kept else CLOSING)
    async with raw_server(script) as server, upstream(caps=Caps(connections=1, waiting=2), limits=PATIENT) as up:
        first = await ask(up, server.port)
        leaving, staying = asyncio.create_task(ask(up, server.port)), asyncio.create_task(ask(up, server.port))
        await asyncio.sleep(0)
        first.close()
        leaving.cancel()
        (await asyncio.wait_for(staying, 30)).close()
        assert leaving.cancelled()
        await whole(await ask(up, server.port))


async def test_a_failed_connection_makes_room_for_the_next() -> None:
    async with upstream(caps=Caps(connections=1, waiting=5)) as up:
        calls = [up.send(Origin("http", "127.0.0.1", 1), b"GET", b"/", [], None) for _ in range(4)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Refused] * 4


async def test_a_cancelled_call_drops_its_connection() -> None:
    async with raw_server(stall) as server, upstream(caps=ONE, limits=PATIENT) as up:
        task = asyncio.create_task(ask(up, server.port))
        await until(lambda: any(peer.received for peer in server.peers))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(up, server) == (0, 0)


async def test_a_call_cancelled_while_it_connects_leaves_nothing() -> None:
    async with raw_server(answering(EMPTY)) as server, upstream(caps=ONE) as up:
        for _ in range(3):
            task = asyncio.create_task(ask(up, server.port))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await whole(await ask(up, server.port))


async def test_an_answer_closed_midway_drops_its_connection_at_once() -> None:
    gone = asyncio.Event()

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await peer.gone()
        gone.set()

    async with raw_server(endless) as server, upstream() as up:
        answer = await ask(up, server.port)
        assert await answer.read() == b"ab"
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        answer.close()
        answer.close()
        assert counts(up, server) == (0, 0)
        with pytest.raises(Interrupted, match="closed before its end"):
            await reading
        await asyncio.wait_for(gone.wait(), 30)


async def test_an_answer_left_unread_does_not_clog_its_connection() -> None:
    body = b"x" * (1 << 20)
    async with raw_server(answering(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)) as server, upstream(limits=PATIENT) as up:
        for _ in range(3):
            answer = await ask(up, server.port)
            await until(lambda answer=answer: answer._unread > 256 << 10)  # type: ignore[misc]
            answer.close()
        assert await whole(await ask(up, server.port)) == body


async def test_a_closed_connection_is_not_used_again_and_nothing_is_sent_twice() -> None:
    async with raw_server(answering(OK + b"Content-Length: 2\r\n\r\nab", close=True)) as server, upstream() as up:
        for _ in range(3):
            await whole(await ask(up, server.port))
            await until(lambda: counts(up, server) == (0, 0))
    assert len(server.peers) == 3
    assert [peer.received.count(b"GET ") for peer in server.peers] == [1, 1, 1]


async def test_a_connection_that_dies_under_a_request_is_an_interruption() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nab")
        await peer.request()
        peer.reset()

    async with raw_server(once) as server, upstream() as up:
        await whole(await ask(up, server.port))
        with pytest.raises(Interrupted) as caught:
            await ask(up, server.port)
    assert not caught.value.begun
    assert len(server.peers) == 1


async def test_a_connection_closed_as_soon_as_it_is_open_does_not_keep_its_place() -> None:
    async def unwelcoming(peer: Peer) -> None:
        peer.reset()

    async with raw_server(unwelcoming) as server, upstream(caps=ONE) as up:
        for _ in range(5):
            with pytest.raises((Interrupted, Refused)):
                await ask(up, server.port)
        assert counts(up, server) == (0, 0)


async def test_idle_connections_end_and_their_origins_are_forgotten() -> None:
    limits = TimeLimits(connect_s=2, first_byte_s=0.2, idle_s=0.2, keep_alive_s=0.1)
    async with raw_server(answering(EMPTY)) as server, upstream(limits=limits) as up:
        await whole(await ask(up, server.port))
        assert counts(up, server) == (1, 1)
        await until(lambda: not up.connections())
        await whole(await ask(up, server.port))
    assert len(server.peers) == 2


async def test_an_idle_connection_past_its_time_is_not_used_although_it_was_not_swept() -> None:
    async with raw_server(answering(EMPTY)) as server, upstream(limits=TimeLimits(keep_alive_s=0.001)) as up:
        await whole(await ask(up, server.port))
        await asyncio.sleep(0.01)
        await whole(await ask(up, server.port))
    assert len(server.peers) == 2


ANNOUNCED = {"timeout=0": 2, "timeout=60, max=100": 1, "max=100": 1, "timeout=soon": 1, "Timeout=0": 2}


@pytest.mark.parametrize(("value", "connections"), ANNOUNCED.items(), ids=ANNOUNCED)
async def test_a_provider_says_how_long_it_keeps_a_connection(value: str, connections: int) -> None:
    script = answering(OK + b"Keep-Alive: " + value.encode() + b"\r\nContent-Length: 0\r\n\r\n")
    async with raw_server(script) as server, upstream() as up:
        for _ in range(2):
            await whole(await ask(up, server.port))
    assert len(server.peers) == connections


async def test_origins_that_nobody_uses_are_forgotten() -> None:
    async with upstream(limits=TimeLimits(connect_s=2, first_byte_s=0.1)) as up:
        for number in range(1, 4):
            with pytest.raises(Refused):
                await up.send(Origin("http", "127.0.0.1", number), b"GET", b"/", [], None)
            assert f"http://127.0.0.1:{number}" in up.connections()
        await until(lambda: not up.connections())


async def test_a_trusted_origin_shares_no_connection_with_a_callers() -> None:
    async with raw_server(answering(EMPTY)) as server, upstream() as up:
        for trusted in (True, False):
            await whole(await up.send(Origin("http", "127.0.0.1", server.port), b"GET", b"/", [], None, trusted=trusted))
        assert counts(up, server) == (2, 2)


async def test_stopping_refuses_those_that_wait_and_interrupts_the_rest() -> None:
    async with raw_server(stall_midway) as server, upstream(caps=ONE, limits=PATIENT) as up:
        answer = await ask(up, server.port)
        waiting = asyncio.create_task(ask(up, server.port))
        await asyncio.sleep(0)
        await up.aclose()
        with pytest.raises(Overloaded, match="stopping"):
            await waiting
        assert await answer.read() == b"hello"
        with pytest.raises(Interrupted):
            await answer.read()
        with pytest.raises(Overloaded, match="stopping"):
            await ask(up, server.port)


async def test_connecting_has_a_limit() -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    limits = TimeLimits(connect_s=0.1)
    async with raw_server(silent) as server, upstream(limits=limits, caps=ONE) as up:
        for _ in range(2):
            with pytest.raises(TimedOut, match=r"No connection.*HELIOGRAPH_LIMITS__CONNECT_S") as caught:
                await up.send(Origin("https", "127.0.0.1", server.port), b"GET", b"/", [], None)
            assert not caught.value.begun
    assert QUICK.connect_s == 2


async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answering(EMPTY)) as server, upstream() as up:
        monkeypatch.setattr("ingress.upstream.resolve", _resolving("127.0.0.2", "127.0.0.3", "127.0.0.1"))
        await whole(await up.send(Origin("http", "some.example", server.port), b"GET", b"/", [], None))
    assert b"host: some.example:" in server.peers[0].received


async def test_an_address_that_stays_silent_leaves_time_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with upstream(limits=TimeLimits(connect_s=0.2)) as up, raw_server(answering(EMPTY)) as server:
        opened = up._open

        async def some_hang(address: str, *rest: object) -> object:
            if address != "127.0.0.1":
                await asyncio.sleep(60)
            return await opened(address, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(up, "_open", some_hang)
        monkeypatch.setattr("ingress.upstream.resolve", _resolving("127.0.0.2", "127.0.0.3", "127.0.0.1"))
        await whole(await up.send(Origin("http", "some.example", server.port), b"GET", b"/", [], None))


def _resolving(*addresses: str) -> object:
    async def resolve(_host: str, _port: int, *, public_only: bool) -> list[str]:
        assert not public_only
        return list(addresses)

    return resolve


async def test_many_calls_at_once_on_few_connections_all_end() -> None:
    body = b"z" * 2_000
    script = answering(OK + b"Content-Length: 2000\r\n\r\n" + body)
    async with raw_server(script) as server, upstream(caps=Caps(connections=4, waiting=500), limits=PATIENT) as up:

        async def call(number: int) -> bool:
            answer = await ask(up, server.port)
            if number % 7 == 0:
                answer.close()
                return True
            return await whole(answer) == body

        calls = [asyncio.create_task(call(number)) for number in range(200)]
        await asyncio.sleep(0)
        for number in range(3, 200, 11):
            calls[number].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(result is True or isinstance(result, asyncio.CancelledError) for result in results)
        assert isinstance(up, Upstream)
        opened, idle = counts(up, server)
        assert opened == idle <= 4


async def test_a_connection_closed_in_this_very_moment_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end has arrived, and the event loop, busy with something else, has not told of it yet."""
    monkeypatch.setattr("ingress.pool.FRESH_S", 0)
    close, closed = threading.Event(), threading.Event()
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        for _ in range(2):
            peer, _ = listening.accept()
            with peer:
                heard.append(peer.recv(65_536))
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                close.wait(5)
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        serving = asyncio.get_running_loop().run_in_executor(None, serve, listening)
        upstream = Upstream(allow_private_targets=True)
        origin = Origin("http", "127.0.0.1", listening.getsockname()[1])
        for number in range(2):
            answer = await upstream.send(origin, b"POST", b"/%d" % number, [], b"{}")
            while await answer.read():
                pass
            answer.close()
            close.set()
            closed.wait(5)  # in the way of the loop, on purpose
        await serving
        await upstream.aclose()
    assert [request.split()[1] for request in heard] == [b"/0", b"/1"]
