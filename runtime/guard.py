"""A web page on the reader's machine must not read prompts from a Heliograph there, nor write to it.

Browsers send any page's requests to loopback. What tells them apart from an application's: the Host header, when a name of the
attacker's was pointed here (DNS rebinding); Origin and Sec-Fetch-Site, when the page says where it comes from. SDKs and scripts send
neither. Sec-Fetch-Mode alone is no sign of a page: fetch in Node sends it and no Sec-Fetch-Site, and its uploads are multipart.
(Fetch Metadata Request Headers, W3C; undici. Read 2026-11.)
"""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import Struct

Headers = Sequence[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
OWN_SITES = frozenset({b"same-origin", b"none"})
"""`none` is the user, typing an address. Same-site is another application of the same host name: on localhost, whatever else runs."""
_TELLING = frozenset({b"origin", b"sec-fetch-site", b"content-type"})
REMEMBERED = 1024
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@?#]+?)\.?)(?::[0-9]{0,5})?")
"""A Host header: an IPv6 address in brackets, or a name; a trailing dot and a port say nothing about whose it is."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a request may not enter."""

    status: int
    code: str
    message: str
    field: str
    fix: str

    def body(self) -> bytes:
        error = {"code": self.code, "message": self.message, "field": self.field, "fix": self.fix}
        return msgspec.json.encode({"error": error})


ONE_HOST = Refusal(
    status=400,
    code="bad_request",
    message="A request needs exactly one Host header.",
    field="Host",
    fix="Send one Host header, with the name and port of the address that was called.",
)
MISDIRECTED = Refusal(
    status=421,
    code="misdirected_host",
    message="This Heliograph does not go by the name in the Host header.",
    field="Host",
    fix="Use localhost, or have the operator add the name to HELIOGRAPH_ALLOWED_HOSTS.",
)
FOREIGN = Refusal(
    status=403,
    code="foreign_origin",
    message="Web pages of other sites may not use this Heliograph.",
    field="Origin",
    fix="Have the operator add the origin to HELIOGRAPH_ALLOWED_ORIGINS if the page is trusted.",
)
FOREIGN_SITE = msgspec.structs.replace(FOREIGN, field="Sec-Fetch-Site")
NOT_JSON = Refusal(
    status=415,
    code="unsupported_media_type",
    message="A page's write must be JSON.",
    field="Content-Type",
    fix="Send Content-Type: application/json, or have the operator add the page's origin to HELIOGRAPH_ALLOWED_ORIGINS.",
)


class Guard:
    """Who may enter.

    `allowed_hosts`: names besides loopback, without ports (`a.example`, `*.b.example` for all below it, `*` for any name).
    `allowed_origins`: web origins that may use us, each written out (`https://a.example:8443`); `*` means nothing here.
    """

    def __init__(self, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> None:
        self._hosts = tuple(host.strip().rstrip(".").lower() for host in allowed_hosts)
        self._origins = frozenset(origin.strip().rstrip("/").lower().encode() for origin in allowed_origins) - {b"null", b"*"}
        self._known: set[bytes] = set()

    def host_is_ours(self, host: bytes) -> bool:
        """Whether a Host header's value may be served; decisions are remembered, since they are few."""
        if host in self._known:
            return True
        name = name_of(host)
        if name is None or not (is_loopback(name) or any(_matches(name, pattern) for pattern in self._hosts)):
            return False
        if len(self._known) < REMEMBERED:
            self._known.add(host)
        return True

    def allows(self, origin: bytes | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def judge_headers(self, method: str, headers: Headers, *, scheme: str = "http", http_version: str = "1.1") -> Refusal | None:
        """Why the request may not enter; None when it may. Names of headers are in lower case. Only HTTP/1.0 may come without Host."""
        hosts: list[bytes] = []
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name in _TELLING:
                found[name] = found[name] + b", " + value if name in found else value
        if len(hosts) > 1 or (not hosts and http_version != "1.0"):
            return ONE_HOST
        if hosts and not self.host_is_ours(hosts[0]):
            return MISDIRECTED
        return self.judge(
            method,
            hosts[0] if hosts else b"",
            origin=found.get(b"origin"),
            site=found.get(b"sec-fetch-site"),
            content_type=found.get(b"content-type"),
            scheme=scheme,
        )

    def judge(
        self, method: str, host: bytes, *, origin: bytes | None, site: bytes | None, content_type: bytes | None, scheme: str = "http"
    ) -> Refusal | None:
        """The same for whoever has read the headers already. An empty `host` is an HTTP/1.0 client's, which no browser is."""
        if host and not self.host_is_ours(host):
            return MISDIRECTED
        if (origin is None and site is None) or self.allows(origin):
            return None
        if origin is not None and origin.lower() != f"{scheme}://".encode() + host.lower():
            return FOREIGN
        if site is not None and site.lower() not in OWN_SITES:
            return FOREIGN_SITE
        return NOT_JSON if method in WRITES and not is_json(content_type) else None


def name_of(host: bytes) -> str | None:
    """The host name in a Host header, without port, brackets and a trailing dot; None when it is none."""
    match = _HOST.fullmatch(host.strip())
    return None if match is None else (match[1] or match[2]).decode("latin-1").lower()


def is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _matches(name: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def is_json(content_type: bytes | None) -> bool:
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


class GuardedApp:
    """An ASGI application behind the guard, with CORS for the origins that the operator allowed."""

    def __init__(self, app: Any, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        method: str = scope.get("method", "GET")
        scheme = "https" if scope.get("scheme") in {"https", "wss"} else "http"
        refusal = self._guard.judge_headers(method, scope["headers"], scheme=scheme, http_version=scope.get("http_version", "1.1"))
        if refusal is not None:
            await _refuse(scope, send, refusal)
            return
        found = dict(scope["headers"])
        origin = found.get(b"origin")
        if origin is None or not self._guard.allows(origin) or scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif method == "OPTIONS" and b"access-control-request-method" in found:
            await send({"type": "http.response.start", "status": 204, "headers": readable_by(origin, preflight(found))})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, _readable(send, origin))


def readable_by(origin: bytes, headers: Headers) -> Headers:
    """The headers of an answer, with what lets a page of `origin` read it. What others said about that, a provider say, does not count.

    Two `Access-Control-Allow-Origin` are as good as none: browsers refuse the answer (Fetch standard, CORS check).
    """
    kept = [(name, value) for name, value in headers if not _decides_who_reads(name.lower())]
    return [
        *kept,
        (b"access-control-allow-origin", origin),
        (b"vary", b"Origin"),
        (b"access-control-expose-headers", b"Helicone-Id, Helicone-Status, Heliograph-Rows, Heliograph-Truncated"),
    ]


def _decides_who_reads(name: bytes) -> bool:
    return name in {b"access-control-allow-origin", b"access-control-allow-credentials"}


def preflight(headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"content-type")),
        (b"access-control-max-age", b"600"),
    ]


def _readable(send: Any, origin: bytes) -> Any:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": readable_by(origin, message.get("headers", []))}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Any, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = refusal.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
