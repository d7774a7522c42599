"""The way to the providers: a pool of connections for each origin.

One seam: `Upstream.send` takes a request and gives its answer. Behind it are our own connections; where the environment asks for an
outgoing HTTP proxy, `ingress/outgoing.py` stands in the same place.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import certifi
from msgspec import Struct

from ingress.addresses import resolve
from ingress.connection import Answer, Connection, tls_failure
from ingress.errors import HeaderRefused, Overloaded, Refused, TimedOut, TlsFailed, Unreachable, UpstreamError
from ingress.hops import FOREVER
from ingress.pool import Pool
from ingress.secrets import HINT, without_our_keys

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
        host = parts.hostname
        if not host:
            raise ValueError("it names no host")
        if port == 0:
            raise ValueError("port 0 is no port")
        try:
            host = host if host.isascii() else host.encode("idna").decode()
        except UnicodeError:
            raise ValueError("the host is no host name") from None
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80)), parts.path.rstrip("/")

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
        self._tls = tls_context(ca_file)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._pools: dict[tuple[Origin, bool], Pool] = {}
        self._loop = asyncio.get_running_loop()
        self._sweep_s = min(SWEEP_S, self.limits.first_byte_s / 4, self.limits.idle_s / 4)
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
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
        sends it chunked. A `trusted` origin was configured by the operator and may be private. A request is written once, never again:
        an idle connection that its provider has closed is not chosen. Raises HeaderRefused, TargetRefused, Overloaded, Unreachable,
        TimedOut, Interrupted, and what reading `body` raises.
        """
        pool = self._pools.get((origin, trusted)) or self._pool(origin, trusted)
        streamed = body is not None and not isinstance(body, bytes)
        length = content_length if streamed else (len(body) if isinstance(body, bytes) else None)
        head = request_head(method, target, pool.host_header, headers, length, chunked=streamed and length is None)
        connection = pool.take(self._loop.time()) or await self._acquire(pool, origin, trusted)
        return await connection.call(method, head, body, length=length)

    async def aclose(self) -> None:
        """Drops every connection, and refuses the calls that wait for one."""
        self._closed = True
        self._sweeper.cancel()
        for pool in self._pools.values():
            pool.refuse_all(Overloaded("Heliograph is stopping."))
            for connection in list(pool.open):
                connection.drop()
        await asyncio.sleep(0)

    def connections(self) -> dict[str, tuple[int, int]]:
        """For each origin: open and idle connections."""
        counts: dict[str, tuple[int, int]] = {}
        for (origin, _), pool in self._pools.items():
            opened, idle = counts.get(str(origin), (0, 0))
            counts[str(origin)] = opened + len(pool.open), idle + len(pool.idle)
        return counts

    def _pool(self, origin: Origin, trusted: bool) -> Pool:
        caps = self.caps
        pool = self._pools[origin, trusted] = Pool(origin.host, origin.netloc.encode(), cap=caps.connections, queue=caps.waiting)
        return pool

    async def _acquire(self, pool: Pool, origin: Origin, trusted: bool) -> Connection:
        connection = await pool.turn(self.limits.pool_s)
        while connection is not None and not connection.usable:
            connection = await pool.turn(self.limits.pool_s, again=True)
        return connection or await self._connect(pool, origin, trusted)

    async def _connect(self, pool: Pool, origin: Origin, trusted: bool) -> Connection:
        """Makes use of the right to open a connection."""
        try:
            async with asyncio.timeout(self.limits.connect_s) as limit:
                addresses = await resolve(origin.host, origin.port, public_only=not (trusted or self._allow_private))
                connection = await self._first(addresses, origin, pool, limit.when() or FOREVER)
            if self._closed:
                connection.drop()
                raise Overloaded("Heliograph is stopping.")
        except TimeoutError as error:
            pool.not_opened()
            raise self._too_slow(origin) from error
        except BaseException:
            pool.not_opened()
            raise
        pool.opened(connection)
        return connection

    async def _first(self, addresses: Sequence[str], origin: Origin, pool: Pool, until: float) -> Connection:
        """A connection to the first address that takes one; each has its share of the time. Raises what the last one failed with."""
        failure: UpstreamError = Refused(f"{origin.host} has no address to connect to.")
        for position, address in enumerate(addresses):
            remaining = len(addresses) - position
            try:
                async with asyncio.timeout_at(until if remaining == 1 else self._loop.time() + (until - self._loop.time()) / remaining):
                    connection = await self._open(address, origin, pool)
            except TimeoutError:
                failure = self._too_slow(origin)
            except OSError as error:
                failure = failure_of(error, origin)
            else:
                if connection.usable:
                    return connection
                failure = Refused(f"{origin.host} closed the connection as soon as it was open.")
        raise failure

    def _too_slow(self, origin: Origin) -> TimedOut:
        return TimedOut(f"No connection to {origin.host} within {self.limits.connect_s:g} s (HELIOGRAPH_LIMITS__CONNECT_S).")

    async def _open(self, address: str, origin: Origin, pool: Pool) -> Connection:
        secure = origin.scheme == "https"
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop, self.limits, pool),
            address,
            origin.port,
            ssl=self._tls if secure else None,
            server_hostname=origin.host if secure else None,
        )
        return connection

    def _sweep(self) -> None:
        """Ends calls past their deadline, drops connections idle for too long, and forgets origins that nobody uses."""
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
        now = self._loop.time()
        for key, pool in list(self._pools.items()):
            for connection in [each for each in pool.open if each.deadline < now]:
                connection.expire()
            for connection in [each for each in pool.idle if each.idle_until < now]:
                connection.drop()
            if pool.unused:
                del self._pools[key]


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Trusts the system's certificates, Mozilla's (certifi), and those of `ca_file`. Raises OSError, ssl.SSLError for a bad `ca_file`."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def failure_of(error: OSError, origin: Origin) -> Unreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(
            f"The certificate of {origin.host} is not trusted: {error.verify_message or 'it cannot be verified'}. "
            "HELIOGRAPH_CA_FILE names certificates of your own to trust."
        )
    if tls_failure(error):
        return TlsFailed(f"TLS with {origin.host} failed: {getattr(error, 'reason', '') or 'refused'}. Is it https there?")
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
    """The bytes before the body, less headers that hold a key of ours. Raises HeaderRefused for what would break out of its line."""
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
    if HINT in head:  # looked for once in all of it, since every header may hold a key of ours
        kept = without_our_keys(headers)
        if len(kept) < len(headers):
            return request_head(method, target, host, kept, length, chunked=chunked)
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
