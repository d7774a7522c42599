"""Where the environment asks for an outgoing HTTP proxy, calls leave through httpx2 instead of our own connections.

An outgoing proxy resolves names itself, so the address of a target that a caller names cannot be judged here: such targets need a list of
allowed hosts. Slower than our own pool by far, and only used where there is no other way out.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx2

from ingress.connection import Answer, tls_failure
from ingress.errors import BadRequest, BadTarget, Interrupted, Overloaded, Refused, TargetRefused, TimedOut, TlsFailed, UpstreamError
from ingress.hops import end_to_end
from ingress.secrets import without_our_keys
from ingress.upstream import Caps, Origin, TimeLimits, request_head, tls_context

HOST = re.compile(r"[^\s/?#@<>{}|\\^`%]+")
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def outgoing_proxy_wanted(environment: Mapping[str, str]) -> bool:
    """Whether one of the customary variables is set, in either case."""
    return any(environment.get(name) or environment.get(name.lower()) for name in PROXY_VARIABLES)


class OutgoingAnswer(Answer):
    """An answer that comes through httpx2, undecoded."""

    __slots__ = ("_closed", "_closings", "_idle_s", "_raw", "_response")

    def __init__(
        self,
        response: httpx2.Response,
        headers: list[tuple[bytes, bytes]],
        length: int | None,
        framed: bool,
        idle_s: float,
        closings: "set[asyncio.Task[None]]",
    ) -> None:
        self.status, self.headers, self.content_length = response.status_code, headers, length
        self.reason = response.extensions.get("reason_phrase", b"")
        self.complete, self.framed = False, framed
        self._response = response
        self._raw = response.aiter_raw()
        self._idle_s = idle_s
        self._closings = closings
        self._closed = False

    def take(self) -> bytes | None:
        return b"" if self.complete else None

    async def read(self) -> bytes:
        if self.complete:
            return b""
        try:
            async with asyncio.timeout(self._idle_s):
                piece = await anext(self._raw, b"")
        except TimeoutError as error:
            raise TimedOut(
                f"The provider sent no more of its answer for {self._idle_s:g} s (HELIOGRAPH_LIMITS__IDLE_S).", begun=True
            ) from error
        except httpx2.HTTPError as error:
            raise failure_of(error, begun=True) from error
        self.complete = not piece
        return piece

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            closing = asyncio.get_running_loop().create_task(self._close())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)

    async def _close(self) -> None:
        with suppress(httpx2.HTTPError):
            await self._response.aclose()


def _percent_encoded(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]


class OutgoingUpstream:
    """As `Upstream`, through the outgoing proxy that the environment names (`NO_PROXY` included)."""

    def __init__(self, *, limits: TimeLimits, caps: Caps, target_hosts: Sequence[str] = (), ca_file: str | None = None) -> None:
        self._limits = limits
        self._target_hosts = frozenset(host.lower() for host in target_hosts)
        pool = httpx2.Limits(
            max_connections=caps.connections, max_keepalive_connections=caps.connections, keepalive_expiry=limits.keep_alive_s
        )
        self._client = httpx2.AsyncClient(verify=tls_context(ca_file), limits=pool, trust_env=True)
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # cookies are between client and provider
        self._closings: set[asyncio.Task[None]] = set()

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
        """As `Upstream.send`. Raises TargetRefused for a target that a caller names and no setting allows."""
        if not trusted and origin.host not in self._target_hosts:
            raise TargetRefused(
                f"Calls leave through an outgoing proxy, and {origin.host} is not among HELIOGRAPH_TARGET_HOSTS; the operator may add it.",
                field="Helicone-Target-URL",
            )
        request_head(method, target, origin.netloc.encode(), headers, None, chunked=False)  # refuses what would break out of its line
        if target[:1] != b"/":
            raise BadRequest("The request's path must begin with / when calls leave through an outgoing proxy.", field="path")
        if HOST.fullmatch(origin.host) is None:
            raise BadTarget(f"{origin.host[:60]!r} is no host name.", field="Helicone-Target-URL")
        target = BEYOND_ASCII.sub(_percent_encoded, target)  # httpx2 writes ASCII only
        request = self._request(origin, method, target, headers, body, content_length)
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise failure_of(error, begun=False) from error
        kept, length, coding, _ = end_to_end(response.headers.raw)
        framed = length is not None or coding == b"chunked" or response.http_version == "HTTP/2"
        return OutgoingAnswer(response, kept, length, framed, self._limits.idle_s, self._closings)

    def _request(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes] | None,
        content_length: int | None,
    ) -> httpx2.Request:
        limits = self._limits
        own = list(without_our_keys(headers))
        if content_length is not None and not isinstance(body, bytes):
            own.append((b"content-length", b"%d" % content_length))
        timeout = {"connect": limits.connect_s, "read": limits.first_byte_s, "write": limits.idle_s, "pool": limits.pool_s}
        try:
            url = httpx2.URL(scheme=origin.scheme, host=origin.host, port=origin.port, path="/")
        except httpx2.InvalidURL as error:
            raise BadTarget("The target's host is no host name.", field="Helicone-Target-URL") from error
        extensions: dict[str, Any] = {"timeout": timeout, "target": target}  # as it stands: a URL would be put in order first
        return httpx2.Request(method.decode("ascii"), url, headers=own, content=body, extensions=extensions)

    async def aclose(self) -> None:
        if self._closings:
            await asyncio.wait(self._closings)
        await self._client.aclose()


def failure_of(error: httpx2.HTTPError, *, begun: bool) -> UpstreamError:
    """What went wrong, in our own words: httpx2's may hold a URL."""
    if isinstance(error, httpx2.PoolTimeout):
        return Overloaded("All connections to the provider are busy: HELIOGRAPH_LIMITS__CONNECTIONS allows more.")
    if isinstance(error, httpx2.TimeoutException):
        return TimedOut(f"The provider did not answer within HELIOGRAPH_LIMITS__{_exceeded(error)}.", begun=begun)
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        cause = error.__cause__ or error.__context__
        if isinstance(cause, Exception) and tls_failure(cause):
            return TlsFailed("TLS with the provider failed: HELIOGRAPH_CA_FILE names certificates of your own to trust.")
        return Refused("Neither the provider nor the outgoing proxy before it could be reached.")
    return Interrupted("The provider, or the outgoing proxy before it, broke off.", begun=begun)


def _exceeded(error: httpx2.TimeoutException) -> str:
    """The limit that passed."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "CONNECT_S"
    return "IDLE_S" if isinstance(error, httpx2.WriteTimeout) else "FIRST_BYTE_S"
