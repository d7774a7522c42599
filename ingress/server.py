"""The client's side of the wire: what is accepted as HTTP, for how long it is waited for, and how a worker starts and ends.

The parser (llhttp in its strict mode) refuses both framings at once, a length given twice, folded headers, bare CR or LF, and bad chunks.
What it lets pass and we do not: no Host or two, transfer codings but `chunked`, trailers as headers, versions but 1.0 and 1.1, heads
without bound in size or time. Whoever cannot be understood gets one answer, and the connection ends.
"""

import asyncio
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Sequence
from typing import Any

import httptools
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ingress.answers import error_body
from ingress.app import Ingress, is_ours
from ingress.config import ClientLimits
from ingress.exchange import Exchange
from ingress.protocol import ExchangeProtocol, give_up, is_whole, unend
from ingress.routes import MESSAGES, Dialect
from ingress.upgrades import has_body, parser_of_body

log = structlog.get_logger()

_WATCHED = frozenset({b"expect", b"host", b"transfer-encoding"})
_SCHEMES = (b"http://", b"https://")
_HEAD_LINE = 4
"""Bytes of a header beside its name and value: colon, space, CR, LF."""
SETTLE_S = 5.0
"""At least so long, calls that were cancelled at the end of the drain may take to write themselves down."""

BAD = (400, "bad_request", "This is no HTTP/1.1 request that can be understood in one way only.", None)
NO_HOST = (400, "bad_request", "A request needs exactly one Host header.", "Host")
TARGET = (400, "bad_request", "The request's target must be a path, or an http or https URL with a host.", "path")
CODED = (501, "transfer_coding_unsupported", "Only the transfer coding chunked is known, and only in HTTP/1.1.", "Transfer-Encoding")
VERSION = (505, "version_unsupported", "HTTP/1.1 is spoken here, and HTTP/1.0.", None)
TOO_LARGE = (431, "head_too_large", "The request's headers are larger than 64 KiB; send fewer or shorter ones.", None)
TRAILING = (431, "trailers_too_large", "The request's trailers or chunk extensions are larger than 64 KiB.", None)
TOO_SLOW = (408, "head_too_slow", "The request's headers took longer to arrive than HELIOGRAPH_CLIENTS__HEAD_S allows.", None)

Fault = tuple[int, str, str, str | None]
"""Status, code, message, and the header or field at fault."""


class Malformed(Exception):
    """Stops the parser; the fault is with the connection."""


class ClientProtocol(ExchangeProtocol):
    """One connection of a client. `limits` is given by the subclass that `protocol_for` makes."""

    limits: ClientLimits

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._in_head = False
        self._fault: Fault | None = None
        self._last_words: Fault | None = None
        self._hosts = 0
        self._coded = False
        self._piece = self._first_piece = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since: float | None = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        """One timer for each connection, not one for each answer: when it fires early, it waits for the rest.

        A head that has begun has a timer of its own. Idle is who has sent none, whatever else came.
        """
        limit_s = self.timeout_keep_alive
        idle_s = 0.0 if self._idle_since is None or self._in_head else self.loop.time() - self._idle_since
        if idle_s < limit_s:
            self.timeout_keep_alive_task = self.loop.call_later(limit_s - idle_s, self._look_whether_idle)
        else:
            self.hang_up()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.farewell is not None or self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._say_last_words(self._last_words)
        else:
            self._idle_since = self.loop.time()
        self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            self.overhear(data)
            return
        self._piece = len(data)
        self.barren += self._piece
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._fault or BAD)
            return
        if self._in_head:
            self._wait_for_head()
        elif self.barren > self.limits.head_bytes:
            self._refuse(TRAILING)

    def _read_on(self, data: memoryview) -> None:
        """Past the head of a request with an Upgrade, which is ignored: `data` is HTTP nonetheless, unless the method is CONNECT."""
        while not self.deaf:
            if self.parser.get_method() == b"CONNECT":
                self.deaf, self.cycle.keep_alive = True, False
                return
            if has_body(self.headers):
                unend(self.cycle)
                self.parser = parser_of_body(self, self.headers)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                data = data[another.args[0] :]
            except httptools.HttpParserError:
                self._refuse(self._fault or BAD)
            else:
                return

    # The head

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._hosts, self._coded = True, 0, False
        self._first_piece, self.barren = self._piece, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        name = name.lower()
        if name in _WATCHED:
            self._watch(name, value)
        self.headers.append((name, value))

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        else:
            self._coded = True
            if value.strip().lower() != b"chunked":
                self._fault = CODED

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._stop_head_timer()
        self._fault = self._fault or self._fault_of_head()
        if self._fault is not None:
            raise Malformed
        self._idle_since = None
        super().on_headers_complete()

    def _fault_of_head(self) -> Fault | None:
        version = self.parser.get_http_version()
        if version != "1.1":
            if version != "1.0":
                return VERSION
            if self._coded:
                return CODED
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            return NO_HOST
        if self._first_piece + self.barren > self.limits.head_bytes and self._head_bytes() > self.limits.head_bytes:
            return TOO_LARGE
        return None if self.url[:1] == b"/" or self._takes_other_form() else TARGET

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _HEAD_LINE for name, value in self.headers)

    def _takes_other_form(self) -> bool:
        """Targets that are no path: those of CONNECT and OPTIONS, and `GET http://host/path`.

        There the host of the target counts, whatever the Host header says (RFC 9112, section 3.2.2).
        """
        scheme = next((scheme for scheme in _SCHEMES if self.url[: len(scheme)].lower() == scheme), None)
        if scheme is None:
            return self.parser.get_method() == (b"OPTIONS" if self.url == b"*" else b"CONNECT")
        rest = self.url[len(scheme) :]
        end = min((place for place in (rest.find(b"/"), rest.find(b"?")) if place >= 0), default=len(rest))
        authority, path = rest[:end].rpartition(b"@")[2], rest[end:]
        self.url = path if path[:1] == b"/" else b"/" + path
        self.headers[:] = [(b"host", authority), *(pair for pair in self.headers if pair[0] != b"host")]
        return authority != b""

    def _wait_for_head(self) -> None:
        """The head has begun and is not complete: it may neither grow nor last for ever."""
        if self.barren > self.limits.head_bytes:
            self._refuse(TOO_LARGE)
        elif self._head_timer is None and not self.flow.read_paused:
            self._head_timer = self.loop.call_later(self.limits.head_s, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if not self.flow.read_paused:  # else its rest may have come long ago
            self._refuse(TOO_SLOW)

    def reading_resumed(self) -> None:
        if self._in_head and not self.deaf:
            self._stop_head_timer()
            self._wait_for_head()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    # Refusing

    def _refuse(self, fault: Fault) -> None:
        """Nothing more is heard. What is wrong is told once all that came before is answered, and ends the connection."""
        self.deaf = True
        self._stop_head_timer()
        cycle, answering = self.cycle, self.answering
        if cycle is None or self._in_head or is_whole(cycle):
            if answering is not None and not answering.response_complete:
                self._last_words = fault
                return
        elif self.pipeline:
            self.pipeline.popleft()  # of this one, the rest cannot be found, and its turn has not come
            self._last_words = fault
            return
        elif cycle.response_complete:
            self.hang_up()  # it has its answer, and a second one would be taken for that to the next request
            return
        else:
            begun = cycle.started if type(cycle) is Exchange else cycle.response_started
            give_up(cycle)
            if begun:
                self.close()
                return
        self._say_last_words(fault)

    def _say_last_words(self, fault: Fault) -> None:
        self._write_fault(*fault)
        self.bid_farewell()

    def _write_fault(self, status: int, code: str, message: str, field: str | None) -> None:
        anthropic = any(name == b"anthropic-version" for name, _ in self.headers or ()) or (self.url or b"").startswith(MESSAGES)
        body = error_body(status, code, message, Dialect.ANTHROPIC if anthropic else Dialect.OPENAI, field=field)
        head = b"%bcontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (STATUS_LINE[status], len(body))
        self.transport.write(head + body)


def protocol_for(ingress: Ingress) -> type[ClientProtocol]:
    """The protocol whose connections hand their exchanges to this ingress."""

    class Protocol(ClientProtocol):
        limits = ingress.config.clients
        linger_s, linger_bytes, flush_s = limits.linger_s, limits.linger_bytes, limits.stalled_s
        handler = staticmethod(ingress.handle)
        is_ours = staticmethod(is_ours)

    return Protocol


async def serve(
    ingress: Ingress, sockets: Sequence[socket.socket], *, stop: asyncio.Event, on_started: Callable[[], None] | None = None
) -> None:
    """Serves on `sockets`, bound or listening, until `stop` is set; then calls in flight end and what was emitted goes to the log.

    Both have `drain_s` to do so. Signals are the caller's.
    """
    server = _server(ingress)
    await server.startup(sockets=list(sockets))
    ingress.telemetry.start()
    if on_started is not None:
        on_started()
    try:
        await stop.wait()
    finally:
        await _shut_down(server, ingress, list(sockets))


def _server(ingress: Ingress) -> uvicorn.Server:
    limits = ingress.config.clients
    config = uvicorn.Config(
        ingress.asgi,
        http=protocol_for(ingress),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.keep_alive_s),
        timeout_graceful_shutdown=int(limits.drain_s),
        backlog=4096,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


async def _shut_down(server: uvicorn.Server, ingress: Ingress, sockets: list[socket.socket]) -> None:
    tasks = server.server_state.tasks
    await server.shutdown(sockets=sockets)
    if tasks:
        await asyncio.wait(list(tasks), timeout=SETTLE_S)
    await ingress.drain(max(ingress.config.clients.drain_s, SETTLE_S))
    ingress.telemetry.stop()
