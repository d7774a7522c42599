"""The way to the providers: a pool of connections for each origin.

One seam: `Upstream.send` takes a request and gives its answer. Behind it are our own connections; where the environment asks for an
outgoing HTTP proxy, `ingress/outgoing.py` stands in the same place.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import certifi
from msgspec import Struct

from ingress.addresses import resolve
from ingress.connection import Answer, Connection, tls_failure
from ingress.errors import HeaderRefused, Overloaded, Refused, TimedOut, TlsFailed, Unreachable

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, section 5.6.2."""
FORBIDDEN = re.compile(rb"[\r\n\0]")
SWEEP_S = 0.25


class Origin(Struct, frozen=True):
    """Scheme, host and port: what a connection is made to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> tuple["Origin", str]:
        """The origin of an http or https URL, and the path it carries (no trailing slash). Raises ValueError that says what is wrong."""
        if re.search(r"[\s\0-\x1f\x7f\\]", url):
            raise ValueError("a URL has no white space, control characters or backslashes")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError("it is no URL") from error
        if parts.scheme not in {"http", "https"}:
            raise ValueError("it must begin with http:// or https://")
        if not parts.hostname:
            raise ValueError("it names no host")
        if port == 0:
            raise ValueError("port 0 is no port")
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)), parts.path.rstrip("/")

    @property
    def netloc(self) -> str:
        """As the Host header says it: the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        own = 443 if self.scheme == "https" else 80
        return host if self.port == own else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


class TimeLimits(Struct, frozen=True, kw_only=True):
    """Seconds. Reasoning models think long before the first byte."""

    connect_s: float = 10
    first_byte_s: float = 900
    idle_s: float = 300
    """Between two pieces of an answer."""
    pool_s: float = 30
    """Waiting for a free connection when all are busy."""
    keep_alive_s: float = 55
    """How long an idle connection is kept for the next call."""


class Caps(Struct, frozen=True, kw_only=True):
    connections: int = 256
    """Open at once, for each origin."""
    waiting: int = 1024
    """Calls that may wait for one of them."""


class Sender(Protocol):
    """The seam."""

    async def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        content_length: int | None = None,
        trusted: bool = False,
    ) -> Answer: ...

    async def aclose(self) -> None: ...


class Pool:
    """The connections of one origin: those in use, those kept for the next call, and the calls that wait for one."""

    def __init__(self, host_header: bytes) -> None:
        self.host_header = host_header
        self.idle: list[Connection] = []
        self.open: set[Connection] = set()
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.connecting = 0

    def take(self) -> Connection | None:
        """The connection used last: it is the likeliest to be alive."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.lost and connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    def wake(self) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class Upstream:
    """Sends requests to providers. One for each process; it lives on the running event loop."""

    def __init__(
        self,
        *,
        limits: TimeLimits | None = None,
        caps: Caps | None = None,
        allow_private_targets: bool = False,
        ca_file: str | None = None,
    ) -> None:
        self.limits = limits or TimeLimits()
        self.caps = caps or Caps()
        self._allow_private = allow_private_targets
        self._tls = ssl.create_default_context(cafile=ca_file or certifi.where())
        self._tls.set_alpn_protocols(["http/1.1"])
        self._pools: dict[tuple[Origin, bool], Pool] = {}
        self._loop = asyncio.get_running_loop()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        self._closed = False

    async def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        content_length: int | None = None,
        trusted: bool = False,
    ) -> Answer:
        """The provider's answer, once its head is here.

        `headers` are the end-to-end ones: Host, framing and Connection are written here. `content_length` is of a streamed body, None
        sends it chunked. A `trusted` origin was configured by the operator and may be private. A request is written once, never again.
        Raises HeaderRefused, TargetRefused, Overloaded, Unreachable, TimedOut, Interrupted.
        """
        pool = self._pools.get((origin, trusted)) or self._pool(origin, trusted)
        streamed = body is not None and not isinstance(body, bytes)
        length = content_length if streamed else (len(body) if isinstance(body, bytes) else None)
        head = request_head(method, target, pool.host_header, headers, length, chunked=streamed and content_length is None)
        connection = pool.take() or await self._acquire(pool, origin, trusted)
        return await connection.call(method, head, body, chunked=streamed and content_length is None)

    async def aclose(self) -> None:
        """Drops every connection."""
        self._closed = True
        self._sweeper.cancel()
        for pool in self._pools.values():
            for connection in list(pool.open):
                connection.drop()
        await asyncio.sleep(0)

    def connections(self) -> dict[str, tuple[int, int]]:
        """For each origin: open and idle connections."""
        return {str(origin): (len(pool.open), len(pool.idle)) for (origin, _), pool in self._pools.items()}

    def _pool(self, origin: Origin, trusted: bool) -> Pool:
        pool = self._pools[origin, trusted] = Pool(origin.netloc.encode("idna" if not origin.netloc.isascii() else "ascii"))
        return pool

    async def _acquire(self, pool: Pool, origin: Origin, trusted: bool) -> Connection:
        while True:
            connection = pool.take()
            if connection is not None:
                return connection
            if len(pool.open) + pool.connecting < self.caps.connections:
                return await self._connect(pool, origin, trusted)
            await self._queue(pool, origin)

    async def _queue(self, pool: Pool, origin: Origin) -> None:
        if len(pool.waiting) >= self.caps.waiting:
            raise Overloaded(f"All {self.caps.connections} connections to {origin.host} are busy and {len(pool.waiting)} calls wait.")
        waiter = self._loop.create_future()
        pool.waiting.append(waiter)
        try:
            async with asyncio.timeout(self.limits.pool_s):
                await waiter
        except TimeoutError as error:
            raise Overloaded(f"No connection to {origin.host} became free within {self.limits.pool_s:g} s.") from error
        except asyncio.CancelledError:
            if waiter.done():
                pool.wake()  # the turn was given to a call that is gone
            raise

    async def _connect(self, pool: Pool, origin: Origin, trusted: bool) -> Connection:
        pool.connecting += 1
        try:
            async with asyncio.timeout(self.limits.connect_s):
                addresses = await resolve(origin.host, origin.port, public_only=not (trusted or self._allow_private))
                connection = await self._first(addresses, origin, pool)
        except TimeoutError as error:
            raise TimedOut(f"No connection to {origin.host} within {self.limits.connect_s:g} s.") from error
        finally:
            pool.connecting -= 1
            if not pool.idle:
                pool.wake()
        return connection

    async def _first(self, addresses: Sequence[str], origin: Origin, pool: Pool) -> Connection:
        """A connection to the first address that takes one. Raises what the last one failed with."""
        failure: Unreachable | None = None
        for address in addresses:
            connection = Connection(self._loop, self.limits, pool.host_header)
            connection.released = self._releaser(pool, connection)  # type: ignore[method-assign]
            try:
                await self._loop.create_connection(
                    lambda connection=connection: connection,
                    address,
                    origin.port,
                    ssl=self._tls if origin.scheme == "https" else None,
                    server_hostname=origin.host if origin.scheme == "https" else None,
                )
            except (OSError, ConnectionError) as error:
                failure = failure_of(error, origin)
                continue
            pool.open.add(connection)
            return connection
        raise failure or Refused(f"{origin.host} has no address to connect to.")

    def _releaser(self, pool: Pool, connection: Connection) -> Callable[[], None]:
        def released() -> None:
            if connection.lost:
                pool.open.discard(connection)
                if connection in pool.idle:
                    pool.idle.remove(connection)
            else:
                pool.idle.append(connection)
            if pool.waiting:
                pool.wake()

        return released

    def _sweep(self) -> None:
        """Ends calls past their deadline, and connections idle for too long."""
        now = self._loop.time()
        stale = now - self.limits.keep_alive_s
        for pool in self._pools.values():
            for connection in [each for each in pool.open if each.deadline < now]:
                connection.expire()
            while pool.idle and pool.idle[0].idle_since < stale:
                pool.idle.pop(0).drop()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def failure_of(error: OSError, origin: Origin) -> Unreachable:
    if tls_failure(error):
        return TlsFailed(
            f"TLS with {origin.host} failed: {getattr(error, 'verify_message', '') or getattr(error, 'reason', '') or 'refused'}."
        )
    if isinstance(error, ConnectionResetError) and origin.scheme == "https":
        return TlsFailed(f"{origin.host} closed the connection during the TLS handshake.")
    return Refused(f"{origin.host} port {origin.port} takes no connection: {error.strerror or 'refused'}.")


def request_head(
    method: bytes,
    target: bytes,
    host: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    length: int | None,
    *,
    chunked: bool,
) -> bytes:
    """The bytes before the body. Raises HeaderRefused for what would break out of its line."""
    lines = [method, b" ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n"]
    for name, value in headers:
        if name not in _good_names:
            check_name(name)
        lines += (name, b": ", value, b"\r\n")
    expected = len(headers) + 4
    if chunked:
        lines.append(b"transfer-encoding: chunked\r\n\r\n")
    elif length is not None:
        lines.append(b"content-length: %d\r\n\r\n" % length)
    else:
        lines.append(b"\r\n")
        expected -= 1
    head = b"".join(lines)
    if head.count(b"\n") != expected or head.count(b"\r") != expected or b"\0" in head or b" " in target:
        refuse(method, target, headers)
    return head


_good_names: set[bytes] = set()
"""Header names that were checked. Bounded: a caller could invent one after the other."""


def check_name(name: bytes) -> None:
    """Raises HeaderRefused when `name` is no token."""
    if TOKEN.fullmatch(name) is None:
        shown = name.decode("latin-1")[:60]
        raise HeaderRefused(f"{shown!r} is no header name: letters, digits and !#$%&'*+-.^_`|~ are.", field=shown)
    if len(_good_names) < 1000:
        _good_names.add(name)


def refuse(method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises HeaderRefused naming what is wrong."""
    if TOKEN.fullmatch(method) is None:
        raise HeaderRefused("The request's method is no token.", field="method")
    if re.search(rb"[\0-\x20\x7f]", target):
        raise HeaderRefused("The request's path has white space or control characters; encode them.", field="path")
    for name, value in headers:
        if FORBIDDEN.search(value):
            shown = name.decode("latin-1")[:60]
            raise HeaderRefused(f"The value of {shown} has CR, LF or NUL; remove them.", field=shown)
    raise HeaderRefused("The request cannot be written as HTTP/1.1.")
