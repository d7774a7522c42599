"""A web page on the reader's machine must not read prompts from a Heliograph there, nor write to it.

Browsers send any page's requests to loopback. What tells them apart from an application's: the Host header, when a name of the
attacker's was pointed here (DNS rebinding); Origin and Sec-Fetch-Site, when the page says where it comes from. SDKs and scripts send
neither.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import Struct

Headers = Sequence[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
FOREIGN_SITES = frozenset({b"cross-site", b"same-site"})
"""Same-site is another application of the same host name: on localhost, whatever else runs there."""
REMEMBERED = 1024


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


class Guard:
    """`allowed_hosts`: names besides loopback (`a.example`, `*.b.example`, `*`); `allowed_origins`: web origins that may use us."""

    def __init__(self, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> None:
        self._hosts = tuple(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.rstrip("/").lower().encode() for origin in allowed_origins)
        self._known: set[bytes] = set()

    def host_is_ours(self, host: bytes) -> bool:
        """Whether a Host header's value may be served; decisions are remembered, since they are few."""
        if host in self._known:
            return True
        if not self._is_ours(name_of(host)):
            return False
        if len(self._known) < REMEMBERED:
            self._known.add(host)
        return True

    def _is_ours(self, name: str) -> bool:
        return is_loopback(name) or any(_matches(name, pattern) for pattern in self._hosts)

    def allows(self, origin: bytes | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def judge(
        self, method: str, host: bytes, *, origin: bytes | None, site: bytes | None, content_type: bytes | None, scheme: str = "http"
    ) -> Refusal | None:
        """Why the request may not enter; None when it may. An empty `host` is an HTTP/1.0 client's, which no browser is."""
        if host and not self.host_is_ours(host):
            return Refusal(
                status=421,
                code="misdirected_host",
                message="This Heliograph does not go by the name in the Host header.",
                field="Host",
                fix="Use localhost, or have the operator add the name to HELIOGRAPH_ALLOWED_HOSTS.",
            )
        if origin is None and site is None:
            return None
        if self.allows(origin):
            return None
        if (origin is not None and origin.lower() != f"{scheme}://".encode() + host.lower()) or site in FOREIGN_SITES:
            return Refusal(
                status=403,
                code="foreign_origin",
                message="Web pages of other sites may not use this Heliograph.",
                field="Origin",
                fix="Have the operator add the origin to HELIOGRAPH_ALLOWED_ORIGINS if the page is trusted.",
            )
        if method in WRITES and not is_json(content_type):
            return Refusal(
                status=415,
                code="unsupported_media_type",
                message="A page's write must be JSON.",
                field="Content-Type",
                fix="Send Content-Type: application/json.",
            )
        return None


def name_of(host: bytes) -> str:
    """The host name in a Host header, without port, brackets and a trailing dot."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


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
        found = dict(scope["headers"])
        origin = found.get(b"origin")
        method = scope.get("method", "GET")
        refusal = self._guard.judge(
            method,
            found.get(b"host", b""),
            origin=origin,
            site=found.get(b"sec-fetch-site"),
            content_type=found.get(b"content-type"),
            scheme="https" if scope.get("scheme") in {"https", "wss"} else "http",
        )
        if refusal is not None:
            await _refuse(scope, send, refusal)
        elif origin is None or not self._guard.allows(origin):
            await self._app(scope, receive, send)
        elif method == "OPTIONS" and b"access-control-request-method" in found:
            await send({"type": "http.response.start", "status": 204, "headers": [*cors(origin), *preflight(found)]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, _with_headers(send, cors(origin)))


def cors(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"vary", b"Origin"),
        (b"access-control-expose-headers", b"Helicone-Id, Helicone-Status"),
    ]


def preflight(headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"content-type")),
        (b"access-control-max-age", b"600"),
    ]


def _with_headers(send: Any, more: list[tuple[bytes, bytes]]) -> Any:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message.get("headers", []), *more]}
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
